//! The status of an app that is to be left alone.

use jiff::Timestamp;

use super::conditions::{Standing, Verdict, condition, find, tell_stalled};
use super::rollout::Situation;
use super::{Live, counted, job};
use crate::controller::names::PAUSED_ANNOTATION;
use crate::crd::{ConditionType, CronRestartStatus, NodeAppStatus, Reason};

/// Reasons that follow from what runs, and not from a spec that is not carried out.
const OF_WHAT_RUNS: [Reason; 10] = [
    Reason::AllInstancesReady,
    Reason::Stopped,
    Reason::Scheduled,
    Reason::RollingOut,
    Reason::Scaling,
    Reason::RolloutStuck,
    Reason::PodsRefused,
    Reason::InstancesUnavailable,
    Reason::RunFailed,
    Reason::Healthy,
];

/// What was said before of the spec, and what is true today of what runs.
/// `observedGeneration` stays, so that whoever waits for a change of the spec goes on
/// waiting.
pub(super) fn status(previous: &NodeAppStatus, live: Live<'_>, now: Timestamp) -> NodeAppStatus {
    let situation = Situation::of(live.deployment, true);
    let standing = live.runs.map_or_else(|| Standing::of(&situation), job::standing);
    let mut verdicts = vec![pause(live)];
    if previous.observed_generation.is_none() {
        verdicts.push(Verdict { type_: ConditionType::Ready, ..pause(live) });
    } else if standing.exists {
        verdicts.extend(of_what_runs(previous, standing));
    }
    let mut status = counted(previous, &situation, live.runs);
    if live.runs.is_none() {
        // What is missed meanwhile is not made up for.
        status.cron_restart =
            status.cron_restart.map(|schedule| CronRestartStatus { next: None, ..schedule });
    }
    for verdict in verdicts {
        let said = condition(verdict, previous, previous.observed_generation, now);
        match status.conditions.iter_mut().find(|known| known.type_ == said.type_) {
            Some(known) => *known = said,
            None => status.conditions.push(said),
        }
    }
    tell_stalled(&mut status, previous, now);
    status
}

fn pause(live: Live<'_>) -> Verdict {
    let goes_on = match live.runs {
        Some(runs) if !runs.suspended => "; Kubernetes goes on to begin runs by the schedule",
        _ => "",
    };
    let message = format!(
        "the annotation {PAUSED_ANNOTATION} keeps the operator from changing anything: what runs stays as it is, \
         changes of the spec wait{goes_on}. Remove the annotation to go on"
    );
    Verdict::new(ConditionType::Progressing, false, Reason::Paused, &message)
}

/// What may have become different. What a spec is the reason of stays as it is.
fn of_what_runs(previous: &NodeAppStatus, standing: Standing) -> Vec<Verdict> {
    let is_own = |type_| {
        let known = find(previous, type_).map(|condition| condition.reason.as_str());
        known.is_none_or(|known| OF_WHAT_RUNS.iter().any(|reason| reason.name() == known))
    };
    let Standing { ready, available, degraded, .. } = standing;
    let mut verdicts = Vec::new();
    // None is wanted before the first rollout; that is not to be called stopped.
    let never_began = available.reason == Reason::Stopped
        && find(previous, ConditionType::Available)
            .is_some_and(|known| known.reason == Reason::NoInstanceAvailable.name());
    if !never_began {
        verdicts.push(available);
    }
    if is_own(ConditionType::Ready) {
        verdicts.push(ready);
    }
    if degraded.holds || is_own(ConditionType::Degraded) {
        verdicts.push(degraded);
    }
    verdicts
}
