//! `cargo xtask demo`: from a fresh clone to a rolling update under load, in one command.

mod page;
mod rollout;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nodeapp_load::pod::{self, LoadPlan};
use serde_json::json;

use self::page::Page;
use crate::cluster::{self, Cluster};
use crate::sh::{self, Step};
use crate::{image, paths};

/// Namespace of the app and of the load.
const NAMESPACE: &str = "demo";
const OPERATOR_NAMESPACE: &str = "nodeapp-system";
const RELEASE: &str = "nodeapp-operator";
/// The app of `examples/nodeapp.yaml`.
const APP: &str = "hello";
const EXAMPLE: &str = "examples/nodeapp.yaml";
/// Answers before the change, and again after it.
const ENOUGH: u64 = 1_000;
/// Nothing here takes long; what takes this long is stuck.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    cluster: cluster::Options,
    /// Take the cluster down at the end instead of leaving it to be looked at
    #[arg(long)]
    down: bool,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let start = Instant::now();
    let images = image::build_all(&image::Options::default())?;
    let cluster = cluster::up(&args.cluster)?;
    cluster.load(&images)?;
    let page = show(&cluster, &images.load).inspect_err(|_| explain(&cluster))?;
    println!("{}", page.text(start.elapsed(), &cluster.name));
    if args.down {
        cluster::down(&args.cluster)?;
    }
    match page.lost() {
        0 => Ok(()),
        lost => bail!("{lost} requests were lost"),
    }
}

/// All that happens inside the cluster.
fn show(cluster: &Cluster, load_image: &str) -> Result<Page> {
    install(cluster)?;
    let step = Step::start(format!("kubectl apply -n {NAMESPACE} -f {EXAMPLE}"));
    apply(cluster, "namespace", &restricted(NAMESPACE))?;
    let example = paths::repo().join(EXAMPLE);
    sh::output(cluster.kubectl()?.args(["apply", "-n", NAMESPACE, "-f"]).arg(example))?;
    rollout::wait(cluster, "1")?;
    step.done_with("ready");

    let step = Step::start("load: 16 connections kept and 80 new ones a second, no retries");
    let load = format!("load-{}", std::process::id());
    // Pods of earlier demos have ended; they would only be in the way of the reader.
    let old = ["delete", "pod", "-n", NAMESPACE, "-l", "nodeapp.dev/load", "--wait=false"];
    sh::output(cluster.kubectl()?.args(old))?;
    apply(cluster, "load", &pod::manifest(&load, load_image, &LoadPlan::on(APP, 3000, "/")))?;
    answered(cluster, &load, ENOUGH)?;
    step.done_with(&format!("{ENOUGH} requests answered"));

    let step = Step::start("change the app while the load goes on");
    let changed = Instant::now();
    let change = json!({"spec": {"env": [{"name": "VERSION", "value": "2"}]}}).to_string();
    sh::output(cluster.kubectl()?.args([
        "patch",
        "nodeapp",
        APP,
        "-n",
        NAMESPACE,
        "--type=merge",
        "-p",
        &change,
    ]))?;
    rollout::wait(cluster, "2")?;
    let rollout = changed.elapsed();
    step.done_with("every pod is new, every old one has drained and gone");

    let step = Step::start("some more load on the new pods");
    let so_far = report(cluster, &load, "report")?.ok();
    answered(cluster, &load, so_far + ENOUGH)?;
    let report = report(cluster, &load, "stop")?;
    step.done();
    let get = ["get", "nodeapps,pods", "-n", NAMESPACE, "-l", "!nodeapp.dev/load"];
    let objects = sh::output(cluster.kubectl()?.args(get))?;
    Ok(Page { report, rollout, objects })
}

/// Installs the operator as the README does, with the images built last.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    apply(cluster, "operator-namespace", &restricted(OPERATOR_NAMESPACE))?;
    let mut helm = cluster.helm()?;
    helm.current_dir(paths::repo())
        .args(["upgrade", "--install", RELEASE, "charts/nodeapp-operator", "--namespace", OPERATOR_NAMESPACE])
        .arg("--values")
        .arg(paths::helm_values())
        .args(["--wait", "--timeout", "2m"]);
    sh::run("helm install nodeapp-operator", &mut helm)
}

/// A namespace in which nothing runs that could harm the node.
fn restricted(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    })
}

fn apply(cluster: &Cluster, name: &str, object: &serde_json::Value) -> Result<()> {
    let file = paths::output().join(format!("demo-{name}.json"));
    std::fs::create_dir_all(paths::output())?;
    std::fs::write(&file, object.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    sh::output(cluster.kubectl()?.args(["apply", "-n", NAMESPACE, "-f"]).arg(&file)).map(drop)
}

/// What the load generator counted; `what` is `report` or `stop`.
fn report(cluster: &Cluster, pod: &str, what: &str) -> Result<nodeapp_load::Report> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{}/proxy/{what}", pod::CONTROL_PORT);
    Ok(serde_json::from_str(&sh::output(cluster.kubectl()?.args(["get", "--raw", &path]))?)?)
}

/// Waits until so many requests have been answered.
fn answered(cluster: &Cluster, pod: &str, goal: u64) -> Result<()> {
    rollout::poll(&format!("{goal} answered requests"), || {
        let report = report(cluster, pod, "report")?;
        if report.ok() < goal {
            bail!("{} answered, {} failed", report.ok(), report.failed());
        }
        Ok(())
    })
}

/// Shows what somebody would look at first when the demo does not go on.
fn explain(cluster: &Cluster) {
    let looks: [&[&str]; 4] = [
        &["get", "nodeapps,deployments,pods", "-n", NAMESPACE, "-o", "wide"],
        &["get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp"],
        &["get", "pods,events", "-n", OPERATOR_NAMESPACE],
        &["logs", "-n", OPERATOR_NAMESPACE, "deployment/nodeapp-operator", "--tail=30"],
    ];
    for look in looks {
        let shown = cluster.kubectl().and_then(|mut kubectl| sh::output(kubectl.args(look)));
        sh::say(&format!(
            "\n$ kubectl {}\n{}",
            look.join(" "),
            shown.unwrap_or_else(|error| error.to_string())
        ));
    }
}
