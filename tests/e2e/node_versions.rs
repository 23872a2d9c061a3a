//! Every version of Node.js there is an image of: one in an ordinary run, all with `--all`.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::app::{App, PORT};
use crate::e2e;
use crate::stop::time_to_stop;

/// Says that it is ready by the message, and which Node.js it is. Given on the
/// command line, because the plain Node images hold no app.
const SERVER: &str = "
require('node:http')
  .createServer((request, response) => response.end(JSON.stringify({ version: process.version })))
  .listen(process.env.PORT, () => setTimeout(() => process.send('ready'), 500));
";

#[test]
fn every_node_version_gets_ready_answers_and_stops() {
    e2e(|namespace| async move {
        let images = namespace.cluster().images_below("node")?;
        let mut apps = Vec::new();
        for (major, image) in &images {
            let fields = json!({"image": image, "waitReady": true, "cwd": "/"});
            let app = App::serving(&namespace, &format!("node-{major}"), "unused")?.with(&fields);
            let app = app.without("script").with(&json!({"command": ["node", "-e", SERVER]}));
            app.apply(&namespace).await?;
            apps.push((major, app));
        }
        for (major, app) in apps {
            let pods = app.ready(&namespace, 1).await?;
            let answer: Value = serde_json::from_str(&namespace.pod_get(&pods[0], PORT, "/").await?)?;
            let version = answer["version"].as_str().unwrap_or_default();
            ensure!(version.starts_with(&format!("v{major}.")), "Node.js {major}: {answer}");
            let status = app.runner(&namespace).await?;
            ensure!(status["state"] == "online", "Node.js {major}: {status}");
            // A second of drain delay and the kubelet's own work; the grace period is 18 s.
            let took = time_to_stop(&namespace, &app, true).await?;
            ensure!(took < Duration::from_secs(10), "Node.js {major} stops in {took:?}");
        }
        Ok(())
    });
}
