//! PM2 with a home of its own, used as its documentation says.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::proc;
use super::rig::{Rig, wait_for};
use crate::sh;

const PATIENCE: Duration = Duration::from_secs(30);

/// A PM2 whose daemon runs from the first app on.
pub(crate) struct Pm2<'a> {
    rig: &'a Rig,
    home: tempfile::TempDir,
}

impl<'a> Pm2<'a> {
    /// No daemon yet.
    pub(crate) fn new(rig: &'a Rig) -> Result<Self> {
        Ok(Self { rig, home: tempfile::Builder::new().prefix("bench-pm2-").tempdir()? })
    }

    /// Starts the apps of an ecosystem file.
    pub(crate) fn start(&self, apps: &Value) -> Result<()> {
        let file = self.path("ecosystem.json");
        std::fs::write(&file, json!({"apps": apps}).to_string())?;
        self.run(&["start", &file.to_string_lossy()])
    }

    /// One command, to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Result<()> {
        sh::output(&mut self.command(words)).map(drop)
    }

    /// One command.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("node");
        command
            .arg(self.rig.module("pm2/bin/pm2"))
            .args(words)
            .current_dir(self.home.path())
            .env("PATH", self.rig.path())
            .env("PM2_HOME", self.home.path())
            .env_remove("PORT")
            .stdin(Stdio::null());
        command
    }

    /// A path in its home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The daemon.
    pub(crate) fn daemon(&self) -> Result<u32> {
        let path = self.path("pm2.pid");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.trim().parse().context("pm2.pid holds no number")
    }

    /// The processes of all apps.
    pub(crate) fn apps(&self) -> Result<Vec<u32>> {
        let read = |entry: std::io::Result<std::fs::DirEntry>| -> Result<u32> {
            Ok(std::fs::read_to_string(entry?.path())?.trim().parse()?)
        };
        std::fs::read_dir(self.path("pids"))?.map(read).collect()
    }

    /// The process of an app by the id that PM2 gave it, once it lives.
    pub(crate) fn app(&self, name: &str, id: usize) -> Result<u32> {
        let path = self.path(&format!("pids/{name}-{id}.pid"));
        wait_for(&format!("a process {id} of PM2"), PATIENCE, || {
            let pid = std::fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            proc::is_alive(pid).then_some(pid)
        })
    }
}

impl Drop for Pm2<'_> {
    fn drop(&mut self) {
        let Ok(daemon) = self.daemon() else { return };
        let _ = self.run(&["kill", "--silent"]);
        let gone =
            wait_for("the end of PM2", Duration::from_secs(20), || (!proc::is_alive(daemon)).then_some(()));
        if gone.is_err() {
            let _ = proc::signal(daemon, Signal::KILL);
        }
    }
}
