//! What the cluster has, and what it says an object would become.

use http::Method;
use kube::ResourceExt;
use nodeapp_operator::controller::desired::{DEFAULT_REDIS_IMAGE, Settings};
use nodeapp_operator::controller::names;
use nodeapp_operator::controller::render::Snapshot;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Map, Value, json};

use crate::cluster::{Attempt, Cluster, told};
use crate::render::{FORWARDER_IMAGE, RUNNER_IMAGE};

/// Kinds of the snapshot: path of the group, plural, kind.
const KINDS: [(&str, &str, &str); 15] = [
    ("/api/v1", "serviceaccounts", "ServiceAccount"),
    ("/api/v1", "services", "Service"),
    ("/api/v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("/api/v1", "configmaps", "ConfigMap"),
    ("/api/v1", "pods", "Pod"),
    ("/apis/apps/v1", "controllerrevisions", "ControllerRevision"),
    ("/apis/apps/v1", "deployments", "Deployment"),
    ("/apis/apps/v1", "statefulsets", "StatefulSet"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("/apis/batch/v1", "cronjobs", "CronJob"),
    ("/apis/batch/v1", "jobs", "Job"),
    ("/apis/networking.k8s.io/v1", "ingresses", "Ingress"),
    ("/apis/networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
    ("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ("/apis/gateway.networking.k8s.io/v1", "httproutes", HTTP_ROUTE),
];
/// A kind that not every cluster has.
const HTTP_ROUTE: &str = "HTTPRoute";
/// Kinds that the operator deletes when they are not wanted any more.
const PRUNED: [&str; 9] = [
    "CronJob",
    "Deployment",
    "HorizontalPodAutoscaler",
    HTTP_ROUTE,
    "Ingress",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
    "StatefulSet",
];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The cluster as it is around an app.
pub(super) struct Around {
    pub(super) snapshot: Snapshot,
    /// What belongs to the app and is deleted if it is not wanted any more.
    pub(super) pruned: Vec<Value>,
}

/// Reads what the operator would look at.
pub(super) async fn around(
    cluster: &Cluster,
    namespace: &str,
    live: Option<&Value>,
) -> Result<Around, String> {
    let mut snapshot = Snapshot::default();
    let mut pruned = Vec::new();
    let uid = live.map(|live| live["metadata"]["uid"].clone());
    for (group, plural, kind) in KINDS {
        // ConfigMaps are the user's; everything else is found by the operator's label.
        let query = if kind == "ConfigMap" {
            String::new()
        } else {
            format!("?labelSelector={}%3D{}", names::MANAGED_BY_LABEL.replace('/', "%2F"), names::MANAGER)
        };
        let path = format!("{group}/namespaces/{namespace}/{plural}{query}");
        let attempt = Attempt { verb: "list", resource: plural, namespace: Some(namespace) };
        let list = match ask(cluster, Method::GET, &path, None).await {
            Err(kube::Error::Api(status)) if status.code == 404 && kind == HTTP_ROUTE => continue,
            answer => answer.map_err(|error| told(&attempt, &error))?,
        };
        for mut item in list["items"].as_array().cloned().unwrap_or_default() {
            item["kind"] = json!(kind);
            let api = group.trim_start_matches("/apis/").trim_start_matches("/api/");
            item["apiVersion"] = json!(api);
            let owner = &item["metadata"]["ownerReferences"][0]["uid"];
            if PRUNED.contains(&kind) && uid.as_ref().is_some_and(|uid| uid == owner) {
                pruned.push(item.clone());
            }
            snapshot.add(item)?;
        }
    }
    if let Some(live) = live {
        snapshot.add(live.clone())?;
    }
    Ok(Around { snapshot, pruned })
}

/// One object as it is; none if it is not there.
pub(super) async fn get(cluster: &Cluster, object: &Value) -> Result<Option<Value>, String> {
    let Place { path, plural, namespace } = place(object)?;
    match ask(cluster, Method::GET, &path, None).await {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => {
            Err(told(&Attempt { verb: "get", resource: &plural, namespace: Some(&namespace) }, &error))
        }
    }
}

/// What an object would become if it were applied: as `kubectl apply` would where that has applied it before, else by
/// server-side apply as whoever applies it.
pub(super) async fn applied(
    cluster: &Cluster,
    object: &Value,
    live: Option<&Value>,
    manager: &str,
) -> Result<Value, String> {
    let Place { path, plural, namespace } = place(object)?;
    let attempt = Attempt { verb: "patch", resource: &plural, namespace: Some(&namespace) };
    let last = live.and_then(|live| live["metadata"]["annotations"][LAST_APPLIED].as_str());
    let last: Option<Value> = last.and_then(|text| serde_json::from_str(text).ok());
    let (query, kind, body) = match last.filter(|_| manager != names::MANAGER) {
        Some(last) => {
            let change = three_way(&last, object);
            ("dryRun=All&fieldManager=kubectl".to_owned(), "application/merge-patch+json", change)
        }
        None => (
            format!("dryRun=All&force=true&fieldManager={manager}"),
            "application/apply-patch+yaml",
            object.clone(),
        ),
    };
    let path = format!("{path}?{query}");
    ask(cluster, Method::PATCH, &path, Some((kind, &body))).await.map_err(|error| told(&attempt, &error))
}

/// As RFC 7386: what is wanted, and null for what was applied before and is not wanted any more.
fn three_way(last: &Value, wanted: &Value) -> Value {
    let (Value::Object(last), Value::Object(wanted)) = (last, wanted) else { return wanted.clone() };
    let gone = last.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let kept = wanted.iter().map(|(key, value)| {
        (key.clone(), last.get(key).map_or_else(|| value.clone(), |last| three_way(last, value)))
    });
    gone.chain(kept).collect::<Map<_, _>>().into()
}

/// Who applies a NodeApp: whoever has applied it last, so that what is taken out of the file is taken out here too.
pub(super) fn applier(live: Option<&Value>) -> String {
    let managed = live.and_then(|live| live["metadata"]["managedFields"].as_array());
    let applies = |entry: &&Value| entry["operation"] == "Apply" && entry["subresource"].is_null();
    let last = managed.into_iter().flatten().filter(applies).max_by_key(|entry| entry["time"].as_str());
    last.and_then(|entry| entry["manager"].as_str()).unwrap_or("kubectl").to_owned()
}

/// What the operator of the cluster is told, as far as its Deployment can be seen.
pub(super) async fn settings(cluster: &Cluster, live: Option<&NodeApp>) -> Settings {
    let query = format!("?labelSelector=app.kubernetes.io%2Fname%3D{}", names::MANAGER);
    let list = ask(cluster, Method::GET, &format!("/apis/apps/v1/deployments{query}"), None).await;
    let list = list.unwrap_or_default();
    let operator = &list["items"][0];
    let containers = &operator["spec"]["template"]["spec"]["containers"];
    let arguments: Vec<&str> = containers
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|container| container["args"].as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let told =
        |flag: &str| arguments.iter().find_map(|argument| argument.strip_prefix(flag)).map(str::to_owned);
    let known = live.and_then(|live| live.status.as_ref()?.runner_image.clone());
    let secrets = arguments.iter().filter_map(|argument| argument.strip_prefix("--image-pull-secret="));
    Settings {
        runner_image: told("--runner-image=").or(known).unwrap_or_else(|| RUNNER_IMAGE.to_owned()),
        forwarder_image: told("--forwarder-image=").unwrap_or_else(|| FORWARDER_IMAGE.to_owned()),
        redis_image: told("--redis-image=").unwrap_or_else(|| DEFAULT_REDIS_IMAGE.to_owned()),
        image_pull_secrets: secrets.map(str::to_owned).collect(),
        namespace: operator["metadata"]["namespace"].as_str().map(str::to_owned),
        // Secrets are not read here, so that a change of one is not seen either.
        watch_secrets: false,
    }
}

/// Where an object stands.
struct Place {
    path: String,
    plural: String,
    namespace: String,
}

fn place(object: &Value) -> Result<Place, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, namespace) = (text(&object["kind"]), text(&object["metadata"]["namespace"]));
    let name = text(&object["metadata"]["name"]);
    let (group, plural) = match kind.as_str() {
        "NodeApp" => ("/apis/nodeapp.dev/v1alpha1", "nodeapps"),
        "Secret" => ("/api/v1", "secrets"),
        _ => {
            let known = KINDS.iter().find(|(.., known)| *known == kind);
            let (group, plural, _) = known.ok_or_else(|| format!("{kind} {name} cannot be compared"))?;
            (*group, *plural)
        }
    };
    let path = format!("{group}/namespaces/{namespace}/{plural}/{name}");
    Ok(Place { path, plural: plural.to_owned(), namespace })
}

async fn ask(
    cluster: &Cluster,
    method: Method,
    path: &str,
    body: Option<(&str, &Value)>,
) -> Result<Value, kube::Error> {
    let mut request = http::Request::builder().method(method).uri(path);
    let mut bytes = Vec::new();
    if let Some((kind, body)) = body {
        request = request.header("content-type", kind);
        bytes = serde_json::to_vec(body).map_err(kube::Error::SerdeError)?;
    }
    cluster.client.request(request.body(bytes).map_err(kube::Error::HttpError)?).await
}

/// Whether an object belongs to somebody else than the app.
pub(super) fn is_foreign(live: &Value, app: Option<&NodeApp>) -> bool {
    let uid = app.and_then(ResourceExt::uid);
    let owners = live["metadata"]["ownerReferences"].as_array();
    let is_owned = owners.into_iter().flatten().any(|owner| owner["uid"].as_str() == uid.as_deref());
    // What is kept when an app is deleted, such as the volume of its Redis, has no owner.
    !is_owned && live["metadata"]["labels"][names::MANAGED_BY_LABEL] != names::MANAGER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_of_a_file_is_taken_out_of_the_object() {
        let last =
            json!({"spec": {"image": "a:1", "port": 3000, "env": [1]}, "metadata": {"labels": {"a": "1"}}});
        let wanted = json!({"spec": {"image": "a:2", "env": [2]}, "metadata": {}});
        let expected = json!({
            "spec": {"image": "a:2", "env": [2], "port": null},
            "metadata": {"labels": null},
        });
        assert_eq!(three_way(&last, &wanted), expected);
    }

    #[test]
    fn a_file_is_applied_as_whoever_applied_it_last() {
        let entry = |manager: &str, operation: &str, time: &str| json!({"manager": manager, "operation": operation, "time": time});
        let live = json!({"metadata": {"managedFields": [
            entry("old-tool", "Apply", "2026-01-01T00:00:00Z"),
            entry("argocd-controller", "Apply", "2026-01-02T00:00:00Z"),
            entry("kubectl-edit", "Update", "2026-01-03T00:00:00Z"),
            {"manager": "nodeapp-operator", "operation": "Apply", "subresource": "status", "time": "2026-01-04T00:00:00Z"},
        ]}});
        assert_eq!(applier(Some(&live)), "argocd-controller");
        assert_eq!(applier(None), "kubectl");
    }
}
