//! Which test targets belong to which tier: the name says it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{paths, sh};

/// The target of the node tier.
pub(super) const NODE: &str = "e2e";

/// Names of all test targets of the workspace.
pub(super) struct Targets(Vec<String>);

impl Targets {
    /// Asks cargo.
    pub(super) fn read() -> Result<Self> {
        let mut command = Command::new(env!("CARGO"));
        command.args(["metadata", "--no-deps", "--format-version=1", "--offline"]).current_dir(paths::repo());
        let metadata: serde_json::Value = serde_json::from_str(&sh::output(&mut command)?)?;
        let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
        let targets = packages.iter().filter_map(|package| package["targets"].as_array()).flatten();
        let tests = targets.filter(|target| target["kind"][0] == "test");
        Ok(Self(tests.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect()))
    }

    /// Those that need a control plane.
    pub(super) fn apiserver(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).filter(|name| name.starts_with("apiserver")).collect()
    }

    /// Those that need no cluster.
    pub(super) fn pure(&self) -> Vec<&str> {
        let apiserver = self.apiserver();
        self.0.iter().map(String::as_str).filter(|name| *name != NODE && !apiserver.contains(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_in_one_tier() {
        let targets = Targets(
            ["golden", "e2e", "apiserver", "apiserver_scale", "generated"].map(str::to_owned).to_vec(),
        );
        assert_eq!(targets.apiserver(), ["apiserver", "apiserver_scale"]);
        assert_eq!(targets.pure(), ["golden", "generated"]);
    }
}
