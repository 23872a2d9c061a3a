//! Fifth step: what to tell. A plain function of what was found and done; the
//! clock is passed in, and times move only when a condition flips.

mod course;
mod env;
mod exits;
mod job;
mod paused;
mod rivals;
mod rollback;
mod rollout;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Service;

pub use exits::{Instance, learn};
use rollout::{Rollout, Situation};

use super::desired::{Applied, Children, History, changes_at};
use super::names;
use super::observe::Taken;
use super::replicas;
use super::validate::Problems;
use crate::crd::{Condition, ConditionType, NodeApp, NodeAppStatus, Reason};

/// What a reconcile came to, as far as the status is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Findings<'a> {
    /// The children are as they should be.
    Applied(&'a Children<Applied>),
    /// Someone asked for it to be left alone.
    Paused(Option<&'a Deployment>),
    /// The spec cannot be carried out.
    Invalid(&'a Problems, Option<&'a Deployment>),
    /// Names are taken.
    Taken(&'a [Taken], Option<&'a Deployment>),
    /// The API server does not let us, and a person has to do something: about
    /// the spec if the object itself was refused, about rights or quota otherwise.
    Refused {
        /// What it said.
        message: &'a str,
        /// Whether it is about the spec.
        spec_is_to_blame: bool,
        /// The Deployment as it is.
        deployment: Option<&'a Deployment>,
    },
    /// The API server has failed to take something, again and again.
    Failing {
        /// What it said.
        message: &'a str,
        /// The Deployment as it is.
        deployment: Option<&'a Deployment>,
    },
}

impl<'a> Findings<'a> {
    fn deployment(self) -> Option<&'a Deployment> {
        match self {
            Self::Applied(children) => children.deployment.as_ref(),
            Self::Paused(deployment)
            | Self::Invalid(_, deployment)
            | Self::Taken(_, deployment)
            | Self::Refused { deployment, .. }
            | Self::Failing { deployment, .. } => deployment,
        }
    }
}

/// A condition before it gets its time.
struct Verdict {
    type_: ConditionType,
    holds: bool,
    reason: Reason,
    message: String,
}

/// The status of an app.
pub fn compute(
    app: &NodeApp,
    previous: &NodeAppStatus,
    findings: Findings<'_>,
    now: Timestamp,
) -> NodeAppStatus {
    let generation = app.metadata.generation;
    let deployment = findings.deployment();
    if matches!(findings, Findings::Paused(_)) {
        return paused::status(previous, deployment, now);
    }
    let situation = situation(previous, findings, generation, now);
    let runs = match findings {
        Findings::Applied(children) => children.runs.as_ref(),
        _ => None,
    };
    let conditions = runs
        .map_or_else(|| verdicts(findings, &situation, env::warning(app).as_deref(), previous), job::verdicts)
        .into_iter()
        .map(|verdict| condition(verdict, previous, generation, now))
        .collect();
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let mut status = NodeAppStatus {
        observed_generation: generation,
        conditions,
        desired_replicas: situation.wanted,
        replicas: situation.existing,
        ready_replicas: situation.ready,
        updated_replicas: situation.updated,
        available_replicas: situation.available,
        selector: Some(names::selector_text(name)),
        ..previous.clone()
    };
    if let Findings::Applied(children) = findings {
        applied(app, previous, children, &situation, &mut status);
    }
    status
}

/// What the Deployment says, with what is known beside it.
fn situation(
    previous: &NodeAppStatus,
    findings: Findings<'_>,
    generation: Option<i64>,
    now: Timestamp,
) -> Situation {
    let deployment = findings.deployment();
    // A spec that is not carried out changes nothing that runs.
    let same_spec = previous.observed_generation == generation || !matches!(findings, Findings::Applied(_));
    // Instances that an autoscaler has just asked for are still to come.
    let same_number = deployment.is_some_and(|it| replicas::replicas(it) == previous.desired_replicas);
    let due = (same_spec && same_number && was_ready(previous))
        || scaling_until(previous, deployment).is_some_and(|deadline| deadline <= now);
    let mut situation = Situation::of(deployment, due);
    course::tell_of_config(previous, findings, &mut situation);
    if let Some(exit) = previous.last_exit.as_ref().filter(|_| situation.has_failed()) {
        situation.message = format!("{}. {}", situation.message, exits::last_words(exit));
    }
    situation
}

/// What is known once the children are as they should be.
fn applied(
    app: &NodeApp,
    previous: &NodeAppStatus,
    children: &Children<Applied>,
    situation: &Situation,
    status: &mut NodeAppStatus,
) {
    status.revision.clone_from(&children.course.running);
    status.rollback.clone_from(&children.course.rollback);
    let wanted = children.revision.metadata.name.as_deref().unwrap_or_default();
    status.runner_image = runner_image(&children.revision);
    status.url = children.service.as_ref().and_then(url);
    let made_from = (children.course.running.as_deref() == Some(wanted)).then_some(&app.spec);
    status.env = env::names(children.template(), made_from);
    if let Some(runs) = &children.runs {
        (status.replicas, status.updated_replicas) = (runs.active, runs.active);
        status.cron_restart = Some(runs.status.clone());
        (status.failed_revision, status.failed_reason) = (None, None);
        return;
    }
    let history =
        rollback::judge(app, History::of(previous), wanted, children.course.running.as_deref(), situation);
    if history.failed != previous.failed_revision {
        status.failed_reason = history.failed.as_ref().map(|_| situation.message.clone());
    }
    (status.stable_revision, status.failed_revision) = (history.stable, history.failed);
    status.cron_restart.clone_from(&children.restarts.status);
    status.fill_cluster = children.filling.as_ref().and_then(|filling| filling.status.clone());
}

/// Whether everything was there before; then a missing instance has been lost and
/// is not still to come.
fn was_ready(previous: &NodeAppStatus) -> bool {
    previous.conditions.iter().any(|condition| {
        let is = |type_: ConditionType, status| condition.type_ == type_.name() && condition.status == status;
        is(ConditionType::Ready, "True")
            || (is(ConditionType::Degraded, "True")
                && condition.reason == Reason::InstancesUnavailable.name())
    })
}

/// When instances that are still to come are late. Nobody else says so: to the
/// Deployment, its rollout is long over.
fn scaling_until(status: &NodeAppStatus, deployment: Option<&Deployment>) -> Option<Timestamp> {
    let scaling = status.conditions.iter().find(|condition| {
        condition.type_ == ConditionType::Progressing.name()
            && condition.status == "True"
            && condition.reason == Reason::Scaling.name()
    })?;
    let since: Timestamp = scaling.last_transition_time.parse().ok()?;
    since.checked_add(rollout::deadline(deployment)).ok()
}

/// Soon enough for people, and late enough for the watch to bring the status.
const AT_ONCE: Duration = Duration::from_millis(200);

/// How long until a status is out of date though nothing happens.
pub fn good_for(
    app: &NodeApp,
    status: &NodeAppStatus,
    findings: Findings<'_>,
    now: Timestamp,
) -> Option<Duration> {
    if matches!(findings, Findings::Applied(_)) && rollback::is_due(app, status) {
        return Some(AT_ONCE);
    }
    let scaled = scaling_until(status, findings.deployment());
    let restart = status.cron_restart.as_ref().and_then(|schedule| schedule.next.as_ref()?.parse().ok());
    let filled = status.fill_cluster.as_ref().and_then(changes_at);
    // One of them has come meanwhile.
    let mut dues = [restart, filled].into_iter().flatten();
    if matches!(findings, Findings::Applied(_)) && dues.any(|due: Timestamp| due <= now) {
        return Some(AT_ONCE);
    }
    // Past them, only an event changes anything.
    let until = |time: Timestamp| Duration::try_from(time.duration_since(now)).ok();
    let waits = [scaled, restart, filled].into_iter().flatten().filter_map(until);
    waits.filter(|wait| !wait.is_zero()).min()
}

/// What speaks against replacing all instances now.
pub fn hinders_restart(deployment: Option<&Deployment>) -> Option<&'static str> {
    match Situation::of(deployment, true).rollout {
        Rollout::Settled | Rollout::Scaling | Rollout::Lost => None,
        Rollout::Rolling => Some("instances are being replaced already"),
        Rollout::Paused => Some("rollout.paused is true"),
        Rollout::Stuck => Some("the last rollout has failed, and what still serves is better left alone"),
        Rollout::Refused => Some("pods cannot be created"),
    }
}

fn runner_image(revision: &ControllerRevision) -> Option<String> {
    let template = &revision.data.as_ref()?.0["template"];
    Some(template["spec"]["initContainers"][0]["image"].as_str()?.to_owned())
}

fn url(service: &Service) -> Option<String> {
    let port = service.spec.as_ref()?.ports.as_ref()?.first()?.port;
    let meta = &service.metadata;
    Some(format!("http://{}.{}.svc:{port}", meta.name.as_ref()?, meta.namespace.as_ref()?))
}

fn condition(
    verdict: Verdict,
    previous: &NodeAppStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let Verdict { type_, holds, reason, message } = verdict;
    let status = if holds { "True" } else { "False" };
    let since = previous
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_.name() && condition.status == status)
        .map(|condition| condition.last_transition_time.clone());
    Condition {
        type_: type_.name().to_owned(),
        status: status.to_owned(),
        observed_generation: generation,
        last_transition_time: since.unwrap_or_else(|| seconds(now)),
        reason: reason.name().to_owned(),
        message,
    }
}

/// Whole seconds, as all of Kubernetes writes them.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn verdicts(
    findings: Findings<'_>,
    situation: &Situation,
    warning: Option<&str>,
    previous: &NodeAppStatus,
) -> [Verdict; 5] {
    let hindrance = hindrance(findings, previous);
    let verdict =
        |type_, holds, reason, message: &str| Verdict { type_, holds, reason, message: message.to_owned() };
    let (available, available_reason) = match &hindrance {
        // No instance is wanted yet, and that is not to be called stopped.
        Some(hindrance) if hindrance.reason.is_before_rollout() && situation.available == 0 => {
            (false, Reason::NoInstanceAvailable)
        }
        _ => situation.availability(),
    };
    let rollout = situation.rollout;
    let accepted = |text: &str| match warning {
        None => verdict(ConditionType::Valid, true, Reason::Accepted, text),
        Some(warning) => {
            verdict(ConditionType::Valid, true, Reason::PlainCredentials, &format!("{text}. {warning}"))
        }
    };
    let (ready, degraded, valid) = match &hindrance {
        None => (
            verdict(
                ConditionType::Ready,
                rollout == Rollout::Settled,
                situation.ready_reason(),
                &situation.message,
            ),
            match findings {
                Findings::Applied(children) => rivals::degradation_beside(children, situation),
                _ => degradation(situation),
            },
            accepted("the spec is carried out"),
        ),
        Some(hindrance) => (
            verdict(ConditionType::Ready, false, hindrance.reason, &hindrance.message),
            if hindrance.degrades {
                verdict(ConditionType::Degraded, true, hindrance.reason, &hindrance.message)
            } else {
                degradation(situation)
            },
            if hindrance.invalidates {
                verdict(ConditionType::Valid, false, hindrance.reason, &hindrance.message)
            } else {
                accepted("the spec can be carried out")
            },
        ),
    };
    let degraded = unknown_revision(findings).filter(|_| !degraded.holds).unwrap_or(degraded);
    let (progressing, progress_reason, progress_message) = progress(hindrance.as_ref(), situation);
    [
        ready,
        verdict(ConditionType::Available, available, available_reason, &situation.message),
        verdict(ConditionType::Progressing, progressing, progress_reason, progress_message),
        degraded,
        valid,
    ]
}

/// Whether a change is under way.
fn progress<'a>(hindrance: Option<&'a Hindrance>, situation: &'a Situation) -> (bool, Reason, &'a str) {
    let (rollout, rollout_reason) = (situation.rollout, situation.rollout.reason());
    let moves = situation.exists && matches!(rollout, Rollout::Rolling | Rollout::Scaling);
    match hindrance {
        // What came before a spec that cannot be carried out is brought to its end.
        Some(hindrance) if hindrance.invalidates && moves => (true, rollout_reason, &situation.message),
        Some(hindrance) => (hindrance.goes_on, hindrance.reason, &hindrance.message),
        None if matches!(rollout, Rollout::Rolling | Rollout::Scaling) => {
            (true, rollout_reason, &situation.message)
        }
        None if matches!(rollout, Rollout::Stuck | Rollout::Paused) => {
            (false, rollout_reason, &situation.message)
        }
        None => (false, Reason::Settled, &situation.message),
    }
}

/// A revision is asked for that there is not.
fn unknown_revision(findings: Findings<'_>) -> Option<Verdict> {
    let Findings::Applied(children) = findings else { return None };
    let message = course::unknown(children)?;
    Some(Verdict { type_: ConditionType::Degraded, holds: true, reason: Reason::UnknownRevision, message })
}

/// What keeps the spec from being carried out.
struct Hindrance {
    reason: Reason,
    message: String,
    /// Whether the user's spec is to blame.
    invalidates: bool,
    /// Whether it may concern what runs.
    degrades: bool,
    /// Whether it goes away by itself.
    goes_on: bool,
}

fn hindrance(findings: Findings<'_>, previous: &NodeAppStatus) -> Option<Hindrance> {
    match findings {
        Findings::Applied(children) => course::hindrance(children, previous.failed_reason.as_deref())
            .or_else(|| {
                let message = children.filling.as_ref()?.trouble.clone()?;
                let reason = Reason::CapacityUnknown;
                Some(Hindrance { reason, message, invalidates: false, degrades: true, goes_on: false })
            }),
        Findings::Paused(_) => None,
        Findings::Invalid(problems, _) => Some(Hindrance {
            reason: Reason::InvalidSpec,
            message: format!("{problems}. What runs is left as it is"),
            invalidates: true,
            degrades: false,
            goes_on: false,
        }),
        Findings::Taken(taken, _) => {
            let all: Vec<_> = taken.iter().map(ToString::to_string).collect();
            Some(Hindrance {
                reason: Reason::NameTaken,
                message: all.join(". "),
                invalidates: true,
                degrades: true,
                goes_on: false,
            })
        }
        Findings::Failing { message, .. } => Some(Hindrance {
            reason: Reason::ApplyFailing,
            message: format!("{message}. The operator tries again, every half minute or so"),
            invalidates: false,
            degrades: true,
            goes_on: false,
        }),
        Findings::Refused { message, spec_is_to_blame, .. } => Some(Hindrance {
            reason: Reason::ApplyRefused,
            message: message.to_owned(),
            invalidates: spec_is_to_blame,
            degrades: true,
            goes_on: false,
        }),
    }
}

fn degradation(situation: &Situation) -> Verdict {
    let (holds, reason) = match situation.rollout {
        Rollout::Stuck | Rollout::Refused | Rollout::Lost => (true, situation.rollout.reason()),
        Rollout::Settled | Rollout::Rolling | Rollout::Scaling | Rollout::Paused => (false, Reason::Healthy),
    };
    let message = match holds {
        true => situation.message.clone(),
        false if situation.available < situation.wanted => {
            format!("nothing has failed so far; {}", situation.message)
        }
        false => "nothing is wrong".to_owned(),
    };
    Verdict { type_: ConditionType::Degraded, holds, reason, message }
}

#[cfg(test)]
mod tests;
