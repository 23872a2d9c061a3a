//! Where things lie: the repository, the cache, the build output.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of this repository.
pub(crate) fn repo() -> &'static Path {
    // The manifest dir is `<repo>/xtask`.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// `~/.cache/nodeapp-operator` (or below `XDG_CACHE_HOME`): components, clusters, image blobs.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set; set it or XDG_CACHE_HOME")?)
            .join(".cache"),
    };
    Ok(base.join("nodeapp-operator"))
}

/// Cargo's target directory, `CARGO_TARGET_DIR` respected.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Cargo resolves a relative one against the directory it was called in, as we do.
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None => repo().join("target"),
    }
}

/// `target/nodeapp`: what the developers' commands leave for people to look at.
pub(crate) fn output() -> PathBuf {
    target().join("nodeapp")
}

/// `target/nodeapp/images.json`, see [`crate::image::Images`].
pub(crate) fn images_json() -> PathBuf {
    output().join("images.json")
}

/// `target/nodeapp/values.json`: Helm values that install the images built last.
pub(crate) fn helm_values() -> PathBuf {
    output().join("values.json")
}
