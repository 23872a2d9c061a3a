//! The objects that a NodeApp owns.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON};
use crate::e2e;

const NAMED_LIKE_THE_APP: [&str; 4] = ["Deployment", "Service", "PodDisruptionBudget", "ServiceAccount"];

async fn two_instances(namespace: &Namespace) -> Result<App> {
    let shop = App::serving(namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
    shop.apply(namespace).await?;
    shop.ready(namespace, 2).await?;
    Ok(shop)
}

#[test]
fn a_deleted_child_comes_back() {
    e2e(|namespace| async move {
        let shop = two_instances(&namespace).await?;
        for kind in NAMED_LIKE_THE_APP {
            let before = namespace.get(kind, "shop").await?;
            namespace.delete_object(kind, "shop").await?;
            let back = async || {
                let now = namespace.get(kind, "shop").await?;
                ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "{kind} is still the old one");
                Ok(())
            };
            namespace.eventually(&format!("a new {kind}"), SOON, back).await?;
        }
        for revision in namespace.list("ControllerRevision").await? {
            let name = revision["metadata"]["name"].as_str().unwrap_or_default();
            namespace.delete_object("ControllerRevision", name).await?;
        }
        let back = async || {
            ensure!(!namespace.list("ControllerRevision").await?.is_empty(), "none yet");
            Ok(())
        };
        namespace.eventually("a new ControllerRevision", SOON, back).await?;
        shop.ready(&namespace, 2).await?;
        Ok(())
    });
}

#[test]
fn a_changed_child_is_put_right() {
    e2e(|namespace| async move {
        let shop = two_instances(&namespace).await?;
        let drift =
            json!({"spec": {"replicas": 5, "template": {"spec": {"terminationGracePeriodSeconds": 999}}}});
        namespace.patch("Deployment", "shop", &drift).await?;
        let right = async || {
            let spec = namespace.get("Deployment", "shop").await?["spec"].clone();
            let grace = &spec["template"]["spec"]["terminationGracePeriodSeconds"];
            ensure!(spec["replicas"] == 2 && grace != 999, "replicas {}, grace {grace}", spec["replicas"]);
            Ok(())
        };
        namespace.eventually("the Deployment as the NodeApp says", SOON, right).await?;
        shop.ready(&namespace, 2).await?;
        Ok(())
    });
}

#[test]
fn deleting_the_app_removes_everything() {
    e2e(|namespace| async move {
        two_instances(&namespace).await?;
        namespace.delete_object("NodeApp", "shop").await?;
        let gone = async || {
            for kind in [&NAMED_LIKE_THE_APP[..], &["ControllerRevision", "ReplicaSet", "Pod"]].concat() {
                let left = namespace.list(kind).await?;
                // The account `default` belongs to the namespace.
                let ours: Vec<&Value> = left
                    .iter()
                    .map(|object| &object["metadata"]["name"])
                    .filter(|name| **name != "default")
                    .collect();
                ensure!(ours.is_empty(), "{kind}: {ours:?}");
            }
            Ok(())
        };
        namespace.eventually("nothing is left", SOON, gone).await
    });
}

#[test]
fn a_settled_apps_objects_keep_their_resource_version_for_a_minute() {
    e2e(|namespace| async move {
        two_instances(&namespace).await?;
        // The last status writes of Kubernetes' own controllers follow shortly
        // after the pods are ready: settled is what looks over three seconds agree on.
        let mut seen: Vec<BTreeMap<String, String>> = Vec::new();
        let settles = async || {
            seen.push(versions(&namespace).await?);
            let tail = seen.iter().rev().take(12);
            ensure!(
                tail.clone().count() == 12 && tail.clone().all(|look| Some(look) == seen.last()),
                "still moving"
            );
            Ok(())
        };
        namespace.eventually("the objects come to rest", SOON, settles).await?;
        let before = versions(&namespace).await?;
        ensure!(before.len() >= 6, "too few objects looked at: {before:?}");
        let still = async || {
            let now = versions(&namespace).await?;
            let moved: Vec<_> =
                now.iter().filter(|(name, version)| before.get(*name) != Some(version)).collect();
            ensure!(moved.is_empty() && now.len() == before.len(), "written again: {moved:?}");
            Ok(())
        };
        namespace.throughout("no object is written", Duration::from_mins(1), still).await
    });
}

/// Resource version of the app and of each of its children.
async fn versions(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for kind in [&NAMED_LIKE_THE_APP[..], &["NodeApp", "ControllerRevision"]].concat() {
        for object in namespace.list(kind).await? {
            let metadata = &object["metadata"];
            found.insert(format!("{kind} {}", metadata["name"]), metadata["resourceVersion"].to_string());
        }
    }
    Ok(found)
}
