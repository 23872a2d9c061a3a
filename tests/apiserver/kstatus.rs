//! What Flux waits by: kstatus' own code looks at apps as the API server gives them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::kubelet::make_ready;
use crate::support::{Operator, SOON, Tap, app, install};

/// The status as one word, and why.
fn kstatus(object: &Value) -> Result<(String, String)> {
    let program = std::env::var_os("NODEAPP_KSTATUS").context(
        "NODEAPP_KSTATUS is not set; it is the program of hack/kstatus, which cargo xtask test builds",
    )?;
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no standard input")?.write_all(object.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "kstatus ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let (status, why) = text.trim_end().split_once('\n').unwrap_or((text.trim_end(), ""));
    Ok((status.to_owned(), why.to_owned()))
}

/// Waits until kstatus says this of the app, and returns why.
async fn says(namespace: &Namespace, wanted: &str) -> Result<String> {
    namespace
        .eventually(&format!("kstatus says {wanted}"), SOON, async || {
            let app = namespace.get("NodeApp", "shop").await?;
            let (status, why) = kstatus(&app)?;
            ensure!(status == wanted, "{status}: {why}; {}", app["status"]);
            Ok(why)
        })
        .await
}

#[test]
fn flux_waits_for_a_rollout_and_learns_at_once_when_waiting_is_of_no_use() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let change = |change: Value| {
            let mut spec = json!({"rollout": {"progressDeadline": "3s"}});
            crate::support::merge(&mut spec, &change);
            app("shop", &spec)
        };
        // Before any operator has seen it, and at the very moment of its creation.
        let created = namespace.apply(&change(json!({}))).await?;
        let (status, why) = kstatus(&created)?;
        ensure!(status == "InProgress", "a new app is {status}: {why}");
        let operator = Operator::start(&namespace, &Tap::default()).await?;
        make_ready(&namespace, "shop", 2).await?;
        says(&namespace, "Current").await?;

        // A change that no operator has seen.
        operator.kill().await;
        namespace.apply(&change(json!({"image": "registry.example/shop:2"}))).await?;
        let (status, why) = kstatus(&namespace.get("NodeApp", "shop").await?)?;
        ensure!(status == "InProgress", "a new spec is {status}: {why}");
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let why = says(&namespace, "Failed").await?;
        ensure!(why.contains("new pods do not get ready"), "{why}");

        // Back to the pods that are ready, then to what nobody can carry out.
        namespace.apply(&change(json!({}))).await?;
        says(&namespace, "Current").await?;
        let bad = json!({"maxMemoryRestart": "512M", "resources": {"limits": {"memory": "512Mi"}}});
        namespace.apply(&change(bad)).await?;
        let why = says(&namespace, "Failed").await?;
        ensure!(why.contains("spec.maxMemoryRestart"), "{why}");
        namespace.apply(&change(json!({"stopped": true}))).await?;
        says(&namespace, "Current").await.map(drop)
    });
}

#[test]
fn an_app_that_is_rolling_out_is_in_progress_to_flux() {
    story(Tier::Apiserver, |namespace| async move {
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        namespace.apply(&app("shop", &json!({}))).await?;
        let rolling = async || {
            let app = namespace.get("NodeApp", "shop").await?;
            ensure!(app["status"]["observedGeneration"] == app["metadata"]["generation"], "not seen");
            let (status, why) = kstatus(&app)?;
            ensure!(status == "InProgress" && why.contains("rolling out"), "{status}: {why}");
            Ok(())
        };
        namespace.eventually("kstatus tells of the rollout", SOON, rolling).await
    });
}
