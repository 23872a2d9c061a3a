//! The files the components read. Pure text; where they go is decided in `local`.

use serde_json::{Value, json};

use super::layout::{DNS_SERVICE, DOMAIN, INSIDE, Layout, PODS};

/// A node's files inside its namespaces.
pub(crate) fn node_dir(node: u8) -> String {
    format!("{INSIDE}/node-{}", node + 1)
}

/// A kubeconfig that stands by itself: authority, certificate and key are inside.
pub(crate) fn kubeconfig(context: &str, server: &str, pems: &Pems) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {
            "server": server,
            "certificate-authority-data": base64(pems.authority.as_bytes()),
        }}],
        "users": [{"name": context, "user": {
            "client-certificate-data": base64(pems.certificate.as_bytes()),
            "client-key-data": base64(pems.key.as_bytes()),
        }}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    });
    pretty(&config)
}

/// What a kubeconfig is made of.
pub(crate) struct Pems {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) fn kubelet(layout: &Layout, node: u8) -> String {
    let pki = format!("{INSIDE}/pki");
    pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": format!("{pki}/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": format!("{pki}/kubelet-{}-server.crt", node + 1),
        "tlsPrivateKeyFile": format!("{pki}/kubelet-{}-server.key", node + 1),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.pods_group(node)),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [DNS_SERVICE.to_string()],
        "clusterDomain": DOMAIN,
        // The host's resolver is out of reach from inside, on purpose.
        "resolvConf": "",
        "failSwapOn": false,
        "failCgroupV1": false,
        // The disk is the developer's: neither collect images nor evict because it is rather full.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "serializeImagePulls": false,
    }))
}

pub(crate) fn proxy(layout: &Layout, node: u8) -> String {
    pretty(&json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": format!("{INSIDE}/proxy.kubeconfig")},
        "clusterCIDR": PODS,
        "hostnameOverride": layout.node_name(node),
        "bindAddress": layout.node_address(node).to_string(),
        // The limits of connection tracking belong to the host.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }))
}

/// containerd for the CRI. The paths are the usual ones because each node has a `/run` and a `/var/lib` of its own.
pub(crate) fn containerd(pause_image: &str, node: u8) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  # Without CAP_SYS_RESOURCE, as in many containers, runc dies of a negative score.
  restrict_oom_score_adj = true
  # What newer versions of containerd have as default.
  enable_unprivileged_ports = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{inside}/cni"
"#,
        inside = node_dir(node),
    )
}

/// Pods are reached by routes, not over a bridge: on a bridge, answers of a Service's pod to a pod beside it would
/// pass the address translation by, unless the kernel module `br_netfilter` is there.
pub(crate) fn cni(node: u8) -> String {
    pretty(&json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "mtu": 1500, "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": Layout::pod_range(node)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            }},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    }))
}

fn pretty(value: &Value) -> String {
    // YAML readers take JSON.
    format!("{value:#}\n")
}

/// Standard base64 with padding, as kubeconfigs have it.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let value =
            chunk.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (value >> (18 - 6 * position)) & 63;
            text.push(if position <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::layout::example;
    use super::*;

    #[test]
    fn base64_pads_as_the_standard_says() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in cases {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn kubeconfig_checks_the_server_and_reads_no_other_file() {
        let pems = Pems { authority: "a".into(), certificate: "b".into(), key: "c".into() };
        let text = kubeconfig("nodeapp-dev", "https://198.18.3.2:6443", &pems);
        let config: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(config["clusters"][0]["cluster"]["certificate-authority-data"], "YQ==");
        assert_eq!(config["users"][0]["user"]["client-key-data"], "Yw==");
        assert!(!text.contains("insecure"), "{text}");
    }

    #[test]
    fn kubelet_asks_the_api_server_who_may_do_what() {
        let config: Value = serde_json::from_str(&kubelet(&example(2), 1)).expect("JSON");
        assert_eq!(config["authorization"]["mode"], "Webhook");
        assert_eq!(config["authentication"]["anonymous"]["enabled"], false);
        assert_eq!(config["tlsCertFile"], "/run/nodeapp/cluster/pki/kubelet-2-server.crt");
    }

    #[test]
    fn pods_of_each_node_are_in_groups_of_their_own_below_the_cluster() {
        let config: Value = serde_json::from_str(&kubelet(&example(2), 1)).expect("JSON");
        assert_eq!(config["cgroupRoot"], "/nodeapp-dev/node-2");
    }

    #[test]
    fn each_node_has_pod_addresses_of_its_own() {
        assert!(cni(0).contains("10.88.0.0/24") && cni(1).contains("10.88.1.0/24"));
        assert!(proxy(&example(2), 1).contains("198.18.3.3"));
    }
}
