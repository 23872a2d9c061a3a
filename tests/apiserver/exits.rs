//! Restarts and the last exit in the status: written once, then nothing moves.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Operator, SOON, Tap, app, settled, versions};

/// The runner of every pod here.
const RUNNER: &str = "127.0.0.81";

/// Tells of three restarts, and of an end that is the same second in every pod.
async fn runner() -> Result<()> {
    let listener = TcpListener::bind((RUNNER, nodeapp_contract::RUNNER_PORT)).await?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let mut exit = json!({"code": 7, "reason": "Crash", "message": "the app crashed", "at": 1_000});
            let body = if request[..read].starts_with(b"GET /status ") {
                json!({"state": "online", "ready": true, "restarts": 3, "lastExit": exit})
            } else {
                exit["logTail"] = json!(["Error: no database"]);
                exit
            };
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes()).await;
        }
    });
    Ok(())
}

/// Runs the pods, as their kubelet would; each container has started twice.
async fn run_pods(namespace: &Namespace) -> Result<()> {
    let pods = namespace.api::<Pod>();
    let of_it = ListParams::default().labels("nodeapp.dev/app=shop");
    let names = namespace.eventually("two pods", SOON, async || {
        let found = pods.list(&of_it).await?.items;
        ensure!(found.len() == 2, "{} pods", found.len());
        Ok(found.into_iter().filter_map(|pod| pod.metadata.name).collect::<Vec<_>>())
    });
    for name in names.await? {
        let container = json!({
            "name": "app", "image": "a", "imageID": "a", "ready": false, "restartCount": 1,
            "state": {"running": {}},
        });
        let status = json!({"phase": "Running", "podIP": RUNNER, "containerStatuses": [container]});
        let patch = Patch::Merge(json!({"status": status}));
        pods.patch_status(&name, &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

#[test]
fn restarts_and_the_last_exit_are_written_once_and_survive_the_operator() {
    story(Tier::Apiserver, |namespace| async move {
        runner().await?;
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        namespace.apply(&app("shop", &json!({"instances": 2}))).await?;
        settled(&namespace, "shop").await?;
        run_pods(&namespace).await?;
        let told = async || {
            let status = namespace.get("NodeApp", "shop").await?["status"].clone();
            ensure!(status["restarts"] == 8, "{status}");
            ensure!(status["lastExit"]["logTail"] == json!(["Error: no database"]), "{status}");
            Ok(())
        };
        namespace.eventually("what the runners tell", SOON, told).await?;
        let before = versions(&namespace, "shop").await?;
        let still = async |tap: &Tap, writes: usize| {
            let unmoved = async || {
                let now = versions(&namespace, "shop").await?;
                ensure!(now == before && tap.writes() == writes, "{before:?}, {now:?}: {:?}", tap.calls());
                Ok(())
            };
            namespace.throughout("nothing is written", Duration::from_secs(5), unmoved).await
        };
        // The runners are asked again in this time, and the two ends are of one second.
        still(&tap, tap.writes()).await?;
        operator.kill().await;
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        let listed = async || {
            ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
            Ok(())
        };
        namespace.eventually("the operator has listed everything", SOON, listed).await?;
        still(&tap, 0).await?;
        // Who switches the lines off finds none of them any more.
        let off = json!({"instances": 2, "statusLogTail": false});
        namespace.apply(&app("shop", &off)).await?;
        let gone = async || {
            let exit = namespace.get("NodeApp", "shop").await?["status"]["lastExit"].clone();
            ensure!(exit["code"] == 7 && exit["logTail"].is_null(), "{exit}");
            Ok(())
        };
        namespace.eventually("the exit without its lines", SOON, gone).await
    });
}
