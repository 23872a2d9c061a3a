//! Volumes on demand: the default storage class, and what makes folders of the nodes into volumes.

use serde_json::{Value, json};

/// Its name wherever it has one.
pub(crate) const NAME: &str = "local-volumes";

/// Where the volumes are on their node; gone with the cluster.
const ROOT: &str = "/var/lib/local-volumes";

/// The objects to apply.
pub(crate) fn objects(image: &str) -> Vec<Value> {
    let labels = json!({"k8s-app": NAME});
    let meta = json!({"name": NAME, "namespace": "kube-system", "labels": labels});
    vec![
        class("local", "Delete", true),
        class("local-retain", "Retain", false),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:local-volumes"},
            "rules": [
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
                {
                    "apiGroups": [""], "resources": ["persistentvolumes"],
                    "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
                },
                {
                    "apiGroups": [""], "resources": ["persistentvolumeclaims"],
                    "verbs": ["get", "list", "patch", "update", "watch"],
                },
                {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch", "update"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:local-volumes"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:local-volumes",
            },
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": "kube-system"}],
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod(image)},
            },
        }),
    ]
}

/// A volume is made when the first pod that wants it has a node.
fn class(name: &str, reclaim: &str, is_default: bool) -> Value {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default.to_string()});
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "nodeapp.dev/local-volumes", "reclaimPolicy": reclaim,
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn pod(image: &str) -> Value {
    json!({
        "serviceAccountName": NAME, "priorityClassName": "system-node-critical",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        // The folders are the node's, so they are root's.
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": NAME, "image": image, "imagePullPolicy": "Never",
            "env": [
                {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "ROOT", "value": ROOT},
            ],
            "resources": {"requests": {"cpu": "5m", "memory": "24Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
            "volumeMounts": [{"name": "volumes", "mountPath": ROOT}],
        }],
        "volumes": [{"name": "volumes", "hostPath": {"path": ROOT, "type": "DirectoryOrCreate"}}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_is_the_default_and_both_wait_for_the_first_pod() {
        let objects = objects("localhost/local-volumes:1");
        let classes: Vec<_> = objects.iter().filter(|object| object["kind"] == "StorageClass").collect();
        let default = |class: &&&Value| {
            class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
        };
        assert_eq!(classes.iter().filter(default).count(), 1);
        assert!(classes.iter().all(|class| class["volumeBindingMode"] == "WaitForFirstConsumer"));
    }

    #[test]
    fn a_volume_lies_where_its_maker_and_the_kubelet_see_it_under_the_same_name() {
        let pod = pod("localhost/local-volumes:1");
        let container = &pod["containers"][0];
        assert_eq!(container["volumeMounts"][0]["mountPath"], pod["volumes"][0]["hostPath"]["path"]);
        assert_eq!(container["env"][1]["value"], ROOT);
    }
}
