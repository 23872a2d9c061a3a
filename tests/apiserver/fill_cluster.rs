//! `fillCluster` with nodes that are objects only: nothing runs on them.

use anyhow::{Context as _, Result, ensure};
use http::Request;
use kube::Client;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::scoped::grant;
use crate::support::{Operator, SOON, Tap, admin, app, apply, client_of, condition, install};

/// A node with four CPUs.
async fn add_node(admin: &Client, name: &str) -> Result<()> {
    let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    apply(admin, &format!("/api/v1/nodes/{name}"), &node).await?;
    node["status"] = json!({
        "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    });
    apply(admin, &format!("/api/v1/nodes/{name}/status"), &node).await.map(drop)
}

async fn remove_node(admin: &Client, name: &str) -> Result<()> {
    let request = Request::delete(format!("/api/v1/nodes/{name}")).body(Vec::new())?;
    match admin.request::<Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        answer => Ok(answer.map(drop)?),
    }
}

/// What the scheduler would do with every pod that waits.
async fn put_pods_on(namespace: &Namespace, admin: &Client, node: &str) -> Result<()> {
    for pod in namespace.list("Pod").await? {
        let name = pod["metadata"]["name"].as_str().context("a pod without a name")?;
        if !pod["spec"]["nodeName"].is_null() {
            continue;
        }
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let path = format!("/api/v1/namespaces/{}/pods/{name}/binding", namespace.name());
        admin.request::<Value>(Request::post(path).body(serde_json::to_vec(&binding)?)?).await?;
    }
    Ok(())
}

/// Waits until so many are wanted, and so many would fit.
async fn filled(namespace: &Namespace, wanted: i64, fits: i64) -> Result<Value> {
    namespace
        .eventually(&format!("{wanted} wanted where {fits} fit"), SOON, async || {
            let status = namespace.get("NodeApp", "shop").await?["status"].clone();
            let filling = &status["fillCluster"];
            ensure!(filling["wanted"] == wanted && filling["fits"] == fits, "{filling}");
            let deployment = namespace.get("Deployment", "shop").await?;
            ensure!(deployment["spec"]["replicas"] == wanted, "{}", deployment["spec"]["replicas"]);
            ensure!(status["desiredReplicas"] == wanted, "{status}");
            Ok(filling.clone())
        })
        .await
}

#[test]
fn an_app_fills_the_nodes_follows_them_and_calls_for_no_more() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let admin = admin(&Tap::default()).await?;
        let nodes = ["a", "b"].map(|node| format!("{}-{node}", namespace.name()));
        let outcome = fill(&namespace, &admin, &nodes).await;
        for node in &nodes {
            remove_node(&admin, node).await?;
        }
        outcome
    });
}

async fn fill(namespace: &Namespace, admin: &Client, nodes: &[String; 2]) -> Result<()> {
    add_node(admin, &nodes[0]).await?;
    let _operator = Operator::start(namespace, &Tap::default()).await?;
    let shop = app("shop", &json!({"instances": null, "fillCluster": {}, "rollout": {"maxSurge": 1}}));
    namespace.apply(&shop).await?;
    let first = filled(namespace, 3, 3).await?;
    let text = first["arithmetic"].as_str().unwrap_or_default();
    let expected = format!("4 fit on 1 node ({} 4: by CPU); 1 for a rollout; makes 3", nodes[0]);
    assert_eq!(text, expected);

    // No pod has a place yet, so another node calls for no more of them.
    add_node(admin, &nodes[1]).await?;
    let waits = filled(namespace, 3, 7).await?;
    assert!(waits["arithmetic"].as_str().is_some_and(|text| text.contains("waits for a node")), "{waits}");
    put_pods_on(namespace, admin, &nodes[0]).await?;
    filled(namespace, 7, 7).await?;

    // The four new ones find no place when the node goes; then nobody waits for it.
    remove_node(admin, &nodes[1]).await?;
    for pod in namespace.list("Pod").await? {
        if pod["spec"]["nodeName"].is_null() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let unplaced = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
            }});
            let path = format!("/api/v1/namespaces/{}/pods/{name}/status", namespace.name());
            apply(admin, &path, &unplaced).await?;
        }
    }
    filled(namespace, 3, 3).await?;

    // Stopped is stopped; what it had is remembered.
    namespace.patch("NodeApp", "shop", &json!({"spec": {"stopped": true}})).await?;
    namespace
        .eventually("it is stopped", SOON, async || {
            let app = namespace.get("NodeApp", "shop").await?;
            ensure!(app["status"]["desiredReplicas"] == 0, "{}", app["status"]);
            ensure!(app["status"]["fillCluster"]["wanted"] == 3, "{}", app["status"]);
            Ok(())
        })
        .await
}

#[test]
fn without_the_right_to_see_nodes_the_app_keeps_its_count_and_says_what_is_missing() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let admin = admin(&Tap::default()).await?;
        let user = format!("operator-of-{}", namespace.name());
        grant(&admin, namespace.name(), &user).await?;
        let poor = client_of(&user, &Tap::default()).await?;
        let named = vec![namespace.name().to_owned()];
        let _operator = Operator::start_as(poor, named, "registry.example/nodeapp-runner:1");
        let told = async |replicas: i64| {
            namespace
                .eventually("the missing right is told", SOON, async || {
                    let app = namespace.get("NodeApp", "shop").await?;
                    let degraded = condition(&app, "Degraded");
                    ensure!(degraded["reason"] == "CapacityUnknown", "{degraded}");
                    let message = degraded["message"].as_str().unwrap_or_default();
                    ensure!(message.contains("ClusterRole") && message.contains("nodes"), "{message}");
                    ensure!(condition(&app, "Valid")["status"] == "True", "{}", app["status"]);
                    ensure!(app["status"]["desiredReplicas"] == replicas, "{}", app["status"]);
                    Ok(())
                })
                .await
        };
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        namespace
            .eventually("the Deployment", SOON, async || namespace.get("Deployment", "shop").await)
            .await?;
        namespace.apply(&app("shop", &json!({"instances": null, "fillCluster": {}}))).await?;
        told(3).await
    });
}

#[test]
fn kubectl_scale_is_refused_where_fill_cluster_decides() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        namespace.apply(&app("shop", &json!({"instances": null, "fillCluster": {}}))).await?;
        let client = admin(&Tap::default()).await?;
        let path = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{}/nodeapps/shop/scale", namespace.name());
        let request = Request::patch(&path)
            .header("content-type", "application/merge-patch+json")
            .body(br#"{"spec":{"replicas":5}}"#.to_vec())?;
        let refusal = client.request::<Value>(request).await.expect_err("fillCluster decides");
        assert!(refusal.to_string().contains("leave instances out: fillCluster decides"), "{refusal}");
        Ok(())
    });
}
