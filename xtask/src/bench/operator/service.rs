//! Two instances behind a Service, beside PM2's cluster mode with two workers behind another.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nodeapp_load::Report;
use serde_json::{Value, json};

use super::Bench;
use super::plane::Plane;
use crate::bench::rig::wait_for;
use crate::bench::stat::{float, median, ratio, time};
use crate::bench::table::{Line, Topic, above};
use crate::cluster::Cluster;
use crate::sh::Step;
use crate::{demo, image, sh};

pub(super) const TOPIC: Topic = Topic {
    name: "service",
    title: "Requests through a Service, beside PM2's cluster mode",
    how: "One node, one image, `bench/apps/hello.js` in both: a NodeApp with two instances, and one pod in which \
`pm2-runtime -i 2` runs two workers in cluster mode, each behind a Service of its own, with equal CPU requests in sum. \
The load is a pod on the same node: 64 kept connections that ask as soon as they are answered, one Service after the \
other in slices, in turns. Medians over the slices; the ratios are medians of the ratios within a turn. The load shares \
the processors with the servers.",
};

const NAMESPACE: &str = "bench";
const PORT: u16 = 3000;
const CONNECTIONS: u32 = 64;
const THROUGHPUT_GOAL: f64 = 0.97;
const LATENCY_GOAL: f64 = 1.05;

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let image = image::bench_image(bench.rig.modules())?;
    let images = image::build_all(&image::Options::default())?;
    let plane = Plane::whole(1)?;
    let cluster = &plane.cluster;
    cluster.load(&images)?;
    cluster.load_references(&[&image])?;
    demo::install(cluster)?;
    for object in objects(&image) {
        apply(cluster, &object)?;
    }
    for what in ["nodeapp/ours", "deployment/pm2", "deployment/load"] {
        ready(cluster, what)?;
    }
    step.note("both are ready");
    let turns = bench.rig.times(10, 2);
    let (mut ours, mut theirs) = (vec![], vec![]);
    for turn in 0..turns {
        for place in 0..2 {
            let seconds = bench.rig.times(5, 2);
            if (turn + place) % 2 == 0 {
                ours.push(slice(cluster, "ours", seconds)?);
            } else {
                theirs.push(slice(cluster, "pm2", seconds)?);
            }
        }
    }
    lines(&ours, &theirs, step)
}

fn lines(ours: &[Slice], theirs: &[Slice], step: &Step) -> Result<Vec<Line>> {
    let failed: u64 = ours.iter().chain(theirs).map(|slice| slice.failed).sum();
    if failed > 0 {
        bail!("{failed} requests failed");
    }
    let of = |what: fn(&Slice) -> f64| {
        let [a, b] = [ours, theirs].map(|slices| slices.iter().map(what).collect::<Vec<_>>());
        let ratios: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a / b).collect();
        (median(&a), median(&b), median(&ratios))
    };
    let (per_second, beside, share) = of(|slice| slice.per_second);
    let turns = ours.len();
    step.note(&format!("{per_second:.0} requests a second beside {beside:.0}"));
    let throughput = Line::new(format!("requests a second, {turns} turns"))
        .ours(format!("{per_second:.0}"))
        .beside(format!("PM2 {beside:.0}"))
        .ratio(ratio(share, 1.0))
        .goal("≥ 0.97×", above(THROUGHPUT_GOAL, share, |by| format!("{by:.3}×")));
    let (p99, beside, share) = of(|slice| slice.p99);
    let latency = Line::new(format!("p99 of a request, {turns} turns"))
        .ours(time(p99))
        .beside(format!("PM2 {}", time(beside)))
        .ratio(ratio(share, 1.0))
        .goal("≤ 1.05×", above(share, LATENCY_GOAL, |by| format!("{by:.3}×")));
    Ok(vec![throughput, latency])
}

struct Slice {
    per_second: f64,
    p99: f64,
    failed: u64,
}

/// Load on one Service, for some seconds.
fn slice(cluster: &Cluster, service: &str, seconds: u64) -> Result<Slice> {
    let url = format!("http://{service}.{NAMESPACE}.svc:{PORT}/");
    let mut command = cluster.kubectl()?;
    command.args(["exec", "-n", NAMESPACE, "deployment/load", "--", "nodeapp-load", &url]);
    command.args(["--keep-alive", &CONNECTIONS.to_string(), "--keep-alive-rate", "1e9"]);
    command.args(["--new-per-second", "0", "--await-seconds", "30", "--seconds", &seconds.to_string()]);
    let text = sh::output(&mut command)?;
    let last = text.lines().last().context("the load has counted nothing")?;
    let report: Report = serde_json::from_str(last).with_context(|| format!("the load says {last}"))?;
    Ok(Slice {
        per_second: float(report.ok()) / (float(report.elapsed_ms) / 1e3),
        p99: report.keep_alive.latency.p99_ms / 1e3,
        failed: report.failed(),
    })
}

fn apply(cluster: &Cluster, object: &Value) -> Result<()> {
    use std::io::Write;
    let mut command = cluster.kubectl()?;
    command.args(["apply", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start kubectl")?;
    child.stdin.take().context("kubectl takes no input")?.write_all(object.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}: {}", object["kind"], String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn ready(cluster: &Cluster, what: &str) -> Result<()> {
    let condition = if what.starts_with("nodeapp/") { "Ready" } else { "Available" };
    let condition = format!("--for=condition={condition}");
    let mut last = String::new();
    let waited = wait_for(what, Duration::from_mins(2), || {
        let asked: Result<Command> = cluster.kubectl();
        let mut command = asked.ok()?;
        command.args(["wait", "-n", NAMESPACE, "--timeout=5s", &condition, what]);
        sh::output(&mut command).map_err(|error| last = error.to_string()).ok()
    });
    waited.map(drop).with_context(|| last)
}

fn objects(image: &str) -> Vec<Value> {
    let requests = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "128Mi"}});
    let command = ["node", "/pm2/node_modules/pm2/bin/pm2-runtime", "start", "/app/hello.js", "-i", "2"];
    let env = json!([{"name": "PORT", "value": PORT.to_string()}, {"name": "PM2_HOME", "value": "/tmp/pm2"}]);
    let pm2 = json!({
        "name": "pm2", "image": image, "command": command, "env": env, "resources": requests("400m"),
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    });
    let load = json!({"name": "load", "image": image, "command": ["sleep", "100000"], "resources": requests("100m")});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "ours", "namespace": NAMESPACE},
            "spec": {
                "image": image, "script": "/app/hello.js", "instances": 2, "port": PORT, "waitReady": true,
                "resources": requests("200m"),
            },
        }),
        deployment("pm2", &pm2),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "pm2", "namespace": NAMESPACE},
            "spec": {"selector": {"app": "pm2"}, "ports": [{"port": PORT, "targetPort": PORT}]},
        }),
        deployment("load", &load),
    ]
}

fn deployment(name: &str, container: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    })
}
