//! kubectl and helm, as a user calls them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

/// How a program has ended, and what it said.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; none if a signal has ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs kubectl and helm against one cluster.
#[derive(Clone)]
pub struct Tools {
    inner: Arc<Inner>,
}

struct Inner {
    kubeconfig: PathBuf,
    bin: Option<PathBuf>,
}

impl Tools {
    /// Tools for the cluster of `kubeconfig`, from the folder `bin` or PATH.
    pub(crate) fn new(kubeconfig: PathBuf, bin: Option<PathBuf>) -> Self {
        Self { inner: Arc::new(Inner { kubeconfig, bin }) }
    }

    /// Standard output of `kubectl ARGS`.
    ///
    /// # Errors
    /// The program cannot be started or fails; then with its standard error.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.run("kubectl", args).await
    }

    /// Standard output of `helm ARGS`.
    ///
    /// # Errors
    /// The program cannot be started or fails; then with its standard error.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        self.run("helm", args).await
    }

    /// The file that names the cluster and its user.
    pub fn kubeconfig(&self) -> &Path {
        &self.inner.kubeconfig
    }

    /// `kubectl nodeapp`, for a test that talks to it while it runs. It ends with its handle.
    ///
    /// # Errors
    /// The environment names no plugin.
    pub fn plugin(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(plugin_path()?);
        command.args(args).env("KUBECONFIG", &self.inner.kubeconfig).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// What a line for the shell says, standard error first, as if typed in `folder` with kubectl, helm and the plugin
    /// in PATH.
    ///
    /// # Errors
    /// The environment names no plugin, or the last command of the line fails; then with its standard error.
    pub async fn shell(&self, folder: &Path, line: &str) -> Result<String> {
        let plugin = plugin_path()?;
        let own = [self.inner.bin.as_deref(), Path::new(&plugin).parent()];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = own.into_iter().flatten().map(Path::to_owned).chain(std::env::split_paths(&path));
        let mut command = Command::new("sh");
        command.current_dir(folder).env("PATH", std::env::join_paths(path)?).args(["-c", line]);
        let output = self.output(&mut command).await.context("cannot start sh")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, out) = (text(&output.stderr), text(&output.stdout));
        ensure!(output.status.success(), "{line} ended with {}: {said}{out}", output.status);
        Ok(said + &out)
    }

    /// How `kubectl-nodeapp ARGS` ends, whichever way, with standard output and error no terminals.
    ///
    /// # Errors
    /// The environment names no plugin, or it cannot be started.
    pub async fn run_plugin(&self, args: &[&str]) -> Result<Ran> {
        let plugin = plugin_path()?;
        let output = self.output(Command::new(&plugin).args(args)).await;
        let output = output.with_context(|| format!("cannot start {}", plugin.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    async fn output(&self, command: &mut Command) -> std::io::Result<std::process::Output> {
        command
            .env("KUBECONFIG", &self.inner.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
    }

    async fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let path = self.inner.bin.as_ref().map_or_else(|| PathBuf::from(program), |bin| bin.join(program));
        let output = self
            .output(Command::new(&path).args(args))
            .await
            .with_context(|| format!("cannot start {}; NODEAPP_BIN names its folder", path.display()))?;
        if !output.status.success() {
            bail!(
                "{program} {} ended with {}: {}{}",
                args.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr).trim(),
                String::from_utf8_lossy(&output.stdout).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Path of the plugin under test.
fn plugin_path() -> Result<PathBuf> {
    let path = std::env::var_os("NODEAPP_PLUGIN").map(PathBuf::from);
    path.context("NODEAPP_PLUGIN is not set; it is the path of the program kubectl-nodeapp")
}
