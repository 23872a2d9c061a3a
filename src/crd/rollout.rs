//! How a change of the spec reaches the instances.

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
}
