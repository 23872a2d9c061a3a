//! The process dies; the socket it listened on does not.

use anyhow::ensure;
use nodeapp_testkit::{Load, LoadPlan};
use serde_json::json;

use crate::app::{App, PORT, SOON, pod_uids};
use crate::e2e_alone;

#[test]
fn a_kill_of_the_only_process_refuses_no_connection() {
    e2e_alone(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 1}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let before = pod_uids(&namespace, "shop").await?;
        let plan = LoadPlan { keep_alive: 0, new_per_second: 200, ..LoadPlan::on("shop", PORT, "/") };
        let load = Load::start(&namespace, &plan).await?;
        for crashes in 1..=3_u64 {
            load.answered(200).await?;
            let status = shop.runner(&namespace).await?;
            // Not by a request that kills it: the API server's proxy would send that again.
            let kill = format!("process.kill({}, 'SIGKILL')", status["pid"]);
            namespace.exec(&pods[0], &["node", "-e", &kill]).await?;
            let restarted = async || {
                let status = shop.runner(&namespace).await?;
                ensure!(status["restarts"] == crashes && status["state"] == "online", "{status}");
                ensure!(status["lastExit"]["reason"] == "Crash", "{status}");
                ensure!(status["lastExit"]["signal"] == "SIGKILL", "{status}");
                Ok(())
            };
            namespace.eventually(&format!("restart {crashes}"), SOON, restarted).await?;
        }
        load.answered(200).await?;
        let report = load.stop().await?;
        // What was in flight dies with the process: at 200 a second, a handful at most.
        let failures = &report.new_connection.failures;
        let resets: u64 = failures.values().sum();
        ensure!(!failures.keys().any(|kind| !kind.is_reset()) && resets <= 15, "{report:#?}");
        ensure!(pod_uids(&namespace, "shop").await? == before, "the pod was replaced");
        Ok(())
    });
}
