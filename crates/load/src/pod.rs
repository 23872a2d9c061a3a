//! The pod in which the load generator runs; load never comes from outside the cluster.

use std::time::Duration;

use serde_json::{Value, json};

/// Port on which the pod is looked at and stopped.
pub const CONTROL_PORT: u16 = 8089;

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
    /// What tells answers apart, as the option `--token` takes it.
    pub token: String,
    /// The end in any case.
    pub limit: Duration,
}

impl LoadPlan {
    /// Both kinds of load on a Service of the pod's namespace, moderate enough
    /// to leave a two-core machine with a cluster on it room to work.
    pub fn on(service: &str, port: u16, path: &str) -> Self {
        Self {
            url: format!("http://{service}:{port}{path}"),
            keep_alive: 16,
            keep_alive_rate: 320,
            new_per_second: 80,
            token: "json:version".to_owned(),
            limit: Duration::from_mins(3),
        }
    }
}

/// The pod as JSON, fit for the Pod Security level `restricted`.
pub fn manifest(name: &str, image: &str, plan: &LoadPlan) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"nodeapp.dev/load": "true"}},
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
                    "--await-seconds=30",
                    format!("--token={}", plan.token),
                    format!("--control-port={CONTROL_PORT}"),
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
