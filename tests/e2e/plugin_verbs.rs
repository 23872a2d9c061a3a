//! `kubectl nodeapp` with pods that run: PM2's commands, one after the other.

use anyhow::{Context as _, Result, ensure};
use nodeapp_testkit::{Namespace, Ran};
use serde_json::{Value, json};

use crate::app::{App, SOON, pod_uids};
use crate::e2e;

/// Runs a verb in the namespace of the test.
async fn plugin(namespace: &Namespace, words: &[&str]) -> Result<Ran> {
    let args = [words, &["-n", namespace.name()]].concat();
    namespace.cluster().tools.run_plugin(&args).await
}

/// The same of a verb that is to succeed; its standard output.
async fn done(namespace: &Namespace, words: &[&str]) -> Result<String> {
    let ran = plugin(namespace, words).await?;
    ensure!(ran.code == Some(0), "{words:?}: {ran:?}");
    Ok(ran.out)
}

#[test]
fn an_app_is_stopped_started_scaled_and_listed_as_with_pm2() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&json!({"instances": 2}));
        shop.apply(&namespace).await?;
        done(&namespace, &["wait", "shop", "--timeout", "90s"]).await?;
        let table = done(&namespace, &["ls"]).await?;
        let row = table.lines().find(|line| line.starts_with("shop")).context("a row")?;
        ensure!(row.contains("2/2") && row.contains("online"), "{table}");

        done(&namespace, &["stop", "shop", "--timeout", "90s"]).await?;
        ensure!(namespace.pods("shop").await?.is_empty(), "an instance is left");
        done(&namespace, &["start", "shop", "--timeout", "90s"]).await?;
        ensure!(namespace.ready_pods("shop").await?.len() == 2, "they are not ready");
        done(&namespace, &["scale", "shop", "+1", "--timeout", "90s"]).await?;
        shop.ready(&namespace, 3).await.map(drop)
    });
}

#[test]
fn a_reload_brings_other_pods_and_a_restart_other_processes_in_the_same() {
    e2e(|namespace| async move {
        let files = json!({"instances": 2, "outFile": "/nodeapp/logs/out.log"});
        let shop = App::serving(&namespace, "shop", "obedient.js")?.with(&files);
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 2).await?;
        let first = pod_uids(&namespace, "shop").await?;

        done(&namespace, &["reload", "shop", "--timeout", "90s"]).await?;
        let pods = shop.ready(&namespace, 2).await?;
        let second = pod_uids(&namespace, "shop").await?;
        ensure!(second.iter().all(|uid| !first.contains(uid)), "{first:?} and {second:?}");

        let said = done(&namespace, &["restart", "shop", "--timeout", "90s"]).await?;
        ensure!(said.contains("restarted in place, 2 instances"), "{said}");
        ensure!(pod_uids(&namespace, "shop").await? == second, "pods were replaced");
        for pod in &pods {
            let runner = namespace.runner_status(pod).await?;
            ensure!(runner["restarts"] == 1 && runner["state"] == "online", "{runner}");
        }

        let counted = async || {
            let status = namespace.get("NodeApp", "shop").await?["status"].clone();
            ensure!(status["restarts"] == 2, "{status}");
            Ok(())
        };
        namespace.eventually("both restarts are counted", SOON, counted).await?;
        let reset = done(&namespace, &["reset", "shop"]).await?;
        ensure!(reset.contains("there were 2"), "{reset}");
        let row = done(&namespace, &["ls", "shop"]).await?;
        let row: Vec<&str> = row.lines().last().context("a row")?.split_whitespace().collect();
        ensure!(row[3] == "0", "{row:?}");

        let answers = done(&namespace, &["trigger", "shop", "add", r#"{"a": 20, "b": 22}"#]).await?;
        ensure!(answers.lines().count() == 2 && answers.matches(r#"{"sum":42}"#).count() == 2, "{answers}");
        let refused = plugin(&namespace, &["trigger", "shop", "no-such"]).await?;
        ensure!(refused.code == Some(1) && refused.err.contains("registered are"), "{refused:?}");
        let sent = done(&namespace, &["send-signal", "SIGUSR2", "shop"]).await?;
        ensure!(sent.matches("ok").count() == 2, "{sent}");
        let flushed = done(&namespace, &["flush", "shop"]).await?;
        ensure!(flushed.matches("ok").count() == 2, "{flushed}");
        let about = done(&namespace, &["describe", "shop"]).await?;
        ensure!(about.contains("online") && pods.iter().all(|pod| about.contains(pod)), "{about}");
        ensure!(about.contains("AllInstancesReady") && about.contains("stable"), "{about}");
        let raw: Value = serde_json::from_str(&done(&namespace, &["describe", "shop", "-o", "json"]).await?)?;
        ensure!(raw[0]["instances"][0]["runner"]["state"] == "online", "{raw}");
        Ok(())
    });
}

#[test]
fn a_reload_and_a_wait_fail_with_the_reason_when_the_build_does_not_get_ready() {
    e2e(|namespace| async move {
        let rollout = json!({"rollout": {"progressDeadline": "8s"}, "listenTimeout": "3s"});
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&rollout);
        shop.clone().env(&[("VERSION", "v1")]).apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        // A build that never says that it is ready.
        shop.clone().with(&json!({"waitReady": true})).apply(&namespace).await?;
        let waited = plugin(&namespace, &["wait", "shop", "--timeout", "90s"]).await?;
        ensure!(waited.code == Some(1) && waited.err.contains("RolloutStuck"), "{waited:?}");
        let table = done(&namespace, &["ls"]).await?;
        ensure!(table.contains("degraded") && table.contains("do not get ready"), "{table}");

        let back = done(&namespace, &["rollback", "shop", "--timeout", "90s"]).await?;
        ensure!(back.contains("runs revision 1"), "{back}");
        let history = done(&namespace, &["history", "shop"]).await?;
        let first = history.lines().last().context("a revision")?;
        ensure!(first.starts_with('1') && first.contains("runs, stable"), "{history}");
        Ok(())
    });
}
