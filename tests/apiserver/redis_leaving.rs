//! A Redis that all instances share and that an app wants no more: when it goes, and what stays.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::redis::{REDIS, SECRET, sharing};
use crate::restarts::run_pods;
use crate::support::{Operator, SOON, Tap, app, condition, reported, settled};

async fn gone(namespace: &Namespace, kind: &str) -> Result<()> {
    namespace
        .eventually(&format!("no {kind} {REDIS}"), SOON, async || {
            let left = namespace.list(kind).await?;
            let deleted = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
            ensure!(
                left.iter().all(|object| object["metadata"]["name"] != REDIS || deleted(object)),
                "{left:?}"
            );
            Ok(())
        })
        .await
}

#[test]
fn an_app_that_has_no_redis_any_more_keeps_its_data_and_gets_them_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        let claim = namespace.get("PersistentVolumeClaim", REDIS).await?["metadata"]["uid"].clone();
        let password = namespace.get("Secret", SECRET).await?["data"].clone();
        namespace.apply(&app("shop", &json!({"stopped": true}))).await?;
        for kind in ["StatefulSet", "Service"] {
            gone(&namespace, kind).await?;
        }
        let app_without = reported(&namespace, "shop", "True").await?;
        ensure!(app_without["status"]["redis"].is_null(), "{}", app_without["status"]);
        namespace.apply(&sharing(&json!({}))).await?;
        namespace
            .eventually("a StatefulSet again", SOON, async || {
                namespace.get("StatefulSet", REDIS).await.map(drop)
            })
            .await?;
        ensure!(
            namespace.get("PersistentVolumeClaim", REDIS).await?["metadata"]["uid"] == claim,
            "another volume"
        );
        ensure!(namespace.get("Secret", SECRET).await?["data"] == password, "another password");
        // So does another app of the same name.
        namespace.delete_object("NodeApp", "shop").await?;
        gone(&namespace, "StatefulSet").await?;
        namespace.apply(&sharing(&json!({}))).await?;
        namespace
            .eventually("a StatefulSet of the other", SOON, async || {
                namespace.get("StatefulSet", REDIS).await.map(drop)
            })
            .await?;
        ensure!(
            namespace.get("PersistentVolumeClaim", REDIS).await?["metadata"]["uid"] == claim,
            "another volume"
        );
        Ok(())
    });
}

#[test]
fn data_that_is_not_to_be_kept_goes_with_the_mode_and_its_password_with_it() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&sharing(&json!({"storage": {"retention": "Delete"}}))).await?;
        namespace
            .eventually("the claim belongs to the app", SOON, async || {
                let claim = namespace.get("PersistentVolumeClaim", REDIS).await?;
                ensure!(
                    claim["metadata"]["ownerReferences"][0]["kind"] == "NodeApp",
                    "{}",
                    claim["metadata"]
                );
                Ok(())
            })
            .await?;
        namespace.apply(&app("shop", &json!({"stopped": true, "redis": {"mode": "Sidecar"}}))).await?;
        gone(&namespace, "PersistentVolumeClaim").await?;
        gone(&namespace, "StatefulSet").await
    });
}

#[test]
fn a_redis_stays_while_pods_of_before_may_use_it() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({"redis": {"mode": "Shared"}}))).await?;
        settled(&namespace, "shop").await?;
        // Without nodes the new pods never get ready, and the old ones stay.
        namespace.apply(&app("shop", &json!({}))).await?;
        reported(&namespace, "shop", "True").await?;
        namespace
            .throughout("the Redis of the old pods is there", Duration::from_secs(3), async || {
                namespace.get("StatefulSet", REDIS).await.map(drop)
            })
            .await?;
        namespace.apply(&app("shop", &json!({"stopped": true}))).await?;
        gone(&namespace, "StatefulSet").await
    });
}

#[test]
fn a_revision_that_used_a_redis_which_is_gone_is_told_where_it_is_asked_for() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        let first = namespace.get("NodeApp", "shop").await?["status"]["revision"].clone();
        namespace.apply(&app("shop", &json!({"stopped": true}))).await?;
        gone(&namespace, "StatefulSet").await?;
        let back = json!({"metadata": {"annotations": {"nodeapp.dev/rollback-to": first}}});
        namespace.patch("NodeApp", "shop", &back).await?;
        let told = namespace
            .eventually("the status tells of Redis", SOON, async || {
                let app = namespace.get("NodeApp", "shop").await?;
                let degraded = condition(&app, "Degraded").clone();
                ensure!(degraded["reason"] == "RedisNotReady", "{}", app["status"]);
                Ok(degraded["message"].to_string())
            })
            .await?;
        ensure!(told.contains("write spec.redis.mode: Shared first"), "{told}");
        let free = json!({"metadata": {"annotations": {"nodeapp.dev/rollback-to": null}}});
        namespace.patch("NodeApp", "shop", &free).await?;
        namespace
            .eventually("nothing is wrong", SOON, async || {
                let app = namespace.get("NodeApp", "shop").await?;
                ensure!(condition(&app, "Degraded")["status"] == "False", "{}", app["status"]);
                Ok(())
            })
            .await
    });
}

/// Keeps a pod from being gone, as one that finishes its requests, or lets it go.
async fn hold(namespace: &Namespace, pod: &str, holds: bool) -> Result<()> {
    let finalizers = if holds { json!(["nodeapp.dev/test"]) } else { json!([]) };
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    namespace.api::<Pod>().patch(pod, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[test]
fn a_redis_stays_while_a_pod_finishes_its_requests_and_goes_after_it() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let one = |redis: Value| app("shop", &json!({"instances": 1, "redis": redis}));
        namespace.apply(&one(json!({"mode": "Shared"}))).await?;
        run_pods(&namespace).await?;
        let pods = namespace.pods("shop").await?;
        let old = pods.first().and_then(|pod| pod.metadata.name.clone()).context("no pod")?;
        hold(&namespace, &old, true).await?;
        namespace.apply(&one(json!({"mode": "Sidecar"}))).await?;
        reported(&namespace, "shop", "True").await?;
        run_pods(&namespace).await?;
        let leaving = async || {
            let pod = namespace.get("Pod", &old).await?;
            ensure!(!pod["metadata"]["deletionTimestamp"].is_null(), "it serves");
            Ok(())
        };
        namespace.eventually("the old pod is being stopped", SOON, leaving).await?;
        let still = async || namespace.get("StatefulSet", REDIS).await.map(drop);
        namespace.throughout("its Redis is there", Duration::from_secs(8), still).await?;
        hold(&namespace, &old, false).await?;
        gone(&namespace, "StatefulSet").await
    });
}
