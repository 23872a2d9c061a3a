//! What a user asks for.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::defaults;
use super::env::{EnvFrom, EnvVar};
use super::notation::{Delay, Quantity, Size, Time};
use super::probes::Probes;
use super::status::NodeAppStatus;

/// The desired state of an app.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nodeapp.dev",
    version = "v1alpha1",
    kind = "NodeApp",
    plural = "nodeapps",
    singular = "nodeapp",
    shortname = "na",
    category = "all",
    namespaced,
    status = "NodeAppStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Node.js application, run as PM2 would: supervised processes with readiness, a drain before every stop, memory restarts and log rotation.",
    validation = (
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name names the Service too: at most 63 lower-case letters, digits and '-', starting with a letter and not ending with '-'",
    ),
    validation = (
        "self.metadata.name != 'default'",
        "metadata.name names the ServiceAccount too, and default is the one that every namespace has; take another name",
    ),
    scale(
        spec_replicas_path = ".spec.instances",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.instances"),
    printcolumn(name = "Up-to-date", type_ = "integer", json_path = ".status.updatedReplicas"),
    printcolumn(name = "Available", type_ = "integer", json_path = ".status.availableReplicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Image", type_ = "string", priority = 1, json_path = ".spec.image"),
    printcolumn(name = "URL", type_ = "string", priority = 1, json_path = ".status.url")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.script) != has(self.command)",
    "set exactly one of script (a file that Node.js runs) and command (a program and its arguments)",
))]
#[x_kube(validation = (
    "!has(self.nodeArgs) || has(self.script)",
    "nodeArgs needs script; with command, write the arguments of node into command",
))]
pub struct NodeAppSpec {
    /// Container image with Node.js and the app. Any base image works, distroless ones too.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = (
        r"self.matches('^\\S+$')",
        "image must name a container image, without blanks, such as registry.example/acme/api:1.4.2",
    ))]
    pub image: String,
    /// Script that Node.js runs, relative to cwd (PM2 `script`). Exactly one of script and command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub script: Option<String>,
    /// Program and arguments to execute instead of script, without a shell, looked up in PATH.
    /// Exactly one of script and command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    pub command: Option<Vec<String>>,
    /// Arguments of the script or command (PM2 `args`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub args: Vec<String>,
    /// Arguments of Node.js itself, before the script (PM2 `node_args`). Only with script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub node_args: Option<Vec<String>>,
    /// Working directory, an absolute path (PM2 `cwd`). Default: the one of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = ("self.startsWith('/')", "cwd must be an absolute path such as /app"))]
    pub cwd: Option<String>,
    /// Number of instances, each a pod with one process (PM2 `instances`). 0 stops the app and keeps
    /// everything else. Default 1.
    #[serde(default = "defaults::instances")]
    #[schemars(range(min = 0, max = 10_000))]
    pub instances: i32,
    /// Environment variables. They win over envFrom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
    /// Secrets and `ConfigMaps` whose keys become environment variables; a later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub env_from: Vec<EnvFrom>,
    /// Port that the app serves on, given to it as the environment variable PORT; the Service has
    /// the same port. Without it the app is a worker: it has no Service and is ready as soon as it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    #[x_kube(validation = ("self != 9615", "port 9615 belongs to the runner; take another one"))]
    pub port: Option<i32>,
    /// Checks in addition to waitReady or the listening port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// The app says itself when it is ready, by `process.send('ready')` (PM2 `wait_ready`). Default
    /// false: it is ready when its port listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ready: Option<bool>,
    /// How long the app may take to get ready before that counts as a failure of the rollout (PM2
    /// `listen_timeout`). Whole milliseconds, or a number with the unit ms, s, m or h. Default 60s
    /// (PM2: 3s, and then it is taken for ready anyway).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_timeout: Option<Time>,
    /// How long the app may take to end after killSignal before it is killed (PM2 `kill_timeout`).
    /// Whole milliseconds, or a number with the unit ms, s, m or h. Default 5s (PM2: 1.6s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_timeout: Option<Time>,
    /// Signal that asks the app to end, after the drain (PM2 `PM2_KILL_SIGNAL`). Default SIGINT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_signal: Option<KillSignal>,
    /// How long the app serves on after a stop was ordered, so that the cluster stops sending new
    /// connections. A number with its unit ms, s, m or h. Default 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_delay: Option<Delay>,
    /// How long requests in flight may take after drainDelay. A number with its unit ms, s, m or h.
    /// Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Delay>,
    /// A process that ends sooner counts as unstable (PM2 `min_uptime`). Whole milliseconds, or a
    /// number with the unit ms, s, m or h. Default 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_uptime: Option<Time>,
    /// Unstable ends within minUptime × maxRestarts after which the app is taken for errored and is
    /// not restarted for a while (PM2 `max_restarts`). Default 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_restarts: Option<i32>,
    /// Wait before each restart (PM2 `restart_delay`). Whole milliseconds, or a number with the unit
    /// ms, s, m or h. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_delay: Option<Time>,
    /// First wait before a restart, growing by half with each one up to 15s; where it is set it
    /// replaces restartDelay, as in PM2 (PM2 `exp_backoff_restart_delay`). Whole milliseconds, or a number with the unit ms, s, m or h.
    /// Default: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_backoff_restart_delay: Option<Time>,
    /// Memory at which the process is restarted in place, before the kernel kills it (PM2
    /// `max_memory_restart`). Whole bytes, or a number with the binary unit K, M or G. Default: off.
    /// It sets the memory limit to 125 % of itself unless resources.limits.memory is given, and may
    /// be at most 90 % of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_restart: Option<Size>,
    /// Compute resources of the app's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Write the app's output to files as well, rotated by size, under `/nodeapp/logs`. They are gone
    /// with the pod. Default: output goes to `kubectl logs` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_rotate: Option<LogRotate>,
    /// Directories that the app may write to, beside `/tmp`: absolute paths, empty at every start of
    /// a pod. What the image has there is hidden. Everything else is read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "writable_paths")]
    pub writable_paths: Vec<String>,
}

/// By hand, since a rule about the items cannot be derived, and one about the list
/// would not say which item it means.
fn writable_paths(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "maxLength": 1024,
            "x-kubernetes-validations": [{
                "rule": r"self.matches('^(/[^/:\\x00]+)+$') && !self.matches('/\\.\\.?(/|$)')",
                "message": "writablePaths must be absolute paths such as /app/cache, without . and .. and ':' and without / at the end",
            }],
        },
    })
}

/// Signal that asks an app to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // The signals' own names; docs on variants would not reach the schema.
pub enum KillSignal {
    #[default]
    SigInt,
    SigTerm,
    SigQuit,
    SigHup,
    SigUsr2,
    SigKill,
}

impl KillSignal {
    /// Name of the signal, such as `SIGINT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SigInt => "SIGINT",
            Self::SigTerm => "SIGTERM",
            Self::SigQuit => "SIGQUIT",
            Self::SigHup => "SIGHUP",
            Self::SigUsr2 => "SIGUSR2",
            Self::SigKill => "SIGKILL",
        }
    }
}

/// Compute resources of the app's container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the node must have free for each instance, by resource name. Default: 100m cpu, and
    /// memory as maxMemoryRestart, else 128Mi (never more than the limit).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What each instance may use at most, by resource name. Default: memory as 125 % of
    /// maxMemoryRestart, nothing else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}

/// Log files and their rotation (the module pm2-logrotate).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogRotate {
    /// Size at which a file is rotated: whole bytes, or a number with the binary unit K, M or G.
    /// Default 10M.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
    /// Rotated files kept, for standard output and standard error each. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub retain: Option<i32>,
    /// Compress rotated files with gzip. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
}
