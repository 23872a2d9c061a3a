//! What containers use right now, for `kubectl top` and for autoscalers: the objects of the metrics-server.

use serde_json::{Value, json};

/// Its name wherever it has one.
pub(crate) const NAME: &str = "metrics-server";
/// Under which the API server passes requests on to it.
pub(crate) const API_SERVICE: &str = "v1beta1.metrics.k8s.io";

/// The port it listens on.
const PORT: u16 = 4443;

/// The objects to apply.
pub(crate) fn objects(image: &str) -> Vec<Value> {
    let labels = json!({"k8s-app": NAME});
    let meta = json!({"name": NAME, "namespace": "kube-system", "labels": labels});
    let account = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}]);
    let bound = |name: &str, role: &str| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": account,
        })
    };
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:metrics-server"},
            "rules": [
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
            ],
        }),
        bound("system:metrics-server", "system:metrics-server"),
        // It asks the API server who may read what it tells.
        bound("metrics-server:system:auth-delegator", "system:auth-delegator"),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "metrics-server-auth-reader", "namespace": "kube-system"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                "name": "extension-apiserver-authentication-reader",
            },
            "subjects": account,
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"selector": labels, "ports": [{"name": "https", "port": 443, "targetPort": PORT}]},
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API_SERVICE},
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                // It signs its own certificate when it starts.
                "insecureSkipTLSVerify": true,
                "service": {"name": NAME, "namespace": "kube-system"},
            },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": pod(image),
            }},
        }),
    ]
}

fn pod(image: &str) -> Value {
    json!({
        "serviceAccountName": NAME, "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": NAME, "image": image, "imagePullPolicy": "Never",
            "args": [
                "--cert-dir=/tmp",
                format!("--secure-port={PORT}"),
                // The kubelets' certificates are of the cluster's own authority, and name addresses.
                "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
                "--kubelet-preferred-address-types=InternalIP",
                // The shortest that it takes; a kubelet looks every ten seconds itself.
                "--kubelet-request-timeout=5s",
                "--metric-resolution=10s",
            ],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "200Mi"}},
            // Alive is enough: it has figures only after two looks, and nobody should wait for that.
            "readinessProbe": {
                "httpGet": {"path": "/livez", "port": PORT, "scheme": "HTTPS"}, "periodSeconds": 1,
            },
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_finds_it_by_its_service() {
        let objects = objects("localhost/metrics-server:1");
        let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).expect("an object");
        let service = of("Service");
        assert_eq!(of("APIService")["spec"]["service"]["name"], service["metadata"]["name"]);
        assert_eq!(of("Deployment")["spec"]["template"]["metadata"]["labels"], service["spec"]["selector"]);
    }
}
