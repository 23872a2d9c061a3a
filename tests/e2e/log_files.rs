//! Log files and the form of lines: files rotate, nothing is lost, `kubectl logs` shows it all.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

use crate::app::{App, SOON};
use crate::e2e;

const LINES: u64 = 60_000;

#[test]
fn a_chatty_apps_logs_rotate_and_lose_no_line() {
    e2e(|namespace| async move {
        let chatty = App::worker(&namespace, "chatty", "chatty.js")?
            .with(&json!({"logRotate": {"maxSize": "1M", "retain": 50, "compress": true}}))
            .env(&[("LINES", &LINES.to_string())]);
        chatty.apply(&namespace).await?;
        let pods = chatty.ready(&namespace, 1).await?;
        // There is no shell in the image, so the app's own Node.js reads the files.
        let written = async || {
            let text = namespace.exec(&pods[0], &["node", "/app/check-logs.js"]).await?;
            let found: Value = serde_json::from_str(text.trim())?;
            ensure!(found["done"] == 2, "still writing: {found}");
            // Compression happens beside the writing and may come after it.
            let rotated = compressed(&found)?;
            ensure!(rotated >= 4, "{rotated} compressed files: {found}");
            Ok(found)
        };
        let found = namespace.eventually("all lines are in the files", SOON, written).await?;
        ensure!(found["torn"] == json!([]), "torn lines: {found}");
        ensure!(found["distinct"] == LINES && found["last"] == LINES - 1, "lost lines: {found}");
        ensure!(found["twice"] == 0, "lines written twice: {found}");
        let restarts = namespace.container_restarts("chatty").await?;
        ensure!(restarts.values().all(|count| *count == 0), "{restarts:?}");
        ensure!(namespace.logs(&pods[0]).await?.contains("done"), "kubectl logs does not show the lines");
        Ok(())
    });
}

/// Number of compressed files; every full file but the two being written is one.
fn compressed(found: &Value) -> Result<usize> {
    let files = found["files"].as_array().context("no files")?;
    let names = files.iter().filter_map(|file| file["file"].as_str());
    Ok(names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "gz")).count())
}

/// The lines of a pod that the app has said, of all in `kubectl logs`.
async fn said(namespace: &Namespace, pod: &str, count: usize) -> Result<Vec<String>> {
    namespace
        .eventually(&format!("{count} lines of the app"), SOON, async || {
            let text = namespace.logs(pod).await?;
            let own = text.lines().filter(|line| !line.starts_with("nodeapp-runner: ") && !line.is_empty());
            let lines: Vec<String> = own.map(str::to_owned).collect();
            ensure!(lines.len() == count, "{lines:#?}");
            Ok(lines)
        })
        .await
}

#[test]
fn kubectl_logs_and_the_out_file_show_the_same_objects() {
    e2e(|namespace| async move {
        let talking = App::worker(&namespace, "talking", "talking.js")?
            .with(&json!({"logType": "json", "logDateFormat": "[in] YYYY", "outFile": "said/out.log"}));
        talking.apply(&namespace).await?;
        let pods = talking.ready(&namespace, 1).await?;
        let lines = said(&namespace, &pods[0], 3).await?;
        let objects: Vec<Value> =
            lines.iter().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
        let find = |field: &str, text: &str| {
            let found = objects.iter().find(|object| object[field] == text);
            found.with_context(|| format!("no {field} {text:?} in {lines:#?}"))
        };
        for (object, kind) in
            [(find("message", "plain words")?, "out"), (find("message", "bad news")?, "err")]
        {
            ensure!(object["type"] == kind && object["app_name"] == "talking", "{object}");
            ensure!(object["instance"] == json!(pods[0]) && object["pid"].is_u64(), "{object}");
            let date = object["timestamp"].as_str().unwrap_or_default();
            ensure!(date.starts_with("in 20") && date.len() == 7, "{object}");
        }
        let own = find("msg", "an object of its own")?;
        ensure!(own["level"] == 30 && own["pid"] == "mine" && own["type"] == "out", "{own}");
        let file = namespace.exec(&pods[0], &["cat", "/nodeapp/logs/said/out.log"]).await?;
        let out: Vec<&String> = lines.iter().filter(|line| !line.contains("bad news")).collect();
        ensure!(file.lines().eq(out), "{file}");
        Ok(())
    });
}

#[test]
fn kubectl_logs_shows_the_date_before_each_line() {
    e2e(|namespace| async move {
        let talking = App::worker(&namespace, "talking", "talking.js")?
            .with(&json!({"logDateFormat": "[on] YYYY-MM-DD", "timeZone": "Europe/Berlin"}));
        talking.apply(&namespace).await?;
        let pods = talking.ready(&namespace, 1).await?;
        let lines = said(&namespace, &pods[0], 3).await?;
        let told: Vec<&str> = lines
            .iter()
            .map(|line| {
                let (date, told) = line.split_once(": ").with_context(|| format!("no date: {line}"))?;
                ensure!(date.starts_with("on 20") && date.len() == 13, "{line}");
                Ok(told)
            })
            .collect::<Result<_>>()?;
        ensure!(told.contains(&"plain words") && told.contains(&"bad news"), "{lines:#?}");
        Ok(())
    });
}
