//! The local cluster: `up`, `down` and `status` over the parts beside this file.
//!
//! A first `up` that does not finish leaves no mark of completeness, and the next `up` or `down` removes what there
//! is and starts over. A later `up` only starts what has died.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cgroup::{self, Groups};
use super::components::{self, Component};
use super::config::{self, Pems};
use super::containers::Runtime;
use super::layout::{self, Layout, MAX_NODES, Programs};
use super::{namespaces, pki, privilege, process, ready};
use crate::image::oci::Store;
use crate::image::{self, SystemImages};
use crate::sh::Step;
use crate::{cache, deps, lock, paths, sh};

/// Starts the cluster, or heals it. Returns its layout.
pub(crate) fn up(name: &str, nodes: u8) -> Result<Layout> {
    check(name, nodes)?;
    let programs = programs()?;
    cache::bin_dir()?;
    let images = image::system()?;
    if !privilege::is_root() {
        privilege::again(&[
            "cluster",
            "up",
            "--provider=local",
            "--name",
            name,
            "--nodes",
            &nodes.to_string(),
        ])?;
        return find(name)?.with_context(|| format!("the cluster {name} went away"));
    }
    deps::require(deps::CLUSTER)?;
    let _lock = lock_cluster(name)?;
    match find(name)? {
        Some(layout) if intact(&layout) => {
            if layout.nodes < nodes {
                bail!(
                    "the cluster {name} runs with {has} nodes: keep them by `--nodes {has}`, or remove it first by \
                     `cargo xtask cluster down --name {name}`",
                    has = layout.nodes
                );
            }
            heal(&layout, &images)?;
            Ok(layout)
        }
        Some(layout) => {
            sh::say("• an earlier start did not finish, or the machine was restarted: clearing that away");
            destroy(name, Some(&layout))?;
            create(name, nodes, programs, &images)
        }
        None => {
            destroy(name, None)?;
            create(name, nodes, programs, &images)
        }
    }
}

/// Removes everything of the cluster; succeeds when there is nothing.
pub(crate) fn down(name: &str) -> Result<()> {
    check(name, 0)?;
    if !privilege::is_root() {
        return privilege::again(&["cluster", "down", "--provider=local", "--name", name]);
    }
    let _lock = lock_cluster(name)?;
    let layout = find(name)?;
    if layout.is_none() && !dir(name)?.exists() && !Groups::new(format!("nodeapp-{name}")).exist() {
        sh::say(&format!("there is no cluster {name}"));
        return Ok(());
    }
    let step = Step::start(format!("stop the cluster {name} and remove it"));
    destroy(name, layout.as_ref())?;
    step.done();
    Ok(())
}

/// The layout of a cluster that was started, complete or not.
pub(crate) fn find(name: &str) -> Result<Option<Layout>> {
    let file = dir(name)?.join("cluster.json");
    match fs::read(&file) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Makes the images known to every node.
pub(crate) fn load(layout: &Layout, references: &[&str]) -> Result<()> {
    if !privilege::is_root() {
        let mut words = vec!["cluster", "load", "--name", &layout.name];
        words.extend(references);
        return privilege::again(&words);
    }
    let store = Store::open()?;
    for node in 0..layout.nodes {
        let runtime = Runtime { layout, holder: ready::holder(layout, node)? };
        let step = Step::start(format!("load {} images into {}", references.len(), layout.node_name(node)));
        let count = runtime.import(&store, references)?;
        step.done_with(&if count == 0 { "all there".into() } else { format!("{count} new") });
    }
    Ok(())
}

/// Ends components, and all that belongs to a node, without giving them time for anything.
pub(crate) fn crash(layout: &Layout, components: &[&str], node: Option<u8>) -> Result<()> {
    if !privilege::is_root() {
        let number = node.map(|node| format!("--node={node}"));
        let mut words = vec!["cluster", "crash", "--name", &layout.name];
        words.extend(number.as_deref());
        words.extend(components);
        return privilege::again(&words);
    }
    let known = components::all(layout);
    if let Some(unknown) = components.iter().find(|name| known.iter().all(|known| known.name != **name)) {
        bail!("the cluster {} has no {unknown}; `cargo xtask cluster status` names what it has", layout.name);
    }
    let groups = Groups::new(layout.control_group());
    for component in components {
        groups.kill_component(component)?;
    }
    if let Some(node) = node {
        if node == 0 || node > layout.nodes {
            bail!("the cluster {} has {} nodes, counted from 1 on", layout.name, layout.nodes);
        }
        for part in ["kubelet", "containerd"] {
            groups.kill_component(&format!("{part}-{node}"))?;
        }
        Groups::kill_pods(&layout.pods_group(node - 1))?;
    }
    Ok(())
}

/// What a new cluster is started with.
fn programs() -> Result<Programs> {
    let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Programs { kube: name(cache::kube()?), etcd: name(cache::etcd()?) })
}

fn create(name: &str, nodes: u8, programs: Programs, images: &SystemImages) -> Result<Layout> {
    let step = Step::start(format!("start the cluster {name}: {}", size(nodes)));
    let layout = claim(name, nodes, programs)?;
    pki::write(&layout)?;
    write_configs(&layout, images)?;
    for node in 0..layout.sets() {
        cgroup::create(&layout.pods_group(node))?;
    }
    namespaces::create(&layout, &cache::programs()?)?;
    for component in components::base(&layout) {
        launch(&layout, &component)?;
    }
    launch(&layout, &components::api_server(&layout))?;
    ready::import_system_images(&layout, images)?;
    ready::await_api_server(&layout)?;
    step.note("the API server answers");
    for component in components::clients(&layout) {
        launch(&layout, &component)?;
    }
    ready::make_usable(&layout, images)?;
    fs::write(layout.complete(), "")?;
    step.done();
    Ok(layout)
}

fn heal(layout: &Layout, images: &SystemImages) -> Result<()> {
    let step = Step::start(format!("check the cluster {}", layout.name));
    let mut started = 0;
    for last in [false, false, true] {
        let dead = ready::dead(layout);
        started += dead.len();
        let healed = revive_all(layout, images, &dead);
        // One may have been dying while it was looked at.
        if last || ready::dead(layout).is_empty() {
            healed?;
            break;
        }
    }
    step.done_with(if started == 0 { "already running" } else { "running again" });
    Ok(())
}

/// In the order of a first start: a kubelet that finds no containerd ends.
fn revive_all(layout: &Layout, images: &SystemImages, dead: &[Component]) -> Result<()> {
    let clients = components::clients(layout);
    let (late, early): (Vec<_>, Vec<_>) =
        dead.iter().partition(|component| clients.iter().any(|client| client.name == component.name));
    for component in &late {
        // What has no process id yet is waited for, and not taken for one that has died.
        let _ = fs::remove_file(layout.pid(&component.name));
    }
    for component in early {
        revive(layout, component)?;
    }
    ready::import_system_images(layout, images)?;
    ready::await_api_server(layout)?;
    let before = ready::heartbeats(layout)?;
    for component in &late {
        revive(layout, component)?;
    }
    for kubelet in late.iter().filter(|component| component.name.starts_with("kubelet")) {
        // Until then the API server tells of the node what was true before its kubelet died.
        ready::await_heartbeat(layout, kubelet.node, &before)?;
    }
    ready::make_usable(layout, images)
}

fn revive(layout: &Layout, component: &Component) -> Result<()> {
    // The pods' supervisors live in containerd's group, and outlive it on purpose.
    if !component.name.starts_with("containerd") {
        Groups::new(layout.control_group()).kill_component(&component.name)?;
    }
    let log = layout.log(&component.name);
    sh::say(&format!("  … {} has died, starting it again (its log: {})", component.name, log.display()));
    launch(layout, component)
}

/// Whether a start once finished and the namespaces are still there, so that it can be healed.
fn intact(layout: &Layout) -> bool {
    layout.complete().exists()
        && (0..layout.sets()).all(|node| process::alive(layout, &namespaces::holder_name(node)).is_some())
}

fn destroy(name: &str, layout: Option<&Layout>) -> Result<()> {
    let dir = dir(name)?;
    // First of all: should this be interrupted, the next command goes on with it instead of healing.
    let _ = fs::remove_file(dir.join("complete"));
    let group = format!("nodeapp-{name}");
    Groups::new(group.clone()).destroy()?;
    namespaces::remove(&group, layout)?;
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// Takes an address range nobody else has and writes down who has it.
fn claim(name: &str, nodes: u8, programs: Programs) -> Result<Layout> {
    let root = clusters()?;
    let _lock = lock::take(&root.join(".lock"), "the list of clusters")?;
    let mut taken = slots_in_use_on_host()?;
    for entry in fs::read_dir(&root)?.flatten() {
        let other = entry.file_name().to_string_lossy().into_owned();
        if layout::valid_name(&other) {
            taken.extend(find(&other)?.map(|layout| layout.slot));
        }
    }
    let slot = layout::free_slot(&taken).context(
        "all address ranges for local clusters are taken; stop one with `cargo xtask cluster down`",
    )?;
    let layout = Layout { name: name.into(), slot, nodes, dir: dir(name)?, programs };
    fs::create_dir_all(&layout.dir)?;
    let part = layout.dir.join(".cluster.json");
    fs::write(&part, serde_json::to_vec_pretty(&layout)?)?;
    fs::rename(part, layout.dir.join("cluster.json"))?;
    Ok(layout)
}

/// Ranges that the machine uses for something else, or for a cluster of another user.
fn slots_in_use_on_host() -> Result<Vec<u8>> {
    let addresses = sh::output(Command::new("ip").args(["-4", "-oneline", "address", "show"]))?;
    Ok(slots_in(&addresses))
}

fn slots_in(addresses: &str) -> Vec<u8> {
    addresses
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("198.18."))
        .filter_map(|rest| rest.split('.').next()?.parse().ok())
        .collect()
}

fn write_configs(layout: &Layout, images: &SystemImages) -> Result<()> {
    let context = format!("nodeapp-{}", layout.name);
    let users = [("admin", "kubeconfig"), ("controller-manager", "controller-manager.kubeconfig")];
    let more = [("scheduler", "scheduler.kubeconfig"), ("proxy", "proxy.kubeconfig")];
    for (user, file) in users.into_iter().chain(more) {
        write_kubeconfig(layout, &context, user, &layout.dir.join(file))?;
    }
    // The two things people use; the rest stays root's.
    privilege::give_back(&layout.kubeconfig())?;
    let discovered = super::cache_of(&layout.kubeconfig());
    fs::create_dir_all(&discovered)?;
    privilege::give_back(&discovered)?;
    for node in 0..layout.nodes {
        let dir = layout.dir.join(format!("node-{}", node + 1));
        fs::create_dir_all(dir.join("cni"))?;
        fs::write(dir.join("kubelet.json"), config::kubelet(layout, node))?;
        fs::write(dir.join("proxy.json"), config::proxy(layout, node))?;
        fs::write(dir.join("containerd.toml"), config::containerd(&images.pause, node))?;
        fs::write(dir.join("cni/10-pods.conflist"), config::cni(node))?;
        write_kubeconfig(
            layout,
            &context,
            &format!("kubelet-{}", node + 1),
            &dir.join("kubelet.kubeconfig"),
        )?;
    }
    Ok(())
}

fn write_kubeconfig(layout: &Layout, context: &str, user: &str, file: &Path) -> Result<()> {
    let pem = |name: String| {
        let path = layout.dir.join("pki").join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let pems = Pems {
        authority: pem("ca.crt".into())?,
        certificate: pem(format!("{user}.crt"))?,
        key: pem(format!("{user}.key"))?,
    };
    pki::write_private(file, &config::kubeconfig(context, &layout.api_url(), &pems))
}

fn launch(layout: &Layout, component: &Component) -> Result<()> {
    let holder = ready::holder(layout, component.node)?;
    process::start_inside(layout, holder, &component.name, &component.argv)?;
    Ok(())
}

fn check(name: &str, nodes: u8) -> Result<()> {
    if !layout::valid_name(name) {
        bail!("`{name}` cannot be the name of a cluster: a-z, 0-9 and - inside, at most 30 characters");
    }
    if nodes > MAX_NODES {
        bail!("{nodes} nodes are too many, at most {MAX_NODES}");
    }
    Ok(())
}

fn lock_cluster(name: &str) -> Result<lock::Lock> {
    lock::take(&clusters()?.join(format!(".{name}.lock")), &format!("the cluster {name}"))
}

fn clusters() -> Result<PathBuf> {
    Ok(paths::cache()?.join("clusters"))
}

fn dir(name: &str) -> Result<PathBuf> {
    Ok(clusters()?.join(name))
}

fn size(nodes: u8) -> String {
    match nodes {
        0 => "control plane only".into(),
        1 => "one node".into(),
        _ => format!("{nodes} nodes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_the_machine_uses_already_is_left_alone() {
        let addresses =
            "1: lo inet 127.0.0.1/8 scope host lo\n7: nodeapp4 inet 198.18.4.1/24 scope global nodeapp4";
        assert_eq!(slots_in(addresses), [4]);
    }
}
