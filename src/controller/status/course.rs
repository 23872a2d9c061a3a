//! What is told where something else runs than the spec asks for.

use std::fmt::Write as _;

use super::rollout::{Rollout, Situation};
use super::{Findings, Hindrance};
use crate::controller::desired::{Applied, Children, Detour, Stage};
use crate::controller::names::{CONFIG_CHANGED_ANNOTATION, ROLLBACK_ANNOTATION, annotation};
use crate::crd::{NodeAppStatus, Reason};

/// Why the spec is not carried out, if it is not.
/// `failed`: why the rollout of what it asks for has failed.
pub(super) fn hindrance(children: &Children<Applied>, failed: Option<&str>) -> Option<Hindrance> {
    let failed = failed.map(|reason| format!(". It failed so: {reason}")).unwrap_or_default();
    let wanted = children.revision.metadata.name.as_deref().unwrap_or_default();
    let spec = children.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref());
    let meanwhile = match &children.course.running {
        Some(_) if spec.is_some_and(|spec| spec.replicas == Some(0)) => "no instance runs".to_owned(),
        Some(running) => format!("{running} runs on"),
        None => "no instance runs yet".to_owned(),
    };
    let held = if is_held(children) { "; nothing is replaced until rollout.paused is false" } else { "" };
    let running = children.course.running.as_deref().unwrap_or_default();
    Some(match children.course.detour.as_ref()? {
        Detour::Failed => Hindrance {
            degrades: true,
            ..told(
                Reason::RolledBack,
                format!(
                    "the rollout of {wanted} has failed and was taken back: {running} runs again, and stays until \
                     the spec changes{held}. Correct the spec, or set rollout.autoRollback to false to try {wanted} \
                     again{failed}"
                ),
            )
        },
        Detour::ByHand => told(
            Reason::RolledBackByHand,
            format!(
                "the annotation {ROLLBACK_ANNOTATION} asks for {running}, which runs instead of {wanted} until the \
                 spec changes{held}. Remove the annotation to run {wanted}"
            ),
        ),
        Detour::Before(stage) => before(stage, wanted, &meanwhile)?,
    })
}

/// Whether a pause keeps pods of another template.
fn is_held(children: &Children<Applied>) -> bool {
    let Some(deployment) = &children.deployment else { return false };
    let paused = deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true));
    let status = deployment.status.as_ref();
    let number = |number: Option<Option<i32>>| number.flatten().unwrap_or(0);
    let updated = number(status.map(|status| status.updated_replicas));
    paused && updated < number(status.map(|status| status.replicas))
}

fn told(reason: Reason, message: String) -> Hindrance {
    Hindrance { reason, message, invalidates: false, degrades: false, goes_on: false }
}

/// Where the job before a rollout stands; a stopped app lacks nothing.
fn before(stage: &Stage, wanted: &str, meanwhile: &str) -> Option<Hindrance> {
    Some(match stage {
        Stage::Stopped => return None,
        Stage::Paused => told(
            Reason::RolloutPaused,
            format!("the rollout of {wanted}, and its job, wait until rollout.paused is false; {meanwhile}"),
        ),
        Stage::Waits { other } => Hindrance {
            goes_on: true,
            ..told(
                Reason::BeforeRollout,
                format!(
                    "the Job before the rollout of {wanted} waits for the end of the Job {other}; {meanwhile}. To \
                     stop that one: kubectl delete job {other} --cascade=foreground"
                ),
            )
        },
        Stage::Runs { job } => Hindrance {
            goes_on: true,
            ..told(
                Reason::BeforeRollout,
                format!("the Job {job} has to succeed before {wanted} is rolled out; {meanwhile}"),
            )
        },
        Stage::Failed { job, message } => Hindrance {
            degrades: true,
            ..told(
                Reason::BeforeRolloutFailed,
                format!(
                    "the Job {job} before the rollout of {wanted} has failed: {message}. {meanwhile}. See kubectl logs \
                     job/{job}; then correct the spec, or delete the Job to have it tried again"
                ),
            )
        },
    })
}

/// What is told where a revision is asked for that there is not.
pub(super) fn unknown(children: &Children<Applied>) -> Option<String> {
    let known = children.course.unknown.as_ref()?;
    let to = children.course.rollback.as_ref().map(|asked| asked.to.as_str()).unwrap_or_default();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Some(format!(
        "the annotation {ROLLBACK_ANNOTATION} names {to}, which is no revision of this app that has run; there are: \
         {known}. Correct or remove it; what the spec asks for runs meanwhile"
    ))
}

/// Says what is new about pods whose template has been rolled out before: what the
/// app refers to.
pub(super) fn tell_of_config(previous: &NodeAppStatus, findings: Findings<'_>, situation: &mut Situation) {
    let Findings::Applied(children) = findings else { return };
    let known = children.course.running.is_some() && children.course.running == previous.stable_revision;
    let Some(deployment) = &children.deployment else { return };
    let changed = annotation(&deployment.metadata, CONFIG_CHANGED_ANNOTATION);
    let Some(changed) = changed.filter(|_| known) else { return };
    match situation.rollout {
        Rollout::Rolling => {
            let _ = write!(situation.message, "; {changed} has changed");
        }
        Rollout::Stuck => {
            situation.message = format!(
                "new pods do not get ready since {changed} has changed. Old pods keep running with what was there \
                 before; see the pods' logs and events, then correct {changed}: {}",
                situation
                    .message
                    .trim_start_matches("new pods do not get ready: ")
                    .split(". ")
                    .next()
                    .unwrap_or_default()
            );
        }
        _ => {}
    }
}
