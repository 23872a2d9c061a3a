//! The operator killed between any two writes of one reconcile.

use anyhow::{Context as _, Result};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{KINDS, Operator, SOON, Tap, app, settled};

/// What an app's children say, without what differs between any two objects.
async fn content(namespace: &Namespace, name: &str) -> Result<Vec<Value>> {
    let mut content = Vec::new();
    let app = namespace.get("NodeApp", name).await?;
    // The runner's key is the app's own.
    let uid = app["metadata"]["uid"].as_str().context("an app without a UID")?;
    for kind in KINDS {
        for object in namespace.list(kind).await? {
            if object["metadata"]["labels"]["nodeapp.dev/app"] != name {
                continue;
            }
            let text = json!({
                "kind": kind,
                "labels": object["metadata"]["labels"],
                "revision": object["revision"],
                "spec": object["spec"],
                "data": object["data"],
            })
            .to_string();
            let mut object: Value = serde_json::from_str(&text.replace(name, "NAME").replace(uid, "UID"))?;
            for field in ["clusterIP", "clusterIPs"] {
                if let Some(spec) = object["spec"].as_object_mut() {
                    spec.remove(field);
                }
            }
            content.push(object);
        }
    }
    Ok(content)
}

/// Runs an operator that dies before write number `writes + 1`. Returns false if
/// it had nothing more to write.
async fn run_and_kill(namespace: &Namespace, name: &str, change: &Value, writes: usize) -> Result<bool> {
    let tap = Tap::cut_after(writes);
    let operator = Operator::start(namespace, &tap).await?;
    namespace.apply(&app(name, change)).await?;
    let was_cut = tokio::select! {
        () = tap.was_cut() => true,
        rested = settled(namespace, name) => { rested?; false }
    };
    operator.kill().await;
    Ok(was_cut)
}

#[test]
fn an_operator_killed_between_any_two_writes_of_a_creation_finishes_when_it_returns() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("whole", &json!({}))).await?;
        settled(&namespace, "whole").await?;
        let expected = content(&namespace, "whole").await?;
        assert_eq!(expected.len(), KINDS.len());
        operator.kill().await;

        // Five children and the status.
        for writes in 0..6 {
            let name = format!("cut{writes}");
            assert!(run_and_kill(&namespace, &name, &json!({}), writes).await?, "only {writes} writes");
            let operator = Operator::start(&namespace, &Tap::default()).await?;
            settled(&namespace, &name).await?;
            assert_eq!(content(&namespace, &name).await?, expected, "killed after {writes} writes");
            operator.kill().await;
        }
        Ok(())
    });
}

#[test]
fn an_operator_killed_between_any_two_writes_of_a_change_finishes_when_it_returns() {
    // Touches every child that a change can touch: the Service goes, the budget
    // goes, the template and the number of instances change.
    let change = json!({"port": null, "instances": 1, "args": ["changed"]});
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("whole", &json!({}))).await?;
        settled(&namespace, "whole").await?;
        namespace.apply(&app("whole", &change)).await?;
        changed(&namespace, "whole").await?;
        let expected = content(&namespace, "whole").await?;
        operator.kill().await;

        // Revision, Service, budget, Deployment, status.
        for writes in 0..5 {
            let name = format!("cut{writes}");
            let operator = Operator::start(&namespace, &Tap::default()).await?;
            namespace.apply(&app(&name, &json!({}))).await?;
            settled(&namespace, &name).await?;
            operator.kill().await;
            assert!(run_and_kill(&namespace, &name, &change, writes).await?, "only {writes} writes");
            let operator = Operator::start(&namespace, &Tap::default()).await?;
            changed(&namespace, &name).await?;
            assert_eq!(content(&namespace, &name).await?, expected, "killed after {writes} writes");
            operator.kill().await;
        }
        Ok(())
    });
}

async fn changed(namespace: &Namespace, name: &str) -> Result<()> {
    namespace
        .eventually(&format!("the change of {name} is carried out"), SOON, async || {
            let app = namespace.get("NodeApp", name).await?;
            let deployment = namespace.get("Deployment", name).await?;
            anyhow::ensure!(app["status"]["observedGeneration"] == app["metadata"]["generation"], "{app}");
            anyhow::ensure!(deployment["spec"]["replicas"] == 1, "{}", deployment["spec"]);
            anyhow::ensure!(namespace.get("Service", name).await.is_err(), "the Service is there");
            Ok(())
        })
        .await
}

#[test]
fn an_operator_that_was_away_catches_up() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        operator.kill().await;
        namespace.apply(&app("shop", &json!({"instances": 4}))).await?;
        namespace.delete_object("Service", "shop").await?;
        namespace.apply(&app("late", &json!({}))).await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        settled(&namespace, "late").await?;
        settled(&namespace, "shop").await?;
        namespace.get("Service", "shop").await?;
        Ok(())
    });
}
