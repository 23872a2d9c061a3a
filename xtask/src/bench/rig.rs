//! What every row needs: the runner as it is shipped, Node.js, PM2, and ports.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{image, paths, sh};

/// Version of PM2 from npm that is measured against.
pub(crate) const PM2: &str = "7.0.4";
/// Version of its module for log rotation.
pub(crate) const LOGROTATE: &str = "3.0.0";

/// Below the ports that the kernel gives to connections, so that a load of many connections takes none of them.
const FIRST_PORT: u16 = 21_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);

/// The programs.
pub(crate) struct Rig {
    /// A folder with `node`, put in front of PATH.
    bin: PathBuf,
    modules: PathBuf,
    runner: PathBuf,
    quick: bool,
}

impl Rig {
    /// Builds the runner as the images have it, and fetches the rest once.
    pub(crate) fn prepare(quick: bool) -> Result<Self> {
        let dir = paths::output().join("bench");
        let built = image::program("nodeapp-runner")?;
        let runner = dir.join("runner");
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        // The way it comes into a pod, with the preload beside it.
        sh::output(Command::new(&built).arg("install").arg(&runner))?;
        let bin = image::node_dir(image::DEFAULT_NODE)?;
        Ok(Self { bin, modules: fetch_pm2()?, runner: runner.join("nodeapp-runner"), quick })
    }

    /// Programs of others, for the page.
    pub(crate) fn programs(&self) -> Result<String> {
        let node = sh::output(Command::new(self.node()).arg("--version"))?;
        Ok(format!("Node.js {} in every column; PM2 {PM2} with pm2-logrotate {LOGROTATE}.", node.trim()))
    }

    /// One of two numbers of repetitions.
    pub(crate) fn times<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// The program `node`.
    pub(crate) fn node(&self) -> PathBuf {
        self.bin.join("node")
    }

    /// The runner's executable.
    pub(crate) fn runner(&self) -> &Path {
        &self.runner
    }

    /// The folder with PM2's packages.
    pub(crate) fn modules(&self) -> &Path {
        &self.modules
    }

    /// A program of PM2's packages.
    pub(crate) fn module(&self, path: &str) -> PathBuf {
        self.modules.join(path)
    }

    /// PATH with this Node.js in front.
    pub(crate) fn path(&self) -> String {
        format!("{}:{}", self.bin.display(), std::env::var("PATH").unwrap_or_default())
    }

    /// An app of `bench/apps`.
    pub(crate) fn app(name: &str) -> PathBuf {
        paths::repo().join("bench/apps").join(name)
    }

    /// A port on which nothing listens.
    pub(crate) fn port() -> Result<u16> {
        for _ in 0..2_000 {
            let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
            if TcpListener::bind(("0.0.0.0", port)).is_ok() {
                return Ok(port);
            }
        }
        bail!("no free port from {FIRST_PORT} on")
    }
}

/// Waits until `probe` gives something; an error says what was waited for.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let until = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        if Instant::now() > until {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The folder `node_modules` with PM2 and pm2-logrotate, fetched once.
fn fetch_pm2() -> Result<PathBuf> {
    let npm = paths::cache()?.join("npm");
    let dir = npm.join(format!("pm2-{PM2}-logrotate-{LOGROTATE}"));
    if !dir.is_dir() {
        let part = npm.join(format!(".part-pm2-{PM2}"));
        let _ = std::fs::remove_dir_all(&part);
        std::fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        let mut fetch = Command::new("npm");
        fetch
            .current_dir(&part)
            .args(["install", "--silent", "--no-save", "--ignore-scripts", "--omit=dev", "--prefix"])
            .arg(&part)
            .args([format!("pm2@{PM2}"), format!("pm2-logrotate@{LOGROTATE}")]);
        sh::run(&format!("fetch PM2 {PM2} and pm2-logrotate {LOGROTATE} from npm"), &mut fetch)?;
        std::fs::rename(&part, &dir)?;
    }
    Ok(dir.join("node_modules"))
}
