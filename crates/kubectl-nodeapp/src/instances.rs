//! The pods of an app, and what their runners are told.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, ListParams};
use kube::{Api, ResourceExt};
use nodeapp_operator::controller::names::labels;
use nodeapp_operator::crd::NodeApp;
use tokio::io::AsyncReadExt as _;

use crate::cluster::{Attempt, Cluster, told};

/// Container that runs the app.
pub(crate) const APP: &str = "app";
/// The runner's program inside of it.
const RUNNER: &str = "/nodeapp/bin/nodeapp-runner";

impl Cluster {
    /// The pods of an app, those of its Redis and its Jobs not among them, the oldest first.
    ///
    /// # Errors
    /// What the cluster refuses, in words.
    pub(crate) async fn instances(&self, app: &NodeApp) -> Result<Vec<Pod>, String> {
        let attempt =
            Attempt { verb: "list", resource: "pods", namespace: app.metadata.namespace.as_deref() };
        let params = ListParams::default().labels(&instances_of(&app.name_any()));
        let list = self.beside::<Pod>(app).list(&params).await;
        let mut pods = list.map_err(|error| told(&attempt, &error))?.items;
        pods.sort_by_key(|pod| (pod.creation_timestamp(), pod.name_any()));
        Ok(pods)
    }

    /// Tells the runner of a pod something (`nodeapp-runner ctl WORDS`) and gives its answer.
    ///
    /// # Errors
    /// What the runner or the cluster refuses, in words.
    pub(crate) async fn ctl(&self, pod: &Pod, words: &[&str]) -> Result<String, String> {
        let command: Vec<&str> = [RUNNER, "ctl"].into_iter().chain(words.iter().copied()).collect();
        let answer = self.exec(pod, &command).await?;
        String::from_utf8(answer).map_err(|_| format!("{}: the answer is no text", pod.name_any()))
    }

    /// Runs a command in the app's container and gives what it wrote, byte for byte.
    ///
    /// # Errors
    /// What the command wrote to its standard error when it failed; what the cluster refuses.
    pub(crate) async fn exec(&self, pod: &Pod, command: &[&str]) -> Result<Vec<u8>, String> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let attempt = Attempt { verb: "create", resource: "pods/exec", namespace: Some(&namespace) };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let params = AttachParams::default().container(APP).stdin(false).stdout(true).stderr(true);
        let mut process = api
            .exec(&name, command.iter().copied(), &params)
            .await
            .map_err(|error| told(&attempt, &error))?;
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (process.stdout(), process.stderr());
        let status = process.take_status();
        let read = async {
            let out =
                async { if let Some(out) = &mut out { out.read_to_end(&mut output).await } else { Ok(0) } };
            let err =
                async { if let Some(err) = &mut err { err.read_to_end(&mut errors).await } else { Ok(0) } };
            futures::try_join!(out, err)
        };
        read.await.map_err(|error| format!("{name}: the connection broke: {error}"))?;
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        match status {
            Some(status) if status.status.as_deref() == Some("Failure") => {
                let told = String::from_utf8_lossy(&errors);
                let message = status.message.unwrap_or_default();
                let words = if told.trim().is_empty() { &message } else { told.trim() };
                Err(format!("{name}: {words}"))
            }
            _ => Ok(output),
        }
    }
}

/// Label selector of an app's own pods.
pub(crate) fn instances_of(app: &str) -> String {
    let labels = labels(app);
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}
