//! What is rendered without a cluster is what the operator has written.

use anyhow::{Context as _, Result, ensure};
use nodeapp_operator::controller::desired::Settings;
use nodeapp_operator::controller::render::{Snapshot, render};
use nodeapp_operator::crd::NodeApp;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{KINDS, Operator, Tap, app, settled};

const RUNNER: &str = "registry.example/nodeapp-runner:1";

/// What the cluster has, as `kubectl get` tells it.
async fn snapshot(namespace: &Namespace) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for kind in KINDS.iter().chain(&["NodeApp"]) {
        let items = namespace.list(kind).await?.into_iter().map(|mut item| {
            // A list says the kind once.
            item["kind"] = json!(kind);
            item
        });
        snapshot
            .add(json!({"kind": "List", "items": items.collect::<Vec<_>>()}))
            .map_err(anyhow::Error::msg)?;
    }
    Ok(snapshot)
}

fn rendered(app: &Value, snapshot: &Snapshot, runner: &str) -> Result<Vec<Value>> {
    let app: NodeApp = serde_json::from_value(app.clone())?;
    render(&app, snapshot, &Settings { runner_image: runner.to_owned(), ..Settings::default() })
        .map_err(anyhow::Error::msg)
}

/// What the operator put into an object, without what it adds to the request alone.
fn as_written(bodies: &[Value], kind: &str, name: &str) -> Option<String> {
    let body = bodies.iter().rev().find(|body| body["kind"] == kind && body["metadata"]["name"] == name)?;
    let mut body = body.clone();
    let metadata = body["metadata"].as_object_mut()?;
    metadata.remove("uid");
    metadata.remove("resourceVersion");
    Some(body.to_string())
}

#[test]
fn what_is_rendered_from_a_snapshot_is_to_the_byte_what_the_operator_has_written() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start_with(&namespace, &tap, RUNNER).await?;
        let wanted = app("shop", &json!({"maxMemoryRestart": "200M", "env": [{"name": "A", "value": "1"}]}));
        namespace.apply(&wanted).await?;
        settled(&namespace, "shop").await?;
        let mut wanted = wanted;
        wanted["metadata"]["namespace"] = json!(namespace.name());
        let snapshot = snapshot(&namespace).await?;
        // A later runner renders no template anew.
        let children = rendered(&wanted, &snapshot, "registry.example/nodeapp-runner:2")?;
        ensure!(children.len() == KINDS.len(), "{children:?}");
        let bodies = tap.bodies();
        for child in children {
            let (kind, name) = (
                child["kind"].as_str().context("kind")?,
                child["metadata"]["name"].as_str().context("name")?,
            );
            let written = as_written(&bodies, kind, name)
                .with_context(|| format!("{kind} {name} was never written"))?;
            let rendered = child.to_string();
            ensure!(rendered == written, "{kind}:\nrendered {rendered}\nwritten  {written}");
        }
        Ok(())
    });
}

#[test]
fn a_new_app_is_rendered_without_an_owner_that_does_not_exist() {
    let wanted = app("shop", &json!({}));
    let children = rendered(&wanted, &Snapshot::default(), RUNNER).expect("it is valid");
    let kinds: Vec<_> = children.iter().filter_map(|child| child["kind"].as_str()).collect();
    assert_eq!(kinds, KINDS);
    for child in &children {
        assert!(child["metadata"].get("ownerReferences").is_none(), "{child}");
        assert_eq!(child["metadata"]["namespace"], "default");
    }
    let error =
        rendered(&app("shop", &json!({"killTimeout": "5 s"})), &Snapshot::default(), RUNNER).unwrap_err();
    assert!(error.to_string().contains("spec.killTimeout"), "{error}");
}
