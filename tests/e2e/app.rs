//! A NodeApp of the tests, and what can be said of one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};

/// A pod starts in about three seconds here; a rollout replaces a few, one
/// after the other, each with its drain.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Port of the apps in `apps/`.
pub(crate) const PORT: u16 = 3000;

/// A NodeApp as a user would write it.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) name: String,
    spec: Value,
}

impl App {
    /// An app from `tests/e2e/apps` that serves HTTP.
    pub(crate) fn serving(namespace: &Namespace, name: &str, script: &str) -> Result<Self> {
        Ok(Self::worker(namespace, name, script)?.with(&json!({"port": PORT})))
    }

    /// An app from `tests/e2e/apps` without a port.
    pub(crate) fn worker(namespace: &Namespace, name: &str, script: &str) -> Result<Self> {
        let image = namespace.cluster().image("apps")?;
        let spec = json!({"image": image, "script": script, "cwd": "/app", "drainDelay": "1s"});
        Ok(Self { name: name.to_owned(), spec })
    }

    /// Sets fields of the spec.
    pub(crate) fn with(mut self, fields: &Value) -> Self {
        for (field, value) in fields.as_object().into_iter().flatten() {
            self.spec[field] = value.clone();
        }
        self
    }

    /// Takes a field out of the spec.
    pub(crate) fn without(mut self, field: &str) -> Self {
        self.spec.as_object_mut().and_then(|fields| fields.remove(field));
        self
    }

    /// Sets plain environment variables, all of them.
    pub(crate) fn env(self, variables: &[(&str, &str)]) -> Self {
        let list: Vec<Value> =
            variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.with(&json!({"env": list}))
    }

    /// Applies it, as `kubectl apply` would.
    pub(crate) async fn apply(&self, namespace: &Namespace) -> Result<()> {
        let object = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": self.name},
            "spec": self.spec,
        });
        namespace.apply(&object).await.map(drop)
    }

    /// Waits until this very spec is served by `count` ready pods and nothing
    /// else is left over.
    pub(crate) async fn ready(&self, namespace: &Namespace, count: usize) -> Result<Vec<String>> {
        let what = format!("{} with {count} ready pods of its newest spec", self.name);
        namespace.eventually(&what, SOON, async || settled(namespace, &self.name, count).await).await
    }

    /// The runner's view of the only pod.
    pub(crate) async fn runner(&self, namespace: &Namespace) -> Result<Value> {
        let pods = namespace.pods(&self.name).await?;
        let pod = pods.first().and_then(|pod| pod.metadata.name.as_deref()).context("no pod")?;
        namespace.runner_status(pod).await
    }
}

/// Answer of `nodeapp-runner ctl` in a pod.
pub(crate) async fn ctl(namespace: &Namespace, pod: &str, words: &[&str]) -> Result<String> {
    let call = [&["/nodeapp/bin/nodeapp-runner", "ctl"], words].concat();
    namespace.exec(pod, &call).await
}

/// Whether the newest spec of an app runs, in pods and in status.
pub(crate) async fn settled(namespace: &Namespace, app: &str, count: usize) -> Result<Vec<String>> {
    let object = namespace.get("NodeApp", app).await?;
    let condition = condition(&object, "Ready")?;
    ensure!(condition["status"] == "True", "Ready: {condition}");
    let generation = &object["metadata"]["generation"];
    ensure!(
        &condition["observedGeneration"] == generation,
        "Ready is of generation {}, the spec of {generation}",
        condition["observedGeneration"]
    );
    let deployment = namespace.get("Deployment", app).await?;
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    ensure!(status["observedGeneration"] == deployment["metadata"]["generation"], "Deployment: {status}");
    let replicas = |field: &str| status[field].as_u64().unwrap_or(0);
    let wanted = u64::try_from(count)?;
    ensure!(spec["replicas"] == wanted, "Deployment wants {}", spec["replicas"]);
    ensure!(
        [replicas("replicas"), replicas("updatedReplicas"), replicas("readyReplicas")] == [wanted; 3],
        "Deployment: {status}"
    );
    let (pods, ready) = (namespace.pods(app).await?.len(), namespace.ready_pods(app).await?);
    ensure!(pods == count && ready.len() == count, "{pods} pods, of them ready: {ready:?}");
    Ok(ready)
}

/// A condition of a NodeApp.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Result<&'a Value> {
    let list = object["status"]["conditions"].as_array();
    let found = list.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.with_context(|| format!("no condition {kind}: {}", object["status"]))
}

/// UIDs of the pods of an app, sorted.
pub(crate) async fn pod_uids(namespace: &Namespace, app: &str) -> Result<Vec<String>> {
    let pods = namespace.pods(app).await?;
    let mut uids: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.uid).collect();
    uids.sort();
    Ok(uids)
}
