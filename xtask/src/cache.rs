//! Programs built once into `~/.cache/nodeapp-operator/bin/<name>-<version>` from their Go modules.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// The Helm program.
pub(crate) fn helm() -> Result<PathBuf> {
    bail!("not built yet")
}

/// The kubeconform program, which checks manifests against Kubernetes' schemas.
pub(crate) fn kubeconform() -> Result<PathBuf> {
    bail!("not built yet")
}

/// A folder with `kubectl` and `helm` under their plain names, to be put in front of PATH.
pub(crate) fn bin_dir() -> Result<PathBuf> {
    bail!("not built yet")
}
