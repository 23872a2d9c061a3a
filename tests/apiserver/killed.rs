//! The operator killed before each write that something takes besides the making and
//! the changing of a plain app (`interrupted.rs`), and what a new one writes at rest.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::before::end;
use crate::support::{Operator, SOON, Tap, app, settled};

/// More writes than anything here takes.
const MANY: usize = 20;

/// Brings an app into a state, then lets operators die before each of the writes that
/// `change` takes; each time another one has to come to the same end.
pub(crate) async fn killed_before_every_write(
    namespace: &Namespace,
    prepare: impl AsyncFn(&str) -> Result<()>,
    change: impl AsyncFn(&str) -> Result<()>,
    is_done: impl AsyncFn(&str) -> Result<()>,
) -> Result<()> {
    for writes in 0..MANY {
        let name = format!("cut{writes}");
        let tap = Tap::default();
        let operator = Operator::start(namespace, &tap).await?;
        prepare(&name).await?;
        at_rest(namespace, &tap).await?;
        operator.kill().await;

        let tap = Tap::cut_after(writes);
        let operator = Operator::start(namespace, &tap).await?;
        change(&name).await?;
        let done = async || namespace.eventually("it is done", SOON, async || is_done(&name).await).await;
        let was_cut = tokio::select! {
            () = tap.was_cut() => true,
            done = done() => { done?; false }
        };
        operator.kill().await;
        let tap = Tap::default();
        let operator = Operator::start(namespace, &tap).await?;
        done().await.with_context(|| format!("killed after {writes} writes"))?;
        at_rest(namespace, &tap).await?;
        is_done(&name).await.with_context(|| format!("once it rests, killed after {writes} writes"))?;
        operator.kill().await;
        namespace.delete_object("NodeApp", &name).await?;
        if !was_cut {
            ensure!(writes >= 2, "only {writes} writes");
            return Ok(());
        }
    }
    anyhow::bail!("it never came to an end by itself")
}

/// Waits until an operator has written nothing for a while.
pub(crate) async fn at_rest(namespace: &Namespace, tap: &Tap) -> Result<()> {
    let last = Cell::new((tap.writes(), Instant::now()));
    namespace
        .eventually("the operator rests", SOON, async || {
            let (writes, since) = last.get();
            if writes != tap.writes() {
                last.set((tap.writes(), Instant::now()));
            }
            ensure!(writes == tap.writes() && since.elapsed() > Duration::from_secs(1), "it still writes");
            Ok(())
        })
        .await
}

async fn replicas(namespace: &Namespace, name: &str) -> Result<i64> {
    let deployment = namespace.get("Deployment", name).await?;
    deployment["spec"]["replicas"].as_i64().context("no number")
}

/// The status is about the spec as it is.
async fn is_told(namespace: &Namespace, name: &str) -> Result<Value> {
    let app = namespace.get("NodeApp", name).await?;
    let (seen, now) = (&app["status"]["observedGeneration"], &app["metadata"]["generation"]);
    ensure!(seen == now, "{seen} of {now}");
    Ok(app)
}

fn autoscaled(stopped: bool) -> Value {
    let policy = json!({"minInstances": 2, "maxInstances": 6, "cpu": "70%"});
    json!({"instances": null, "autoscaling": policy, "stopped": stopped})
}

#[test]
fn the_number_of_pods_survives_an_operator_that_dies_while_it_hands_it_over() {
    story(Tier::Apiserver, |namespace| async move {
        let plain = json!({"instances": 4});
        for (from, to, autoscalers) in [(&plain, &autoscaled(false), 1), (&autoscaled(false), &plain, 0)] {
            killed_before_every_write(
                &namespace,
                async |name| {
                    namespace.apply(&app(name, &plain)).await?;
                    settled(&namespace, name).await?;
                    namespace.apply(&app(name, from)).await?;
                    settled(&namespace, name).await.map(drop)
                },
                async |name| namespace.apply(&app(name, to)).await.map(drop),
                async |name| {
                    is_told(&namespace, name).await?;
                    let now = replicas(&namespace, name).await?;
                    ensure!(now == 4, "{now}");
                    let found = namespace.list("HorizontalPodAutoscaler").await?.len();
                    ensure!(found == autoscalers, "{found} autoscalers");
                    Ok(())
                },
            )
            .await?;
        }
        Ok(())
    });
}

#[test]
fn an_autoscaled_app_comes_back_to_its_number_though_the_operator_died_while_it_stopped_it() {
    story(Tier::Apiserver, |namespace| async move {
        let prepare = async |name: &str| {
            namespace.apply(&app(name, &json!({"instances": 5}))).await?;
            settled(&namespace, name).await?;
            namespace.apply(&app(name, &autoscaled(false))).await?;
            settled(&namespace, name).await.map(drop)
        };
        killed_before_every_write(
            &namespace,
            prepare,
            async |name| namespace.apply(&app(name, &autoscaled(true))).await.map(drop),
            async |name| {
                is_told(&namespace, name).await?;
                let deployment = namespace.get("Deployment", name).await?;
                ensure!(deployment["spec"]["replicas"] == 0, "{}", deployment["spec"]["replicas"]);
                let before = &deployment["metadata"]["annotations"]["nodeapp.dev/instancesBeforeStop"];
                ensure!(before == "5", "{before}");
                Ok(())
            },
        )
        .await?;
        killed_before_every_write(
            &namespace,
            async |name| {
                prepare(name).await?;
                namespace.apply(&app(name, &autoscaled(true))).await?;
                settled(&namespace, name).await.map(drop)
            },
            async |name| namespace.apply(&app(name, &autoscaled(false))).await.map(drop),
            async |name| {
                is_told(&namespace, name).await?;
                let now = replicas(&namespace, name).await?;
                ensure!(now == 5, "{now}");
                Ok(())
            },
        )
        .await
    });
}

/// The arguments of an app in the template of its Deployment.
pub(crate) async fn args(namespace: &Namespace, name: &str) -> Result<String> {
    let deployment = namespace.get("Deployment", name).await?;
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    let config = annotations["nodeapp.dev/runner-config"].as_str().context("no config")?;
    let config: Value = serde_json::from_str(config)?;
    Ok(config["launch"]["script"]["args"][0].as_str().unwrap_or_default().to_owned())
}

fn with_args(name: &str, args: &str, migrates: bool) -> Value {
    let rollout = if migrates { json!({"before": {"command": ["migrate"]}}) } else { json!(null) };
    app(name, &json!({"args": [args], "rollout": rollout}))
}

/// The pod of the only job of an app.
async fn pod_of_job(namespace: &Namespace, name: &str) -> Result<String> {
    let pods = namespace.list("Pod").await?;
    let label = |pod: &Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"].clone();
    let starts = format!("{name}-");
    let of_it = |pod: &&Value| label(pod).as_str().is_some_and(|job| job.starts_with(&starts));
    let found: Vec<_> = pods.iter().filter(of_it).collect();
    ensure!(found.len() == 1, "{} pods of jobs", found.len());
    Ok(found[0]["metadata"]["name"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn one_job_runs_before_a_rollout_though_the_operator_dies_before_or_after_it() {
    story(Tier::Apiserver, |namespace| async move {
        let prepare = async |name: &str| {
            namespace.apply(&with_args(name, "old", false)).await?;
            settled(&namespace, name).await.map(drop)
        };
        killed_before_every_write(
            &namespace,
            prepare,
            async |name| namespace.apply(&with_args(name, "new", true)).await.map(drop),
            async |name| {
                let app = is_told(&namespace, name).await?;
                let ready = crate::support::condition(&app, "Ready");
                ensure!(ready["reason"] == "BeforeRollout", "{ready}");
                pod_of_job(&namespace, name).await?;
                let now = args(&namespace, name).await?;
                ensure!(now == "old", "{now}");
                Ok(())
            },
        )
        .await?;
        killed_before_every_write(
            &namespace,
            async |name| {
                prepare(name).await?;
                namespace.apply(&with_args(name, "new", true)).await?;
                let pod = async || pod_of_job(&namespace, name).await;
                namespace.eventually("the pod of the job", SOON, pod).await.map(drop)
            },
            async |name| end(&namespace, &pod_of_job(&namespace, name).await?, 0).await,
            async |name| {
                let now = args(&namespace, name).await?;
                ensure!(now == "new", "{now}");
                let revisions = namespace.list("ControllerRevision").await?;
                let marks = revisions.iter().filter(|it| it["metadata"]["labels"]["nodeapp.dev/app"] == name);
                let mark = |it: &Value| it["metadata"]["annotations"]["nodeapp.dev/before-rollout"].clone();
                let marks: Vec<_> = marks.map(mark).filter(|mark| !mark.is_null()).collect();
                ensure!(marks == [json!("done")], "{marks:?}");
                pod_of_job(&namespace, name).await.map(drop)
            },
        )
        .await
    });
}

#[test]
fn a_rollback_by_hand_is_carried_out_though_the_operator_dies_in_it() {
    story(Tier::Apiserver, |namespace| async move {
        let first = async |name: &str| {
            let revisions = namespace.list("ControllerRevision").await?;
            let of_it = revisions
                .iter()
                .find(|it| it["metadata"]["labels"]["nodeapp.dev/app"] == name && it["revision"] == 1);
            Ok::<_, anyhow::Error>(of_it.context("no first revision")?["metadata"]["name"].clone())
        };
        killed_before_every_write(
            &namespace,
            async |name| {
                namespace.apply(&with_args(name, "old", false)).await?;
                settled(&namespace, name).await?;
                namespace.apply(&with_args(name, "new", false)).await?;
                let runs = async || {
                    is_told(&namespace, name).await?;
                    let now = args(&namespace, name).await?;
                    ensure!(now == "new", "{now}");
                    Ok(())
                };
                namespace.eventually("the second", SOON, runs).await
            },
            async |name| {
                let annotation = json!({"nodeapp.dev/rollback-to": first(name).await?});
                let change = json!({"metadata": {"annotations": annotation}});
                namespace.patch("NodeApp", name, &change).await.map(drop)
            },
            async |name| {
                let now = args(&namespace, name).await?;
                ensure!(now == "old", "{now}");
                let status = &namespace.get("NodeApp", name).await?["status"];
                ensure!(status["revision"] == first(name).await?, "{status}");
                Ok(())
            },
        )
        .await
    });
}

#[test]
fn every_pod_has_a_number_of_its_own_though_the_operator_dies_while_it_gives_them() {
    story(Tier::Apiserver, |namespace| async move {
        killed_before_every_write(
            &namespace,
            async |_| Ok(()),
            async |name| {
                let change = json!({"instances": 3, "instanceIndex": true});
                namespace.apply(&app(name, &change)).await.map(drop)
            },
            async |name| {
                is_told(&namespace, name).await?;
                let pods = namespace.list("Pod").await?;
                let of_it = pods.iter().filter(|pod| pod["metadata"]["labels"]["nodeapp.dev/app"] == name);
                let number = |pod: &Value| {
                    pod["metadata"]["labels"]["nodeapp.dev/instance"].as_str().unwrap_or("-").to_owned()
                };
                let numbers: Vec<_> = of_it.map(number).collect();
                let unique: BTreeSet<_> = numbers.iter().map(String::as_str).collect();
                ensure!(numbers.len() == 3 && unique == BTreeSet::from(["0", "1", "2"]), "{numbers:?}");
                Ok(())
            },
        )
        .await
    });
}

#[test]
fn a_new_operator_writes_nothing_whatever_its_apps_make_use_of() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("scaled", &autoscaled(false))).await?;
        namespace.apply(&app("scaled-stopped", &autoscaled(true))).await?;
        namespace.apply(&app("numbered", &json!({"instances": 3, "instanceIndex": true}))).await?;
        namespace.apply(&app("stopped", &json!({"stopped": true}))).await?;
        let job = json!({"port": null, "instances": 1, "autorestart": false, "cronRestart": "@yearly"});
        namespace.apply(&app("job", &job)).await?;
        namespace.apply(&app("restarts", &json!({"cronRestart": "0 3 * * *"}))).await?;
        namespace.apply(&with_args("back", "old", false)).await?;
        namespace.apply(&with_args("waits", "old", false)).await?;
        for name in ["scaled", "scaled-stopped", "numbered", "stopped", "restarts", "back", "waits"] {
            settled(&namespace, name).await?;
        }
        let old = namespace.get("NodeApp", "back").await?["status"]["revision"].clone();
        namespace.apply(&with_args("back", "new", false)).await?;
        namespace.apply(&with_args("waits", "new", true)).await?;
        at_rest(&namespace, &tap).await?;
        let change = json!({"metadata": {"annotations": {"nodeapp.dev/rollback-to": old}}});
        namespace.patch("NodeApp", "back", &change).await?;
        let detoured = async || {
            ensure!(args(&namespace, "back").await? == "old", "not rolled back");
            pod_of_job(&namespace, "waits").await.map(drop)
        };
        namespace.eventually("one is rolled back, and one waits for its job", SOON, detoured).await?;
        at_rest(&namespace, &tap).await?;
        operator.kill().await;
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        let listed = async || {
            ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
            Ok(())
        };
        namespace.eventually("the new one has listed everything", SOON, listed).await?;
        let rests = async || {
            ensure!(tap.writes() == 0, "{:?}", tap.bodies());
            Ok(())
        };
        namespace.throughout("it writes nothing", Duration::from_secs(5), rests).await
    });
}
