//! The status of an app that is to be left alone.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;

use super::rollout::Situation;
use super::{Verdict, condition};
use crate::controller::names::PAUSED_ANNOTATION;
use crate::crd::{ConditionType, CronRestartStatus, NodeAppStatus, Reason};

/// What was said before, with today's numbers. `observedGeneration` stays, so that
/// whoever waits for a change of the spec goes on waiting.
pub(super) fn status(
    previous: &NodeAppStatus,
    deployment: Option<&Deployment>,
    now: Timestamp,
) -> NodeAppStatus {
    let situation = Situation::of(deployment, true);
    let message = format!(
        "the annotation {PAUSED_ANNOTATION} keeps the operator from changing anything: what runs stays as it is, \
         changes of the spec wait. Remove the annotation to go on"
    );
    let mut status = NodeAppStatus {
        desired_replicas: situation.wanted,
        replicas: situation.existing,
        ready_replicas: situation.ready,
        updated_replicas: situation.updated,
        available_replicas: situation.available,
        // What is missed meanwhile is not made up for.
        cron_restart: previous
            .cron_restart
            .clone()
            .map(|schedule| CronRestartStatus { next: None, ..schedule }),
        ..previous.clone()
    };
    let mut say = |type_, holds| {
        let verdict = Verdict { type_, holds, reason: Reason::Paused, message: message.clone() };
        let said = condition(verdict, previous, previous.observed_generation, now);
        match status.conditions.iter_mut().find(|known| known.type_ == said.type_) {
            Some(known) => *known = said,
            None => status.conditions.push(said),
        }
    };
    say(ConditionType::Progressing, false);
    if previous.observed_generation.is_none() {
        say(ConditionType::Ready, false);
    }
    status
}
