//! The charts under Helm's and kubeconform's eyes, without a cluster and without the network.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{schemas, templates};
use crate::{cache, r#gen, paths, sh};

const OPERATOR: &str = "charts/nodeapp-operator";
const CRDS: &str = "charts/nodeapp-operator-crds";

/// Values that must be refused, and the word that the refusal must contain.
const REFUSED: &[(&[&str], &str)] = &[
    (&["--set", "image.pullPolicy=Sometimes"], "pullPolicy"),
    (&["--set", "image.digest=latest"], "digest"),
    (&["--set", "logFormat=xml"], "logFormat"),
    (&["--set", "replicas=two"], "replicas"),
    (&["--set", "namespaces={Shop}"], "namespaces"),
    (&["--set", "resources.limits.memory=lots"], "memory"),
    (&["--set", "imagee.tag=1"], "imagee"),
    (&["--set", "redis.image.pullPolicy=Always"], "pullPolicy"),
    (&["--set", "podDisruptionBudget.maxUnavailable=some"], "maxUnavailable"),
    (&["--set", "topologySpreadConstraints[0].maxSkew=1"], "topologyKey"),
    (&["--set", "tolerations[0].operater=Exists"], "operater"),
    (&["--set", "affinity.podAffinty.a=b"], "podAffinty"),
    (&["--set", "networkPolicy.apiServerPorts={70000}"], "apiServerPorts"),
    (&["--set", "networkPolicy.from[0].podSelectr.a=b"], "podSelectr"),
    (&["--set", r"commonLabels.helm\.sh/chart=mine"], "helm.sh/chart"),
    (&["--set", "extraObjects[0].kind=ConfigMap"], "extraObjects"),
    // The later one wins: older than the CRD's rules need.
    (&["--kube-version", "1.28.15"], "kubeVersion"),
];

pub(super) fn check() -> Result<()> {
    let step = sh::Step::start("charts");
    let work = paths::output().join("charts");
    // What an earlier run rendered must not be judged again.
    if work.exists() {
        std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    std::fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let helm = cache::helm()?;
    sh::output(
        Command::new(&helm)
            .args(["lint", "--strict", CRDS, OPERATOR])
            .args(kube_version())
            .current_dir(paths::repo()),
    )?;
    for (arguments, word) in REFUSED {
        refused(&helm, arguments, word)?;
    }
    let told = templates::check(
        || {
            let mut command = template(&helm, OPERATOR);
            command.args(kube_version());
            command
        },
        &paths::repo().join(OPERATOR).join("templates"),
    )?;
    let rendered = render_all(&helm, &work)?;
    let schemas = schemas::write(&work.join("schemas"), &r#gen::crd()?)?;
    let mut judged = rendered.clone();
    judged.extend(["manifests", "examples"].map(|dir| paths::repo().join(dir)));
    conform(&schemas, &judged)?;
    step.done_with(&format!("{told} cases, {} renderings, manifests and examples", rendered.len()));
    Ok(())
}

/// One rendering per file in the chart's `ci` folder, one with no values at all, and the API by itself.
fn render_all(helm: &Path, work: &Path) -> Result<Vec<PathBuf>> {
    let ci = paths::repo().join(OPERATOR).join("ci");
    let mut sets: Vec<PathBuf> = std::fs::read_dir(&ci)
        .with_context(|| format!("cannot read {}", ci.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    sets.sort();
    sets.push(paths::repo().join(OPERATOR).join("values-ha.yaml"));
    let mut rendered = vec![render(helm, OPERATOR, None, work)?, render(helm, CRDS, None, work)?];
    for set in &sets {
        rendered.push(render(helm, OPERATOR, Some(set), work)?);
    }
    Ok(rendered)
}

fn render(helm: &Path, chart: &str, values: Option<&Path>, work: &Path) -> Result<PathBuf> {
    let mut command = template(helm, chart);
    command.args(kube_version());
    if let Some(values) = values {
        command.arg("--values").arg(values);
    }
    let name = values
        .and_then(Path::file_stem)
        .map_or_else(|| chart.replace('/', "-"), |stem| stem.to_string_lossy().into_owned());
    let file = work.join(format!("{name}.yaml"));
    std::fs::write(&file, sh::output(&mut command)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn refused(helm: &Path, arguments: &[&str], word: &str) -> Result<()> {
    match sh::output(template(helm, OPERATOR).args(kube_version()).args(arguments)) {
        Ok(_) => bail!("the chart takes `{}`; it should refuse it", arguments.join(" ")),
        Err(error) if !error.to_string().contains(word) => {
            bail!("the chart refuses `{}` without the word {word}: {error}", arguments.join(" "))
        }
        Err(_) => Ok(()),
    }
}

fn template(helm: &Path, chart: &str) -> Command {
    let mut command = Command::new(helm);
    command
        .args(["template", "nodeapp-operator", chart, "--namespace", "nodeapp-system"])
        .current_dir(paths::repo());
    command
}

fn kube_version() -> [&'static str; 2] {
    ["--kube-version", r#gen::RENDERED_FOR]
}

/// Unknown fields, wrong types and missing fields fail; so does a kind without a schema.
fn conform(schemas: &Path, files: &[PathBuf]) -> Result<()> {
    let location = format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", schemas.display());
    sh::output(
        Command::new(cache::kubeconform()?)
            .args(["-strict", "-summary", "-schema-location", &location])
            // The example app's package.json and Kustomize's file are no objects of Kubernetes.
            .args([
                "-ignore-filename-pattern",
                "examples/hello/",
                "-ignore-filename-pattern",
                "kustomization.yaml",
            ])
            .args(files),
    )?;
    Ok(())
}
