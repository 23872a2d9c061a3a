//! `kubectl nodeapp rehearse`: load on real pods while they are reloaded, killed and evicted.

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON};
use crate::e2e;

/// web.js with state: /count counts in memory, which each instance does for itself; /clock rises in all of them.
const STATE: &str = r"
    const server = require('./web.js');
    const [answer] = server.listeners('request');
    let count = 0;
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (request.url === '/count') response.end(String(++count));
      else if (request.url === '/clock') response.end(JSON.stringify({ clock: Date.now() }));
      else answer(request, response);
    });
";

/// Two instances of it.
fn with_state(namespace: &Namespace) -> Result<App> {
    let app = App::serving(namespace, "shop", "web.js")?.without("script");
    Ok(app.with(&json!({"instances": 2, "command": ["node", "-e", STATE]})))
}

/// What a line for the shell says, whether or not it succeeds, and how it ended.
async fn said(namespace: &Namespace, line: &str) -> Result<(String, bool)> {
    let folder = tempfile::tempdir()?;
    let line = format!("({line}) 2>&1 && echo WELL || echo ILL");
    let said = namespace.cluster().tools.shell(folder.path(), &line).await?;
    let is_well = said.trim_end().ends_with("WELL");
    Ok((said, is_well))
}

/// The report of a rehearsal.
async fn rehearsal(namespace: &Namespace, flags: &str) -> Result<(Value, bool)> {
    let line = format!("kubectl nodeapp rehearse shop -n {} -o json --calm 2 {flags}", namespace.name());
    let (said, is_well) = said(namespace, &line).await?;
    let json =
        said.find("{\n").and_then(|at| said.get(at..=said.rfind('}')?)).with_context(|| said.clone())?;
    Ok((serde_json::from_str(json).with_context(|| said.clone())?, is_well))
}

/// What doctor says of the load test.
async fn verdict(namespace: &Namespace) -> Result<(String, String)> {
    let (said, _) =
        said(namespace, &format!("kubectl nodeapp doctor shop -n {} -o json", namespace.name())).await?;
    let json = said.rfind('}').and_then(|end| said.get(..=end)).with_context(|| said.clone())?;
    let told: Value = serde_json::from_str(json)?;
    let lines = told["apps"][0]["lines"].as_array().cloned().unwrap_or_default();
    let line = lines.iter().find(|line| line["check"] == "loadTested").context("no line")?;
    Ok((line["verdict"].as_str().unwrap_or_default().to_owned(), line.to_string()))
}

/// No Job of a rehearsal is there any more.
async fn cleared(namespace: &Namespace) -> Result<()> {
    let gone = async || {
        let jobs = namespace.list("Job").await?;
        ensure!(jobs.is_empty(), "{jobs:?}");
        Ok(())
    };
    namespace.eventually("the load is cleared away", SOON, gone).await
}

#[test]
fn a_rehearsal_shows_that_no_request_fails_and_doctor_knows_of_it() {
    e2e(|namespace| async move {
        let shop = with_state(&namespace)?.with(&json!({"drainDelay": "4s"}));
        shop.apply(&namespace).await?;
        let before = shop.ready(&namespace, 2).await?;
        let (first, _) = verdict(&namespace).await?;
        ensure!(first == "warn", "never rehearsed: {first}");

        let (report, is_well) = rehearsal(&namespace, "--rate 40 --check /clock").await?;
        ensure!(is_well && report["ok"] == true, "{report:#}");
        let phases = report["phases"].as_array().context("phases")?;
        let names: Vec<_> = phases.iter().filter_map(|phase| phase["name"].as_str()).collect();
        ensure!(names == ["before", "reload", "kill", "evict"], "{names:?}");
        ensure!(phases.iter().all(|phase| phase["requests"].as_u64() > Some(20)), "{report:#}");
        ensure!(
            report["state"]["right"] == true && report["state"]["checks"].as_u64() > Some(20),
            "{report:#}"
        );
        let after = shop.ready(&namespace, 2).await?;
        ensure!(before.iter().all(|pod| !after.contains(pod)), "{before:?} {after:?}");

        let (verdict, line) = verdict(&namespace).await?;
        ensure!(verdict == "pass", "{line}");
        cleared(&namespace).await
    });
}

#[test]
fn a_rehearsal_finds_dropped_requests_and_state_that_instances_do_not_share() {
    e2e(|namespace| async move {
        let shop =
            with_state(&namespace)?.with(&json!({"pmx": false, "drainDelay": "0s", "drainTimeout": "0s"}));
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        let (report, is_well) = rehearsal(&namespace, "--path '/?ms=400' --check /count").await?;
        ensure!(!is_well && report["ok"] == false, "{report:#}");
        ensure!(report["phases"][0]["failed"] == 0, "nothing was done yet: {report:#}");
        ensure!(report["total"]["failed"].as_u64() > Some(0), "{report:#}");
        ensure!(report["state"]["right"] == false, "{report:#}");
        let (verdict, line) = verdict(&namespace).await?;
        ensure!(verdict == "fail", "{line}");
        cleared(&namespace).await
    });
}

#[test]
fn an_app_in_production_or_alone_is_not_rehearsed_and_ctrl_c_leaves_no_load() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let rehearse = format!("kubectl nodeapp rehearse shop -n {}", namespace.name());
        let (alone, is_well) = said(&namespace, &rehearse).await?;
        ensure!(!is_well && alone.contains("one ready instance") && alone.contains("--yes"), "{alone}");
        let production = json!({"metadata": {"labels": {"nodeapp.dev/environment": "production"}}});
        namespace.patch("NodeApp", "shop", &production).await?;
        let (refused, is_well) = said(&namespace, &rehearse).await?;
        ensure!(!is_well && refused.contains("is in production"), "{refused}");
        ensure!(namespace.list("Job").await?.is_empty(), "a load was made");

        // Stopped while its load runs.
        let line = format!(
            "{rehearse} --yes --calm 60 & pid=$!; \
             until kubectl get job -n {} -o name | grep -q rehearsal; do sleep 0.2; done; \
             kill -INT $pid; wait $pid",
            namespace.name()
        );
        let (stopped, is_well) = said(&namespace, &line).await?;
        ensure!(!is_well && stopped.contains("stopped before its end"), "{stopped}");
        cleared(&namespace).await?;
        // One that cannot start is told, and cleared away too.
        let (missing, is_well) =
            said(&namespace, &format!("{rehearse} --yes --image nodeapp/none:0")).await?;
        ensure!(!is_well && missing.contains("the load does not start"), "{missing}");
        cleared(&namespace).await
    });
}
