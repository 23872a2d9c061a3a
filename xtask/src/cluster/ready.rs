//! Waits for what a cluster needs before its first pod, and explains itself when that does not come.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::components::{self, Component};
use super::containers::Runtime;
use super::layout::Layout;
use super::{addons, metrics_server, namespaces, process};
use crate::image::SystemImages;
use crate::image::oci::Store;
use crate::{cache, sh};

/// Generous: on a busy machine everything takes its time, and each wait ends as soon as it can.
const PATIENCE: Duration = Duration::from_mins(2);

/// Everything after the start of the processes. Each part does nothing where there is nothing to do.
pub(crate) fn make_usable(layout: &Layout, images: &SystemImages) -> Result<()> {
    import_system_images(layout, images)?;
    await_api_server(layout)?;
    apply_addons(layout, images)?;
    await_usable(layout)
}

/// Waits until the API server says it is ready.
pub(crate) fn await_api_server(layout: &Layout) -> Result<()> {
    await_until(layout, "the API server is ready", || {
        sh::output(kubectl(layout)?.args(["get", "--raw", "/readyz"])).map(drop)
    })
}

fn apply_addons(layout: &Layout, images: &SystemImages) -> Result<()> {
    let objects = addons::objects(layout.nodes, images);
    await_until(layout, "the cluster's own objects are applied", || {
        let mut command = kubectl(layout)?;
        command.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("kubectl")?;
        child.stdin.take().context("kubectl takes no input")?.write_all(objects.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    })
}

/// When each kubelet was last heard of, by its node's name; none of a kubelet that never was.
pub(crate) fn heartbeats(layout: &Layout) -> Result<BTreeMap<String, String>> {
    let path = "jsonpath={range .items[*]}{.metadata.name} {.spec.renewTime}{\"\\n\"}{end}";
    let leases = ["get", "leases", "--namespace=kube-node-lease", "--output", path];
    let text = sh::output(kubectl(layout)?.args(leases))?;
    Ok(text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(node, time)| (node.into(), time.into()))
        .collect())
}

/// Waits until a node's kubelet is heard of once more.
pub(crate) fn await_heartbeat(layout: &Layout, node: u8, before: &BTreeMap<String, String>) -> Result<()> {
    let name = layout.node_name(node);
    await_until(layout, &format!("the kubelet of {name} is heard of"), || {
        if heartbeats(layout)?.get(&name) == before.get(&name) {
            bail!("it has not renewed its lease");
        }
        Ok(())
    })
}

/// Nodes ready, names resolved, service accounts made, every announced API served: what the first pod needs.
fn await_usable(layout: &Layout) -> Result<()> {
    let nodes: Vec<String> =
        (0..layout.nodes).map(|node| format!("node/{}", layout.node_name(node))).collect();
    await_until(layout, "service accounts are made", || {
        sh::output(kubectl(layout)?.args(["get", "serviceaccount/default"])).map(drop)
    })?;
    if nodes.is_empty() {
        return Ok(());
    }
    await_until(layout, "the nodes are ready", || {
        sh::output(kubectl(layout)?.args(["wait", "--for=condition=Ready", "--timeout=2s"]).args(&nodes))
            .map(drop)
    })?;
    await_until(layout, "names are resolved", || {
        let what = ["rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=2s"];
        sh::output(kubectl(layout)?.args(what)).map(drop)
    })?;
    // While an API is announced and does not answer, no namespace can be deleted.
    let api = format!("apiservice/{}", metrics_server::API_SERVICE);
    await_until(layout, "figures for autoscalers are served", || {
        sh::output(kubectl(layout)?.args(["wait", "--for=condition=Available", "--timeout=2s", &api]))
            .map(drop)
    })
}

fn kubectl(layout: &Layout) -> Result<Command> {
    let mut command = Command::new(cache::bin_dir()?.join("kubectl"));
    super::talk_to(&mut command, &layout.kubeconfig());
    Ok(command)
}

/// Tries until it works. Gives up at once when a component has died, and shows the end of its log.
fn await_until(layout: &Layout, what: &str, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    loop {
        let Err(error) = attempt() else { return Ok(()) };
        // Those that were not started yet have no file with their process id.
        let dead = dead(layout).into_iter().find(|component| layout.pid(&component.name).exists());
        if let Some(component) = dead {
            let log = layout.log(&component.name);
            bail!("{} has died. The end of {}:\n{}", component.name, log.display(), sh::tail(&log, 15));
        }
        if started.elapsed() > PATIENCE {
            let dir = layout.dir.join("log");
            return Err(error.context(format!(
                "after {} s it is still not so that {what}; the logs are in {}",
                PATIENCE.as_secs(),
                dir.display()
            )));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The images that the cluster itself needs, on every node.
pub(crate) fn import_system_images(layout: &Layout, images: &SystemImages) -> Result<()> {
    for node in 0..layout.nodes {
        let runtime = Runtime { layout, holder: holder(layout, node)? };
        await_until(layout, "containerd answers", || runtime.answers())?;
        runtime.import(&Store::open()?, &images.all())?;
    }
    Ok(())
}

/// The process that holds a node's namespaces.
pub(crate) fn holder(layout: &Layout, node: u8) -> Result<i32> {
    process::alive(layout, &namespaces::holder_name(node)).with_context(|| {
        format!("{} is not running; `cargo xtask cluster up --name {}`", layout.node_name(node), layout.name)
    })
}

/// The components that should run and do not.
pub(crate) fn dead(layout: &Layout) -> Vec<Component> {
    let mut all = components::all(layout);
    all.retain(|component| process::alive(layout, &component.name).is_none());
    all
}
