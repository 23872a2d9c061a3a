//! An app under `nodeapp-runner`, as a plain process.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::load::get;
use super::rig::{Rig, wait_for};
use super::{proc, stat};
use crate::sh;

const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be run.
pub(crate) struct Setup<'a> {
    rig: &'a Rig,
    dir: tempfile::TempDir,
    config: Value,
    env: Vec<(String, String)>,
    endpoint: u16,
}

/// A runner that runs.
pub(crate) struct Runner<'a> {
    setup: Setup<'a>,
    process: Child,
    /// Bytes that came on its standard output.
    received: Arc<AtomicU64>,
}

impl<'a> Setup<'a> {
    /// An app that is ready when it listens; a worker without a port.
    pub(crate) fn new(rig: &'a Rig, script: &Path, port: Option<u16>) -> Result<Self> {
        let mut config = json!({"name": "bench", "launch": {"script": {"script": script}}});
        if let Some(port) = port {
            config["port"] = port.into();
        }
        let dir = tempfile::Builder::new().prefix("bench-runner-").tempdir()?;
        std::fs::create_dir(dir.path().join("run"))?;
        Ok(Self { rig, dir, config, env: vec![], endpoint: Rig::port()? })
    }

    /// Sets a field of the config.
    #[must_use]
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// Sets a variable of the app.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// A path in the folder of this app, which is gone with it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.rig.runner());
        command
            .args(words)
            .env("PATH", self.rig.path())
            .env("NODEAPP_RUNNER_CONFIG", self.config.to_string())
            .env("NODEAPP_RUN_DIR", self.path("run"))
            .env("NODEAPP_RUNNER_LISTEN", format!("127.0.0.1:{}", self.endpoint))
            .env("NODEAPP_TERMINATION_LOG", self.path("termination-log"))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts it; its output goes through a pipe that is read, as a container's does.
    pub(crate) fn start(self) -> Result<Runner<'a>> {
        let stderr = std::fs::File::create(self.path("stderr"))?;
        let mut command = self.command(&["run"]);
        command.stdout(Stdio::piped()).stderr(stderr);
        let mut process = command.spawn().context("cannot start the runner")?;
        let received = Arc::new(AtomicU64::new(0));
        let mut output = process.stdout.take().context("no output")?;
        let counter = Arc::clone(&received);
        std::thread::spawn(move || {
            let mut buffer = vec![0_u8; 64 * 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                counter.fetch_add(count as u64, Ordering::Relaxed);
            }
        });
        Ok(Runner { setup: self, process, received })
    }

    /// Starts it, and waits until it is ready.
    pub(crate) fn start_ready(self) -> Result<Runner<'a>> {
        let runner = self.start()?;
        runner.wait_online(0)?;
        Ok(runner)
    }
}

impl Runner<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A path in the folder of this app.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.setup.path(name)
    }

    /// A page of its endpoint.
    pub(crate) fn page(&self, path: &str) -> Option<String> {
        get(self.setup.endpoint, path, Duration::from_secs(5))
    }

    /// `/status`.
    pub(crate) fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.page("/status")?).ok()
    }

    /// The process of the app.
    pub(crate) fn app(&self) -> Result<u32> {
        wait_for("a process under the runner", PATIENCE, || {
            u32::try_from(self.status()?["pid"].as_u64()?).ok()
        })
    }

    /// Waits until it is ready after so many restarts.
    pub(crate) fn wait_online(&self, restarts: u64) -> Result<()> {
        let waited = wait_for("the app under the runner to be online", PATIENCE, || {
            let status = self.status()?;
            let restarted = status["restarts"].as_u64()? >= restarts;
            (restarted && status["state"] == "online" && status["ready"] == true).then_some(())
        });
        waited.with_context(|| format!("the runner says: {}", sh::tail(&self.path("stderr"), 5)))
    }

    /// `nodeapp-runner ctl restart`.
    pub(crate) fn restart(&self) -> Result<()> {
        sh::output(&mut self.setup.command(&["ctl", "restart"])).map(drop)
    }

    /// Waits until so many bytes have come on standard output.
    pub(crate) fn wait_output(&self, bytes: u64, limit: Duration) -> Result<()> {
        let come = || self.received.load(Ordering::Relaxed);
        let waited = wait_for("the output of the runner", limit, || (come() >= bytes).then_some(()));
        waited.with_context(|| format!("{} of {} bytes came", stat::count(come()), stat::count(bytes)))
    }
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        let app = self.status().and_then(|status| u32::try_from(status["pid"].as_u64()?).ok());
        // Twice: without a drain. Not at once, or the two would be one.
        let _ = proc::signal(self.pid(), Signal::TERM);
        std::thread::sleep(Duration::from_millis(30));
        if self.process.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = proc::signal(self.pid(), Signal::TERM);
        }
        let until = Instant::now() + Duration::from_secs(8);
        while Instant::now() < until {
            if self.process.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Only if it outlived its supervisor: the number could be another's by now, but hardly within this moment.
        if let Some(app) = app.filter(|app| proc::is_alive(*app)) {
            let _ = proc::signal(app, Signal::KILL);
        }
    }
}
