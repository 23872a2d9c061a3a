//! A fleet of apps that are all alike.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use http::Request;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use nodeapp_operator::controller::wiring::CONCURRENCY;
use nodeapp_operator::crd::NodeApp;
use nodeapp_operator::metrics::Metrics;
use nodeapp_operator::{client, generated};
use serde_json::{Value, json};

/// Where all of them are.
pub(crate) const NAMESPACE: &str = "fleet";
/// Image of the runner; nothing is ever pulled.
pub(crate) const RUNNER: &str = "registry.example/nodeapp-runner:1";
/// Each has an account, a revision, a Service, a budget and a Deployment.
pub(crate) const CHILDREN: usize = 5;

const PATIENCE: Duration = Duration::from_mins(1);

/// A client as the operator has one.
pub(crate) async fn client() -> Result<Client> {
    client::connect(&Metrics::new()).await.context("KUBECONFIG names no cluster that answers")
}

/// Name of an app by its number.
pub(crate) fn name(number: usize) -> String {
    format!("app-{number:05}")
}

/// The apps.
pub(crate) fn apps(client: &Client) -> Api<NodeApp> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Makes the API known and the apps exist.
pub(crate) async fn create(client: &Client, count: usize) -> Result<Vec<NodeApp>> {
    let definition: Value = serde_saphyr::from_str(&generated::crd_yaml())?;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodeapps.nodeapp.dev";
    apply(client, path, &definition).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    apply(client, &format!("/api/v1/namespaces/{NAMESPACE}"), &namespace).await?;
    let apps = apps(client);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = apps.list(&ListParams::default().limit(1)).await {
        anyhow::ensure!(Instant::now() < deadline, "the API is not served: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let created = stream::iter(0..count).map(|number| {
        let apps = apps.clone();
        async move { apps.create(&PostParams::default(), &app(number)?).await.map_err(anyhow::Error::from) }
    });
    let mut created: Vec<NodeApp> =
        created.buffer_unordered(CONCURRENCY.into()).try_collect().await.context("cannot make the fleet")?;
    created.sort_by_key(ResourceExt::name_any);
    Ok(created)
}

fn app(number: usize) -> Result<NodeApp> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": name(number)},
        "spec": {
            "image": "registry.example/shop:1.4.2",
            "script": "server.js",
            "instances": 2,
            "port": 3000,
            "env": [{"name": "LOG_LEVEL", "value": "info"}],
            "maxMemoryRestart": "300M",
        },
    }))?)
}

pub(crate) async fn apply(client: &Client, path: &str, object: &Value) -> Result<()> {
    let request = Request::patch(format!("{path}?fieldManager=nodeapp-bench&force=true"))
        .header("content-type", "application/apply-patch+yaml")
        .body(serde_json::to_vec(object)?)?;
    client.request::<Value>(request).await.with_context(|| format!("cannot apply {path}"))?;
    Ok(())
}
