//! What the operator reports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance::FillStatus;
use super::redis::RedisStatus;
use super::route::HttpRouteStatus;

/// The generation that was looked at of an app that nobody has looked at. Without one, tools that wait
/// by kstatus would take a new app for finished before the operator has seen it.
pub const NEVER_OBSERVED: i64 = -1;

/// The observed state of an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeAppStatus {
    /// The metadata.generation that this status is about; -1 until the operator has looked at the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// State of the app: Ready (everything asked for is there), Available (at least one instance
    /// serves), Progressing (a change is under way), Degraded (something is wrong), Valid (the spec
    /// can be carried out); and Stalled while it is not ready and waits for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Instances that are wanted now, whoever decides it: instances, fillCluster, the autoscaler, or
    /// 0 for a stopped app.
    #[serde(default)]
    pub desired_replicas: i32,
    /// How the number of instances of an app with fillCluster comes about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_cluster: Option<FillStatus>,
    /// Instances that exist, old and new.
    #[serde(default)]
    pub replicas: i32,
    /// Instances that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Instances of the pod template in revision.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Instances that have been ready for long enough to count.
    #[serde(default)]
    pub available_replicas: i32,
    /// Label selector of the pods, as text, for `/scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Name of the `ControllerRevision` with the pod template that is wanted now: the one of the
    /// spec, or an earlier one after a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The last revision that was completely rolled out: where a rollback leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_revision: Option<String>,
    /// The revision that the spec asks for, if its rollout has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_revision: Option<String>,
    /// The schedule of cronRestart: what came of it, and what comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron_restart: Option<CronRestartStatus>,
    /// The rollback by hand that the annotation nodeapp.dev/rollback-to asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackByHand>,
    /// Image of the runner in that pod template. It changes with the spec, not with an upgrade of
    /// the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_image: Option<String>,
    /// The Redis of the app, if it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStatus>,
    /// The `HTTPRoute` of the app, if it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteStatus>,
    /// Where the app is reached: at the first host of ingress, else at the first one of httpRoute once
    /// that is accepted, else at the Service inside the cluster. Absent for a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Restarts of the instances that there are: of their processes by the runner (PM2's `↺`) and of
    /// their containers by the kubelet. It does not go down while one of them cannot be asked.
    #[serde(default)]
    pub restarts: i64,
    /// How the process of an instance ended last, other than by order. It stays until there is a
    /// later one, though the pod may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// Why the rollout of failedRevision has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub failed_reason: Option<String>,
    /// Where the variables of the pods come from, by names and never by values. A later entry wins
    /// over an earlier one, and a name stands where it won. What the image and the runner set is
    /// not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub env: Vec<EnvNames>,
}

/// The end of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    /// When it ended.
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// Name of the pod.
    #[schemars(length(max = 253))]
    pub pod: String,
    /// Exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Name of the signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub signal: Option<String>,
    /// Why: Completed, Crash, `OutOfMemory` (killed by the kernel), `MemoryLimit` (maxMemoryRestart),
    /// Hung, `ProbeFailed`, or what kept it from starting: `BadConfig`, `ScriptMissing`,
    /// `ProgramMissing`, System.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// A sentence for people, with what follows.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// The last lines that it wrote, if statusLogTail is not false.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 4096)), extend("x-kubernetes-list-type" = "atomic"))]
    pub log_tail: Vec<String>,
}

/// The variables of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvNames {
    /// The source, such as `env`, `profile production`, `Secret db (env)`, `ConfigMap common
    /// (envFrom)`, `redis` or `port`.
    #[schemars(length(max = 1024))]
    pub from: String,
    /// Names of variables; `*` and `PREFIX_*` stand for all keys of the source.
    #[schemars(length(max = 256), inner(length(max = 512)))]
    pub names: Vec<String>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omitted: Option<i32>,
}

/// What came of the schedule of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CronRestartStatus {
    /// Expression and time zone that this is about.
    pub schedule: String,
    /// When the app was last restarted by it, or run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last: Option<String>,
    /// When it will be next; absent while it is stopped or, unless it is a job, the operator leaves it
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub next: Option<String>,
}

/// A rollback by hand. It holds for as long as the spec asks for the revision that it leads away from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RollbackByHand {
    /// The revision that is to run.
    pub to: String,
    /// The revision that the spec asked for when the annotation was seen first; empty once it has
    /// asked for another one, with which the order is spent.
    pub from: String,
}

/// One aspect of the state of an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the aspect.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// The metadata.generation that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When status last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// One word for programs.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// A sentence for people.
    #[schemars(length(max = 32768))]
    pub message: String,
}
