//! The command lines of the components. Pure.

use super::config::node_dir;
use super::layout::{API_PORT, DOMAIN, INSIDE, Layout, SERVICES};

/// A daemon of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// Unique in its cluster; names the log and the control group.
    pub(crate) name: String,
    /// In whose namespaces it runs.
    pub(crate) node: u8,
    pub(crate) argv: Vec<String>,
}

/// The daemons that need no API server.
pub(crate) fn base(layout: &Layout) -> Vec<Component> {
    let mut all = vec![etcd(layout)];
    all.extend((0..layout.nodes).map(containerd));
    all
}

/// The API server, which needs etcd.
pub(crate) fn api_server(layout: &Layout) -> Component {
    let pki = format!("{INSIDE}/pki");
    let address = layout.api_address();
    Component {
        name: "kube-apiserver".into(),
        node: 0,
        argv: words(
            &layout.kube("kube-apiserver"),
            &[
                format!("--advertise-address={address}"),
                "--allow-privileged=true".into(),
                "--authorization-mode=Node,RBAC".into(),
                format!("--client-ca-file={pki}/ca.crt"),
                "--enable-admission-plugins=NodeRestriction".into(),
                "--enable-aggregator-routing=true".into(),
                "--etcd-servers=http://127.0.0.1:2379".into(),
                format!("--kubelet-certificate-authority={pki}/ca.crt"),
                format!("--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt"),
                format!("--kubelet-client-key={pki}/apiserver-kubelet-client.key"),
                // By name it would need a resolver that knows the nodes.
                "--kubelet-preferred-address-types=InternalIP".into(),
                format!("--proxy-client-cert-file={pki}/front-proxy-client.crt"),
                format!("--proxy-client-key-file={pki}/front-proxy-client.key"),
                "--requestheader-allowed-names=front-proxy-client".into(),
                format!("--requestheader-client-ca-file={pki}/front-proxy-ca.crt"),
                "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
                "--requestheader-group-headers=X-Remote-Group".into(),
                "--requestheader-username-headers=X-Remote-User".into(),
                format!("--secure-port={API_PORT}"),
                format!("--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}"),
                format!("--service-account-key-file={pki}/sa.pub"),
                format!("--service-account-signing-key-file={pki}/sa.key"),
                format!("--service-cluster-ip-range={SERVICES}"),
                format!("--tls-cert-file={pki}/apiserver.crt"),
                format!("--tls-private-key-file={pki}/apiserver.key"),
            ],
        ),
    }
}

/// What talks to the API server: the controllers, and what makes nodes of machines.
pub(crate) fn clients(layout: &Layout) -> Vec<Component> {
    let mut all = vec![controller_manager(layout)];
    if layout.nodes > 0 {
        all.push(scheduler(layout));
    }
    for node in 0..layout.nodes {
        all.push(kubelet(layout, node));
        all.push(proxy(layout, node));
    }
    all
}

/// Every daemon, in the order of their start.
pub(crate) fn all(layout: &Layout) -> Vec<Component> {
    let mut all = base(layout);
    all.push(api_server(layout));
    all.extend(clients(layout));
    all
}

fn etcd(layout: &Layout) -> Component {
    Component {
        name: "etcd".into(),
        node: 0,
        argv: words(
            &layout.etcd(),
            &[
                "--data-dir=/var/lib/etcd".into(),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:2380".into(),
                "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
                "--initial-cluster=default=http://127.0.0.1:2380".into(),
                "--quota-backend-bytes=2147483648".into(),
                // The data need not survive the machine.
                "--unsafe-no-fsync".into(),
            ],
        ),
    }
}

fn containerd(node: u8) -> Component {
    Component {
        name: format!("containerd-{}", node + 1),
        node,
        argv: words(
            &["containerd".into()],
            &["--config".into(), format!("{}/containerd.toml", node_dir(node))],
        ),
    }
}

fn controller_manager(layout: &Layout) -> Component {
    let pki = format!("{INSIDE}/pki");
    let config = format!("{INSIDE}/controller-manager.kubeconfig");
    Component {
        name: "kube-controller-manager".into(),
        node: 0,
        argv: words(
            &layout.kube("kube-controller-manager"),
            &[
                format!("--kubeconfig={config}"),
                format!("--authentication-kubeconfig={config}"),
                format!("--authorization-kubeconfig={config}"),
                "--allocate-node-cidrs=false".into(),
                "--bind-address=127.0.0.1".into(),
                format!("--cluster-signing-cert-file={pki}/ca.crt"),
                format!("--cluster-signing-key-file={pki}/ca.key"),
                // The default of 15 s is a long wait in a test.
                "--horizontal-pod-autoscaler-sync-period=5s".into(),
                "--kube-api-burst=400".into(),
                "--kube-api-qps=200".into(),
                "--leader-elect=false".into(),
                format!("--requestheader-client-ca-file={pki}/front-proxy-ca.crt"),
                format!("--root-ca-file={pki}/ca.crt"),
                format!("--service-account-private-key-file={pki}/sa.key"),
                "--use-service-account-credentials=true".into(),
            ],
        ),
    }
}

fn scheduler(layout: &Layout) -> Component {
    let config = format!("{INSIDE}/scheduler.kubeconfig");
    Component {
        name: "kube-scheduler".into(),
        node: 0,
        argv: words(
            &layout.kube("kube-scheduler"),
            &[
                format!("--kubeconfig={config}"),
                format!("--authentication-kubeconfig={config}"),
                format!("--authorization-kubeconfig={config}"),
                "--bind-address=127.0.0.1".into(),
                "--kube-api-burst=400".into(),
                "--kube-api-qps=200".into(),
                "--leader-elect=false".into(),
            ],
        ),
    }
}

fn kubelet(layout: &Layout, node: u8) -> Component {
    Component {
        name: format!("kubelet-{}", node + 1),
        node,
        argv: words(
            &layout.kube("kubelet"),
            &[
                format!("--config={}/kubelet.json", node_dir(node)),
                format!("--kubeconfig={}/kubelet.kubeconfig", node_dir(node)),
                format!("--hostname-override={}", layout.node_name(node)),
                format!("--node-ip={}", layout.node_address(node)),
                "--root-dir=/var/lib/kubelet".into(),
            ],
        ),
    }
}

fn proxy(layout: &Layout, node: u8) -> Component {
    Component {
        name: format!("kube-proxy-{}", node + 1),
        node,
        argv: words(&layout.kube("kube-proxy"), &[format!("--config={}/proxy.json", node_dir(node))]),
    }
}

fn words(program: &[String], flags: &[String]) -> Vec<String> {
    program.iter().chain(flags).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::example;
    use super::*;

    fn names(nodes: u8) -> Vec<String> {
        all(&example(nodes)).into_iter().map(|component| component.name).collect()
    }

    #[test]
    fn control_plane_alone_has_no_part_of_a_node() {
        assert_eq!(names(0), ["etcd", "kube-apiserver", "kube-controller-manager"]);
    }

    #[test]
    fn second_node_brings_its_own_runtime_kubelet_and_proxy() {
        let names = names(2);
        for name in ["containerd-2", "kubelet-2", "kube-proxy-2"] {
            assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
        }
        assert_eq!(names.iter().filter(|name| *name == "kube-scheduler").count(), 1);
    }

    #[test]
    fn api_server_decides_by_rbac_and_checks_the_kubelets() {
        let argv = api_server(&example(1)).argv;
        assert_eq!(argv[..2], ["/run/nodeapp/bin/kube-1".to_owned(), "kube-apiserver".to_owned()]);
        for flag in [
            "--authorization-mode=Node,RBAC",
            "--kubelet-certificate-authority=/run/nodeapp/cluster/pki/ca.crt",
            "--advertise-address=198.18.3.2",
        ] {
            assert!(argv.iter().any(|word| word == flag), "{flag}");
        }
    }

    #[test]
    fn no_command_line_names_a_path_of_this_machine() {
        for component in all(&example(2)) {
            assert!(component.argv.iter().all(|word| !word.contains("/home/")), "{component:?}");
        }
    }
}
