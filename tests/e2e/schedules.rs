//! Restarts by the clock, and apps that are jobs.

use std::time::Duration;

use anyhow::{Result, ensure};
use nodeapp_testkit::{Load, LoadPlan, Namespace};
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON, condition, pod_uids};
use crate::{e2e, e2e_alone};

/// A minute until the next time, and what an app's own moment is after it.
const NEXT_MINUTE: Duration = Duration::from_secs(130);

#[test]
fn a_scheduled_restart_replaces_every_instance_and_drops_nothing() {
    e2e_alone(|namespace| async move {
        let fields = json!({"instances": 2, "waitReady": true, "drainDelay": "3s"});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&fields).env(&[("READY", "0")]);
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        let before = pod_uids(&namespace, "shop").await?;
        let revision = namespace.get("NodeApp", "shop").await?["status"]["revision"].clone();
        let load = Load::start(&namespace, &LoadPlan::on("shop", PORT, "/?ms=20")).await?;
        load.answered(500).await?;
        shop.clone().with(&json!({"cronRestart": "* * * * *"})).apply(&namespace).await?;
        namespace
            .eventually("a restart by the clock", NEXT_MINUTE, async || {
                let status = namespace.get("NodeApp", "shop").await?["status"].clone();
                ensure!(status["cronRestart"]["last"].is_string(), "{}", status["cronRestart"]);
                Ok(())
            })
            .await?;
        // One is enough.
        shop.apply(&namespace).await?;
        let ready = shop.ready(&namespace, 2).await?;
        load.answered(500).await?;
        let report = load.stop().await?;
        ensure!(report.failed() == 0 && report.idle_close_race() == 0, "{report:#?}");
        let after = pod_uids(&namespace, "shop").await?;
        ensure!(after.iter().all(|uid| !before.contains(uid)), "{before:?} {after:?} {ready:?}");
        ensure!(namespace.get("NodeApp", "shop").await?["status"]["revision"] == revision, "no new revision");
        Ok(())
    });
}

/// Begins a run at once, as `kubectl create job --from=cronjob/report` does, and
/// waits until the app says this of it.
async fn run(namespace: &Namespace, name: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    let cron_job =
        namespace.eventually("the CronJob", SOON, async || namespace.get("CronJob", "report").await).await?;
    let template = &cron_job["spec"]["jobTemplate"];
    let owner = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": "report",
        "uid": cron_job["metadata"]["uid"],
        "controller": true,
    });
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]},
        "spec": template["spec"],
    });
    namespace.apply(&job).await?;
    namespace
        .eventually(&format!("{name} has ended and is told"), SOON, async || {
            let job = namespace.get("Job", name).await?;
            ensure!(job["status"]["conditions"].is_array(), "{}", job["status"]);
            let app = namespace.get("NodeApp", "report").await?;
            let degraded = condition(&app, "Degraded")?;
            ensure!(holds(degraded), "{degraded}");
            Ok(())
        })
        .await
}

#[test]
fn a_job_runs_to_its_end_and_its_exit_code_is_told() {
    e2e(|namespace| async move {
        let job = App::worker(&namespace, "report", "job.js")?
            .with(&json!({"autorestart": false, "cronRestart": "0 6 1 1 *"}));
        job.clone().env(&[("CODE", "3")]).apply(&namespace).await?;
        run(&namespace, "report-fails", |degraded| {
            let message = degraded["message"].as_str().unwrap_or_default();
            degraded["reason"] == "RunFailed" && message.contains("report-fails, has failed with exit code 3")
        })
        .await?;
        let failed = namespace.get("CronJob", "report").await?;
        job.env(&[("CODE", "0")]).apply(&namespace).await?;
        namespace
            .eventually("the next run will be another", SOON, async || {
                let now = namespace.get("CronJob", "report").await?;
                ensure!(now["spec"]["jobTemplate"] != failed["spec"]["jobTemplate"], "still the old one");
                Ok(())
            })
            .await?;
        run(&namespace, "report-succeeds", |degraded| degraded["status"] == "False").await?;
        ensure!(namespace.list("Deployment").await?.is_empty(), "a job has no Deployment");
        Ok(())
    });
}
