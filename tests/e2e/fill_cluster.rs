//! As many instances as real nodes have room for.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use nodeapp_operator::crd::notation::quantity_nanos;
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON};
use crate::e2e_alone;

/// What pods of others leave of each node that takes any, in the parts of a resource that are whole
/// numbers: thousandths of a CPU, bytes.
async fn free(namespace: &Namespace, resource: &str) -> Result<Vec<i128>> {
    let parts = |text: &str| {
        let nanos = quantity_nanos(text).context("no quantity")?;
        anyhow::Ok(if resource == "cpu" { nanos / 1_000_000 } else { nanos / 1_000_000_000 })
    };
    let client = &namespace.cluster().client;
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await?.items;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?.items;
    let mut all = Vec::new();
    for node in nodes {
        let spec = node.spec.unwrap_or_default();
        if spec.unschedulable == Some(true) || spec.taints.is_some_and(|taints| !taints.is_empty()) {
            continue;
        }
        let allocatable = node.status.and_then(|status| status.allocatable).unwrap_or_default();
        let mut left = parts(&allocatable.get(resource).context("not told")?.0)?;
        for pod in &pods {
            let of_test = pod.metadata.namespace.as_deref() == Some(namespace.name());
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            let over = matches!(phase, Some("Succeeded" | "Failed"));
            let Some(pod) = pod.spec.as_ref().filter(|_| !of_test && !over) else { continue };
            if pod.node_name != node.metadata.name {
                continue;
            }
            for container in &pod.containers {
                let requests = container.resources.as_ref().and_then(|it| it.requests.as_ref());
                if let Some(request) = requests.and_then(|requests| requests.get(resource)) {
                    left -= parts(&request.0)?;
                }
            }
        }
        all.push(left);
    }
    ensure!(!all.is_empty(), "no node takes pods");
    Ok(all)
}

/// So much of a resource that three instances fit on the roomiest node, with some to spare.
async fn a_third(namespace: &Namespace, resource: &str) -> Result<i128> {
    let most = free(namespace, resource).await?.into_iter().max().unwrap_or_default();
    Ok(most * 2 / 7)
}

/// Waits until all instances of the app are there that fit beside pods of others, less one, and
/// returns the arithmetic that the status shows.
async fn filled(namespace: &Namespace, name: &str, resource: &str, need: i128) -> Result<String> {
    namespace
        .eventually(&format!("{name} fills the cluster"), SOON, async || {
            let fit: i128 = free(namespace, resource).await?.into_iter().map(|free| free.max(0) / need).sum();
            let wanted = fit - 1;
            ensure!(wanted >= 2, "only {fit} fit");
            let status = namespace.get("NodeApp", name).await?["status"].clone();
            ensure!(
                status["fillCluster"]["fits"].as_i64().map(i128::from) == Some(wanted),
                "{wanted}: {status}"
            );
            let ready = namespace.ready_pods(name).await?.len();
            ensure!(i128::try_from(ready)? == wanted, "{ready} ready of {wanted}: {status}");
            Ok(status["fillCluster"]["arithmetic"].as_str().unwrap_or_default().to_owned())
        })
        .await
}

fn filling(namespace: &Namespace, name: &str, resources: &Value) -> Result<App> {
    Ok(App::worker(namespace, name, "web.js")?.with(&json!({
        "fillCluster": {"leave": 1},
        "rollout": {"maxSurge": 0, "maxUnavailable": 1},
        "resources": resources,
    })))
}

#[test]
fn an_app_fills_the_nodes_by_cpu_or_by_memory_whichever_fits_fewer_and_leaves_one() {
    e2e_alone(|namespace| async move {
        let need = a_third(&namespace, "cpu").await?;
        let resources = json!({"requests": {"cpu": format!("{need}m"), "memory": "16Mi"}});
        filling(&namespace, "by-cpu", &resources)?.apply(&namespace).await?;
        let arithmetic = filled(&namespace, "by-cpu", "cpu", need).await?;
        ensure!(arithmetic.contains("by CPU") && arithmetic.contains("1 left free"), "{arithmetic}");

        namespace.delete_object("NodeApp", "by-cpu").await?;
        let gone = async || {
            let pods = namespace.pods("by-cpu").await?.len();
            ensure!(pods == 0, "{pods} pods");
            Ok(())
        };
        namespace.eventually("its pods are gone", SOON, gone).await?;
        let need = a_third(&namespace, "memory").await?;
        let resources =
            json!({"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": need.to_string()}});
        filling(&namespace, "by-memory", &resources)?.apply(&namespace).await?;
        let arithmetic = filled(&namespace, "by-memory", "memory", need).await?;
        ensure!(arithmetic.contains("by memory"), "{arithmetic}");
        Ok(())
    });
}
