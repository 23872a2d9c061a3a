//! The network and mount namespaces of a cluster, and the cables between them.
//!
//! Each node has a set of both, held open by one sleeping process. Nothing of it is visible from the host but
//! that process and one network interface, and all of it vanishes with the last process inside: no mount to undo,
//! no name to delete. The control plane lives in the set of the first node.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::layout::{INSIDE, Layout, PROGRAMS, SERVICES};
use super::process::{self, Daemon};
use crate::sh;

/// What the kubelet insists on, and would otherwise change for the whole machine.
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("kernel/keys/root_maxbytes", "25000000"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
];

/// The process that holds a node's namespaces.
pub(crate) fn holder(layout: &Layout, node: u8, programs: &Path) -> Daemon {
    let script = script(layout, node, programs);
    let words = ["unshare", "--mount", "--net", "--propagation", "slave", "--", "sh", "-euc", &script];
    Daemon { name: holder_name(node), argv: words.map(str::to_owned).to_vec() }
}

pub(crate) fn holder_name(node: u8) -> String {
    format!("node-{}", node + 1)
}

/// What the holder does before it sleeps: mounts and addresses. Pure.
fn script(layout: &Layout, node: u8, programs: &Path) -> String {
    use std::fmt::Write;
    let dir = quote(&layout.dir.to_string_lossy());
    let own = format!("{dir}/node-{}", node + 1);
    let mut script = format!(
        "mount --make-rshared /\n\
         mount -t tmpfs -o mode=755 tmpfs /run\n\
         mkdir -p {INSIDE} {PROGRAMS} /run/nodeapp/sys\n\
         mount --bind {dir} {INSIDE}\n\
         mount --bind -o ro {programs} {PROGRAMS}\n\
         mkdir -p {own}/lib {own}/log\n\
         mount --bind {own}/log /var/log\n",
        programs = quote(&programs.to_string_lossy()),
    );
    for (index, (setting, value)) in KERNEL_SETTINGS.iter().enumerate() {
        let _ = writeln!(
            script,
            "if [ -e /proc/sys/{setting} ]; then echo {value} > /run/nodeapp/sys/{index}; \
             mount --bind /run/nodeapp/sys/{index} /proc/sys/{setting}; fi"
        );
    }
    script.push_str("ip link set lo up\necho 1 > /proc/sys/net/ipv4/ip_forward\n");
    if node == 0 {
        let _ = write!(
            script,
            "ip link add br0 type bridge\nip address add {}/24 dev br0\n",
            layout.api_address()
        );
        script.push_str("ip link set br0 up\n");
    }
    // Last, because it may hide the folder all of this lies in.
    let _ = write!(
        script,
        "mount --bind {own}/lib /var/lib\n: > {INSIDE}/node-{}/ready\nexec sleep infinity\n",
        node + 1
    );
    script
}

/// Starts the holders of all nodes and connects them with each other and with the host.
pub(crate) fn create(layout: &Layout, programs: &Path) -> Result<()> {
    let mut holders = Vec::new();
    for node in 0..layout.sets() {
        let pid = process::start(layout, &holder(layout, node, programs))?;
        await_ready(layout, node)?;
        holders.push(pid);
    }
    connect_host(layout, holders[0])?;
    for node in 1..layout.sets() {
        connect_node(layout, node, holders[0], holders[usize::from(node)])?;
    }
    for node in 0..layout.sets() {
        for route in routes(layout, node) {
            ip(holders[usize::from(node)], &route)?;
        }
    }
    Ok(())
}

/// Removes the host's network interface of a cluster, should it still be there. The cluster's name stands in its
/// alias, so it is found without the cluster's folder, and nobody else's is taken for it.
pub(crate) fn remove(group: &str, layout: Option<&Layout>) -> Result<()> {
    let own = layout.map(Layout::host_interface);
    for (interface, alias) in interfaces() {
        if !belongs(&interface, &alias, group, own.as_deref()) {
            continue;
        }
        let _ = sh::output(Command::new("ip").args(["link", "delete", &interface]));
        // It may have gone by itself meanwhile, with the namespace at its other end.
        if interfaces().iter().any(|(other, _)| *other == interface) {
            bail!("cannot remove the network interface {interface}; try `ip link delete {interface}`");
        }
    }
    Ok(())
}

/// The host's interfaces and their aliases.
fn interfaces() -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| {
            let alias = std::fs::read_to_string(entry.path().join("ifalias")).unwrap_or_default();
            (entry.file_name().to_string_lossy().into_owned(), alias.trim().to_owned())
        })
        .collect()
}

/// One without an alias is from a start that was killed between two commands.
fn belongs(interface: &str, alias: &str, group: &str, own: Option<&str>) -> bool {
    interface.starts_with("nodeapp") && (alias == group || (alias.is_empty() && own == Some(interface)))
}

fn await_ready(layout: &Layout, node: u8) -> Result<()> {
    let ready = layout.dir.join(format!("node-{}/ready", node + 1));
    let started = Instant::now();
    while !ready.exists() {
        let name = holder_name(node);
        if started.elapsed() > Duration::from_secs(10) || process::alive(layout, &name).is_none() {
            bail!("the namespaces of {name} could not be made:\n{}", sh::tail(&layout.log(&name), 10));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn connect_host(layout: &Layout, holder: i32) -> Result<()> {
    let interface = layout.host_interface();
    let address = format!("{}/24", layout.host_address());
    let pid = holder.to_string();
    remove(&layout.control_group(), Some(layout))?;
    let add = ["link", "add", &interface, "type", "veth", "peer", "name", "host", "netns", &pid];
    sh::output(Command::new("ip").args(add))?;
    sh::output(Command::new("ip").args(["address", "add", &address, "dev", &interface]))?;
    let set = ["link", "set", &interface, "alias", &layout.control_group(), "up"];
    sh::output(Command::new("ip").args(set))?;
    ip(holder, "link set host master br0 up")
}

fn connect_node(layout: &Layout, node: u8, first: i32, holder: i32) -> Result<()> {
    let cable = format!("node{}", node + 1);
    ip(first, &format!("link add {cable} type veth peer name eth0 netns {holder}"))?;
    ip(first, &format!("link set {cable} master br0 up"))?;
    ip(holder, &format!("address add {}/24 dev eth0", layout.node_address(node)))?;
    ip(holder, "link set eth0 up")
}

/// To the pods of the other nodes; and one for the services, since an address is only translated once there is a
/// way to it. There is no default route: nothing leaves the cluster.
fn routes(layout: &Layout, node: u8) -> Vec<String> {
    let device = if node == 0 { "br0" } else { "eth0" };
    let mut all = vec![format!("route add {SERVICES} dev {device}")];
    for other in (0..layout.nodes).filter(|other| *other != node) {
        all.push(format!("route add {} via {}", Layout::pod_range(other), layout.node_address(other)));
    }
    all
}

fn ip(holder: i32, arguments: &str) -> Result<()> {
    let target = holder.to_string();
    let mut command = Command::new("nsenter");
    command.args(["--target", &target, "--net", "--", "ip"]).args(arguments.split_whitespace());
    sh::output(&mut command).map(drop)
}

/// In single quotes for the shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::layout::example;
    use super::*;

    #[test]
    fn kubelets_wishes_for_the_kernel_stay_in_its_own_mounts() {
        let script = script(&example(1), 0, Path::new("/cache/bin"));
        for (setting, _) in KERNEL_SETTINGS {
            assert!(script.contains(&format!("/proc/sys/{setting}; fi")), "{setting}");
            assert!(!script.contains(&format!("> /proc/sys/{setting}")), "{setting}");
        }
    }

    #[test]
    fn every_node_finds_the_pods_of_every_other_and_no_way_out() {
        let layout = example(3);
        for node in 0..3 {
            let routes = routes(&layout, node);
            assert_eq!(routes.len(), 3, "services and two other nodes: {routes:?}");
            assert!(routes.iter().all(|route| !route.contains("default")), "{routes:?}");
            assert!(routes.iter().all(|route| !route.contains(&Layout::pod_range(node))), "{routes:?}");
        }
    }

    #[test]
    fn folder_with_a_quote_cannot_end_the_word() {
        assert_eq!(quote("/a'b"), r"'/a'\''b'");
    }

    #[test]
    fn interface_of_another_cluster_is_not_removed_even_in_the_same_slot() {
        assert!(belongs("nodeapp0", "nodeapp-dev", "nodeapp-dev", None));
        assert!(belongs("nodeapp0", "", "nodeapp-dev", Some("nodeapp0")));
        assert!(!belongs("nodeapp0", "nodeapp-x", "nodeapp-dev", Some("nodeapp0")));
        assert!(!belongs("nodeapp1", "", "nodeapp-dev", Some("nodeapp0")));
        assert!(!belongs("eth0", "nodeapp-dev", "nodeapp-dev", None));
    }

    #[test]
    fn only_the_first_node_has_the_bridge() {
        assert!(script(&example(2), 0, Path::new("/p")).contains("br0"));
        assert!(!script(&example(2), 1, Path::new("/p")).contains("br0"));
    }
}
