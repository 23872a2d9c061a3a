//! What happens to a node: it is drained, and it loses its power.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::{Namespace, Tier};
use serde_json::json;

use crate::app::{App, PORT, pod_uids, settled};
use crate::e2e_alone;

/// Kubelet and containerd start, and every pod with them.
const AFTER_A_BOOT: Duration = Duration::from_mins(3);

async fn node_of(namespace: &Namespace, app: &str) -> Result<String> {
    let pods = namespace.pods(app).await?;
    let spec = pods.first().and_then(|pod| pod.spec.as_ref());
    spec.and_then(|spec| spec.node_name.clone()).context("no pod is on a node")
}

#[test]
fn a_drained_node_leaves_as_many_instances_as_the_budget_asks_for_and_gets_the_others_back() {
    e2e_alone(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        let before = pod_uids(&namespace, "shop").await?;
        let node = node_of(&namespace, "shop").await?;
        let tools = &namespace.cluster().tools;
        let words = ["drain", &node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=12s"];
        // Only this app's pods: the cluster's own ones have nowhere else to go.
        let words = [&words[..], &["--pod-selector=nodeapp.dev/app=shop"]].concat();
        let serves = async || {
            let ready = namespace.ready_pods("shop").await?;
            ensure!(!ready.is_empty(), "no instance is ready");
            Ok(())
        };
        let (drain, verdict) = tokio::join!(
            tools.kubectl(&words),
            namespace.throughout("an instance serves", Duration::from_secs(11), serves)
        );
        let cordoned = namespace.ready_pods("shop").await;
        let since = Instant::now();
        tools.kubectl(&["uncordon", &node]).await?;
        verdict?;
        // With no other node, the second instance has to stay until there is one more.
        if let Err(refused) = drain {
            let text = refused.to_string();
            ensure!(text.contains("disruption budget"), "{text}");
            ensure!(cordoned?.len() == 1, "one has gone and one has stayed");
        }
        shop.ready(&namespace, 2).await?;
        println!("both instances are back {:.1} s after the node", since.elapsed().as_secs_f64());
        ensure!(pod_uids(&namespace, "shop").await? != before, "nothing was drained");
        Ok(())
    });
}

#[test]
fn after_a_power_cut_of_the_node_running_apps_are_back_and_stopped_ones_stay_stopped() {
    e2e_alone(|namespace| async move {
        let Some(cluster) = namespace.cluster().breakable(Tier::Node)? else { return Ok(()) };
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        let rest =
            App::serving(&namespace, "rest", "web.js")?.with(&json!({"instances": 3, "stopped": true}));
        shop.apply(&namespace).await?;
        rest.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        rest.ready(&namespace, 0).await?;
        let before = pod_uids(&namespace, "shop").await?;
        cluster.crash_node(1).await?;
        cluster.heal().await?;
        let since = Instant::now();
        let back = async || {
            let ready = settled(&namespace, "shop", 2).await?;
            // What the API server knew before the kubelet came back does not count.
            let restarts = namespace.container_restarts("shop").await?;
            let anew = pod_uids(&namespace, "shop").await? != before;
            ensure!(anew || restarts.values().all(|count| *count >= 1), "as before the cut: {restarts:?}");
            for pod in &ready {
                namespace.pod_get(pod, PORT, "/").await?;
            }
            Ok(())
        };
        namespace.eventually("both instances serve again", AFTER_A_BOOT, back).await?;
        println!("both instances serve {:.1} s after the node was up", since.elapsed().as_secs_f64());
        ensure!(namespace.pods("rest").await?.is_empty(), "the stopped app has pods");
        let stopped = namespace.get("Deployment", "rest").await?;
        ensure!(stopped["spec"]["replicas"] == 0, "{}", stopped["spec"]);
        // The operator is at work, and the stopped app comes back to the count it had.
        rest.with(&json!({"stopped": false})).apply(&namespace).await?;
        let all = async || settled(&namespace, "rest", 3).await;
        namespace.eventually("the stopped app runs when it is told to", AFTER_A_BOOT, all).await.map(drop)
    });
}
