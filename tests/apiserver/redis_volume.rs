//! The volume of a Redis that all instances share: bound, too large, too small.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::killed::at_rest;
use crate::redis::{REDIS, SECRET, sharing};
use crate::support::{Operator, SOON, Tap, condition, reported, settled};

/// Gives the claim a volume that there is not, as somebody else would.
async fn prebound(namespace: &Namespace, by: &str) -> Result<()> {
    let params = PatchParams { field_manager: Some(by.to_owned()), ..PatchParams::default() };
    let volume = Patch::Merge(json!({"spec": {"volumeName": format!("{}-none", namespace.name())}}));
    namespace.api::<PersistentVolumeClaim>().patch(REDIS, &params, &volume).await?;
    Ok(())
}

#[test]
fn a_claim_whose_volume_somebody_else_has_said_costs_no_write() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&sharing(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        // As who restores a backup, and as the only program of some distributions of Kubernetes.
        prebound(&namespace, "restore").await?;
        at_rest(&namespace, &tap).await?;
        let patches = || tap.calls().iter().filter(|it| it.resource == "persistentvolumeclaims").count();
        let before = patches();
        for round in ["1", "2"] {
            let mut looked_at = sharing(&json!({}));
            looked_at["spec"]["args"] = json!([round]);
            namespace.apply(&looked_at).await?;
            reported(&namespace, "shop", "True").await?;
        }
        ensure!(patches() == before, "{:?}", tap.calls());
        Ok(())
    });
}

#[test]
fn a_volume_that_would_shrink_is_told_and_what_runs_is_left_alone() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({"storage": {"size": "2Gi"}}))).await?;
        settled(&namespace, "shop").await?;
        prebound(&namespace, "somebody").await?;
        let children = async || {
            let mut all = Vec::new();
            for (kind, name) in [
                ("Deployment", "shop"),
                ("StatefulSet", REDIS),
                ("PersistentVolumeClaim", REDIS),
                ("Service", REDIS),
                ("Secret", SECRET),
            ] {
                let object = namespace.get(kind, name).await?;
                all.push(format!("{kind} {}", object["metadata"]["resourceVersion"]));
            }
            Ok::<_, anyhow::Error>(all)
        };
        let before = children().await?;
        let mut smaller = sharing(&json!({"storage": {"size": "1Gi"}}));
        smaller["spec"]["args"] = json!(["new"]);
        namespace.apply(&smaller).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let message = condition(&told, "Valid")["message"].to_string();
        ensure!(
            message.contains("1Gi is less than the 2Gi of the PersistentVolumeClaim shop-redis"),
            "{message}"
        );
        ensure!(message.contains("give it 2Gi or more"), "{message}");
        ensure!(children().await? == before, "something was changed");
        Ok(())
    });
}

#[test]
fn a_claim_without_a_volume_that_is_to_have_another_size_is_told_with_the_way_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&sharing(&json!({"storage": {"size": "1Gi", "storageClassName": "none"}}))).await?;
        settled(&namespace, "shop").await?;
        namespace.apply(&sharing(&json!({"storage": {"size": "2Gi", "storageClassName": "none"}}))).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let message = condition(&told, "Valid")["message"].to_string();
        ensure!(message.contains("kubectl delete pvc shop-redis"), "{message}");
        namespace.delete_object("PersistentVolumeClaim", REDIS).await?;
        namespace
            .eventually("a claim of the other size", SOON, async || {
                let claim = namespace.get("PersistentVolumeClaim", REDIS).await?;
                let size = &claim["spec"]["resources"]["requests"]["storage"];
                ensure!(size == "2Gi", "{}", claim["spec"]);
                Ok(())
            })
            .await
    });
}

/// A volume for the claim, of a class that there is not: nobody can make it larger.
async fn volume(namespace: &Namespace, name: &str) -> Result<Api<PersistentVolume>> {
    let volumes = Api::<PersistentVolume>::all(namespace.cluster().client.clone());
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
            "claimRef": {"namespace": namespace.name(), "name": REDIS, "kind": "PersistentVolumeClaim"},
            "hostPath": {"path": "/var/tmp/nodeapp-test"}, "persistentVolumeReclaimPolicy": "Retain",
        },
    }))?;
    volumes.create(&PostParams::default(), &volume).await?;
    Ok(volumes)
}

#[test]
fn a_volume_that_may_not_grow_is_told_and_keeps_nothing_else_from_being_done() {
    story(Tier::Apiserver, |namespace| async move {
        let name = format!("{}-fixed", namespace.name());
        let volumes = volume(&namespace, &name).await?;
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        let of_size = |size: &str, args: &[&str]| -> Value {
            let mut app = sharing(&json!({"storage": {"size": size, "storageClassName": name}}));
            app["spec"]["args"] = json!(args);
            app
        };
        namespace.apply(&of_size("1Gi", &[])).await?;
        settled(&namespace, "shop").await?;
        namespace
            .eventually("the claim has its volume", SOON, async || {
                let claim = namespace.get("PersistentVolumeClaim", REDIS).await?;
                ensure!(claim["status"]["phase"] == "Bound", "{}", claim["status"]);
                Ok(())
            })
            .await?;
        let before = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        namespace.apply(&of_size("2Gi", &["new"])).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let message = condition(&told, "Valid")["message"].to_string();
        for words in [
            "cannot apply PersistentVolumeClaim shop-redis",
            "Write 1Gi into spec.redis.storage.size again",
            "allowVolumeExpansion",
        ] {
            ensure!(message.contains(words), "`{words}` is not in: {message}");
        }
        let after = namespace.get("Deployment", "shop").await?["spec"]["template"].clone();
        ensure!(after != before, "the new template waits for the volume");
        // It is asked for again with more and more patience.
        at_rest(&namespace, &tap).await?;
        let asked = || tap.calls().iter().filter(|it| it.resource == "persistentvolumeclaims").count();
        let (before, wait) = (asked(), Duration::from_secs(3));
        let calm = async || {
            ensure!(asked() <= before + 1, "{} after {before}", asked());
            Ok(())
        };
        namespace.throughout("nobody asks again and again", wait, calm).await?;
        namespace.apply(&of_size("1Gi", &["new"])).await?;
        let well = reported(&namespace, "shop", "True").await?;
        ensure!(condition(&well, "Valid")["reason"] == "Accepted", "{}", well["status"]);
        volumes.delete(&name, &DeleteParams::background()).await?;
        Ok(())
    });
}
