//! What the cluster knows, for the person who reads a failed test.

use std::fmt::Write;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams};
use kube::core::GroupVersionKind;

use crate::{Cluster, OPERATOR_NAMESPACE};

const LOG_LINES: i64 = 40;

/// Every `NodeApp`, Deployments, pods, Events and logs of a namespace, and what the
/// operator has logged about it.
pub(crate) async fn namespace(cluster: &Cluster, namespace: &str) -> String {
    let mut text = format!("──── namespace {namespace} ────\n");
    objects(cluster, namespace, "nodeapp.dev", "v1alpha1", "NodeApp", "nodeapps", &mut text).await;
    deployments(cluster, namespace, &mut text).await;
    pods(cluster, namespace, &mut text).await;
    events(cluster, namespace, &mut text).await;
    operator(cluster, namespace, &mut text).await;
    text.push_str("────\n");
    text
}

async fn objects(
    cluster: &Cluster,
    namespace: &str,
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    text: &mut String,
) {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), namespace, &resource);
    match api.list(&ListParams::default()).await {
        Ok(list) => {
            for mut object in list.items {
                object.metadata.managed_fields = None;
                let json = serde_json::to_string_pretty(&object).unwrap_or_default();
                let _ = writeln!(text, "{kind} {json}");
            }
        }
        Err(error) => {
            let _ = writeln!(text, "{kind}: {error}");
        }
    }
}

async fn deployments(cluster: &Cluster, namespace: &str, text: &mut String) {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    for deployment in api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
        let status = serde_json::to_string(&deployment.status).unwrap_or_default();
        let _ = writeln!(text, "Deployment {}: {status}", deployment.metadata.name.unwrap_or_default());
    }
}

async fn pods(cluster: &Cluster, namespace: &str, text: &mut String) {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    for pod in api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let status = pod.status.unwrap_or_default();
        let deleting = if pod.metadata.deletion_timestamp.is_some() { ", being deleted" } else { "" };
        let _ = writeln!(
            text,
            "Pod {name}: {}{deleting} {}",
            status.phase.unwrap_or_default(),
            status.message.unwrap_or_default()
        );
        let init = status.init_container_statuses.unwrap_or_default();
        for container in init.iter().chain(status.container_statuses.iter().flatten()) {
            container_state(&api, &name, container, text).await;
        }
    }
}

async fn container_state(api: &Api<Pod>, pod: &str, container: &ContainerStatus, text: &mut String) {
    let state = serde_json::to_string(&container.state).unwrap_or_default();
    let last = serde_json::to_string(&container.last_state).unwrap_or_default();
    let _ = writeln!(
        text,
        "  {}: ready {}, restarts {}, state {state}, last {last}",
        container.name, container.ready, container.restart_count
    );
    for previous in [true, false] {
        if previous && container.restart_count == 0 {
            continue;
        }
        let params = LogParams {
            container: Some(container.name.clone()),
            tail_lines: Some(LOG_LINES),
            previous,
            ..LogParams::default()
        };
        for line in api.logs(pod, &params).await.unwrap_or_default().lines() {
            let _ = writeln!(text, "    {}| {line}", if previous { "before " } else { "" });
        }
    }
}

async fn events(cluster: &Cluster, namespace: &str, text: &mut String) {
    let api: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(cluster.client.clone(), namespace);
    for event in api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
        let about = event.involved_object;
        let _ = writeln!(
            text,
            "Event {} {}: {} {}",
            about.kind.unwrap_or_default(),
            about.name.unwrap_or_default(),
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default()
        );
    }
}

async fn operator(cluster: &Cluster, namespace: &str, text: &mut String) {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), OPERATOR_NAMESPACE);
    for pod in api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default() {
        let name = pod.metadata.name.unwrap_or_default();
        let params = LogParams { tail_lines: Some(2_000), ..LogParams::default() };
        let log = api.logs(&name, &params).await.unwrap_or_default();
        // Lines about other tests' namespaces would only bury what is looked for.
        for line in log.lines().filter(|line| line.contains(namespace) || line.contains("panic")) {
            let _ = writeln!(text, "{name}| {line}");
        }
    }
}
