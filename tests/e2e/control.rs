//! `nodeapp-runner ctl` through `kubectl exec`.

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON, ctl, pod_uids};
use crate::e2e;

async fn answer(namespace: &Namespace, pod: &str, words: &[&str]) -> Result<Value> {
    let text = ctl(namespace, pod, words).await?;
    serde_json::from_str(&text).with_context(|| format!("{words:?}: {text}"))
}

#[test]
fn a_pod_does_what_it_is_told_through_exec() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "obedient.js")?.with(&json!({"instances": 1}));
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let (pod, before) = (&*pods[0], pod_uids(&namespace, "shop").await?);

        let status = answer(&namespace, pod, &["status"]).await?;
        ensure!(status["state"] == "online" && status["restarts"] == 0, "{status}");

        let actions = answer(&namespace, pod, &["actions"]).await?;
        let known = actions.as_array().into_iter().flatten().any(|action| action["name"] == "add");
        ensure!(known, "{actions}");
        let sum = answer(&namespace, pod, &["trigger", "add", r#"{"a":20,"b":22}"#]).await?;
        ensure!(sum == json!({"sum": 42}), "{sum}");

        ctl(&namespace, pod, &["signal", "SIGUSR2"]).await?;
        let heard = async || {
            let log = namespace.logs(pod).await?;
            ensure!(log.contains("SIGUSR2: heard"), "{log}");
            Ok(())
        };
        namespace.eventually("the app has heard the signal", SOON, heard).await?;

        let snapshot = answer(&namespace, pod, &["heap-snapshot"]).await?;
        let path = snapshot["path"].as_str().context("no path")?;
        let read =
            format!("Object.keys(JSON.parse(require('fs').readFileSync('{path}')).snapshot.meta).length");
        let fields = namespace.exec(pod, &["node", "-p", &read]).await?;
        ensure!(fields.trim().parse::<u32>()? > 0, "{path} is no snapshot");

        ctl(&namespace, pod, &["restart"]).await?;
        let restarted = async || {
            let status = shop.runner(&namespace).await?;
            ensure!(status["restarts"] == 1 && status["state"] == "online", "{status}");
            ensure!(status["lastExit"]["reason"] == "StopOrdered", "{status}");
            namespace.pod_get(pod, PORT, "/").await.map(drop)
        };
        namespace.eventually("the restart in place", SOON, restarted).await?;
        ensure!(pod_uids(&namespace, "shop").await? == before, "the pod was replaced");

        let refused = ctl(&namespace, pod, &["trigger", "no-such"]).await;
        ensure!(
            refused.is_err_and(|error| format!("{error:#}").contains("registered are")),
            "no reason is told"
        );
        Ok(())
    });
}
