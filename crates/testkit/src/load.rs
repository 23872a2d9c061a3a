//! Drives `nodeapp-load` in a pod: load never comes from outside the cluster.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{LoadReport, Namespace};

/// Port on which the pod is looked at and stopped.
const CONTROL: u16 = 8089;

/// How much load, and where to.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Full URL.
    pub url: String,
    /// Connections that are kept.
    pub keep_alive: u32,
    /// Requests per second over all of them.
    pub keep_alive_rate: u32,
    /// New connections per second, one request on each.
    pub new_per_second: u32,
    /// The end in any case.
    pub limit: Duration,
}

impl LoadPlan {
    /// Both kinds of load on a Service of the same namespace, moderate enough
    /// to leave a two-core machine with a cluster on it room to work.
    pub fn on(service: &str, port: u16, path: &str) -> Self {
        Self {
            url: format!("http://{service}:{port}{path}"),
            keep_alive: 16,
            keep_alive_rate: 320,
            new_per_second: 80,
            limit: Duration::from_mins(3),
        }
    }
}

/// A pod that sends load.
pub struct Load<'a> {
    namespace: &'a Namespace,
    pod: String,
}

impl<'a> Load<'a> {
    /// Starts the pod and waits for the first answers.
    ///
    /// # Errors
    /// The pod does not start, or nothing answers.
    pub async fn start(namespace: &'a Namespace, plan: &LoadPlan) -> Result<Self> {
        let pod = format!("load-{:08x}", rand::random::<u32>());
        namespace.apply(&manifest(&pod, &namespace.cluster().image("load")?, plan)).await?;
        let load = Self { namespace, pod };
        load.answered(1).await.context("load does not start")?;
        Ok(load)
    }

    /// The counts so far.
    ///
    /// # Errors
    /// The pod does not answer.
    pub async fn report(&self) -> Result<LoadReport> {
        let text = self.namespace.pod_get(&self.pod, CONTROL, "/report").await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits for that many more answers, which is how a test lets load go on
    /// for a while without sleeping.
    ///
    /// # Errors
    /// They do not come.
    pub async fn answered(&self, more: u64) -> Result<LoadReport> {
        let mut goal = None;
        let what = format!("{more} more requests answered");
        let check = async || {
            let report = self.report().await?;
            let goal = *goal.get_or_insert(report.ok() + more);
            ensure!(report.ok() >= goal, "{} of {goal}, {} failed", report.ok(), report.failed());
            Ok(report)
        };
        self.namespace.eventually(&what, Duration::from_mins(1), check).await
    }

    /// Waits for the first answer with this token.
    ///
    /// # Errors
    /// It does not come.
    pub async fn answered_by(&self, token: &str, limit: Duration) -> Result<LoadReport> {
        let check = async || {
            let report = self.report().await?;
            ensure!(report.tokens.contains_key(token), "answers come from {:?}", report.tokens);
            Ok(report)
        };
        self.namespace.eventually(&format!("an answer of {token}"), limit, check).await
    }

    /// Ends the load and gives the final counts.
    ///
    /// # Errors
    /// The pod does not answer.
    pub async fn stop(self) -> Result<LoadReport> {
        let text = self.namespace.pod_get(&self.pod, CONTROL, "/stop").await?;
        let report: LoadReport = serde_json::from_str(&text)?;
        ensure!(report.finished, "the load did not end: {report:?}");
        Ok(report)
    }
}

fn manifest(pod: &str, image: &str, plan: &LoadPlan) -> serde_json::Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "labels": {"nodeapp.dev/load": "true"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 2,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "load",
                "image": image,
                "args": [
                    plan.url,
                    format!("--keep-alive={}", plan.keep_alive),
                    format!("--keep-alive-rate={}", plan.keep_alive_rate),
                    format!("--new-per-second={}", plan.new_per_second),
                    format!("--seconds={}", plan.limit.as_secs()),
                    "--token=header:x-version",
                    format!("--control-port={CONTROL}"),
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
