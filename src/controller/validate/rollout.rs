//! How a change of the spec reaches the instances.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Problems;
use super::before::{self, BeforeRollout};
use crate::crd::NodeAppSpec;
use crate::crd::notation::IntOrPercent;

/// A rollout that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutPolicy {
    /// Instances beyond the wanted number.
    pub max_surge: IntOrString,
    /// Instances that may be missing.
    pub max_unavailable: IntOrString,
    /// Seconds that an instance must have been ready.
    pub min_ready_seconds: i32,
    /// Time without progress after which it has failed.
    pub progress_deadline: Duration,
    /// Whether it waits.
    pub paused: bool,
    /// Whether a failed one is taken back.
    pub auto_rollback: bool,
    /// Whether instances are replaced when something changes that the app refers to.
    pub on_config_change: bool,
    /// A job that comes first.
    pub before: Option<BeforeRollout>,
}

/// What a pod may take beyond listenTimeout: to be scheduled, to pull images.
const STARTUP_MARGIN: Duration = Duration::from_mins(1);

pub(super) fn policy(spec: &NodeAppSpec, listen_timeout: Duration, problems: &mut Problems) -> RolloutPolicy {
    let given = spec.rollout.clone().unwrap_or_default();
    let share = |field, given: Option<&IntOrPercent>, default: IntOrString, problems: &mut Problems| {
        let parsed = given.map(IntOrPercent::parse);
        parsed.map_or(default.clone(), |parsed| problems.take(field, parsed, default))
    };
    let quarter = IntOrString::String("25%".to_owned());
    let max_surge = share("spec.rollout.maxSurge", given.max_surge.as_ref(), quarter, problems);
    let none = IntOrString::Int(0);
    let max_unavailable =
        share("spec.rollout.maxUnavailable", given.max_unavailable.as_ref(), none, problems);
    if percent(&max_unavailable).is_some_and(|percent| percent > 100) {
        problems.add("spec.rollout.maxUnavailable", "must be at most 100%");
    }
    if is_zero(&max_surge) && is_zero(&max_unavailable) {
        problems.add(
            "spec.rollout",
            "with maxSurge and maxUnavailable both 0 no instance could ever be replaced; allow one of them",
        );
    }
    let min_ready_seconds = given.min_ready_seconds.unwrap_or(0);
    if min_ready_seconds < 0 {
        problems.add("spec.rollout.minReadySeconds", "must be 0 or more");
    }
    let min_ready = Duration::from_secs(u64::try_from(min_ready_seconds).unwrap_or(0));
    let default = listen_timeout + STARTUP_MARGIN + min_ready;
    let progress_deadline = given
        .progress_deadline
        .as_ref()
        .map_or(default, |given| problems.take("spec.rollout.progressDeadline", given.parse(), default));
    if progress_deadline.as_secs() <= min_ready.as_secs() {
        problems.add(
            "spec.rollout.progressDeadline",
            "must be longer than minReadySeconds, and at least 1s; no rollout could succeed in time",
        );
    }
    RolloutPolicy {
        max_surge,
        max_unavailable,
        min_ready_seconds,
        progress_deadline,
        paused: given.paused.unwrap_or(false),
        auto_rollback: given.auto_rollback.unwrap_or(false),
        on_config_change: given.on_config_change.unwrap_or(true),
        before: before::before(spec, problems),
    }
}

fn percent(share: &IntOrString) -> Option<u32> {
    match share {
        IntOrString::Int(_) => None,
        IntOrString::String(text) => text.strip_suffix('%')?.parse().ok(),
    }
}

fn is_zero(share: &IntOrString) -> bool {
    *share == IntOrString::Int(0) || percent(share) == Some(0)
}
