//! Restarts that someone asks for.

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::json;

use crate::app::{App, SOON, pod_uids, settled};
use crate::e2e;

/// Waits until other pods have taken the place of these.
async fn replaced(namespace: &Namespace, before: &[String]) -> Result<Vec<String>> {
    namespace
        .eventually("other pods, and all of them ready", SOON, async || {
            let now = pod_uids(namespace, "shop").await?;
            ensure!(now.iter().all(|uid| !before.contains(uid)), "{before:?} and {now:?}");
            settled(namespace, "shop", before.len()).await?;
            Ok(now)
        })
        .await
}

#[test]
fn kubectl_rollout_restart_and_the_annotation_replace_every_pod_and_make_no_revision() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        let revision = namespace.get("NodeApp", "shop").await?["status"]["revision"].clone();
        let first = pod_uids(&namespace, "shop").await?;
        let (name, tools) = (namespace.name(), &namespace.cluster().tools);

        tools.kubectl(&["rollout", "restart", "deployment/shop", "-n", name]).await?;
        tools.kubectl(&["rollout", "status", "deployment/shop", "-n", name, "--timeout=90s"]).await?;
        let second = replaced(&namespace, &first).await?;

        let asks = "nodeapp.dev/restartedAt=2026-11-23T12:00:00Z";
        tools.kubectl(&["annotate", "nodeapp", "shop", "-n", name, asks]).await?;
        replaced(&namespace, &second).await?;

        let status = namespace.get("NodeApp", "shop").await?["status"].clone();
        ensure!(status["revision"] == revision, "{revision} became {}", status["revision"]);
        Ok(())
    });
}
