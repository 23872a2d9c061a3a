//! What comes before a rollout, and the way back by hand.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, reported, settled};

/// An app with a job before its rollouts.
pub(crate) fn migrating(args: &str, instances: i32) -> Value {
    let before = json!({"command": ["migrate"], "timeout": "10m"});
    app("shop", &json!({"args": [args], "instances": instances, "rollout": {"before": before}}))
}

/// Waits until a condition says this, and gives its message.
async fn says(namespace: &Namespace, type_: &str, reason: &str) -> Result<String> {
    namespace
        .eventually(&format!("{type_} says {reason}"), SOON, async || {
            let app = namespace.get("NodeApp", "shop").await?;
            let condition = condition(&app, type_);
            ensure!(condition["reason"] == reason, "{}", app["status"]);
            ensure!(condition["observedGeneration"] == app["metadata"]["generation"], "{condition}");
            Ok(condition["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
}

/// The only job, once it has a pod.
pub(crate) async fn job(namespace: &Namespace) -> Result<(Value, String)> {
    namespace
        .eventually("one job with a pod", SOON, async || {
            let jobs = namespace.list("Job").await?;
            ensure!(jobs.len() == 1, "{} jobs", jobs.len());
            let uid = jobs[0]["metadata"]["uid"].as_str().context("no uid")?;
            let of_it = ListParams::default().labels(&format!("batch.kubernetes.io/controller-uid={uid}"));
            let pods = namespace.api::<Pod>().list(&of_it).await?.items;
            let pod = pods.first().and_then(|pod| pod.metadata.name.clone()).context("no pod yet")?;
            Ok((jobs[0].clone(), pod))
        })
        .await
}

/// Ends the pod of a job, as its kubelet would.
pub(crate) async fn end(namespace: &Namespace, pod: &str, exit_code: i32) -> Result<()> {
    let phase = if exit_code == 0 { "Succeeded" } else { "Failed" };
    let container = json!({
        "name": "before-rollout", "image": "a", "imageID": "a", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": exit_code}},
    });
    let status = json!({"status": {"phase": phase, "containerStatuses": [container]}});
    namespace.api::<Pod>().patch_status(pod, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// Arguments of the app in the Deployment's template.
pub(crate) async fn args(namespace: &Namespace) -> Result<(String, Value)> {
    let deployment = namespace.get("Deployment", "shop").await?;
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    let config: Value =
        serde_json::from_str(annotations["nodeapp.dev/runner-config"].as_str().context("no config")?)?;
    let args = config["launch"]["script"]["args"][0].as_str().unwrap_or_default().to_owned();
    Ok((args, deployment["spec"]["replicas"].clone()))
}

#[test]
fn a_failed_job_stops_the_rollout_survives_the_operator_and_is_tried_again_when_deleted() {
    story(Tier::Apiserver, |namespace| async move {
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"args": ["old"]}))).await?;
        settled(&namespace, "shop").await?;

        namespace.apply(&migrating("new", 2)).await?;
        says(&namespace, "Progressing", "BeforeRollout").await?;
        let (first, pod) = job(&namespace).await?;
        ensure!(args(&namespace).await? == ("old".to_owned(), json!(2)), "new pods before the job");
        namespace.apply(&migrating("new", 3)).await?;
        namespace
            .eventually("the old ones are scaled meanwhile", SOON, async || {
                let now = args(&namespace).await?;
                ensure!(now == ("old".to_owned(), json!(3)), "{now:?}");
                Ok(())
            })
            .await?;

        end(&namespace, &pod, 3).await?;
        let told = says(&namespace, "Degraded", "BeforeRolloutFailed").await?;
        ensure!(told.contains("exit code 3"), "{told}");
        operator.kill().await;
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace
            .throughout("a new operator does not try again", Duration::from_secs(4), async || {
                ensure!(
                    job(&namespace).await?.0["metadata"]["uid"] == first["metadata"]["uid"],
                    "another job"
                );
                ensure!(tap.writes() == 0, "{:?}", tap.calls());
                Ok(())
            })
            .await?;

        let name = first["metadata"]["name"].as_str().context("no name")?;
        namespace.delete_object("Job", name).await?;
        let (second, pod) = namespace
            .eventually("another try", SOON, async || {
                let (job, pod) = job(&namespace).await?;
                ensure!(job["metadata"]["uid"] != first["metadata"]["uid"], "the same job");
                Ok((job, pod))
            })
            .await?;
        ensure!(second["metadata"]["name"] == name, "{}", second["metadata"]);
        end(&namespace, &pod, 0).await?;
        namespace
            .eventually("the new template", SOON, async || {
                let now = args(&namespace).await?;
                ensure!(now == ("new".to_owned(), json!(3)), "{now:?}");
                Ok(())
            })
            .await
    });
}

#[test]
fn an_app_is_born_without_pods_until_its_job_has_succeeded() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&migrating("new", 2)).await?;
        let (_, pod) = job(&namespace).await?;
        ensure!(args(&namespace).await?.1 == 0, "pods before the job");
        let app = namespace.get("NodeApp", "shop").await?;
        ensure!(condition(&app, "Available")["status"] == "False", "{}", app["status"]);
        end(&namespace, &pod, 0).await?;
        namespace
            .eventually("two instances", SOON, async || {
                let now = args(&namespace).await?;
                ensure!(now == ("new".to_owned(), json!(2)), "{now:?}");
                Ok(())
            })
            .await
    });
}

#[test]
fn an_annotation_brings_an_earlier_revision_back_until_the_spec_changes() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let mut first = app("shop", &json!({"args": ["1"]}));
        first["metadata"]["annotations"] = json!({"kubernetes.io/change-cause": "release 1"});
        namespace.apply(&first).await?;
        settled(&namespace, "shop").await?;
        let revisions = namespace.list("ControllerRevision").await?;
        let name = revisions[0]["metadata"]["name"].as_str().context("no name")?.to_owned();
        ensure!(
            revisions[0]["metadata"]["annotations"]["kubernetes.io/change-cause"] == "release 1",
            "no cause"
        );
        let before = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        namespace.apply(&app("shop", &json!({"args": ["2"]}))).await?;
        reported(&namespace, "shop", "True").await?;

        let annotate = async |value: Value| {
            let change = json!({"metadata": {"annotations": {"nodeapp.dev/rollback-to": value}}});
            namespace.patch("NodeApp", "shop", &change).await
        };
        annotate(json!("shop-nonsense")).await?;
        let told = says(&namespace, "Degraded", "UnknownRevision").await?;
        ensure!(told.contains("shop-nonsense") && told.contains(&name), "{told}");
        annotate(json!(name)).await?;
        says(&namespace, "Ready", "RolledBackByHand").await?;
        let back = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        ensure!(back == before, "not what ran then: {back}");

        namespace.apply(&app("shop", &json!({"args": ["3"]}))).await?;
        namespace
            .eventually("a later change is not blocked", SOON, async || {
                let (now, _) = args(&namespace).await?;
                ensure!(now == "3", "{now}");
                Ok(())
            })
            .await
    });
}

#[test]
fn a_change_that_comes_while_a_job_waits_replaces_the_job_and_nothing_is_said_to_be_missing() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"args": ["old"]}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&migrating("new", 2)).await?;
        let (first, _) = job(&namespace).await?;
        namespace.apply(&migrating("newer", 2)).await?;
        // Its pod may have started a moment ago for all that is known, so it is waited for.
        let told = says(&namespace, "Progressing", "BeforeRollout").await?;
        ensure!(told.contains("waits for the end of the Job"), "{told}");
        namespace
            .eventually("the other job, once it is clear that the first has not started", SOON, async || {
                let (now, _) = job(&namespace).await?;
                ensure!(now["metadata"]["uid"] != first["metadata"]["uid"], "the first one");
                Ok(())
            })
            .await?;
        let events = namespace.list("Event").await?;
        let blamed = events.iter().find(|event| event["reason"] == "Recreated");
        ensure!(blamed.is_none(), "{blamed:?}");
        Ok(())
    });
}

#[test]
fn instances_that_someone_deletes_while_a_failed_job_holds_a_rollout_up_come_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"args": ["old"]}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&migrating("new", 2)).await?;
        let (_, pod) = job(&namespace).await?;
        end(&namespace, &pod, 3).await?;
        says(&namespace, "Degraded", "BeforeRolloutFailed").await?;
        let deployment = namespace.get("Deployment", "shop").await?;
        namespace.delete_object("Deployment", "shop").await?;
        let back = async || {
            let now = namespace.get("Deployment", "shop").await?;
            ensure!(now["metadata"]["uid"] != deployment["metadata"]["uid"], "not deleted yet");
            let now = args(&namespace).await?;
            ensure!(now == ("old".to_owned(), json!(2)), "{now:?}");
            Ok(())
        };
        namespace.eventually("the old instances are back", SOON, back).await?;
        namespace.patch("Deployment", "shop", &json!({"spec": {"replicas": 0}})).await?;
        namespace.eventually("and back again", SOON, back).await
    });
}

#[test]
fn an_app_that_was_a_job_waits_for_what_comes_before_its_first_rollout() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let scheduled = json!({"port": null, "instances": 1, "autorestart": false, "cronRestart": "@daily"});
        namespace.apply(&app("shop", &scheduled)).await?;
        reported(&namespace, "shop", "True").await?;
        namespace.apply(&migrating("new", 2)).await?;
        says(&namespace, "Ready", "BeforeRollout").await?;
        let app = reported(&namespace, "shop", "True").await?;
        ensure!(app["status"]["revision"].is_null(), "{}", app["status"]);
        let (_, pod) = job(&namespace).await?;
        end(&namespace, &pod, 0).await?;
        namespace
            .eventually("two instances", SOON, async || {
                let now = args(&namespace).await?;
                ensure!(now == ("new".to_owned(), json!(2)), "{now:?}");
                Ok(())
            })
            .await
    });
}
