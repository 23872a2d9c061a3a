//! What is written in `script` is what runs, and it can speak to the runner.

use anyhow::ensure;
use serde_json::json;

use crate::app::{App, PORT};
use crate::e2e;

#[test]
fn an_app_behind_npm_start_gets_ready_by_its_message_in_an_image_without_npm() {
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "npm start")?.with(&json!({"waitReady": true}));
        shop.clone().env(&[("READY", "0")]).apply(&namespace).await?;
        let pods = shop.ready(&namespace, 1).await?;
        let answer = namespace.pod_get(&pods[0], PORT, "/").await?;
        ensure!(answer.contains("from-the-package-script"), "{answer}");
        let log = namespace.logs(&pods[0]).await?;
        ensure!(log.contains("without npm)"), "{log}");
        Ok(())
    });
}
