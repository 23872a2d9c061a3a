//! Checks of the app, made by the runner from inside the pod.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::Delay;

/// Checks of the app. The runner makes them from inside the pod, so they need no opening in any
/// firewall, and a failed liveness check restarts the process in place instead of the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.liveness) || !has(self.liveness.successThreshold) || self.liveness.successThreshold == 1",
    "liveness.successThreshold must be 1: the first failure verdict restarts the process",
))]
#[x_kube(validation = (
    "!has(self.startup) || !has(self.startup.successThreshold) || self.startup.successThreshold == 1",
    "startup.successThreshold must be 1: the first success ends the start",
))]
pub struct Probes {
    /// Traffic comes only while this check passes, in addition to waitReady or a listening port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
    /// The process is restarted in place when this check has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Holds readiness and liveness back until it has passed once; when it has failed, the process
    /// is restarted in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
}

/// A periodic check; exactly one of http, tcp, exec and grpc.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.http), has(self.tcp), has(self.exec), has(self.grpc)].filter(x, x).size() == 1",
    "a probe has exactly one of http, tcp, exec and grpc",
))]
pub struct Probe {
    /// Passes when a GET is answered with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Passes when a connection is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// Passes when a program ends with exit code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecCheck>,
    /// Passes when the gRPC health protocol answers SERVING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcCheck>,
    /// Wait after the start of the process before the first check, a number with its unit such as
    /// `5s`. Default 0s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Delay>,
    /// Time between two checks, a number with its unit such as `10s`, at least `100ms`. Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Delay>,
    /// Time after which a check has failed, a number with its unit such as `1s`. Default 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Delay>,
    /// Failures in a row that count. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub failure_threshold: Option<i32>,
    /// Successes in a row that count after a failure. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub success_threshold: Option<i32>,
}

/// A GET to the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpCheck {
    /// Path with query, starting with `/`. Default `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^/\S*$"))]
    pub path: Option<String>,
    /// Port on the loopback address. Default: spec.port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Header fields of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub headers: Vec<Header>,
}

/// A header field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name of the field.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[-!#$%&'*+.^_`|~a-zA-Z0-9]+$"))]
    pub name: String,
    /// Value of the field.
    #[schemars(length(max = 4096), regex(pattern = r"^[^\r\n\x00]*$"))]
    pub value: String,
}

/// A connection to the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpCheck {
    /// Port on the loopback address. Default: spec.port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A program in the app's container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecCheck {
    /// Program and arguments, executed without a shell.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
}

/// A call of `grpc.health.v1.Health/Check` of the app, without TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcCheck {
    /// Port on the loopback address. Default: spec.port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Name of the service asked about. Default: the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service: Option<String>,
}
