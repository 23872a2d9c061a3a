//! What runs in the cluster from its start: names for Services, figures for autoscalers, volumes for claims, and the
//! API server's right to use the kubelets.

use serde_json::{Value, json};

use super::layout::{DNS_SERVICE, DOMAIN};
use super::{metrics_server, volumes};
use crate::hash;
use crate::image::SystemImages;

/// The objects to apply, as one List. Without nodes there is nothing to resolve names for, and nothing to measure.
pub(crate) fn objects(nodes: u8, images: &SystemImages) -> String {
    let mut items = vec![kubelet_access()];
    if nodes > 0 {
        items.extend(dns(&images.coredns));
        items.extend(metrics_server::objects(&images.metrics_server));
        items.extend(volumes::objects(&images.local_volumes));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// `kubectl logs`, `exec` and `port-forward` go through the API server to the kubelet, which asks who may.
fn kubelet_access() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "nodeapp-local:apiserver-to-kubelets"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin"},
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "kube-apiserver-kubelet-client",
        }],
    })
}

fn dns(image: &str) -> Vec<Value> {
    let meta = json!({"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}],
        }),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": corefile()}}),
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "clusterIP": DNS_SERVICE.to_string(), "selector": {"k8s-app": "kube-dns"},
                "ports": [
                    {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 1053},
                    {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 1053},
                ],
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}, "template": {
                "metadata": {
                    "labels": {"k8s-app": "kube-dns"},
                    // A changed file is a changed pod.
                    "annotations": {"checksum/corefile": hash::digest(corefile().as_bytes())},
                },
                "spec": dns_pod(image),
            }},
        }),
    ]
}

fn dns_pod(image: &str) -> Value {
    json!({
        "serviceAccountName": "coredns", "priorityClassName": "system-cluster-critical", "dnsPolicy": "Default",
        // It keeps no state and drains nothing: no reason to wait for it.
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "coredns", "image": image, "imagePullPolicy": "Never", "args": ["-conf", "/etc/coredns/Corefile"],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "170Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": true}],
        }],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    })
}

/// There is no resolver to forward to: names outside of the cluster do not exist, and a pod that asks is told so at once. That is a server block of its
/// own: in one block `template` would answer before `kubernetes`, whatever order they are written in.
fn corefile() -> String {
    format!(
        "{DOMAIN}:1053 in-addr.arpa:1053 ip6.arpa:1053 {{\n  errors\n  health :8080\n  ready :8181\n  \
         kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{\n    pods insecure\n    ttl 5\n  }}\n  \
         prometheus :9153\n  cache 5\n}}\n.:1053 {{\n  template ANY ANY {{\n    rcode NXDOMAIN\n  }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> SystemImages {
        SystemImages {
            pause: "localhost/pause:1".into(),
            coredns: "localhost/coredns:1".into(),
            metrics_server: "localhost/metrics-server:1".into(),
            local_volumes: "localhost/local-volumes:1".into(),
        }
    }

    #[test]
    fn dns_answers_where_the_kubelet_tells_pods_to_ask() {
        let list: Value = serde_json::from_str(&objects(1, &images())).expect("JSON");
        let items = list["items"].as_array().expect("items");
        let service = items.iter().find(|item| item["metadata"]["name"] == "kube-dns").expect("a Service");
        assert_eq!(service["spec"]["clusterIP"], "10.96.0.10");
    }

    #[test]
    fn control_plane_alone_gets_no_pods() {
        assert!(!objects(0, &images()).contains("Deployment"));
    }
}
