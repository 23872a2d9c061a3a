//! A number of instances that follows the load, by the real controller of
//! autoscalers. Here are no figures for it to go by: it keeps the number within
//! the limits, and that is enough to see who decides it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::before::{end, job};
use crate::support::{Operator, SOON, Tap, app, condition, reported, settled, told};

/// Longer than the period of the controller of autoscalers in the local cluster.
const SYNCED: Duration = Duration::from_secs(8);

fn autoscaled(least: i32, most: i32) -> Value {
    json!({"instances": null, "autoscaling": {"minInstances": least, "maxInstances": most, "cpu": "70%"}})
}

async fn replicas(namespace: &Namespace) -> Result<i64> {
    let deployment = namespace.get("Deployment", "shop").await?;
    deployment["spec"]["replicas"].as_i64().context("no number")
}

async fn becomes(namespace: &Namespace, wanted: i64) -> Result<()> {
    namespace
        .eventually(&format!("{wanted} replicas"), SOON, async || {
            let now = replicas(namespace).await?;
            ensure!(now == wanted, "{now}");
            Ok(())
        })
        .await
}

/// Scales by `/scale`, as kubectl and the controller of autoscalers do.
async fn scale(namespace: &Namespace, by: &str, replicas: i32) -> Result<()> {
    let params = PatchParams { field_manager: Some(by.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    namespace.api::<Deployment>().patch_scale("shop", &params, &patch).await?;
    Ok(())
}

/// Every number that the Deployment is given from now on, none left out.
fn numbers(namespace: &Namespace) -> mpsc::UnboundedReceiver<i32> {
    use futures::StreamExt as _;
    use kube::runtime::{WatchStreamExt as _, watcher};
    let (sender, receiver) = mpsc::unbounded_channel();
    let changes = watcher(namespace.api::<Deployment>(), watcher::Config::default()).applied_objects();
    tokio::spawn(async move {
        let mut changes = Box::pin(changes);
        while let Some(change) = changes.next().await {
            let number = change.ok().and_then(|deployment| deployment.spec?.replicas);
            if number.is_some_and(|number| sender.send(number).is_err()) {
                return;
            }
        }
    });
    receiver
}

fn seen(numbers: &mut mpsc::UnboundedReceiver<i32>) -> Vec<i32> {
    let mut seen = Vec::new();
    while let Ok(number) = numbers.try_recv() {
        if seen.last() != Some(&number) {
            seen.push(number);
        }
    }
    seen
}

#[test]
fn the_number_changes_hands_without_a_dip_in_either_direction() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"instances": 4}))).await?;
        settled(&namespace, "shop").await?;
        let mut numbers = numbers(&namespace);
        // The Deployment stands as an earlier version left it: its number is a field of the one apply.
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        settled(&namespace, "shop").await?;
        namespace.get("HorizontalPodAutoscaler", "shop").await?;
        let stays = async || {
            let now = replicas(&namespace).await?;
            ensure!(now == 4, "{now}");
            Ok(())
        };
        namespace.throughout("the number stays as it was", SYNCED, stays).await?;
        // What the autoscaler decides is left alone.
        scale(&namespace, "kube-controller-manager", 5).await?;
        let decided = async || {
            let now = replicas(&namespace).await?;
            ensure!(now == 5, "{now}");
            Ok(())
        };
        namespace.throughout("the autoscaler's number stays", Duration::from_secs(3), decided).await?;
        // Back, and the number of the spec counts again.
        namespace.apply(&app("shop", &json!({"instances": 3}))).await?;
        becomes(&namespace, 3).await?;
        settled(&namespace, "shop").await?;
        ensure!(namespace.list("HorizontalPodAutoscaler").await?.is_empty(), "the autoscaler stayed");
        let steady = async || {
            let now = replicas(&namespace).await?;
            ensure!(now == 3, "{now}");
            Ok(())
        };
        namespace.throughout("the spec's number stays", SYNCED, steady).await?;
        let all = seen(&mut numbers);
        ensure!(all == [4, 5, 3], "{all:?}");
        Ok(())
    });
}

#[test]
fn an_autoscaler_keeps_the_number_within_its_limits_and_the_operator_lets_it() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        let mut numbers = numbers(&namespace);
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        settled(&namespace, "shop").await?;
        becomes(&namespace, 2).await?;
        // Only the autoscaler's controller acts upon limits.
        namespace.apply(&app("shop", &autoscaled(5, 6))).await?;
        becomes(&namespace, 5).await?;
        namespace.apply(&app("shop", &autoscaled(1, 3))).await?;
        becomes(&namespace, 3).await?;
        let all = seen(&mut numbers);
        ensure!(all == [2, 5, 3], "{all:?}");
        // At rest, neither it nor its controller's reports cost a write.
        settled(&namespace, "shop").await?;
        let app = namespace.get("NodeApp", "shop").await?;
        ensure!(app["status"]["desiredReplicas"] == 3, "{}", app["status"]);
        let writes = tap.writes();
        let rest = async || {
            ensure!(tap.writes() == writes, "{:?}", tap.calls());
            Ok(())
        };
        let before = namespace.get("HorizontalPodAutoscaler", "shop").await?;
        namespace.throughout("nothing is written", Duration::from_secs(8), rest).await?;
        let after = namespace.get("HorizontalPodAutoscaler", "shop").await?;
        ensure!(before["spec"] == after["spec"], "{}", after["spec"]);
        let events = namespace.list("Event").await?;
        let blamed = events.iter().find(|event| event["reason"] == "Reverted");
        ensure!(blamed.is_none(), "{blamed:?}");
        Ok(())
    });
}

#[test]
fn a_stopped_app_comes_back_to_the_number_that_the_autoscaler_had_chosen() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        settled(&namespace, "shop").await?;
        scale(&namespace, "kube-controller-manager", 5).await?;
        let mut numbers = numbers(&namespace);
        let mut stopped = autoscaled(2, 6);
        stopped["stopped"] = json!(true);
        namespace.apply(&app("shop", &stopped)).await?;
        becomes(&namespace, 0).await?;
        namespace.get("HorizontalPodAutoscaler", "shop").await?;
        let rests = async || {
            let now = replicas(&namespace).await?;
            ensure!(now == 0, "{now}");
            Ok(())
        };
        namespace.throughout("the autoscaler leaves a stopped app alone", SYNCED, rests).await?;
        // What it comes back to outlives the operator.
        operator.kill().await;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        becomes(&namespace, 5).await?;
        settled(&namespace, "shop").await?;
        let deployment = namespace.get("Deployment", "shop").await?;
        ensure!(
            deployment["metadata"]["annotations"]["nodeapp.dev/instancesBeforeStop"].is_null(),
            "{deployment}"
        );
        let all = seen(&mut numbers);
        ensure!(all == [5, 0, 5], "{all:?}");
        Ok(())
    });
}

#[test]
fn a_stopped_app_with_a_new_revision_that_waits_for_its_job_comes_back_to_its_number() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        settled(&namespace, "shop").await?;
        scale(&namespace, "kube-controller-manager", 5).await?;
        let mut changed = autoscaled(2, 6);
        changed["stopped"] = json!(true);
        namespace.apply(&app("shop", &changed)).await?;
        becomes(&namespace, 0).await?;
        changed["rollout"] = json!({"before": {"command": ["migrate"]}});
        changed["args"] = json!(["new"]);
        namespace.apply(&app("shop", &changed)).await?;
        reported(&namespace, "shop", "True").await?;
        changed["stopped"] = json!(false);
        namespace.apply(&app("shop", &changed)).await?;
        let (_, pod) = job(&namespace).await?;
        ensure!(replicas(&namespace).await? == 0, "instances before the job");
        end(&namespace, &pod, 0).await?;
        becomes(&namespace, 5).await
    });
}

#[test]
fn a_stopped_app_that_is_new_starts_nothing_and_its_deployment_comes_back_as_large_as_it_was() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let mut numbers = numbers(&namespace);
        let mut stopped = autoscaled(2, 6);
        stopped["stopped"] = json!(true);
        namespace.apply(&app("shop", &stopped)).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        becomes(&namespace, 2).await?;
        scale(&namespace, "kube-controller-manager", 4).await?;
        namespace
            .eventually("the status knows of four", SOON, async || {
                let app = namespace.get("NodeApp", "shop").await?;
                ensure!(app["status"]["desiredReplicas"] == 4, "{}", app["status"]);
                Ok(())
            })
            .await?;
        namespace.delete_object("Deployment", "shop").await?;
        settled(&namespace, "shop").await?;
        becomes(&namespace, 4).await?;
        let all = seen(&mut numbers);
        ensure!(all == [0, 2, 4], "{all:?}");
        Ok(())
    });
}

#[test]
fn a_deployment_scaled_by_hand_is_put_right_and_told_with_who_it_was() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        scale(&namespace, "kubectl", 7).await?;
        told(&namespace, "Reverted", "the Deployment shop, changed by kubectl").await?;
        becomes(&namespace, 2).await?;
        // An autoscaler would leave a Deployment of none alone for ever.
        namespace.apply(&app("shop", &autoscaled(3, 6))).await?;
        settled(&namespace, "shop").await?;
        becomes(&namespace, 3).await?;
        scale(&namespace, "kubectl", 0).await?;
        told(&namespace, "Reverted", "changed by someone who scaled it to 0").await?;
        becomes(&namespace, 3).await
    });
}

#[test]
fn scaling_the_app_itself_is_refused_while_it_is_autoscaled() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &autoscaled(2, 6))).await?;
        settled(&namespace, "shop").await?;
        let apps = namespace.api::<nodeapp_operator::crd::NodeApp>();
        let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
        let refused = apps.patch_scale("shop", &PatchParams::default(), &patch).await;
        let told = refused.map(drop).unwrap_err().to_string();
        ensure!(told.contains("leave instances out"), "{told}");
        ensure!(told.contains("autoscaling.minInstances"), "{told}");
        Ok(())
    });
}

/// An autoscaler of someone else.
fn foreign(target: (&str, &str), least: i32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "of-a-user"},
        "spec": {
            "scaleTargetRef": {"apiVersion": target.0, "kind": target.1, "name": "shop"},
            "minReplicas": least,
            "maxReplicas": 6,
            "metrics": [{
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            }],
        },
    })
}

#[test]
fn an_autoscaler_of_the_users_own_scales_the_node_app() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&foreign(("nodeapp.dev/v1alpha1", "NodeApp"), 4)).await?;
        becomes(&namespace, 4).await?;
        let app = reported(&namespace, "shop", "True").await?;
        ensure!(app["spec"]["instances"] == 4, "{}", app["spec"]);
        ensure!(condition(&app, "Degraded")["reason"] != "ForeignAutoscaler", "{}", app["status"]);
        Ok(())
    });
}

#[test]
fn an_autoscaler_of_someone_else_on_the_deployment_is_told_with_the_way_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&foreign(("apps/v1", "Deployment"), 4)).await?;
        let degraded = |status: &'static str| {
            let namespace = namespace.clone();
            async move {
                namespace
                    .eventually(&format!("Degraded is {status}"), SOON, async || {
                        let app = namespace.get("NodeApp", "shop").await?;
                        let degraded = condition(&app, "Degraded").clone();
                        ensure!(degraded["status"] == status, "{degraded}");
                        Ok(degraded)
                    })
                    .await
            }
        };
        let condition = degraded("True").await?;
        ensure!(condition["reason"] == "ForeignAutoscaler", "{condition}");
        let message = condition["message"].as_str().unwrap_or_default();
        for words in ["HorizontalPodAutoscaler of-a-user", "kind: NodeApp", "spec.autoscaling"] {
            ensure!(message.contains(words), "`{words}` is not in: {message}");
        }
        told(&namespace, "ForeignAutoscaler", "of-a-user").await?;
        // It does what it is there for, and what came of it is told too.
        told(&namespace, "Reverted", "changed by a HorizontalPodAutoscaler").await?;
        becomes(&namespace, 2).await?;
        namespace.delete_object("HorizontalPodAutoscaler", "of-a-user").await?;
        degraded("False").await.map(drop)
    });
}

#[test]
fn an_autoscaler_that_has_had_no_figures_for_long_is_told_in_its_own_words() {
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &autoscaled(2, 3))).await?;
        let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
        // There is no metrics-server here. Its controller keeps the time of what has not changed, so
        // that nobody has to wait for the minutes that the operator waits.
        let since = json!("2026-01-01T00:00:00Z");
        let degraded = async || {
            let autoscaler = namespace.get("HorizontalPodAutoscaler", "shop").await?;
            let mut conditions = autoscaler["status"]["conditions"].clone();
            let mut all = conditions.as_array_mut().into_iter().flatten();
            let active = all.find(|it| it["type"] == "ScalingActive").context("not looked at")?;
            ensure!(active["status"] == "False", "{active}");
            let reason = active["reason"].as_str().unwrap_or_default().to_owned();
            if active["lastTransitionTime"] != since {
                active["lastTransitionTime"] = since.clone();
                let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
                autoscalers.patch_status("shop", &PatchParams::default(), &patch).await?;
            }
            let app = namespace.get("NodeApp", "shop").await?;
            let degraded = condition(&app, "Degraded");
            ensure!(degraded["reason"] == "AutoscalerInactive" && degraded["status"] == "True", "{degraded}");
            let message = degraded["message"].as_str().unwrap_or_default();
            for words in [reason.as_str(), "HorizontalPodAutoscaler shop does not scale", "metrics-server"] {
                ensure!(message.contains(words), "`{words}` is not in: {message}");
            }
            Ok(())
        };
        namespace.eventually("the inactive autoscaler is told", SOON, degraded).await?;
        ensure!(replicas(&namespace).await? == 2, "the number stays as it is");
        told(&namespace, "AutoscalerInactive", "does not scale").await.map(drop)
    });
}

#[test]
fn bad_combinations_are_refused_by_the_schema_or_told_by_the_operator() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        for (autoscaling, words) in [
            (json!({"maxInstances": 3}), "set cpu, memory or both"),
            (json!({"minInstances": 4, "maxInstances": 3, "cpu": "70%"}), "must not be above"),
            (json!({"minInstances": 0, "maxInstances": 3, "cpu": "70%"}), "minInstances"),
            (json!({"cpu": "70%"}), "maxInstances"),
            (json!({"maxInstances": 3, "cpu": "0%"}), "must be a percentage"),
            (json!({"maxInstances": 3, "memory": 80}), "percent or bytes"),
            (
                json!({"maxInstances": 3, "cpu": "70%", "behavior": {"scaleUp": {"selectPolicy": "Most"}}}),
                "selectPolicy",
            ),
        ] {
            let spec = json!({"instances": null, "autoscaling": autoscaling});
            let refused = namespace.apply(&app("shop", &spec)).await;
            let told = format!("{:#}", refused.map(drop).unwrap_err());
            ensure!(told.contains(words), "{autoscaling}: `{words}` is not in: {told}");
        }
        let mut spec = autoscaled(1, 3);
        spec["autoscaling"]["memory"] = json!("300M");
        spec["maxMemoryRestart"] = json!("200M");
        namespace.apply(&app("shop", &spec)).await?;
        let app = reported(&namespace, "shop", "False").await?;
        let message = condition(&app, "Valid")["message"].as_str().unwrap_or_default();
        ensure!(message.contains("300M is not below spec.maxMemoryRestart (200M)"), "{message}");
        Ok(())
    });
}
