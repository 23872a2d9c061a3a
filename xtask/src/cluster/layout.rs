//! Names, addresses and paths of a local cluster. Pure: everything follows from its name, its slot and its size.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// First address of the services, the API server's own.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
pub(crate) const SERVICES: &str = "10.96.0.0/16";
pub(crate) const PODS: &str = "10.88.0.0/16";
pub(crate) const DOMAIN: &str = "cluster.local";
pub(crate) const API_PORT: u16 = 6443;
/// More would not fit the addresses, and no machine this is for.
pub(crate) const MAX_NODES: u8 = 8;
/// How many local clusters fit on one machine.
pub(crate) const SLOTS: u8 = 64;

/// Where the cluster's folder appears inside its namespaces, so that no command line depends on the user's home
/// and socket paths stay short.
pub(crate) const INSIDE: &str = "/run/nodeapp/cluster";
/// Where the built components appear inside its namespaces.
pub(crate) const PROGRAMS: &str = "/run/nodeapp/bin";

/// A local cluster as it was asked for; `cluster.json` in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) name: String,
    /// Which of the machine's address ranges it uses.
    pub(crate) slot: u8,
    /// Nodes with a kubelet; the first is in the namespaces of the control plane.
    pub(crate) nodes: u8,
    /// `~/.cache/nodeapp-operator/clusters/<name>`.
    pub(crate) dir: PathBuf,
    /// What it was started with, and is repaired with.
    #[serde(default)]
    pub(crate) programs: Programs,
}

/// File names below [`PROGRAMS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Programs {
    pub(crate) kube: String,
    pub(crate) etcd: String,
}

impl Layout {
    /// The cluster's network on the host: the range for benchmarks of RFC 2544, which nobody routes.
    fn address(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.slot, last)
    }

    /// The host's end of the cable into the cluster.
    pub(crate) fn host_address(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The host's network interface of this cluster, at most 15 characters.
    pub(crate) fn host_interface(&self) -> String {
        format!("nodeapp{}", self.slot)
    }

    /// Address of the API server, and of the first node.
    pub(crate) fn api_address(&self) -> Ipv4Addr {
        self.node_address(0)
    }

    /// Where the API server listens, from the host and from inside.
    pub(crate) fn api_url(&self) -> String {
        format!("https://{}:{API_PORT}", self.api_address())
    }

    pub(crate) fn node_address(&self, node: u8) -> Ipv4Addr {
        self.address(2 + node)
    }

    /// `<cluster>-1`, counted as people do.
    pub(crate) fn node_name(&self, node: u8) -> String {
        format!("{}-{}", self.name, node + 1)
    }

    /// The addresses of a node's pods.
    pub(crate) fn pod_range(node: u8) -> String {
        format!("10.88.{node}.0/24")
    }

    /// How many sets of namespaces there are: the control plane has one even without a kubelet.
    pub(crate) fn sets(&self) -> u8 {
        self.nodes.max(1)
    }

    /// The path of the Kubernetes program inside, and its part to play.
    pub(crate) fn kube(&self, component: &str) -> [String; 2] {
        [format!("{PROGRAMS}/{}", self.programs.kube), component.to_owned()]
    }

    /// The path of the database's program inside.
    pub(crate) fn etcd(&self) -> [String; 1] {
        [format!("{PROGRAMS}/{}", self.programs.etcd)]
    }

    /// What the cluster's control groups are called, in every hierarchy.
    pub(crate) fn control_group(&self) -> String {
        format!("nodeapp-{}", self.name)
    }

    /// The control group below which a node's kubelet puts its pods.
    pub(crate) fn pods_group(&self, node: u8) -> String {
        format!("{}/node-{}", self.control_group(), node + 1)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Written as the last thing a first `up` does.
    pub(crate) fn complete(&self) -> PathBuf {
        self.dir.join("complete")
    }

    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.dir.join("log").join(format!("{component}.log"))
    }

    pub(crate) fn pid(&self, component: &str) -> PathBuf {
        self.dir.join("pid").join(component)
    }
}

/// Whether a cluster may be called so: it becomes part of file, node and control group names.
pub(crate) fn valid_name(name: &str) -> bool {
    let inner = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !name.is_empty() && name.len() <= 30 && !name.starts_with('-') && !name.ends_with('-')
}

/// The first slot that is not taken.
pub(crate) fn free_slot(taken: &[u8]) -> Option<u8> {
    (0..SLOTS).find(|slot| !taken.contains(slot))
}

#[cfg(test)]
pub(crate) fn example(nodes: u8) -> Layout {
    let programs = Programs { kube: "kube-1".into(), etcd: "etcd-1".into() };
    Layout {
        name: "dev".into(),
        slot: 3,
        nodes,
        dir: "/home/me/.cache/nodeapp-operator/clusters/dev".into(),
        programs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_share_no_address_and_no_name_on_the_host() {
        let one = example(2);
        let other = Layout { name: "x".into(), slot: free_slot(&[0, 1, 2, 3]).expect("free"), ..one.clone() };
        assert_ne!(one.host_interface(), other.host_interface());
        assert_ne!(one.control_group(), other.control_group());
        assert_ne!(one.host_address().octets()[..3], other.host_address().octets()[..3]);
    }

    #[test]
    fn control_plane_alone_still_has_a_place_to_run() {
        assert_eq!(example(0).sets(), 1);
        assert_eq!(example(0).api_url(), "https://198.18.3.2:6443");
    }

    #[test]
    fn interface_name_fits_the_kernel() {
        let last = Layout { slot: SLOTS - 1, ..example(1) };
        assert!(last.host_interface().len() <= 15);
    }

    #[test]
    fn names_that_would_leave_their_folder_are_refused() {
        assert!(valid_name("dev") && valid_name("a-1"));
        for bad in ["", "../x", "Dev", "-a", "a-", "a b", "x/y"] {
            assert!(!valid_name(bad), "{bad}");
        }
    }

    #[test]
    fn full_machine_has_no_slot() {
        assert_eq!(free_slot(&(0..SLOTS).collect::<Vec<_>>()), None);
    }
}
