//! How a process ends is told, and the pod stays.

use std::time::Duration;

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::json;

use crate::app::{App, PORT, SOON, ctl, pod_uids};
use crate::e2e;
use crate::last_exit::ended;

async fn container_never_restarted(namespace: &Namespace, app: &str) -> Result<()> {
    let restarts = namespace.container_restarts(app).await?;
    ensure!(!restarts.is_empty() && restarts.values().all(|count| *count == 0), "{restarts:?}");
    Ok(())
}

#[test]
fn a_process_that_hangs_is_restarted_in_place_and_the_reason_is_told() {
    e2e(|namespace| async move {
        // So long a silence that a busy machine alone does not cause it.
        let fields = json!({"hangTimeout": "5s", "killTimeout": "1s", "instances": 1});
        let shop = App::serving(&namespace, "shop", "obedient.js")?.with(&fields);
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let before = pod_uids(&namespace, "shop").await?;
        let beats = async || {
            let status = shop.runner(&namespace).await?;
            ensure!(status["eventLoop"].is_object(), "{status}");
            ensure!(status["actions"].as_array().is_some_and(|actions| !actions.is_empty()), "{status}");
            Ok(())
        };
        namespace.eventually("the first heartbeat", SOON, beats).await?;
        ctl(&namespace, &pods[0], &["trigger", "hang"]).await?;
        let restarted = async || {
            let status = shop.runner(&namespace).await?;
            ensure!(status["lastExit"]["reason"] == "Hung" && status["state"] == "online", "{status}");
            let told = status["lastExit"]["message"].as_str().unwrap_or_default();
            ensure!(told.contains("hangTimeout is 5000 ms"), "{told}");
            namespace.pod_get(&pods[0], PORT, "/").await.map(drop)
        };
        namespace.eventually("the restart in place", SOON, restarted).await?;
        ended(&namespace, "shop", "Hung", "hangTimeout").await?;
        ensure!(pod_uids(&namespace, "shop").await? == before, "the pod was replaced");
        container_never_restarted(&namespace, "shop").await
    });
}

#[test]
fn an_errored_app_stays_so_in_a_pod_that_tells_why() {
    e2e(|namespace| async move {
        let fields = json!({
            "command": ["node", "-e", "process.exit(7)"],
            "maxRestarts": 2, "minUptime": "1m", "erroredRetryDelay": "0s",
        });
        let broken = App::serving(&namespace, "broken", "unused")?.without("script").with(&fields);
        broken.apply(&namespace).await?;
        let errored = async || {
            let status = broken.runner(&namespace).await?;
            ensure!(status["state"] == "errored" && status["ready"] == false, "{status}");
            ensure!(status["lastExit"]["code"] == 7 && status["lastExit"]["reason"] == "Crash", "{status}");
            let told = status["lastExit"]["message"].as_str().unwrap_or_default();
            ensure!(told.contains("errored: not tried again (erroredRetryDelay is 0)"), "{told}");
            let why = status["notReadyReason"].as_str().unwrap_or_default();
            ensure!(why.contains("errored"), "{why}");
            Ok(status["restarts"].clone())
        };
        let restarts = namespace.eventually("the app is errored", SOON, errored).await?;
        let before = pod_uids(&namespace, "broken").await?;
        let lasting = async || {
            ensure!(errored().await? == restarts, "it was started again");
            ensure!(pod_uids(&namespace, "broken").await? == before, "the pod was replaced");
            ensure!(namespace.ready_pods("broken").await?.is_empty(), "the pod is ready");
            container_never_restarted(&namespace, "broken").await
        };
        namespace.throughout("it stays errored", Duration::from_secs(6), lasting).await
    });
}

#[test]
fn a_jump_past_the_memory_limit_is_told_as_out_of_memory() {
    e2e(|namespace| async move {
        let fields = json!({"instances": 1, "resources": {"limits": {"memory": "160Mi"}}});
        let shop = App::serving(&namespace, "shop", "obedient.js")?.with(&fields);
        shop.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let listening = async || {
            let status = shop.runner(&namespace).await?;
            ensure!(status["actions"].as_array().is_some_and(|actions| !actions.is_empty()), "{status}");
            Ok(())
        };
        namespace.eventually("the app has its actions", SOON, listening).await?;
        // Its answer may die with it.
        let _ = ctl(&namespace, &pods[0], &["trigger", "grow"]).await;
        let told = async || {
            let pod = namespace.get("Pod", &pods[0]).await?;
            let container = &pod["status"]["containerStatuses"][0];
            // With cgroup v2 the kubelet has the whole container killed, and tells it by itself.
            if container["lastState"]["terminated"]["reason"] == "OOMKilled" {
                return Ok(());
            }
            let status = shop.runner(&namespace).await?;
            ensure!(status["lastExit"]["reason"] == "OutOfMemory", "{status}; {container}");
            let what = status["lastExit"]["message"].as_str().unwrap_or_default();
            ensure!(what.contains("raise resources.limits.memory"), "{what}");
            Ok(())
        };
        namespace.eventually("the reason", SOON, told).await?;
        ensure!(shop.ready(&namespace, 1).await? == pods, "the pod was replaced");
        Ok(())
    });
}
