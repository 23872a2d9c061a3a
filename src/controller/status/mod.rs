//! Fifth step: what to tell. A plain function of what was found and done; the
//! clock is passed in, and times move only when a condition flips.

mod autoscaler;
mod conditions;
mod course;
mod env;
mod exits;
mod job;
mod paused;
mod pod;
mod redis;
mod rivals;
mod rollback;
mod rollout;
mod route;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use conditions::{Hindrance, Standing, Verdict, condition};
pub use exits::{Instance, learn, without_lines};
use redis::Look;
use rollout::{Rollout, Situation};

use super::desired::{Applied, Children, History, changes_at};
use super::names;
use super::observe::Taken;
use super::replicas;
use super::runs::Runs;
use super::text::cut;
use super::validate::Problems;
use crate::crd::status::LastExit;
use crate::crd::{ConditionType, NodeApp, NodeAppStatus, Reason};

/// Longest reason of a failed rollout, in bytes: others have written parts of it.
const LONGEST_REASON: usize = 4_000;

/// What runs an app: one of both, or nothing yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Live<'a> {
    /// Of an app that serves.
    pub deployment: Option<&'a Deployment>,
    /// Of a job.
    pub runs: Option<&'a Runs>,
}

/// What a reconcile came to, as far as the status is concerned.
#[derive(Clone, Copy, Debug)]
pub enum Findings<'a> {
    /// The children are as they should be.
    Applied(&'a Children<Applied>),
    /// Someone asked for it to be left alone.
    Paused(Live<'a>),
    /// The spec cannot be carried out.
    Invalid(&'a Problems, Live<'a>),
    /// Names are taken.
    Taken(&'a [Taken], Live<'a>),
    /// The API server does not let us, and a person has to do something: about
    /// the spec if the object itself was refused, about rights or quota otherwise.
    Refused {
        /// What it said.
        message: &'a str,
        /// Whether it is about the spec.
        spec_is_to_blame: bool,
        /// What runs meanwhile.
        live: Live<'a>,
    },
    /// The API server would not take a new pod template; nothing was changed.
    TemplateRefused {
        /// What it said.
        message: &'a str,
        /// What runs meanwhile.
        live: Live<'a>,
    },
    /// The API server has failed to take something, again and again.
    Failing {
        /// What it said.
        message: &'a str,
        /// What runs meanwhile.
        live: Live<'a>,
    },
}

impl<'a> Findings<'a> {
    fn live(self) -> Live<'a> {
        match self {
            Self::Applied(children) => {
                Live { deployment: children.deployment.as_ref(), runs: children.runs.as_ref() }
            }
            Self::Paused(live)
            | Self::Invalid(_, live)
            | Self::Taken(_, live)
            | Self::Refused { live, .. }
            | Self::TemplateRefused { live, .. }
            | Self::Failing { live, .. } => live,
        }
    }
}

/// The status of an app.
pub fn compute(
    app: &NodeApp,
    previous: &NodeAppStatus,
    findings: Findings<'_>,
    now: Timestamp,
) -> NodeAppStatus {
    if let Findings::Paused(live) = findings {
        return paused::status(previous, live, now);
    }
    let generation = app.metadata.generation;
    let situation = situation(previous, findings, generation, now);
    let runs = findings.live().runs;
    let redis = match findings {
        Findings::Applied(children) => redis::look(app, previous, children, now),
        _ => Look::default(),
    };
    let standing = runs.map_or_else(|| Standing::of(&situation), job::standing);
    let standing = redis::beside(standing, &redis);
    let route = match findings {
        Findings::Applied(children) => route::look(app, previous, children, now),
        _ => route::Look::default(),
    };
    let standing = route::beside(standing, &route);
    let warning = warning(app, findings);
    let conditions = conditions::verdicts(findings, standing, warning.as_ref(), previous, now)
        .into_iter()
        .map(|verdict| condition(verdict, previous, generation, now))
        .collect();
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let mut status = NodeAppStatus {
        observed_generation: generation,
        conditions,
        selector: Some(names::selector_text(name)),
        ..counted(previous, &situation, runs)
    };
    if let Findings::Applied(children) = findings {
        (status.redis, status.http_route) = (redis.status, route.status);
        applied(app, previous, children, &situation, &mut status);
    }
    conditions::tell_stalled(&mut status, previous, now);
    status
}

/// What is to be said of a spec that is carried out all the same.
fn warning(app: &NodeApp, findings: Findings<'_>) -> Option<(Reason, String)> {
    match (env::warning(app), pod::loosened(app, findings)) {
        (None, None) => None,
        (Some(credentials), None) => Some((Reason::PlainCredentials, credentials)),
        (None, Some(loosened)) => Some((Reason::LoosenedSecurity, loosened)),
        (Some(credentials), Some(loosened)) => {
            Some((Reason::PlainCredentials, format!("{credentials}. {loosened}")))
        }
    }
}

/// The status with today's numbers.
fn counted(previous: &NodeAppStatus, situation: &Situation, runs: Option<&Runs>) -> NodeAppStatus {
    let status = NodeAppStatus {
        desired_replicas: situation.wanted,
        replicas: situation.existing,
        ready_replicas: situation.ready,
        updated_replicas: situation.updated,
        available_replicas: situation.available,
        ..previous.clone()
    };
    let Some(runs) = runs else { return status };
    let (replicas, updated_replicas) = (runs.active, runs.active);
    NodeAppStatus { replicas, updated_replicas, cron_restart: Some(runs.status.clone()), ..status }
}

/// What the Deployment says, with what is known beside it.
fn situation(
    previous: &NodeAppStatus,
    findings: Findings<'_>,
    generation: Option<i64>,
    now: Timestamp,
) -> Situation {
    let deployment = findings.live().deployment;
    // A spec that is not carried out changes nothing that runs.
    let same_spec = previous.observed_generation == generation || !matches!(findings, Findings::Applied(_));
    // Instances that an autoscaler has just asked for are still to come.
    let same_number = deployment.is_some_and(|it| replicas::replicas(it) == previous.desired_replicas);
    let due = (same_spec && same_number && was_ready(previous))
        || scaling_until(previous, deployment).is_some_and(|deadline| deadline <= now);
    let mut situation = Situation::of(deployment, due);
    // Pods that the operator does not let start say nothing about their template.
    let is_held_up = matches!(findings, Findings::Applied(children) if children.unnumbered.is_some());
    situation.overdue &= !is_held_up;
    course::tell_of_config(previous, findings, &mut situation);
    pod::tell_of_waiting(findings, &mut situation);
    let explains = |exit: &&LastExit| {
        let deadline = rollout::deadline(deployment);
        situation.has_failed() && is_of_late(exit, missed_since(previous, &situation, now), deadline)
    };
    let held_up = match findings {
        Findings::Applied(children) => children.held_up.as_ref(),
        _ => None,
    };
    // What keeps a pod from starting now says more than how one ended before.
    if let Some(held_up) = held_up.filter(|_| situation.lacks_instances()) {
        situation.message = format!("{}. {held_up}", situation.message);
    } else if let Some(exit) = previous.last_exit.as_ref().filter(explains) {
        situation.message = format!("{}. {}", situation.message, exits::last_words(exit));
    }
    situation
}

/// Since when the same is known to be wrong.
fn missed_since(previous: &NodeAppStatus, situation: &Situation, now: Timestamp) -> Timestamp {
    let reason = Standing::of(situation).degraded.reason.name();
    let known = conditions::find(previous, ConditionType::Degraded)
        .filter(|condition| condition.status == "True" && condition.reason == reason);
    known.and_then(|condition| condition.last_transition_time.parse().ok()).unwrap_or(now)
}

/// Whether an exit may have to do with what is wrong since then: it was not long
/// before, as measured by the time that new instances have to get ready.
fn is_of_late(exit: &LastExit, since: Timestamp, deadline: SignedDuration) -> bool {
    let Ok(time) = exit.time.parse::<Timestamp>() else { return false };
    since.checked_sub(deadline.saturating_add(deadline)).is_ok_and(|border| time >= border)
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
    status.runner_image = children.template().and_then(runner_image);
    status.url = route::url(children, status.http_route.as_ref());
    let made_from = (children.course.running.as_deref() == Some(wanted)).then_some(&app.spec);
    status.env = env::names(children.template(), made_from);
    status.fill_cluster = children.filling.as_ref().and_then(|filling| filling.status.clone());
    if children.runs.is_some() {
        (status.failed_revision, status.failed_reason) = (None, None);
        return;
    }
    let history =
        rollback::judge(app, History::of(previous), wanted, children.course.running.as_deref(), situation);
    if history.failed != previous.failed_revision {
        status.failed_reason = history.failed.as_ref().map(|_| cut(&situation.message, LONGEST_REASON));
    }
    (status.stable_revision, status.failed_revision) = (history.stable, history.failed);
    status.cron_restart.clone_from(&children.restarts.status);
}

/// Whether everything was there before; then a missing instance has been lost and
/// is not still to come. What the spec asks for now has nothing to do with it.
fn was_ready(previous: &NodeAppStatus) -> bool {
    let NodeAppStatus { desired_replicas, replicas, updated_replicas, available_replicas, .. } = previous;
    let holds = |type_| conditions::find(previous, type_).filter(|condition| condition.status == "True");
    let was_lost = holds(ConditionType::Degraded)
        .is_some_and(|condition| condition.reason == Reason::InstancesUnavailable.name());
    let whole = replicas == desired_replicas;
    let at_rest = updated_replicas == replicas && holds(ConditionType::Progressing).is_none();
    was_lost || (whole && (available_replicas >= desired_replicas || at_rest))
}

/// When instances that are still to come are late. Nobody else says so: to the
/// Deployment, its rollout is long over.
fn scaling_until(status: &NodeAppStatus, deployment: Option<&Deployment>) -> Option<Timestamp> {
    let scaling = conditions::find(status, ConditionType::Progressing)
        .filter(|condition| condition.status == "True" && condition.reason == Reason::Scaling.name())?;
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
    let scaled = scaling_until(status, findings.live().deployment);
    let restart = status.cron_restart.as_ref().and_then(|schedule| schedule.next.as_ref()?.parse().ok());
    let filled = status.fill_cluster.as_ref().filter(|_| !awaits_nodes(findings)).and_then(changes_at);
    // One of them has come meanwhile.
    let mut dues = [restart, filled].into_iter().flatten();
    if matches!(findings, Findings::Applied(_)) && dues.any(|due: Timestamp| due <= now) {
        return Some(AT_ONCE);
    }
    // Past them, only an event changes anything.
    let until = |time: Timestamp| Duration::try_from(time.duration_since(now)).ok();
    let waits = [scaled, restart, filled].into_iter().flatten().filter_map(until);
    let (again, unscaled, contested, bound) = match findings {
        Findings::Applied(children) => (
            children.course.again(),
            autoscaler::due(children),
            children.contested.as_ref().map(|contested| contested.again),
            children.waiting.look_again,
        ),
        _ => (None, None, None, None),
    };
    let waits = waits.chain(unscaled.and_then(until)).chain(bound.and_then(until)).chain(contested);
    waits
        .filter(|wait| !wait.is_zero())
        .chain(again)
        .chain(redis::look_again(app, status, findings))
        .chain(route::look_again(status))
        .min()
}

/// Whether the nodes are still to be looked at, which wakes the app by itself.
fn awaits_nodes(findings: Findings<'_>) -> bool {
    matches!(findings, Findings::Applied(children) if children.filling.as_ref().is_some_and(|it| it.awaits_nodes))
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

fn runner_image(template: &PodTemplateSpec) -> Option<String> {
    let containers = template.spec.as_ref()?.init_containers.as_ref()?;
    containers.iter().find(|container| container.name == names::INSTALL_CONTAINER)?.image.clone()
}

/// Whole seconds, as all of Kubernetes writes them.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
