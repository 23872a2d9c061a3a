//! `kubectl nodeapp doctor` about pods that run.

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON, ctl};
use crate::e2e;

/// web.js that takes 1.5 s to end after SIGINT.
const SLOW: &str = r"
    const server = require('./web.js');
    process.on('SIGINT', () => { server.close(); setTimeout(() => process.exit(0), 1500); });
";

/// The line of one check about an app.
async fn line(namespace: &Namespace, app: &str, check: &str) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let line = format!("kubectl nodeapp doctor {app} -n {} -o json || true", namespace.name());
    let said = namespace.cluster().tools.shell(folder.path(), &line).await?;
    let told: Value = serde_json::from_str(&said).with_context(|| said.clone())?;
    let lines = told["apps"][0]["lines"].as_array().cloned().unwrap_or_default();
    let found = lines.into_iter().find(|line| line["check"] == check);
    found.with_context(|| format!("{check}: {said}"))
}

async fn run(namespace: &Namespace, line: &Value) -> Result<()> {
    let command = line["command"].as_str().with_context(|| line.to_string())?;
    let folder = tempfile::tempdir()?;
    namespace.cluster().tools.shell(folder.path(), command).await.map(drop)
}

#[test]
fn doctor_finds_an_app_that_had_to_be_killed_and_its_command_gives_it_the_time() {
    e2e(|namespace| async move {
        let slow = App::serving(&namespace, "slow", "web.js")?
            .without("script")
            .with(&json!({"killTimeout": "1s", "command": ["node", "-e", SLOW]}));
        slow.apply(&namespace).await?;
        let pods = slow.ready(&namespace, 1).await?;
        ensure!(line(&namespace, "slow", "shutdown").await?["verdict"] == "pass", "nothing was stopped yet");
        ctl(&namespace, &pods[0], &["restart"]).await?;
        let killed = async || {
            let line = line(&namespace, "slow", "shutdown").await?;
            ensure!(line["verdict"] == "fail", "{line}");
            Ok(line)
        };
        let found = namespace.eventually("doctor tells of the kill", SOON, killed).await?;
        run(&namespace, &found).await?;
        let pods = slow.ready(&namespace, 1).await?;
        ctl(&namespace, &pods[0], &["restart"]).await?;
        let ended = async || {
            let status = namespace.runner_status(&pods[0]).await?;
            ensure!(status["state"] == "online" && !status["lastExit"].is_null(), "{status}");
            Ok(())
        };
        namespace.eventually("it was restarted in place", SOON, ended).await?;
        let mended = line(&namespace, "slow", "shutdown").await?;
        ensure!(mended["verdict"] == "pass", "{mended}");
        Ok(())
    });
}

#[test]
fn doctor_compares_the_longest_request_and_the_operator_with_what_it_sees_in_the_cluster() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?
            .with(&json!({"drainTimeout": "1s", "instances": 2, "maxMemoryRestart": "200M"}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;
        for pod in &pods {
            namespace.pod_get(pod, PORT, "/?ms=1500").await?;
        }
        let counted = async || {
            let line = line(&namespace, "shop", "killTimeout").await?;
            ensure!(line["verdict"] == "fail", "{line}");
            Ok(line)
        };
        let found = namespace.eventually("a request longer than the drain is told", SOON, counted).await?;
        run(&namespace, &found).await?;
        shop.clone().with(&json!({"drainTimeout": "4s"})).ready(&namespace, 2).await?;
        for check in ["state", "operator", "definition", "heap", "disruptionBudget", "rights"] {
            let line = line(&namespace, "shop", check).await?;
            ensure!(line["verdict"] == "pass", "{line}");
        }
        let operator = line(&namespace, "shop", "operator").await?;
        let said = operator["message"].as_str().unwrap_or_default();
        ensure!(said.contains("is at work"), "its Deployment is seen: {said}");
        Ok(())
    });
}
