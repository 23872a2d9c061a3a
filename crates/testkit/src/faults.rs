//! Power cuts: parts of a local cluster end at once and start again.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{Cluster, Tier};

/// The program that runs local clusters; `cargo xtask test` sets it where the cluster is one.
const XTASK: &str = "NODEAPP_XTASK";

/// A local cluster whose parts can be ended.
pub struct Breakable {
    xtask: std::ffi::OsString,
    name: String,
}

impl Cluster {
    /// The way to break this cluster; none, with a word on standard error, where it is
    /// not a local one.
    ///
    /// # Errors
    /// The environment says that it is one, and its kubeconfig lies elsewhere.
    pub fn breakable(&self, tier: Tier) -> Result<Option<Breakable>> {
        let Some(xtask) = std::env::var_os(XTASK).filter(|path| !path.is_empty()) else {
            crate::cluster::skip(
                "this is no local cluster (NODEAPP_XTASK is not set), so that nothing is broken",
            );
            return Ok(None);
        };
        let kubeconfig = std::env::var(tier.variable()).context("no kubeconfig")?;
        // `clusters/NAME/kubeconfig`.
        let name =
            Path::new(&kubeconfig).parent().and_then(Path::file_name).context("no cluster's folder")?;
        Ok(Some(Breakable { xtask, name: name.to_string_lossy().into_owned() }))
    }
}

impl Breakable {
    /// Ends components by SIGKILL.
    ///
    /// # Errors
    /// There is no such component, or it does not die.
    pub async fn crash(&self, components: &[&str]) -> Result<()> {
        self.run("crash", components).await
    }

    /// Ends a node by its number from 1 on: kubelet, containerd, and every process of
    /// every pod.
    ///
    /// # Errors
    /// There is no such node, or something does not die.
    pub async fn crash_node(&self, node: u8) -> Result<()> {
        self.run("crash", &[&format!("--node={node}")]).await
    }

    /// Starts what is dead; returns when the cluster is usable.
    ///
    /// # Errors
    /// It does not become so.
    pub async fn heal(&self) -> Result<()> {
        self.run("up", &["--provider=local", "--nodes=0"]).await
    }

    async fn run(&self, verb: &str, words: &[&str]) -> Result<()> {
        let output = Command::new(&self.xtask)
            .args(["cluster", verb, "--name", &self.name])
            .args(words)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot start {}", self.xtask.to_string_lossy()))?;
        if !output.status.success() {
            bail!(
                "xtask cluster {verb} {}: {}",
                words.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}
