//! `/scale`: more or fewer of the same pods.

use anyhow::ensure;
use serde_json::json;

use crate::app::{App, pod_uids};
use crate::e2e;

#[test]
fn scaling_through_the_scale_subresource_never_rolls() {
    e2e(|namespace| async move {
        let tools = &namespace.cluster().tools;
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 1}));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let first = pod_uids(&namespace, "shop").await?;
        for count in [3, 1, 2] {
            let replicas = format!("--replicas={count}");
            tools.kubectl(&["scale", "-n", namespace.name(), "nodeapp/shop", &replicas]).await?;
            shop.ready(&namespace, count).await?;
            let sets = namespace.list("ReplicaSet").await?;
            ensure!(sets.len() == 1, "{} ReplicaSets after the change to {count}", sets.len());
            let now = pod_uids(&namespace, "shop").await?;
            ensure!(count == 1 || now.len() > 1, "{now:?}");
            if count == 3 {
                ensure!(first.iter().all(|uid| now.contains(uid)), "{first:?} became {now:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn zero_instances_stop_the_app_and_a_number_starts_it_again() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        shop.clone().with(&json!({"instances": 0})).apply(&namespace).await?;
        let stopped = async || {
            let pods = pod_uids(&namespace, "shop").await?;
            ensure!(pods.is_empty(), "{pods:?}");
            let status = &namespace.get("NodeApp", "shop").await?["status"];
            ensure!(status["readyReplicas"] == 0, "{status}");
            Ok(())
        };
        namespace.eventually("no pod", crate::app::SOON, stopped).await?;
        namespace.get("Service", "shop").await?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        Ok(())
    });
}
