//! Apps that are jobs: turned from and into others, suspended, refused.

use anyhow::{Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::support::{Operator, SOON, Tap, app, condition, reported, versions};

/// A job among the apps of these tests.
fn job(change: &Value) -> Value {
    let mut job = app("shop", &json!({"port": null, "instances": null, "autorestart": false}));
    job["spec"]["cronRestart"] = json!("0 6 * * SUN-TUE");
    for (field, value) in change.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

/// Which of both there is.
async fn runs_as(namespace: &Namespace, kind: &str, other: &str) -> Result<Value> {
    namespace
        .eventually(&format!("a {kind} and no {other}"), SOON, async || {
            let gone = namespace.list(other).await?;
            ensure!(gone.is_empty(), "the {other} is still there");
            namespace.get(kind, "shop").await
        })
        .await
}

#[test]
fn an_app_becomes_a_job_and_a_job_an_app_again() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        runs_as(&namespace, "Deployment", "CronJob").await?;
        namespace.apply(&job(&json!({}))).await?;
        let made = runs_as(&namespace, "CronJob", "Deployment").await?;
        let spec = &made["spec"];
        ensure!(spec["schedule"] == "0 6 * * 0-2" && spec["timeZone"] == "Etc/UTC", "{spec}");
        ensure!(spec["concurrencyPolicy"] == "Forbid" && spec["suspend"] == false, "{spec}");
        let pod = &spec["jobTemplate"]["spec"]["template"];
        ensure!(pod["spec"]["restartPolicy"] == "Never", "{}", pod["spec"]);
        let config = pod["metadata"]["annotations"].to_string();
        ensure!(config.contains("exitWhenDone"), "{config}");
        let told = reported(&namespace, "shop", "True").await?;
        ensure!(condition(&told, "Ready")["reason"] == "Scheduled", "{}", told["status"]);
        ensure!(told["status"]["cronRestart"]["next"].is_string(), "{}", told["status"]);
        for kind in ["Service", "PodDisruptionBudget"] {
            ensure!(namespace.list(kind).await?.is_empty(), "a job has a {kind}");
        }
        namespace.apply(&app("shop", &json!({}))).await?;
        runs_as(&namespace, "Deployment", "CronJob").await.map(drop)
    });
}

#[test]
fn a_stopped_job_is_suspended_and_a_settled_one_costs_no_write() {
    story(Tier::Apiserver, |namespace| async move {
        let tap = Tap::default();
        let _operator = Operator::start(&namespace, &tap).await?;
        // The API server knows the zone by one spelling only.
        namespace.apply(&job(&json!({"stopped": true, "timeZone": "europe/berlin"}))).await?;
        let made = runs_as(&namespace, "CronJob", "Deployment").await?;
        ensure!(made["spec"]["suspend"] == true && made["spec"]["timeZone"] == "Europe/Berlin", "{made}");
        let told = reported(&namespace, "shop", "True").await?;
        ensure!(condition(&told, "Ready")["reason"] == "Stopped", "{}", told["status"]);
        ensure!(told["status"]["cronRestart"]["next"].is_null(), "{}", told["status"]);
        namespace.apply(&job(&json!({}))).await?;
        namespace
            .eventually("it is resumed and told", SOON, async || {
                let made = namespace.get("CronJob", "shop").await?;
                ensure!(made["spec"]["suspend"] == false, "{}", made["spec"]);
                let told = namespace.get("NodeApp", "shop").await?;
                ensure!(condition(&told, "Ready")["reason"] == "Scheduled", "{}", told["status"]);
                Ok(())
            })
            .await?;
        let before = versions(&namespace, "shop").await?;
        let writes = tap.writes();
        // Makes it be looked at, and changes nothing.
        namespace.patch("CronJob", "shop", &json!({"metadata": {"annotations": {"seen": "yes"}}})).await?;
        namespace
            .throughout("nothing is written", std::time::Duration::from_secs(3), async || {
                ensure!(tap.writes() == writes, "{:?}", tap.calls());
                ensure!(versions(&namespace, "shop").await? == before, "something moved");
                Ok(())
            })
            .await
    });
}

#[test]
fn what_makes_no_sense_for_a_job_is_refused_by_name_with_the_way_out() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&job(&json!({}))).await?;
        runs_as(&namespace, "CronJob", "Deployment").await?;
        reported(&namespace, "shop", "True").await?;
        let all = json!({"port": 3000, "instances": 2, "instanceIndex": true, "rollout": {"maxSurge": 1}, "cronRestart": "0 0 L * *"});
        namespace.apply(&job(&all)).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let message = condition(&told, "Valid")["message"].to_string();
        for field in ["spec.port", "spec.instances", "spec.instanceIndex", "spec.rollout", "spec.cronRestart"]
        {
            ensure!(message.contains(field), "{field}: {message}");
        }
        ensure!(message.contains("leave it out, or autorestart: false"), "{message}");
        // The job of before goes on, and that is told too.
        ensure!(condition(&told, "Available")["reason"] == "Scheduled", "{}", told["status"]);
        ensure!(told["status"]["cronRestart"]["next"].is_string(), "{}", told["status"]);
        Ok(())
    });
}

#[test]
fn a_field_taken_out_deep_in_its_template_reaches_the_runs_of_a_job() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let tolerates = |toleration: Value| job(&json!({"pod": {"tolerations": [toleration]}}));
        let template = "/spec/jobTemplate/spec/template/spec/tolerations";
        for toleration in [
            json!({"key": "a", "operator": "Exists", "effect": "NoSchedule"}),
            json!({"key": "a", "operator": "Exists"}),
        ] {
            namespace.apply(&tolerates(toleration.clone())).await?;
            namespace
                .eventually(&format!("runs tolerate {toleration}"), SOON, async || {
                    let job = namespace.get("CronJob", "shop").await?;
                    let now = job.pointer(template).cloned().unwrap_or_default();
                    ensure!(now == json!([toleration]), "{now}");
                    Ok(())
                })
                .await?;
        }
        Ok(())
    });
}
