//! A change of the spec reaches every pod and fails no request.

use anyhow::{Result, ensure};
use nodeapp_testkit::{Load, LoadPlan, LoadReport, Namespace};
use serde_json::json;

use crate::app::{App, PORT};
use crate::e2e_alone;

/// Rolls from v1 to v2 under load and gives the report of the load.
async fn roll(namespace: &Namespace, script: &str, instances: usize) -> Result<LoadReport> {
    let fields = json!({"instances": instances, "waitReady": true, "drainDelay": "3s"});
    let shop = App::serving(namespace, "shop", script)?.with(&fields);
    shop.clone().env(&[("VERSION", "v1"), ("READY", "0")]).apply(namespace).await?;
    shop.ready(namespace, instances).await?;
    // Answers take 20 ms, so that there is always something in flight to lose.
    let load = Load::start(namespace, &LoadPlan::on("shop", PORT, "/?ms=20")).await?;
    load.answered(500).await?;
    shop.clone().env(&[("VERSION", "v2"), ("READY", "0")]).apply(namespace).await?;
    shop.ready(namespace, instances).await?;
    load.answered(500).await?;
    let report = load.stop().await?;
    // Shown when the test fails, or with --nocapture.
    println!(
        "{script}, {instances} instances: {} requests, longest silence {} ms, p99 {} ms and {} ms",
        report.requests(),
        report.longest_silence_ms,
        report.keep_alive.latency.p99_ms,
        report.new_connection.latency.p99_ms
    );
    Ok(report)
}

fn nothing_failed(report: &LoadReport) -> Result<()> {
    ensure!(report.failed() == 0, "{report:#?}");
    ensure!(report.idle_close_race() == 0, "{report:#?}");
    ensure!(report.tokens.keys().eq(["v1", "v2"]), "{:?}", report.tokens);
    for mode in [&report.keep_alive, &report.new_connection] {
        ensure!(mode.ok > 300 && mode.ok == mode.requests, "{report:#?}");
    }
    Ok(())
}

#[test]
fn a_change_rolls_without_a_failed_request_for_an_app_with_a_sigint_handler() {
    e2e_alone(|namespace| async move { nothing_failed(&roll(&namespace, "web-sigint.js", 2).await?) });
}

#[test]
fn a_change_rolls_without_a_failed_request_for_an_app_without_any_signal_handler() {
    e2e_alone(|namespace| async move { nothing_failed(&roll(&namespace, "web.js", 2).await?) });
}

#[test]
fn a_change_rolls_without_a_failed_request_with_a_single_instance() {
    e2e_alone(|namespace| async move { nothing_failed(&roll(&namespace, "web.js", 1).await?) });
}
