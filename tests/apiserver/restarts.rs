//! Restarts that no change of the spec asks for, and jobs.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use nodeapp_operator::crd::NodeApp;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, reported, settled, told};

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

/// Makes the pods ready, as their kubelet would.
pub(crate) async fn run_pods(namespace: &Namespace) -> Result<()> {
    let pods = namespace.api::<Pod>();
    let status = json!({
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
        "containerStatuses": [
            {"name": "app", "image": "a", "imageID": "a", "ready": true, "restartCount": 0, "state": {"running": {}}},
        ],
    });
    let patch = Patch::Merge(json!({"status": status}));
    namespace
        .eventually("every pod is ready, and the app", SOON, async || {
            for pod in pods.list(&ListParams::default()).await?.items {
                let name = pod.metadata.name.unwrap_or_default();
                pods.patch_status(&name, &PatchParams::default(), &patch).await?;
            }
            let app = namespace.get("NodeApp", "shop").await?;
            ensure!(condition(&app, "Ready")["status"] == "True", "{}", app["status"]);
            Ok(())
        })
        .await
}

/// Makes a time of the schedule be this long ago, as for an operator that was away.
async fn missed(namespace: &Namespace, ago: SignedDuration) -> Result<()> {
    let next = (Timestamp::now() - ago).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = Patch::Merge(json!({"status": {"cronRestart": {"next": next}}}));
    namespace.api::<NodeApp>().patch_status("shop", &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn stamp(namespace: &Namespace) -> Result<Value> {
    let deployment = namespace.get("Deployment", "shop").await?;
    Ok(deployment["spec"]["template"]["metadata"]["annotations"]["nodeapp.dev/scheduledRestart"].clone())
}

#[test]
fn an_operator_that_was_away_makes_up_for_one_time_and_leaves_out_one_in_a_rollout() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"instances": 1, "cronRestart": "0 3 * * *"}))).await?;
        run_pods(&namespace).await?;
        operator.kill().await;
        missed(&namespace, SignedDuration::from_hours(72)).await?;

        let operator = Operator::start(&namespace, &Tap::default()).await?;
        told(&namespace, "ScheduledRestart", "0 3 * * *").await?;
        let made_up_for = stamp(&namespace).await?;
        ensure!(made_up_for.is_string(), "the pod template says nothing of it");
        let shown = async || {
            let shown = namespace.get("NodeApp", "shop").await?["status"]["cronRestart"].clone();
            ensure!(shown["last"] == made_up_for, "{shown}, {made_up_for}");
            ensure!(shown["next"].as_str() > made_up_for.as_str(), "{shown}");
            Ok(())
        };
        namespace.eventually("the status tells it", SOON, shown).await?;
        operator.kill().await;

        // The new pod is not ready yet.
        missed(&namespace, SignedDuration::from_secs(5)).await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        told(&namespace, "ScheduledRestartSkipped", "being replaced already").await?;
        ensure!(stamp(&namespace).await? == made_up_for, "restarted in the middle of a rollout");
        let sets = namespace.list("ReplicaSet").await?.len();
        ensure!(sets == 2, "{sets} ReplicaSets: one per template");
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
