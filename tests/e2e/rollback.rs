//! Rollouts that fail, wait, or are taken back.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::json;

use crate::app::{App, PORT, SOON, condition, pod_uids};
use crate::e2e;

/// Waits until a condition of the app has this reason.
async fn says(namespace: &Namespace, app: &str, kind: &str, reason: &str) -> Result<String> {
    namespace
        .eventually(&format!("{kind} of {app} says {reason}"), SOON, async || {
            let object = namespace.get("NodeApp", app).await?;
            let condition = condition(&object, kind)?;
            ensure!(condition["reason"] == reason, "{condition}");
            Ok(condition["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
}

#[test]
fn a_failed_rollout_is_taken_back_while_the_old_pods_serve_and_stays_back() {
    e2e(|namespace| async move {
        let rollout = json!({"rollout": {"progressDeadline": "8s", "autoRollback": true}});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&rollout).with(&json!({"instances": 2}));
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        let before = pod_uids(&namespace, "shop").await?;

        // A build that never says that it is ready.
        shop.clone().env(&[("VERSION", "v2")]).with(&json!({"waitReady": true})).apply(&namespace).await?;
        let told = says(&namespace, "shop", "Degraded", "RolledBack").await?;
        ensure!(told.contains("was taken back"), "{told}");
        let back = async || {
            ensure!(pod_uids(&namespace, "shop").await? == before, "other pods than before");
            for pod in &pods {
                let answer = namespace.pod_get(pod, PORT, "/").await?;
                ensure!(answer.contains("v1"), "{answer}");
            }
            Ok(())
        };
        namespace.eventually("only the pods of before are left", SOON, back).await?;
        namespace.throughout("it stays back", Duration::from_secs(12), back).await?;
        let app = namespace.get("NodeApp", "shop").await?;
        ensure!(condition(&app, "Available")?["status"] == "True", "{}", app["status"]);
        ensure!(condition(&app, "Ready")?["status"] == "False", "{}", app["status"]);

        // Another spec gets its chance.
        shop.clone().env(&[("VERSION", "v3")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        ensure!(namespace.pod_get(&pods[0], PORT, "/").await?.contains("v3"), "not v3");
        Ok(())
    });
}

#[test]
fn a_build_that_crashes_is_taken_back_and_told_with_its_exit_code_and_last_lines() {
    e2e(|namespace| async move {
        let rollout = json!({"rollout": {"progressDeadline": "10s", "autoRollback": true}});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&rollout);
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let before = pod_uids(&namespace, "shop").await?;

        let source = "console.error('cannot find the module db'); process.exit(7)";
        // Soon it is errored: the runner does not start it again for five minutes.
        let crash = json!({"command": ["node", "-e", source], "maxRestarts": 3, "minUptime": "1m"});
        shop.clone().without("script").with(&crash).apply(&namespace).await?;
        let told = says(&namespace, "shop", "Degraded", "RolledBack").await?;
        let status = namespace.get("NodeApp", "shop").await?["status"].clone();
        let reason = status["failedReason"].as_str().unwrap_or_default();
        for part in ["exit code 7", "is errored", "cannot find the module db"] {
            ensure!(told.contains(part) && reason.contains(part), "{part}: {told}; {reason}");
        }
        ensure!(status["lastExit"]["code"] == 7, "{}", status["lastExit"]);
        let back = async || {
            ensure!(pod_uids(&namespace, "shop").await? == before, "other pods than before");
            Ok(())
        };
        namespace.eventually("only the pod of before is left", SOON, back).await
    });
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_at_once_and_when_it_is_taken_back() {
    e2e(|namespace| async move {
        let rollout = json!({"rollout": {"progressDeadline": "20s", "autoRollback": true}});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&rollout);
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let before = pod_uids(&namespace, "shop").await?;
        let image = "the image localhost/shop:2 cannot be pulled";
        shop.clone().with(&json!({"image": "localhost/shop:2"})).apply(&namespace).await?;
        // Not only once it has failed. Nobody serves images here, which is found out at once.
        let named = async || {
            let app = namespace.get("NodeApp", "shop").await?;
            let progressing = condition(&app, "Progressing")?;
            ensure!(progressing["reason"] == "RollingOut", "{progressing}");
            ensure!(
                progressing["message"].as_str().is_some_and(|text| text.contains(image)),
                "{progressing}"
            );
            Ok(())
        };
        namespace.eventually("the image is named", SOON, named).await?;
        let told = says(&namespace, "shop", "Degraded", "RolledBack").await?;
        ensure!(told.contains(image), "{told}");
        let back = async || {
            ensure!(pod_uids(&namespace, "shop").await? == before, "other pods than before");
            ensure!(namespace.ready_pods("shop").await?.len() == 1, "not ready");
            Ok(())
        };
        namespace.eventually("only the pod of before is left", SOON, back).await
    });
}

#[test]
fn max_unavailable_and_min_ready_seconds_govern_how_a_change_reaches_the_pods() {
    e2e(|namespace| async move {
        let rollout = json!({"maxSurge": 0, "maxUnavailable": "50%", "minReadySeconds": 3});
        let fields = json!({"instances": 4, "rollout": rollout});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&fields);
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        shop.ready(&namespace, 4).await?;
        shop.clone().env(&[("VERSION", "v2")]).apply(&namespace).await?;
        let (fewest, began) = (Cell::new(4), Instant::now());
        let rolled = async || {
            let pods = namespace.pods("shop").await?;
            let staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).count();
            assert!(staying <= 4, "{staying} pods without any surge");
            let deployment = namespace.get("Deployment", "shop").await?;
            let available = deployment["status"]["availableReplicas"].as_u64().unwrap_or(0);
            assert!(available >= 2, "{}", deployment["status"]);
            fewest.set(fewest.get().min(available));
            crate::app::settled(&namespace, "shop", 4).await.map(drop)
        };
        namespace.eventually("four pods of the new spec", SOON, rolled).await?;
        ensure!(fewest.get() == 2, "never fewer than {} were available", fewest.get());
        // Two steps, each of at least three seconds.
        ensure!(began.elapsed() >= Duration::from_secs(6), "{:?}", began.elapsed());
        Ok(())
    });
}

#[test]
fn a_surge_in_percent_brings_so_many_new_pods_at_once_while_all_old_ones_serve() {
    e2e(|namespace| async move {
        let rollout = json!({"maxSurge": "50%", "maxUnavailable": "0%", "minReadySeconds": 1});
        let fields = json!({"instances": 4, "rollout": rollout});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&fields);
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        shop.ready(&namespace, 4).await?;
        shop.clone().env(&[("VERSION", "v2")]).apply(&namespace).await?;
        let most = Cell::new(0);
        let rolled = async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            let number = |field: &str| deployment["status"][field].as_u64().unwrap_or(0);
            assert!(number("availableReplicas") >= 4, "{}", deployment["status"]);
            assert!(number("replicas") <= 6, "{}", deployment["status"]);
            most.set(most.get().max(number("replicas")));
            crate::app::settled(&namespace, "shop", 4).await.map(drop)
        };
        namespace.eventually("four pods of the new spec", SOON, rolled).await?;
        ensure!(most.get() == 6, "never more than {} pods", most.get());
        Ok(())
    });
}

#[test]
fn a_stopped_app_keeps_everything_but_its_pods_and_comes_back_to_the_same_count() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        shop.clone().with(&json!({"stopped": true})).apply(&namespace).await?;
        says(&namespace, "shop", "Ready", "Stopped").await?;
        let gone = async || {
            let pods = pod_uids(&namespace, "shop").await?;
            ensure!(pods.is_empty(), "{pods:?}");
            Ok(())
        };
        namespace.eventually("no pod is left", SOON, gone).await?;
        namespace.get("Service", "shop").await?;
        namespace.get("PodDisruptionBudget", "shop").await?;
        ensure!(namespace.get("NodeApp", "shop").await?["spec"]["instances"] == 2, "the count is lost");
        ensure!(namespace.list("ControllerRevision").await?.len() == 1, "a stop is no new template");
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        Ok(())
    });
}

#[test]
fn a_paused_rollout_waits_and_scaling_goes_on() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let first = pod_uids(&namespace, "shop").await?;
        let paused = json!({"rollout": {"paused": true}, "instances": 2});
        shop.clone().env(&[("VERSION", "v2")]).with(&paused).apply(&namespace).await?;
        says(&namespace, "shop", "Progressing", "RolloutPaused").await?;
        let two_old_ones = async || {
            let pods = namespace.ready_pods("shop").await?;
            ensure!(pods.len() == 2, "{pods:?}");
            for pod in &pods {
                let answer = namespace.pod_get(pod, PORT, "/").await?;
                ensure!(answer.contains("v1"), "{answer}");
            }
            let now = pod_uids(&namespace, "shop").await?;
            ensure!(first.iter().all(|uid| now.contains(uid)), "{first:?} became {now:?}");
            Ok(())
        };
        namespace.eventually("two pods of the old spec", SOON, two_old_ones).await?;
        shop.clone().env(&[("VERSION", "v2")]).with(&json!({"instances": 2})).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        ensure!(namespace.pod_get(&pods[0], PORT, "/").await?.contains("v2"), "not v2");
        Ok(())
    });
}
