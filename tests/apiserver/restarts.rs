//! Restarts that no change of the spec asks for, and jobs.

use anyhow::{Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, reported, settled};

const RESTARTED: &str = "nodeapp.dev/restartedAt";

fn asked(change: &Value, value: &str) -> Value {
    let mut app = app("shop", change);
    app["metadata"]["annotations"] = json!({ RESTARTED: value });
    app
}

/// The annotations of the pod template, once the request has reached it.
async fn carried_out(namespace: &Namespace, value: &str) -> Result<Value> {
    namespace
        .eventually(&format!("the template says {value}"), SOON, async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            let annotations = deployment["spec"]["template"]["metadata"]["annotations"].clone();
            ensure!(annotations[RESTARTED] == value, "{annotations}");
            Ok(annotations)
        })
        .await
}

#[test]
fn the_annotation_restarts_once_per_value_and_makes_no_revision() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        let before = namespace.get("NodeApp", "shop").await?;
        for (sets, value) in [(2, "2026-11-23T12:00:00Z"), (3, "again, please")] {
            namespace.apply(&asked(&json!({}), value)).await?;
            carried_out(&namespace, value).await?;
            namespace
                .eventually("one ReplicaSet more", SOON, async || {
                    let found = namespace.list("ReplicaSet").await?.len();
                    ensure!(found == sets, "{found} ReplicaSets");
                    Ok(())
                })
                .await?;
        }
        // Scaling, and taking the annotation away, restart nothing.
        let deployment = namespace.get("Deployment", "shop").await?;
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        namespace
            .eventually("three are wanted of the same template", SOON, async || {
                let now = namespace.get("Deployment", "shop").await?;
                ensure!(now["spec"]["replicas"] == 3, "{}", now["spec"]["replicas"]);
                ensure!(now["spec"]["template"] == deployment["spec"]["template"], "{now}");
                Ok(())
            })
            .await?;
        let after = namespace.get("NodeApp", "shop").await?;
        ensure!(after["status"]["revision"] == before["status"]["revision"], "{}", after["status"]);
        ensure!(namespace.list("ControllerRevision").await?.len() == 1, "a restart is no revision");
        let events = namespace.list("Event").await?;
        let told = events.iter().filter(|event| event["reason"] == "RestartRequested").count();
        ensure!(told > 0, "no Event tells of it");
        Ok(())
    });
}

#[test]
fn a_schedule_is_shown_with_its_next_time_and_a_stopped_app_has_none() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let schedule = json!({"cronRestart": "0 3 * * *", "timeZone": "Europe/Berlin"});
        namespace.apply(&app("shop", &schedule)).await?;
        let shown = reported(&namespace, "shop", "True").await?["status"]["cronRestart"].clone();
        ensure!(shown["schedule"] == "0 3 * * * Europe/Berlin", "{shown}");
        ensure!(shown["last"].is_null(), "nothing was missed before it was set: {shown}");
        let next = shown["next"].as_str().unwrap_or_default().to_owned();
        // At most 20 s after three o'clock, which is one or two in UTC.
        ensure!(next.contains("T02:00:") || next.contains("T01:00:"), "{shown}");
        let stopped = json!({"cronRestart": "0 3 * * *", "timeZone": "Europe/Berlin", "stopped": true});
        namespace.apply(&app("shop", &stopped)).await?;
        let shown = reported(&namespace, "shop", "True").await?["status"]["cronRestart"].clone();
        ensure!(shown["next"].is_null(), "{shown}");
        Ok(())
    });
}

#[test]
fn what_is_no_schedule_is_refused_with_the_way_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        for (schedule, way_out) in [
            ("0 0 3 * * *", "without seconds"),
            ("0", "leave it out"),
            ("every day", "five fields"),
            ("0 3 * *", "five fields"),
        ] {
            let refused = namespace.apply(&app("shop", &json!({"cronRestart": schedule}))).await;
            let told =
                format!("{:#}", refused.err().unwrap_or_else(|| anyhow::anyhow!("{schedule} was taken")));
            ensure!(told.contains(way_out), "{schedule}: {told}");
        }
        // What the schema cannot know is told by the status.
        for (schedule, part) in
            [("0 3 30 2 *", "a day that never comes"), ("61 * * * *", "\"61\""), ("@reboot", "@reboot")]
        {
            namespace.apply(&app("shop", &json!({"cronRestart": schedule}))).await?;
            let told = reported(&namespace, "shop", "False").await?;
            let message = condition(&told, "Valid")["message"].as_str().unwrap_or_default();
            ensure!(message.contains("spec.cronRestart") && message.contains(part), "{schedule}: {message}");
        }
        Ok(())
    });
}
