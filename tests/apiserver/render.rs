//! What is rendered without a cluster is what the operator has written.

use anyhow::{Context as _, Result, ensure};
use nodeapp_operator::controller::desired::Settings;
use nodeapp_operator::controller::render::{Snapshot, render};
use nodeapp_operator::crd::NodeApp;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{KINDS, Operator, SOON, Tap, app, condition, reported, settings, settled};
use crate::{before, redis};

const RUNNER: &str = "registry.example/nodeapp-runner:1";

/// What is in a snapshot beside them.
const OTHERS: [&str; 8] = [
    "NodeApp",
    "ConfigMap",
    "CronJob",
    "HorizontalPodAutoscaler",
    "Job",
    "PersistentVolumeClaim",
    "Pod",
    "StatefulSet",
];

/// What the cluster has, as `kubectl get` tells it.
async fn snapshot(namespace: &Namespace) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for kind in KINDS.iter().chain(&OTHERS) {
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
    render(&app, snapshot, &Settings { runner_image: runner.to_owned(), ..settings() })
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

/// Waits until everything that is rendered for an app is, to the byte, what the operator has written last; the kinds.
async fn byte_equal(namespace: &Namespace, tap: &Tap, wanted: &Value) -> Result<Vec<String>> {
    let mut wanted = wanted.clone();
    wanted["metadata"]["namespace"] = json!(namespace.name());
    let equal = async || {
        let children = rendered(&wanted, &snapshot(namespace).await?, RUNNER)?;
        let bodies = tap.bodies();
        let mut kinds = Vec::new();
        for child in children {
            let (kind, name) = (text(&child["kind"])?, text(&child["metadata"]["name"])?);
            let written = as_written(&bodies, &kind, &name).with_context(|| format!("{kind} {name}"))?;
            let rendered = child.to_string();
            ensure!(rendered == written, "{kind}:\nrendered {rendered}\nwritten  {written}");
            kinds.push(kind);
        }
        Ok(kinds)
    };
    namespace.eventually("what is rendered has been written", SOON, equal).await
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).context("no text")
}

/// The pod template's annotation of the last change in what the app refers to, in the last write of the Deployment.
fn mark(tap: &Tap) -> Option<String> {
    let bodies = tap.bodies();
    let deployment = bodies.iter().rev().find(|body| body["kind"] == "Deployment")?;
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    annotations["nodeapp.dev/config-hash"].as_str().map(str::to_owned)
}

#[test]
fn what_an_app_refers_to_is_rendered_as_the_operator_sees_it_new_and_changed() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start_with(&namespace, &tap, RUNNER).await?;
        let map = |level: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "common"}, "data": {"LEVEL": level}});
        namespace.apply(&map("info")).await?;
        let wanted = app("shop", &json!({"envFrom": [{"configMapRef": {"name": "common"}}]}));
        namespace.apply(&wanted).await?;
        settled(&namespace, "shop").await?;
        byte_equal(&namespace, &tap, &wanted).await?;
        ensure!(mark(&tap).is_none(), "nothing has changed yet");
        namespace.apply(&map("debug")).await?;
        let changed = async || mark(&tap).context("the change has not been written");
        namespace.eventually("the operator rolls to the change", SOON, changed).await?;
        byte_equal(&namespace, &tap, &wanted).await.map(drop)
    });
}

#[test]
fn jobs_and_apps_that_scale_by_themselves_are_rendered_as_they_are_written() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start_with(&namespace, &tap, RUNNER).await?;
        let schedule =
            json!({"port": null, "instances": null, "autorestart": false, "cronRestart": "0 6 * * *"});
        let nightly = app("nightly", &schedule);
        namespace.apply(&nightly).await?;
        reported(&namespace, "nightly", "True").await?;
        let kinds = byte_equal(&namespace, &tap, &nightly).await?;
        ensure!(kinds == ["ServiceAccount", "ControllerRevision", "CronJob"], "{kinds:?}");
        let numbers = json!({"minInstances": 2, "maxInstances": 5, "cpu": "70%"});
        let elastic = app("elastic", &json!({"instances": null, "autoscaling": numbers}));
        namespace.apply(&elastic).await?;
        settled(&namespace, "elastic").await?;
        let kinds = byte_equal(&namespace, &tap, &elastic).await?;
        ensure!(kinds.last().is_some_and(|kind| kind == "HorizontalPodAutoscaler"), "{kinds:?}");
        Ok(())
    });
}

#[test]
fn a_shared_redis_that_answers_is_rendered_as_it_is_written_and_without_another_password() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start_with(&namespace, &tap, RUNNER).await?;
        let of_size = |size: &str| redis::sharing(&json!({"storage": {"size": size}}));
        namespace.apply(&of_size("2Gi")).await?;
        redis::answers(&namespace).await?;
        let kinds = byte_equal(&namespace, &tap, &of_size("2Gi")).await?;
        ensure!(kinds.iter().filter(|kind| *kind == "Service").count() == 2, "{kinds:?}");
        for kind in ["PersistentVolumeClaim", "StatefulSet"] {
            ensure!(kinds.iter().any(|other| other == kind), "no {kind} in {kinds:?}");
        }
        ensure!(!kinds.iter().any(|kind| kind == "Secret"), "it has a password: {kinds:?}");
        namespace.apply(&of_size("1Gi")).await?;
        let app = reported(&namespace, "shop", "False").await?;
        let told = rendered(&app, &snapshot(&namespace).await?, RUNNER).err().context("it is refused")?;
        let problem = condition(&app, "Valid")["message"].as_str().context("a message")?;
        let words = "cannot be changed before it has a volume";
        ensure!(told.to_string().contains(words) && problem.contains(words), "{told}\n{problem}");
        Ok(())
    });
}

#[test]
fn the_job_before_a_rollout_and_what_comes_after_it_are_rendered_as_they_are_written() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start_with(&namespace, &tap, RUNNER).await?;
        namespace.apply(&app("shop", &json!({"args": ["old"]}))).await?;
        settled(&namespace, "shop").await?;
        let mut wanted = before::migrating("new", 2);
        wanted["metadata"]["namespace"] = json!(namespace.name());
        // A job is made once, and then it is there: it is in what is rendered before.
        let children = rendered(&wanted, &snapshot(&namespace).await?, RUNNER)?;
        let job = children.iter().find(|child| child["kind"] == "Job").context("no job")?;
        namespace.apply(&wanted).await?;
        let (_, pod) = before::job(&namespace).await?;
        let written = as_written(&tap.bodies(), "Job", &text(&job["metadata"]["name"])?);
        ensure!(written.as_ref() == Some(&job.to_string()), "rendered {job}\nwritten {written:?}");
        byte_equal(&namespace, &tap, &wanted).await?;
        before::end(&namespace, &pod, 0).await?;
        let rolled = async || {
            let (args, _) = before::args(&namespace).await?;
            ensure!(args == "new", "{args}");
            Ok(())
        };
        namespace.eventually("the template after the job", SOON, rolled).await?;
        byte_equal(&namespace, &tap, &wanted).await.map(drop)
    });
}

#[test]
fn a_rollback_and_a_pause_by_hand_are_rendered_though_the_file_knows_nothing_of_them() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start_with(&namespace, &tap, RUNNER).await?;
        namespace.apply(&app("shop", &json!({"args": ["one"]}))).await?;
        settled(&namespace, "shop").await?;
        let first = text(&namespace.list("ControllerRevision").await?[0]["metadata"]["name"])?;
        let wanted = app("shop", &json!({"args": ["two"]}));
        namespace.apply(&wanted).await?;
        let rolled = async || {
            let args = &namespace.get("Deployment", "shop").await?["spec"]["template"].to_string();
            ensure!(args.contains("two"), "{args}");
            Ok(())
        };
        namespace.eventually("the second revision", SOON, rolled).await?;
        let annotate = |name: &str, value: &str| json!({"metadata": {"annotations": {name: value}}});
        namespace.patch("NodeApp", "shop", &annotate("nodeapp.dev/rollback-to", &first)).await?;
        let back = async || {
            let args = namespace.get("Deployment", "shop").await?["spec"]["template"].to_string();
            ensure!(args.contains("one"), "{args}");
            Ok(())
        };
        namespace.eventually("the first revision again", SOON, back).await?;
        byte_equal(&namespace, &tap, &wanted).await?;
        namespace.patch("NodeApp", "shop", &annotate("nodeapp.dev/paused", "true")).await?;
        let kinds = byte_equal(&namespace, &tap, &wanted).await?;
        ensure!(kinds.is_empty(), "the operator leaves a paused app alone: {kinds:?}");
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
