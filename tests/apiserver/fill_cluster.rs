//! `fillCluster` with nodes that are objects only: nothing runs on them. All apps of
//! the API server see them, so that only one test here makes some.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Request;
use kube::Client;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::scoped::grant;
use crate::support::{Operator, SOON, Tap, admin, app, apply, client_of, condition, install};

/// On the nodes of these tests, by which those of a run that was cut are found.
const LABEL: &str = "nodeapp.dev/test";
/// How often a node says that it lives; one that has not for most of a minute is
/// taken for lost, and is not ready any more.
const BEAT: Duration = Duration::from_secs(5);

/// A node with four CPUs that lives until this is dropped.
struct Node {
    name: String,
    beat: JoinHandle<()>,
}

impl Node {
    async fn add(admin: &Client, name: String) -> Result<Self> {
        let node = json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {LABEL: "fill-cluster"}}});
        apply(admin, &format!("/api/v1/nodes/{name}"), &node).await?;
        live(admin, &name).await?;
        let (client, living) = (admin.clone(), name.clone());
        let beat = tokio::spawn(async move {
            let mut next = tokio::time::interval(BEAT);
            loop {
                next.tick().await;
                // The next one comes soon.
                let _ = live(&client, &living).await;
            }
        });
        Ok(Self { name, beat })
    }

    async fn remove(self, admin: &Client) -> Result<()> {
        self.beat.abort();
        delete_node(admin, &self.name).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

/// What a kubelet says of itself.
async fn live(admin: &Client, name: &str) -> Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {
        "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        "capacity": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": now, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    apply(admin, &format!("/api/v1/nodes/{name}/status"), &node).await.map(drop)
}

async fn delete_node(admin: &Client, name: &str) -> Result<()> {
    let request = Request::delete(format!("/api/v1/nodes/{name}")).body(Vec::new())?;
    match admin.request::<Value>(request).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        answer => Ok(answer.map(drop)?),
    }
}

/// Takes away the nodes of these tests, those of a run that was cut too.
async fn delete_nodes(admin: &Client) -> Result<()> {
    let path = format!("/api/v1/nodes?labelSelector={LABEL}");
    let nodes: Value = admin.request(Request::get(path).body(Vec::new())?).await?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        delete_node(admin, node["metadata"]["name"].as_str().unwrap_or_default()).await?;
    }
    Ok(())
}

/// Waits until there are so many pods.
async fn pods(namespace: &Namespace, number: usize) -> Result<Vec<Value>> {
    namespace
        .eventually(&format!("{number} pods"), SOON, async || {
            let pods = namespace.list("Pod").await?;
            ensure!(pods.len() == number, "{} pods", pods.len());
            Ok(pods)
        })
        .await
}

/// What the scheduler would do with every pod that waits.
async fn put_pods_on(namespace: &Namespace, admin: &Client, node: &str, number: usize) -> Result<()> {
    for pod in pods(namespace, number).await? {
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

/// Waits until the status has all that comes of the pods that were made last.
async fn settled(namespace: &Namespace, number: i64) -> Result<()> {
    namespace
        .eventually("the status is up to date", SOON, async || {
            let (app, deployment) =
                (namespace.get("NodeApp", "shop").await?, namespace.get("Deployment", "shop").await?);
            let seen = &deployment["status"]["observedGeneration"];
            ensure!(*seen == deployment["metadata"]["generation"], "{}", deployment["status"]);
            for place in [&app, &deployment] {
                for count in ["replicas", "updatedReplicas"] {
                    ensure!(place["status"][count] == number, "{}", place["status"]);
                }
            }
            let budget = namespace.get("PodDisruptionBudget", "shop").await?;
            ensure!(budget["status"]["expectedPods"] == number, "{}", budget["status"]);
            Ok(())
        })
        .await
}

#[test]
fn an_app_fills_the_nodes_follows_them_and_calls_for_no_more() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let admin = admin(&Tap::default()).await?;
        delete_nodes(&admin).await?;
        let outcome = fill(&namespace, &admin).await;
        delete_nodes(&admin).await?;
        outcome
    });
}

async fn fill(namespace: &Namespace, admin: &Client) -> Result<()> {
    let here = Node::add(admin, format!("{}-a", namespace.name())).await?;
    let operator = Operator::start(namespace, &Tap::default()).await?;
    let shop = app("shop", &json!({"instances": null, "fillCluster": {}, "rollout": {"maxSurge": 1}}));
    namespace.apply(&shop).await?;
    let first = filled(namespace, 3, 3).await?;
    let text = first["arithmetic"].as_str().unwrap_or_default();
    let expected = format!("4 fit on 1 node ({} 4: by CPU); 1 for a rollout; makes 3", here.name);
    ensure!(text == expected, "{text}");

    // No pod has a place yet, so another node calls for no more of them.
    let there = Node::add(admin, format!("{}-b", namespace.name())).await?;
    let waits = filled(namespace, 3, 7).await?;
    ensure!(waits["arithmetic"].as_str().is_some_and(|text| text.contains("waits for a node")), "{waits}");
    put_pods_on(namespace, admin, &here.name, 3).await?;
    filled(namespace, 7, 7).await?;

    // The four new ones find no place when the node goes; then nobody waits for it.
    let all = pods(namespace, 7).await?;
    there.remove(admin).await?;
    for pod in all.iter().filter(|pod| pod["spec"]["nodeName"].is_null()) {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let unplaced = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}],
        }});
        let path = format!("/api/v1/namespaces/{}/pods/{name}/status", namespace.name());
        apply(admin, &path, &unplaced).await?;
    }
    filled(namespace, 3, 3).await?;
    let events = namespace.list("Event").await?;
    let missed = events.iter().find(|event| event["reason"] == "Recreated");
    ensure!(missed.is_none(), "nothing was ever missing: {missed:?}");

    // A start of the operator, or another that takes over, changes and writes nothing.
    pods(namespace, 3).await?;
    settled(namespace, 3).await?;
    operator.kill().await;
    let tap = Tap::default();
    let _operator = Operator::start(namespace, &tap).await?;
    let looked_at = async || {
        let listed = tap.calls().iter().any(|call| call.resource == "pods" && call.verb == "list");
        ensure!(listed, "the nodes were not looked at");
        Ok(())
    };
    namespace.eventually("the nodes are looked at", SOON, looked_at).await?;
    let rests = async || {
        ensure!(tap.writes() == 0, "{:?}", tap.bodies());
        Ok(())
    };
    namespace.throughout("nothing is written", Duration::from_secs(5), rests).await?;

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
