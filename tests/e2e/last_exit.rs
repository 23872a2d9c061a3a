//! Why an instance ended: code, reason and last lines in the status, no credential.

use anyhow::ensure;
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON, condition};
use crate::e2e;

const SECRET: &str = "p4ss-of-the-database";

/// Runs this source, with the Secret `db` in its environment.
fn runs(namespace: &Namespace, source: &str) -> anyhow::Result<App> {
    let password = json!({"secretKeyRef": {"name": "db", "key": "password"}});
    Ok(App::worker(namespace, "job", "web.js")?.without("script").with(&json!({
        "instances": 1,
        "command": ["node", "-e", source],
        "env": [{"name": "DB_URL", "valueFrom": password}],
        "maxRestarts": 2,
        "minUptime": "1m",
    })))
}

async fn with_secret(namespace: &Namespace) -> anyhow::Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
        "stringData": {"password": SECRET}});
    namespace.apply(&secret).await.map(drop)
}

async fn status(namespace: &Namespace) -> anyhow::Result<Value> {
    Ok(namespace.get("NodeApp", "job").await?["status"].clone())
}

#[test]
fn a_crash_is_told_with_its_code_and_last_lines_and_a_secret_is_masked() {
    e2e(|namespace| async move {
        with_secret(&namespace).await?;
        let source = "console.error('cannot log in with ' + process.env.DB_URL); process.exit(7)";
        runs(&namespace, source)?.apply(&namespace).await?;
        let told = async || {
            let status = status(&namespace).await?;
            let exit = &status["lastExit"];
            ensure!(exit["code"] == 7 && exit["reason"] == "Crash", "{status}");
            ensure!(exit["logTail"] == json!(["cannot log in with ***"]), "{status}");
            ensure!(status["restarts"].as_u64() >= Some(1), "{status}");
            Ok(status)
        };
        let status = namespace.eventually("the crash in the status", SOON, told).await?;
        ensure!(!status.to_string().contains(SECRET), "{status}");
        Ok(())
    });
}

#[test]
fn the_kernel_s_kill_for_memory_is_told_as_such() {
    e2e(|namespace| async move {
        with_secret(&namespace).await?;
        let source = "const all = []; setInterval(() => all.push(Buffer.alloc(8e6, 1)), 10)";
        let limits = json!({"resources": {"limits": {"memory": "96Mi"}, "requests": {"memory": "96Mi"}}});
        runs(&namespace, source)?.with(&limits).apply(&namespace).await?;
        let told = async || {
            let status = status(&namespace).await?;
            ensure!(status["lastExit"]["reason"] == "OutOfMemory", "{status}");
            Ok(())
        };
        namespace.eventually("the kill in the status", SOON, told).await
    });
}

/// Waits until the status of an app tells of an end that fits, and returns it.
pub(crate) async fn ended(
    namespace: &Namespace,
    app: &str,
    reason: &str,
    message: &str,
) -> anyhow::Result<Value> {
    namespace
        .eventually(&format!("{reason} in the status of {app}"), SOON, async || {
            let status = namespace.get("NodeApp", app).await?["status"].clone();
            let exit = status["lastExit"].clone();
            ensure!(exit["reason"] == reason, "{status}");
            ensure!(exit["message"].as_str().is_some_and(|text| text.contains(message)), "{exit}");
            ensure!(status["restarts"].as_u64() >= Some(1), "{status}");
            Ok(exit)
        })
        .await
}

#[test]
fn a_death_by_a_signal_a_memory_restart_and_an_errored_app_are_told_in_the_status() {
    e2e(|namespace| async move {
        let app = |name: &str, source: &str, more: Value| {
            let fields = json!({"instances": 1, "command": ["node", "-e", source]});
            App::worker(&namespace, name, "web.js").map(|it| it.without("script").with(&fields).with(&more))
        };
        let killed = "setTimeout(() => process.kill(process.pid, 'SIGTERM'), 200)";
        app("killed", killed, json!({}))?.apply(&namespace).await?;
        // So far below the limit that the kernel has no part in it.
        let leak = "const all = []; setInterval(() => all.push(Buffer.alloc(2e6, 1)), 100)";
        let limit = json!({"maxMemoryRestart": "90M", "resources": {"limits": {"memory": "400Mi"}}});
        app("leaks", leak, limit)?.apply(&namespace).await?;
        let policy = json!({"maxRestarts": 2, "minUptime": "1m", "erroredRetryDelay": "0s"});
        app("broken", "process.exit(3)", policy)?.apply(&namespace).await?;

        let exit = ended(&namespace, "killed", "Crash", "SIGTERM").await?;
        ensure!(exit["signal"] == "SIGTERM" && exit["code"].is_null(), "{exit}");
        let exit = ended(&namespace, "broken", "Crash", "errored: not tried again").await?;
        ensure!(exit["code"] == 3 && exit["signal"].is_null(), "{exit}");
        ended(&namespace, "leaks", "MemoryLimit", "maxMemoryRestart").await.map(drop)
    });
}

#[test]
fn an_instance_that_is_ready_ends_the_wait_of_kubectl() {
    e2e(|namespace| async move {
        with_secret(&namespace).await?;
        runs(&namespace, "setInterval(() => {}, 1000)")?.apply(&namespace).await?;
        let (name, tools) = (namespace.name(), &namespace.cluster().tools);
        let wait = async |until: &str| {
            tools.kubectl(&["wait", "nodeapp/job", "-n", name, until, "--timeout=90s"]).await.map(drop)
        };
        wait("--for=condition=Ready").await?;
        let object = namespace.get("NodeApp", "job").await?;
        ensure!(condition(&object, "Ready")?["status"] == "True", "{object}");
        let generation = object["metadata"]["generation"].clone();
        let seen = format!("--for=jsonpath={{.status.observedGeneration}}={generation}");
        wait(&seen).await
    });
}
