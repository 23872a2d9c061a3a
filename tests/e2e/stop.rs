//! The stop order takes the time it needs and no more.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, PORT, SOON};
use crate::e2e;

/// Deletes the only pod of an app and gives the time until it is gone.
pub(crate) async fn time_to_stop(namespace: &Namespace, app: &App, while_stopping: bool) -> Result<Duration> {
    let pods = app.ready(namespace, 1).await?;
    let start = Instant::now();
    namespace.delete_object("Pod", &pods[0]).await?;
    if while_stopping {
        // Asked to stop, it serves on for its drain delay.
        namespace.pod_get(&pods[0], PORT, "/").await?;
    }
    let gone = async || {
        let names: Vec<Value> =
            namespace.list("Pod").await?.iter().map(|pod| pod["metadata"]["name"].clone()).collect();
        ensure!(!names.contains(&json!(pods[0])), "{names:?}");
        Ok(())
    };
    namespace.eventually("the pod is gone", SOON, gone).await?;
    Ok(start.elapsed())
}

/// Grace period that Kubernetes would wait for at most.
async fn grace(namespace: &Namespace, app: &App) -> Result<Value> {
    let deployment = namespace.get("Deployment", &app.name).await?;
    Ok(deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].clone())
}

#[test]
fn a_pod_stops_in_the_time_of_its_stop_order_and_not_at_the_end_of_its_grace_period() {
    e2e(|namespace| async move {
        let fields = json!({"drainDelay": "2s", "drainTimeout": "20s", "killTimeout": 20_000});
        for script in ["web.js", "web-sigint.js"] {
            let name = script.trim_end_matches(".js");
            let app = App::serving(&namespace, name, script)?.with(&fields);
            app.apply(&namespace).await?;
            let took = time_to_stop(&namespace, &app, true).await?;
            ensure!(grace(&namespace, &app).await? == 44, "2 + 20 + 20 and 2 to spare");
            // Two seconds of drain delay; the rest is the kubelet's own work on a busy machine.
            ensure!(took >= Duration::from_secs(2), "{script}: {took:?}, before the end of the drain delay");
            ensure!(took < Duration::from_secs(12), "{script}: {took:?}");
        }
        Ok(())
    });
}

#[test]
fn an_app_that_ignores_its_signal_is_killed_after_its_kill_timeout() {
    e2e(|namespace| async move {
        let fields = json!({"drainDelay": "1s", "drainTimeout": "30s", "killTimeout": "3s"});
        let app = App::serving(&namespace, "stubborn", "stubborn.js")?.with(&fields);
        app.apply(&namespace).await?;
        let took = time_to_stop(&namespace, &app, false).await?;
        ensure!(took >= Duration::from_secs(4), "{took:?}, before the end of killTimeout");
        ensure!(took < Duration::from_secs(14), "{took:?} of {} s grace", grace(&namespace, &app).await?);
        Ok(())
    });
}

#[test]
fn a_worker_without_a_port_stops_at_once() {
    e2e(|namespace| async move {
        let app = App::worker(&namespace, "quiet", "chatty.js")?
            .with(&json!({"drainDelay": "0s", "killTimeout": "20s"}))
            .env(&[("LINES", "1")]);
        app.apply(&namespace).await?;
        let took = time_to_stop(&namespace, &app, false).await?;
        ensure!(took < Duration::from_secs(8), "{took:?}");
        Ok(())
    });
}
