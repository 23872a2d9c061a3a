//! `cargo xtask gen`: writes the files that follow from the Rust code, or compares them.
//!
//! The operator prints its CRD and its `ClusterRole`; charts, manifests and the field reference are made of that.
//! All but `manifests/install.yaml`, which needs Helm, are compared by `tests/generated.rs` too.

mod pm2;
mod reference;
mod render;
mod values;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::{cache, paths, sh};

/// Where the operator is installed unless told otherwise.
const NAMESPACE: &str = "nodeapp-system";
/// Helm asks the chart's `kubeVersion` about this one; nothing in the charts depends on the version.
pub(crate) const RENDERED_FOR: &str = "1.34.0";
const INSTALL: &str = "manifests/install.yaml";
const README: &str = "charts/nodeapp-operator/README.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail when a file is not what it should be
    #[arg(long)]
    check: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    if args.check { check() } else { write() }
}

/// Fails when a generated file differs from what it should be, and names all that do.
pub(crate) fn check() -> Result<()> {
    let step = sh::Step::start("generated files");
    let mut files = from_operator()?;
    files.push((README, readme()?));
    files.push((INSTALL, install()?));
    let stale: Vec<_> = files
        .iter()
        .filter(|(path, text)| std::fs::read_to_string(paths::repo().join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| *path)
        .collect();
    if !stale.is_empty() {
        bail!("not up to date: {}; run `cargo xtask gen` and commit the result", stale.join(", "));
    }
    step.done();
    Ok(())
}

/// Writes what follows from the Rust code and from the chart.
pub(crate) fn write() -> Result<()> {
    let step = sh::Step::start("generated files");
    let mut changed = 0;
    for (path, text) in from_operator()? {
        changed += usize::from(write_if_different(path, &text)?);
    }
    changed += usize::from(write_if_different(README, &readme()?)?);
    // Rendered from the charts, hence after them.
    changed += usize::from(write_if_different(INSTALL, &install()?)?);
    step.done_with(&format!("{changed} changed"));
    Ok(())
}

/// The files that need the operator alone, as paths in the repository and contents.
fn from_operator() -> Result<Vec<(&'static str, String)>> {
    let crd = operator("crd")?;
    let rbac = operator("rbac")?;
    Ok(vec![
        ("charts/nodeapp-operator-crds/templates/nodeapps.yaml", render::chart_crd(&crd)),
        (
            "charts/nodeapp-operator/templates/_rules.tpl",
            render::chart_rules(&rbac).map_err(|error| anyhow!(error))?,
        ),
        ("manifests/crds.yaml", render::manifest_crds(&crd)),
        ("docs/reference.md", reference::markdown(&yaml(&crd)?).map_err(|error| anyhow!(error))?),
    ])
}

/// The CRD as it would be applied.
pub(crate) fn crd() -> Result<serde_json::Value> {
    yaml(&operator("crd")?)
}

fn yaml(text: &str) -> Result<serde_json::Value> {
    serde_saphyr::from_str(text).context("the operator's `crd` output is not YAML")
}

/// What the operator prints about itself.
fn operator(what: &str) -> Result<String> {
    sh::output(
        Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--package", "nodeapp-operator", "--", what])
            .current_dir(paths::repo()),
    )
}

/// The chart's README with the table of its values.
fn readme() -> Result<String> {
    let read = |path: &str| {
        std::fs::read_to_string(paths::repo().join(path)).with_context(|| format!("cannot read {path}"))
    };
    values::readme(&read(README)?, &read("charts/nodeapp-operator/values.yaml")?)
        .map_err(|error| anyhow!(error).context("charts/nodeapp-operator/values.yaml"))
}

/// `manifests/install.yaml` from the chart as it lies in the working tree.
fn install() -> Result<String> {
    let rendered = sh::output(
        Command::new(cache::helm()?)
            .args(["template", "nodeapp-operator", "charts/nodeapp-operator"])
            .args(["--namespace", NAMESPACE, "--kube-version", RENDERED_FOR, "--set", "crds.enabled=false"])
            // The pod of `helm test` is none of a plain installation.
            .arg("--no-hooks")
            .current_dir(paths::repo()),
    )?;
    Ok(render::manifest_install(&rendered, NAMESPACE))
}

fn write_if_different(path: &str, text: &str) -> Result<bool> {
    let file = paths::repo().join(path);
    if std::fs::read_to_string(&file).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    sh::say(&format!("  {path}"));
    Ok(true)
}
