//! `autoscaling`: more instances under load, by figures of the real metrics-server.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use nodeapp_testkit::{Load, LoadPlan};
use serde_json::json;

use crate::app::{App, PORT, SOON, condition};
use crate::e2e;

/// A look of the kubelet, two of the metrics-server, one of the autoscaler, and a
/// start of a pod, on a busy machine.
const NOTICED: Duration = Duration::from_mins(3);

#[test]
fn an_app_under_load_gets_more_instances_and_serves_on() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({
            "resources": {"requests": {"cpu": "50m"}},
            "autoscaling": {"maxInstances": 2, "cpu": "50%"},
        }));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        // A quarter of what one instance can do, and several times the 25m that it shall use.
        let plan = LoadPlan { keep_alive_rate: 200, new_per_second: 40, ..LoadPlan::on("shop", PORT, "/") };
        let load = Load::start(&namespace, &plan).await?;
        let scaled = async || {
            let deployment = namespace.get("Deployment", "shop").await?;
            let autoscaler = namespace.get("HorizontalPodAutoscaler", "shop").await?;
            ensure!(deployment["spec"]["replicas"] == 2, "{}", autoscaler["status"]);
            Ok(())
        };
        namespace.eventually("the autoscaler asks for a second instance", NOTICED, scaled).await?;
        shop.ready(&namespace, 2).await?;
        let top = async || {
            let tools = &namespace.cluster().tools;
            let lines = tools.kubectl(&["top", "pods", "-n", namespace.name(), "--no-headers"]).await?;
            let shops = lines.lines().filter(|line| line.starts_with("shop-")).count();
            ensure!(shops == 2, "{lines}");
            Ok(())
        };
        namespace.eventually("kubectl top knows both instances", SOON, top).await?;
        let report = load.stop().await?;
        ensure!(report.failed() == 0, "{report:#?}");
        let app = namespace.get("NodeApp", "shop").await?;
        ensure!(app["status"]["desiredReplicas"] == 2, "{}", app["status"]);
        let degraded = condition(&app, "Degraded").context("Degraded")?;
        ensure!(degraded["status"] == "False", "{degraded}");
        Ok(())
    });
}

#[test]
fn instances_follow_the_memory_of_the_apps_own_container_and_not_of_what_runs_beside_it() {
    e2e(|namespace| async move {
        let behavior = json!({"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}});
        let app = |name: &str, memory: &str| {
            let autoscaling = json!({"maxInstances": 2, "memory": memory, "behavior": behavior});
            App::worker(&namespace, name, "web.js").map(|app| app.with(&json!({"autoscaling": autoscaling})))
        };
        // What a process takes that only listens depends on the node's page cache, so both take what is measured.
        let hog =
            |bytes: u64| format!("const all = Buffer.alloc({bytes}, 1); setInterval(() => all.length, 1e6)");
        let command = json!({"command": ["node", "-e", hog(60_000_000)]});
        app("grows", "20M")?.without("script").with(&command).apply(&namespace).await?;
        let image = namespace.cluster().image("apps")?;
        let sidecar = json!({"name": "hog", "image": image, "command": ["node", "-e", hog(150_000_000)]});
        let pod = json!({"pod": {"sidecars": [sidecar]}});
        app("stays", "120M")?.with(&pod).apply(&namespace).await?;

        let scaled = async || {
            let autoscaler = namespace.get("HorizontalPodAutoscaler", "grows").await?;
            ensure!(autoscaler["spec"]["behavior"]["scaleUp"]["policies"][0]["value"] == 1, "{autoscaler}");
            let replicas = namespace.get("Deployment", "grows").await?["spec"]["replicas"].clone();
            ensure!(replicas == 2, "{}", autoscaler["status"]);
            Ok(())
        };
        namespace.eventually("the autoscaler asks for a second instance", NOTICED, scaled).await?;
        let judged = async || {
            let status = namespace.get("HorizontalPodAutoscaler", "stays").await?["status"].clone();
            let current = &status["currentMetrics"][0]["containerResource"]["current"]["averageValue"];
            ensure!(current.is_string() && status["desiredReplicas"] == 1, "{status}");
            Ok(())
        };
        namespace.eventually("the other one has been judged", NOTICED, judged).await?;
        let replicas = namespace.get("Deployment", "stays").await?["spec"]["replicas"].clone();
        ensure!(replicas == 1, "{replicas}: the sidecar was counted");
        Ok(())
    });
}
