//! The same commands over kind, for machines with Docker. This project's own CI does not come by here.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::layout;
use crate::image::oci::Store;
use crate::{cache, paths, sh};

/// Image of the node, and with it the version of Kubernetes; that of the pinned release of kind when unset.
const IMAGE: &str = "NODEAPP_KIND_IMAGE";

/// Whether a Docker daemon answers this user.
pub(crate) fn usable() -> bool {
    sh::which("docker").is_some()
        && sh::output(Command::new("docker").args(["info", "--format", "{{.ID}}"])).is_ok()
}

/// Makes the kind cluster unless it is there.
pub(crate) fn up(name: &str) -> Result<()> {
    anyhow::ensure!(layout::valid_name(name), "`{name}` cannot be the name of a cluster");
    let kubeconfig = kubeconfig(name)?;
    if exists(name)? {
        sh::say(&format!("• the kind cluster {} is there", cluster(name)));
        return sh::run_quiet(
            "kind kubeconfig",
            kind()?
                .args(["export", "kubeconfig", "--name"])
                .arg(cluster(name))
                .arg("--kubeconfig")
                .arg(kubeconfig),
        );
    }
    std::fs::create_dir_all(kubeconfig.parent().context("no parent")?)?;
    let config = paths::repo().join("kind-config.yaml");
    let mut command = kind()?;
    command.args(["create", "cluster", "--wait", "120s", "--name"]).arg(cluster(name));
    command.arg("--config").arg(config).arg("--kubeconfig").arg(kubeconfig);
    if let Some(image) = std::env::var_os(IMAGE).filter(|image| !image.is_empty()) {
        command.arg("--image").arg(image);
    }
    sh::run(&format!("create the kind cluster {}", cluster(name)), &mut command)
}

/// Deletes the kind cluster.
pub(crate) fn down(name: &str) -> Result<()> {
    sh::run(
        &format!("delete the kind cluster {}", cluster(name)),
        kind()?.args(["delete", "cluster", "--name"]).arg(cluster(name)),
    )?;
    let _ = std::fs::remove_file(kubeconfig(name)?);
    Ok(())
}

/// Loads images by an archive, through kind.
pub(crate) fn load(name: &str, references: &[&str]) -> Result<()> {
    let archive = paths::output().join("images.tar");
    std::fs::create_dir_all(paths::output())?;
    let mut file = File::create(&archive).with_context(|| format!("cannot write {}", archive.display()))?;
    Store::open()?.export(references, &mut file)?;
    let mut command = kind()?;
    command.args(["load", "image-archive", "--name"]).arg(cluster(name)).arg(&archive);
    sh::run(&format!("load {} images into {}", references.len(), cluster(name)), &mut command)
}

/// Where kind writes the kubeconfig.
pub(crate) fn kubeconfig(name: &str) -> Result<PathBuf> {
    Ok(paths::cache()?.join("kind").join(format!("{name}.kubeconfig")))
}

/// Whether kind has this cluster.
pub(crate) fn exists(name: &str) -> Result<bool> {
    Ok(sh::output(kind()?.args(["get", "clusters"]))?.lines().any(|line| line.trim() == cluster(name)))
}

fn cluster(name: &str) -> String {
    format!("nodeapp-{name}")
}

fn kind() -> Result<Command> {
    Ok(Command::new(cache::kind()?))
}
