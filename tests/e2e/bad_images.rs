//! Images that cannot run what the NodeApp asks for.

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON, condition};
use crate::e2e;

/// Waits for the end of the app's container and gives exit code, termination
/// message and log.
async fn ended(namespace: &Namespace, app: &str) -> Result<(i32, Value, String)> {
    let check = async || {
        let pods = namespace.pods(app).await?;
        let pod = pods.first().context("no pod")?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        let container = statuses.and_then(|list| list.into_iter().next()).context("no container")?;
        let states = [container.state, container.last_state];
        let end =
            states.into_iter().flatten().find_map(|state| state.terminated).context("it has not ended")?;
        let message = end.message.context("no termination message")?;
        let message = serde_json::from_str(&message).with_context(|| format!("no JSON: {message}"))?;
        Ok((end.exit_code, message, namespace.logs(&name).await?))
    };
    namespace.eventually(&format!("{app} ends"), SOON, check).await
}

#[test]
fn a_missing_script_is_named_in_log_exit_code_and_termination_message() {
    e2e(|namespace| async move {
        App::serving(&namespace, "typo", "sevrer.js")?.apply(&namespace).await?;
        let (code, message, log) = ended(&namespace, "typo").await?;
        ensure!(code == 66, "exit code {code}");
        ensure!(message["reason"] == "ScriptMissing", "{message}");
        let sentence = message["message"].as_str().unwrap_or_default();
        ensure!(sentence.contains("sevrer.js"), "{message}");
        let last = log.lines().last().unwrap_or_default();
        ensure!(last.contains("sevrer.js"), "last line of the log: {last}");
        let object = namespace.get("NodeApp", "typo").await?;
        ensure!(condition(&object, "Ready")?["status"] == "False", "{}", object["status"]);
        Ok(())
    });
}

#[test]
fn an_image_without_node_says_so() {
    e2e(|namespace| async move {
        // The load generator's image is empty but for its one program.
        let image = namespace.cluster().image("load")?;
        let fields = json!({"image": image, "cwd": "/"});
        App::serving(&namespace, "empty", "server.js")?.with(&fields).apply(&namespace).await?;
        let (code, message, log) = ended(&namespace, "empty").await?;
        ensure!(code == 69, "exit code {code}");
        ensure!(message["reason"] == "ProgramMissing", "{message}");
        ensure!(log.lines().last().unwrap_or_default().contains("node"), "{log}");
        Ok(())
    });
}

#[test]
fn a_broken_new_version_leaves_the_old_one_serving() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        let old = shop.ready(&namespace, 2).await?;
        shop.clone().with(&json!({"script": "sevrer.js"})).apply(&namespace).await?;
        let new_pod_fails = async || {
            let restarts = namespace.container_restarts("shop").await?;
            let failing = restarts.iter().find(|(name, count)| !old.contains(name) && **count >= 1);
            failing.map(drop).with_context(|| format!("{restarts:?}"))
        };
        namespace.eventually("the new pod has failed and was tried again", SOON, new_pod_fails).await?;
        ensure!(namespace.ready_pods("shop").await? == old, "the old pods do not serve on");
        shop.apply(&namespace).await?;
        ensure!(shop.ready(&namespace, 2).await? == old, "the way back needs no new pods");
        Ok(())
    });
}
