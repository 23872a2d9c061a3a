//! kubectl and helm, as a user calls them.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

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

    async fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let path = self.inner.bin.as_ref().map_or_else(|| PathBuf::from(program), |bin| bin.join(program));
        let output = Command::new(&path)
            .args(args)
            .env("KUBECONFIG", &self.inner.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
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
