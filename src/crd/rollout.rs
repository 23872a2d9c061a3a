//! How a change of the spec reaches the instances.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::{Delay, IntOrPercent};

/// How a change of the spec reaches the instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Instances that may exist beyond the wanted number meanwhile: a whole number, or a percentage
    /// that is rounded up. Default 25% (PM2's reload: 2, or 1 of
    /// two).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<IntOrPercent>,
    /// Instances that may be missing from the wanted number meanwhile: a whole number, or a
    /// percentage that is rounded down. Default 0. Not 0 together with maxSurge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrPercent>,
    /// Seconds that a new instance must have been ready before it counts. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub min_ready_seconds: Option<i32>,
    /// How long a rollout may go without progress before it counts as failed; old instances keep
    /// running. A number with its unit ms, s, m or h, in whole seconds. Default listenTimeout,
    /// minReadySeconds and a minute more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline: Option<Delay>,
    /// Carry out nothing that would replace instances, until it is false again; scaling goes on.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Return to the last revision that was completely rolled out when a rollout fails, and stay
    /// there until the spec changes. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_rollback: Option<bool>,
    /// Replace the instances when a `ConfigMap` that env or envFrom refers to changes, and when a Secret
    /// does, where the installation allows the operator to look after those. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_config_change: Option<bool>,
    /// A job that has to succeed before instances of a new revision are made, such as the migration
    /// of a database; the old ones run on meanwhile. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// A job before a rollout: one pod of the new revision's image with the app's environment, volumes
/// and resources, once per revision. A rollback and a restart do not run it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.script) != has(self.command)",
    "set exactly one of script (a file that Node.js runs) and command (a program and its arguments)",
))]
pub struct Before {
    /// Script to run, relative to cwd, by the app's interpreter with its nodeArgs, or by node. Exactly
    /// one of script and command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = (
        r"self.matches('^\\S+$')",
        "rollout.before.script is one file, without blanks; write a line for the shell as command: [sh, -c, ...]",
    ))]
    pub script: Option<String>,
    /// Program and arguments to execute, without a shell, looked up in PATH. Exactly one of script and
    /// command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    pub command: Option<Vec<String>>,
    /// Arguments of the script or command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub args: Vec<String>,
    /// How long all its tries may take together, from the job's creation on. A number with its unit ms,
    /// s, m or h, in whole seconds. Default 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Delay>,
    /// Tries after the first one has failed. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub retries: Option<i32>,
}
