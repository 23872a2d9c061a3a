//! A fleet that nobody carries out: apps and pods whose status says that all is well.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use nodeapp_operator::controller::names::{MANAGER, labels};
use nodeapp_operator::controller::wiring::CONCURRENCY;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::fleet::{self, NAMESPACE};

const SINCE: &str = "2026-01-01T00:00:00Z";

/// Makes so many apps and pods.
pub(crate) async fn run(count: usize, pods: usize) -> Result<Value> {
    let client = fleet::client().await?;
    let apps = fleet::create(&client, count).await?;
    // What a controller makes in each namespace, and pods do not come without.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    fleet::apply(&client, &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"), &account)
        .await?;
    let statuses = stream::iter(&apps).map(|app| report(&client, app)).buffer_unordered(CONCURRENCY.into());
    statuses.try_collect::<Vec<()>>().await.context("a status cannot be written")?;
    let made = stream::iter(0..pods).map(|number| make(&client, number, count));
    let made = made.buffer_unordered(CONCURRENCY.into()).try_collect::<Vec<()>>().await;
    made.context("a pod cannot be made")?;
    Ok(json!({"apps": count, "pods": pods}))
}

/// A status as long as that of an app that serves.
async fn report(client: &Client, app: &NodeApp) -> Result<()> {
    let condition = |(type_, status, reason, message): (&str, &str, &str, &str)| {
        json!({
            "type": type_, "status": status, "observedGeneration": 1, "lastTransitionTime": SINCE,
            "reason": reason, "message": message,
        })
    };
    let conditions = [
        ("Ready", "True", "AllInstancesReady", "2 of 2 instances are ready and run what the spec asks for"),
        ("Available", "True", "InstancesAvailable", "2 of 2 instances are available"),
        ("Progressing", "False", "Complete", "the rollout is complete"),
        ("Degraded", "False", "AsExpected", "nothing is wrong"),
        ("Valid", "True", "SpecAccepted", "the spec can be carried out"),
    ]
    .map(condition);
    let name = app.name_any();
    let status = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "desiredReplicas": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2,
            "restarts": 3,
            "selector": format!("nodeapp.dev/app={name}"),
            "revision": format!("{name}-7d9f8b6c5"),
            "stableRevision": format!("{name}-7d9f8b6c5"),
            "runnerImage": fleet::RUNNER,
            "url": format!("http://{name}.{NAMESPACE}.svc:3000"),
            "env": [{"from": "env", "names": ["LOG_LEVEL"]}, {"from": "port", "names": ["PORT"]}],
        },
    });
    let params = PatchParams::apply(MANAGER).force();
    fleet::apps(client).patch_status(&name, &params, &Patch::Apply(status)).await?;
    Ok(())
}

/// A pod that is ready as its status tells; there is no node that would say otherwise.
async fn make(client: &Client, number: usize, apps: usize) -> Result<()> {
    let app = fleet::name(number % apps.max(1));
    let name = format!("{app}-7d9f8b6c5-{number:05}");
    let image = "registry.example/shop:1.4.2";
    let env = json!([{"name": "LOG_LEVEL", "value": "info"}, {"name": "PORT", "value": "3000"}]);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels(&app)},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "app", "image": image, "env": env}]},
    }))?;
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    api.create(&PostParams::default(), &pod).await?;
    let condition = |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": SINCE});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    let status = json!({"status": {
        "phase": "Running",
        "startTime": SINCE,
        "conditions": conditions,
        "containerStatuses": [{
            "name": "app", "image": image, "imageID": "", "ready": true, "restartCount": 1,
            "state": {"running": {"startedAt": SINCE}},
        }],
    }});
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}
