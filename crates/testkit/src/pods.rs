//! Looking into pods.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};

use crate::Namespace;

impl Namespace {
    /// Pods of an app, those on their way out included, sorted by name.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn pods(&self, app: &str) -> Result<Vec<Pod>> {
        let api: Api<Pod> = self.api();
        let params = ListParams::default().labels(&format!("nodeapp.dev/app={app}"));
        let mut pods = api.list(&params).await?.items;
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(pods)
    }

    /// Names of the pods of an app that are ready and not on their way out.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn ready_pods(&self, app: &str) -> Result<Vec<String>> {
        let pods = self.pods(app).await?;
        Ok(pods.into_iter().filter(is_serving).filter_map(|pod| pod.metadata.name).collect())
    }

    /// How often each pod's app container has been started anew by the kubelet.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn container_restarts(&self, app: &str) -> Result<BTreeMap<String, i32>> {
        let pods = self.pods(app).await?;
        Ok(pods.iter().map(|pod| (name_of(pod), app_container(pod).map_or(0, |c| c.restart_count))).collect())
    }

    /// Answer of `GET path` on a port of a pod, through the apiserver's proxy.
    ///
    /// # Errors
    /// No pod, no answer, or an answer with an error status.
    pub async fn pod_get(&self, pod: &str, port: u16, path: &str) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{}/pods/{pod}:{port}/proxy{path}", self.name());
        let request = http::Request::get(&uri).body(Vec::new())?;
        self.cluster().client.request_text(request).await.with_context(|| format!("GET {uri}"))
    }

    /// The runner's `/status` in a pod.
    ///
    /// # Errors
    /// No pod, no answer, or one that is no JSON.
    pub async fn runner_status(&self, pod: &str) -> Result<serde_json::Value> {
        // The port and the path are contract with people who scrape them, so
        // they stand here as numbers and are not taken from the code under test.
        Ok(serde_json::from_str(&self.pod_get(pod, 9615, "/status").await?)?)
    }

    /// Standard output of a program executed in the app container of a pod.
    ///
    /// # Errors
    /// It cannot be executed or fails.
    pub async fn exec(&self, pod: &str, command: &[&str]) -> Result<String> {
        let mut args = vec!["exec", "-n", self.name(), pod, "-c", "app", "--"];
        args.extend(command);
        self.cluster().tools.kubectl(&args).await
    }

    /// All log lines of the app container of a pod.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn logs(&self, pod: &str) -> Result<String> {
        let api: Api<Pod> = self.api();
        let params = LogParams { container: Some("app".to_owned()), ..LogParams::default() };
        Ok(api.logs(pod, &params).await?)
    }
}

/// Whether a pod gets traffic and is meant to.
pub(crate) fn is_serving(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|list| list.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn name_of(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

fn app_container(pod: &Pod) -> Option<&k8s_openapi::api::core::v1::ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|container| container.name == "app")
}
