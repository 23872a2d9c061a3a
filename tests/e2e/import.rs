//! From PM2's file to pods, by the command of `docs/from-pm2.md`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::Value;

use crate::app::{PORT, SOON, settled};
use crate::e2e;

/// The name that the file gives its app.
const APP: &str = "api-server";

/// There is no shell in the image, so its Node.js reads the log.
const READ: &str = "require('fs').readFileSync('/nodeapp/logs/api-out.log', 'utf8')";

/// The ready pods of the app, as many as fill the cluster.
async fn filled(namespace: &Namespace) -> Result<Vec<String>> {
    let deployment = namespace.get("Deployment", APP).await?;
    let wanted = deployment["spec"]["replicas"].as_u64().context("replicas")?;
    ensure!(wanted > 0, "{}", deployment["spec"]);
    settled(namespace, APP, usize::try_from(wanted)?).await
}

#[test]
fn the_ecosystem_file_of_the_article_is_imported_applied_and_serves() {
    e2e(|namespace| async move {
        let tools = &namespace.cluster().tools;
        let image = namespace.cluster().image("apps")?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/ecosystem/tests/ecosystems/seed");
        let line = format!(
            "kubectl nodeapp import ecosystem.config.js --env production --image {image} | kubectl apply -n {} -f -",
            namespace.name()
        );
        let said = tools.shell(&folder, &line).await?;
        ensure!(said.contains(&format!("nodeapp.nodeapp.dev/{APP} created")), "{said}");
        ensure!(said.contains("1 of 1 apps imported"), "the report goes to standard error: {said}");

        let pods = namespace.eventually("the imported app is ready", SOON, async || filled(&namespace).await);
        let mut instances = BTreeSet::new();
        for pod in &pods.await? {
            let answer: Value = serde_json::from_str(&namespace.pod_get(pod, PORT, "/").await?)?;
            ensure!(answer["pod"] == pod.as_str() && answer["env"] == "production", "{pod} answers {answer}");
            instances.insert(answer["instance"].to_string());
            // The file has the name, the date and the merging that PM2's file asks for.
            let lines = namespace.exec(pod, &["node", "-p", READ]).await?;
            ensure!(lines.starts_with("20") && lines.contains(" | Worker "), "{pod}: {lines}");
            ensure!(lines.contains("listening on port 3000"), "{pod}: {lines}");
        }
        ensure!(instances.contains("\"0\""), "no instance has the number 0: {instances:?}");
        let service = format!("/api/v1/namespaces/{}/services/{APP}:{PORT}/proxy/", namespace.name());
        let answer: Value = serde_json::from_str(&tools.kubectl(&["get", "--raw", &service]).await?)?;
        ensure!(answer["env"] == "production", "the Service answers {answer}");
        Ok(())
    });
}
