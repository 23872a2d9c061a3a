//! What comes before a rollout, what else causes one, and the way back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON, condition, pod_uids};
use crate::e2e;

async fn says(namespace: &Namespace, kind: &str, reason: &str) -> Result<String> {
    namespace
        .eventually(&format!("{kind} of shop says {reason}"), SOON, async || {
            let object = namespace.get("NodeApp", "shop").await?;
            let condition = condition(&object, kind)?;
            ensure!(condition["reason"] == reason, "{}", object["status"]);
            Ok(condition["message"].as_str().unwrap_or_default().to_owned())
        })
        .await
}

async fn served(namespace: &Namespace, pods: &[String], version: &str) -> Result<()> {
    for pod in pods {
        let answer = namespace.pod_get(pod, PORT, "/").await?;
        ensure!(answer.contains(&format!("\"{version}\"")), "not {version}: {answer}");
    }
    Ok(())
}

/// A migration that sees what the app sees, and can write where it can.
fn migration(exit_code: i32) -> Value {
    let script = format!(
        "require('fs').writeFileSync('/tmp/done', process.env.VERSION); \
         console.log('migrated to ' + process.env.VERSION); process.exit({exit_code})"
    );
    json!({"rollout": {"before": {"command": ["node", "-e", script], "timeout": "2m"}}})
}

#[test]
fn a_migration_that_fails_keeps_the_old_version_and_one_that_succeeds_comes_before_any_new_pod() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let before = pod_uids(&namespace, "shop").await?;

        shop.clone().env(&[("VERSION", "v2")]).with(&migration(3)).apply(&namespace).await?;
        let told = says(&namespace, "Degraded", "BeforeRolloutFailed").await?;
        ensure!(told.contains("exit code 3"), "{told}");
        namespace
            .throughout("the old pod serves", Duration::from_secs(3), async || {
                ensure!(pod_uids(&namespace, "shop").await? == before, "other pods than before");
                served(&namespace, &pods, "v1").await
            })
            .await?;

        shop.clone().env(&[("VERSION", "v2")]).with(&migration(0)).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        served(&namespace, &pods, "v2").await?;
        let jobs = namespace.list("Job").await?;
        ensure!(jobs.len() == 1, "{} jobs", jobs.len());
        let ended: String = jobs[0]["status"]["completionTime"].as_str().context("not complete")?.to_owned();
        let pods = namespace.pods("shop").await?;
        let born = pods[0].metadata.creation_timestamp.as_ref().context("no time")?;
        // Both are of the same clock, in whole seconds of the same form.
        ensure!(serde_json::to_value(born)?.as_str() >= Some(ended.as_str()), "{born:?} before {ended}");
        Ok(())
    });
}

#[test]
fn a_changed_config_map_replaces_the_pods_and_its_new_value_is_served() {
    e2e(|namespace| async move {
        let config = |version: &str| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                "data": {"VERSION": version},
            })
        };
        namespace.apply(&config("v1")).await?;
        let shop = App::serving(&namespace, "shop", "web.js")?
            .with(&json!({"envFrom": [{"configMapRef": {"name": "settings"}}], "instances": 2}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        served(&namespace, &pods, "v1").await?;
        namespace.apply(&config("v2")).await?;
        namespace
            .eventually("the new value from both pods", SOON, async || {
                let pods = namespace.ready_pods("shop").await?;
                ensure!(pods.len() == 2, "{pods:?}");
                served(&namespace, &pods, "v2").await
            })
            .await
    });
}

#[test]
fn an_annotation_brings_back_an_earlier_revision_and_a_later_change_is_not_blocked() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let first = namespace.get("NodeApp", "shop").await?["status"]["revision"].clone();
        shop.clone().env(&[("VERSION", "v2")]).apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let change = json!({"metadata": {"annotations": {"nodeapp.dev/rollback-to": first}}});
        namespace.patch("NodeApp", "shop", &change).await?;
        says(&namespace, "Ready", "RolledBackByHand").await?;
        namespace
            .eventually("the earlier version", SOON, async || {
                let pods = namespace.ready_pods("shop").await?;
                ensure!(pods.len() == 1, "{pods:?}");
                served(&namespace, &pods, "v1").await
            })
            .await?;
        shop.clone().env(&[("VERSION", "v3")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        served(&namespace, &pods, "v3").await
    });
}
