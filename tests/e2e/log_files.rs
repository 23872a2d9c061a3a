//! `logRotate`: files rotate, nothing is lost.

use std::path::Path;

use anyhow::{Context, Result, ensure};
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
