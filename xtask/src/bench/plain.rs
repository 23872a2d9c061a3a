//! An app without any supervisor.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::rig::Rig;

/// A bare `node`.
pub(crate) struct Plain(Child);

impl Plain {
    /// Starts `node script`.
    pub(crate) fn start(rig: &Rig, script: &Path, env: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(script).env("PATH", rig.path()).envs(env.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.context("cannot start node")?))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
