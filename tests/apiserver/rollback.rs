//! Rollouts that fail where no pod ever gets ready, and the way back.

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::killed::{args, at_rest, killed_before_every_write};
use crate::kubelet::make_ready;
use crate::support::{Operator, SOON, Tap, app, condition};

/// With these arguments, which come back when they fail.
fn asking(name: &str, args: &str) -> Value {
    let rollout = json!({"progressDeadline": "3s", "autoRollback": true});
    app(name, &json!({"args": [args], "rollout": rollout}))
}

/// Brings the app about with the arguments `old` and its pods ready; returns its revision.
async fn proven(namespace: &Namespace, name: &str) -> Result<String> {
    namespace.apply(&asking(name, "old")).await?;
    make_ready(namespace, name, 2).await?;
    namespace
        .eventually("a stable revision", SOON, async || {
            let status = namespace.get("NodeApp", name).await?["status"].clone();
            ensure!(status["failedRevision"].is_null(), "{status}");
            Ok(status["stableRevision"].as_str().context("none yet")?.to_owned())
        })
        .await
}

async fn is_back(namespace: &Namespace, name: &str) -> Result<Value> {
    let object = namespace.get("NodeApp", name).await?;
    let degraded = condition(&object, "Degraded");
    ensure!(degraded["reason"] == "RolledBack" && degraded["status"] == "True", "{}", object["status"]);
    ensure!(object["status"]["observedGeneration"] == object["metadata"]["generation"], "not seen");
    let now = args(namespace, name).await?;
    ensure!(now == "old", "{now}");
    let pods = namespace.list("Pod").await?;
    let of_it = |pod: &&Value| {
        pod["metadata"]["labels"]["nodeapp.dev/app"] == name && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let count = pods.iter().filter(of_it).count();
    ensure!(count == 2, "{count} pods");
    Ok(object["status"].clone())
}

#[test]
fn a_failed_rollout_is_taken_back_though_the_operator_dies_in_it() {
    story(Tier::Apiserver, |namespace| async move {
        killed_before_every_write(
            &namespace,
            async |name| proven(&namespace, name).await.map(drop),
            async |name| namespace.apply(&asking(name, "new")).await.map(drop),
            async |name| {
                let status = is_back(&namespace, name).await?;
                let (stable, failed) = (&status["stableRevision"], &status["failedRevision"]);
                ensure!(status["revision"] == *stable && failed.is_string() && failed != stable, "{status}");
                ensure!(status["availableReplicas"] == 2, "{status}");
                Ok(())
            },
        )
        .await
    });
}

#[test]
fn the_last_good_revision_outlives_more_later_ones_than_are_kept() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        let good = proven(&namespace, "shop").await?;
        let mut made: Vec<String> = Vec::new();
        for number in 0..12 {
            let generation =
                namespace.apply(&asking("shop", &number.to_string())).await?["metadata"]["generation"]
                    .clone();
            let seen = async || {
                let status = namespace.get("NodeApp", "shop").await?["status"].clone();
                ensure!(status["observedGeneration"] == generation, "{status}");
                Ok(())
            };
            namespace.eventually("the change is seen", SOON, seen).await?;
            let revisions = namespace.list("ControllerRevision").await?;
            let newest = revisions.iter().max_by_key(|it| it["revision"].as_i64());
            made.extend(newest.and_then(|it| it["metadata"]["name"].as_str()).map(str::to_owned));
        }
        let back = async || is_back(&namespace, "shop").await;
        let status = namespace.eventually("the good one is back", SOON, back).await?;
        ensure!(status["stableRevision"] == good.as_str() && status["revision"] == good.as_str(), "{status}");
        at_rest(&namespace, &tap).await?;
        let revisions = namespace.list("ControllerRevision").await?;
        let kept: Vec<_> = revisions.iter().filter_map(|it| it["metadata"]["name"].as_str()).collect();
        ensure!(kept.len() == 10 && kept.contains(&good.as_str()), "{good} is not in {kept:?}");
        ensure!(!kept.contains(&made[0].as_str()), "{} is still there: nothing was forgotten", made[0]);
        Ok(())
    });
}

#[test]
fn a_rollout_that_a_quota_blocks_is_told_in_its_words_and_taken_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        proven(&namespace, "shop").await?;
        let hard = json!({"pods": "2"});
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
        namespace.apply(&quota).await?;
        let in_force = async || {
            let quota = namespace.get("ResourceQuota", "q").await?;
            ensure!(quota["status"]["used"]["pods"] == "2", "{}", quota["status"]);
            Ok(())
        };
        namespace.eventually("the quota counts the pods", SOON, in_force).await?;
        namespace.apply(&asking("shop", "new")).await?;
        let back = async || is_back(&namespace, "shop").await;
        let status = namespace.eventually("the rollout is taken back", SOON, back).await?;
        let why = status["failedReason"].as_str().unwrap_or_default();
        ensure!(why.contains("pods cannot be created") && why.contains("exceeded quota: q"), "{why}");
        ensure!(status["availableReplicas"] == 2, "the old pods serve on: {status}");
        Ok(())
    });
}
