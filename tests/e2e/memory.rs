//! `maxMemoryRestart`: before the kernel does it, and without anybody noticing.

use anyhow::ensure;
use nodeapp_testkit::{Load, LoadPlan};
use serde_json::json;

use crate::app::{App, PORT, SOON, pod_uids};
use crate::e2e_alone;

#[test]
fn a_leaking_app_is_restarted_in_place_before_the_oom_killer_and_fails_no_request() {
    e2e_alone(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "leaky.js")?
            .with(&json!({"instances": 1, "maxMemoryRestart": "100M"}))
            .env(&[("LEAK_BYTES", "40000")]);
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let pods = pod_uids(&namespace, "shop").await?;
        // 160 requests a second leak 6.4 MB a second: the line is passed about
        // every ten seconds, the limit, 25 % above it, four seconds later.
        let plan = LoadPlan { keep_alive_rate: 120, new_per_second: 40, ..LoadPlan::on("shop", PORT, "/") };
        let load = Load::start(&namespace, &plan).await?;
        let restarted = async || {
            let status = shop.runner(&namespace).await?;
            ensure!(status["restarts"].as_u64() >= Some(2), "{status}");
            Ok(status)
        };
        let status = namespace.eventually("two restarts in place", SOON, restarted).await?;
        load.answered(300).await?;
        let report = load.stop().await?;
        ensure!(status["lastExit"]["reason"] == "MemoryLimit", "{status}");
        ensure!(report.failed() == 0 && report.idle_close_race() == 0, "{report:#?}");
        ensure!(pod_uids(&namespace, "shop").await? == pods, "the pod was replaced");
        let restarts = namespace.container_restarts("shop").await?;
        ensure!(restarts.values().all(|count| *count == 0), "the container was restarted: {restarts:?}");
        Ok(())
    });
}
