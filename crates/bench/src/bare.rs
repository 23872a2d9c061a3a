//! The same writes as the operator's, and nothing else: no watch of its own, nothing to decide, the
//! objects made beforehand.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use nodeapp_operator::controller::apply::Child;
use nodeapp_operator::controller::desired::{Children, Prepared, Settings, desired};
use nodeapp_operator::controller::names::MANAGER;
use nodeapp_operator::controller::observe::Observed;
use nodeapp_operator::controller::validate::validate;
use nodeapp_operator::controller::wiring::CONCURRENCY;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::fleet::{self, CHILDREN, NAMESPACE};
use crate::seen::Seen;

/// Seconds until all children of a fleet exist.
pub(crate) async fn run(count: usize) -> Result<Value> {
    let client = fleet::client().await?;
    let apps = fleet::create(&client, count).await?;
    let settings = Settings { runner_image: fleet::RUNNER.to_owned(), ..Settings::default() };
    let prepared = apps.iter().map(|app| {
        let valid = validate(app).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        Ok((app, desired(&valid, &Observed::default(), &settings)))
    });
    let prepared: Vec<(&NodeApp, Children<Prepared>)> = prepared.collect::<Result<_>>()?;
    let mut seen = Seen::start(&client).await?;
    let begun = Instant::now();
    let all = stream::iter(prepared)
        .map(|(app, children)| write(&client, app, children))
        .buffer_unordered(CONCURRENCY.into())
        .try_fold(0, async |sum, writes| Ok(sum + writes));
    let (writes, exist) = futures::try_join!(all, seen.all_exist(count))?;
    ensure!(writes == count * (CHILDREN + 1), "{writes} writes for {count} apps");
    let (exist, all) = (exist - begun, begun.elapsed());
    Ok(json!({"apps": count, "seconds": exist.as_secs_f64(), "seconds_with_status": all.as_secs_f64()}))
}

async fn write(client: &Client, app: &NodeApp, children: Children<Prepared>) -> Result<usize> {
    let mut writes = 0;
    writes += one(client, &children.service_account).await?;
    writes += one(client, &children.revision).await?;
    if let Some(service) = &children.service {
        writes += one(client, service).await?;
    }
    if let Some(budget) = &children.disruption_budget {
        writes += one(client, budget).await?;
    }
    if let Some(deployment) = &children.deployment {
        writes += one(client, deployment).await?;
    }
    let status = patch_of_status(app, &children);
    let params = PatchParams::apply(MANAGER).force();
    fleet::apps(client).patch_status(&app.name_any(), &params, &Patch::Apply(status)).await?;
    Ok(writes + 1)
}

async fn one<K: Child>(client: &Client, child: &K) -> Result<usize> {
    let name = child.metadata().name.clone().context("a child has a name")?;
    let mut body = serde_json::to_value(child)?;
    // Creates, or fails: as the operator does it.
    body["metadata"]["resourceVersion"] = json!("1");
    let api = Api::<K>::namespaced(client.clone(), NAMESPACE);
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&body)).await?;
    Ok(1)
}

/// As long as the one that the operator writes first.
fn patch_of_status(app: &NodeApp, children: &Children<Prepared>) -> Value {
    let condition = |type_: &str| {
        json!({
            "type": type_,
            "status": "False",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": "RolloutUnderWay",
            "message": "0 of 2 instances are ready; the Deployment has not been looked at yet",
        })
    };
    let name = app.name_any();
    let conditions = ["Ready", "Available", "Progressing", "Degraded", "Valid"].map(condition);
    json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": app.uid()},
        "status": {
            "observedGeneration": 1,
            "conditions": conditions,
            "replicas": 0,
            "readyReplicas": 0,
            "updatedReplicas": 0,
            "availableReplicas": 0,
            "selector": format!("nodeapp.dev/app={name}"),
            "revision": children.revision.metadata.name,
            "runnerImage": fleet::RUNNER,
            "url": format!("http://{name}.{NAMESPACE}.svc:3000"),
        },
    })
}
