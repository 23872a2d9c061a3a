//! Which revision runs. Usually the one that the spec asks for; an earlier one while
//! the job before its rollout has not succeeded, after a rollout that failed, or
//! because someone asks for it. A plain function of what is observed.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;

use super::job::{self, State};
use super::revision::{Gate, Wanted, gate_of, is_of_a_job, template_of};
use crate::controller::names;
use crate::controller::observe::Observed;
use crate::controller::validate::{BeforeRollout, ValidatedApp};
use crate::crd::RollbackByHand;

/// Which revision runs, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Name of the revision whose template the pods are made from; none before the
    /// first one may run.
    pub running: Option<String>,
    /// Why it is not the one that the spec asks for, if it is not.
    pub detour: Option<Detour>,
    /// A rollback by hand that is asked for.
    pub rollback: Option<RollbackByHand>,
    /// The revisions to choose from, where the one that is asked for is none of them.
    pub unknown: Option<Vec<String>>,
}

impl Course {
    /// When to look again though nothing happens: another job may turn out not to have
    /// started.
    pub fn again(&self) -> Option<Duration> {
        let waits = matches!(self.detour, Some(Detour::Before(Stage::Waits { .. })));
        waits.then(|| SETTLES.unsigned_abs())
    }
}

/// Why what the spec asks for does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detour {
    /// Its rollout has failed.
    Failed,
    /// An annotation asks for an earlier one.
    ByHand,
    /// What comes before its rollout has not succeeded.
    Before(Stage),
}

/// How far what comes before a rollout is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The job has not been started, since the rollout is paused.
    Paused,
    /// Nor since no instance is wanted.
    Stopped,
    /// Nor since another job still runs.
    Waits {
        /// Name of the other job.
        other: String,
    },
    /// The job runs.
    Runs {
        /// Name of the job.
        job: String,
    },
    /// The job has failed.
    Failed {
        /// Name of the job.
        job: String,
        /// Why.
        message: String,
    },
}

/// What is decided of a course.
pub(super) struct Chosen {
    pub course: Course,
    pub template: PodTemplateSpec,
    /// Whether there are to be no pods, since there were none and may be none yet.
    pub no_pods: bool,
    /// A job to be started.
    pub job: Option<Job>,
}

/// Chooses between what the spec asks for and the earlier revisions.
pub(super) fn choose(app: &ValidatedApp, wanted: &Wanted, observed: &Observed) -> Chosen {
    let rollback = asked_for(app, observed.rollback.as_ref(), wanted.name());
    let by_hand = rollback.as_ref().filter(|asked| asked.from == wanted.name() && asked.to != wanted.name());
    let mut unknown = None;
    let earlier = match by_hand.map(|asked| find(&asked.to, app, observed)) {
        Some(Some(revision)) => taken(revision, Detour::ByHand),
        Some(None) => {
            unknown = Some(to_choose_from(app, observed));
            None
        }
        None => None,
    };
    let earlier = earlier.or_else(|| {
        let back = observed.history.back_from(wanted.name()).filter(|_| app.rollout.auto_rollback)?;
        taken(find(back, app, observed)?, Detour::Failed)
    });
    let chosen = |running: Option<String>, template, detour| Chosen {
        course: Course { running, detour, rollback: rollback.clone(), unknown: unknown.clone() },
        template,
        no_pods: false,
        job: None,
    };
    if let Some((running, template, detour)) = earlier {
        return chosen(Some(running), template, Some(detour));
    }
    let before = app.rollout.before.as_ref().filter(|_| wanted.gate == Some(Gate::Closed));
    let Some(before) = before else {
        return chosen(Some(wanted.name().to_owned()), wanted.template.clone(), None);
    };
    let (stage, job) = stage(app, before, wanted, &observed.jobs);
    let (running, template) = kept(app, wanted, observed);
    // Not what the Deployment has: someone may have deleted it, or scaled it to none.
    let no_pods = observed.wanted_before == 0;
    Chosen { no_pods, job, ..chosen(running, template, Some(Detour::Before(stage))) }
}

/// What is asked for by hand: from the first look at it on, until the spec asks for
/// something else. Then it is spent, so that one that is forgotten blocks no later
/// change, the one back to what it led away from neither.
fn asked_for(app: &ValidatedApp, known: Option<&RollbackByHand>, wanted: &str) -> Option<RollbackByHand> {
    let to = app.rollback_to.clone()?;
    let from = match known.filter(|known| known.to == to) {
        Some(known) if known.from != wanted => String::new(),
        _ => wanted.to_owned(),
    };
    Some(RollbackByHand { to, from })
}

/// Whether a revision has run, or could have, in the form that the app has now: pods
/// that serve and those of a job have templates that are none for each other.
fn can_run(revision: &ControllerRevision, app: &ValidatedApp) -> bool {
    gate_of(revision) != Some(Gate::Closed) && is_of_a_job(revision) == app.job().is_some()
}

fn find<'a>(name: &str, app: &ValidatedApp, observed: &'a Observed) -> Option<&'a ControllerRevision> {
    let named = observed.revisions.iter().find(|known| known.name_any() == name)?;
    Some(&**named).filter(|revision| can_run(revision, app))
}

fn taken(revision: &ControllerRevision, detour: Detour) -> Option<(String, PodTemplateSpec, Detour)> {
    Some((revision.name_any(), template_of(revision)?, detour))
}

fn to_choose_from(app: &ValidatedApp, observed: &Observed) -> Vec<String> {
    let mut revisions: Vec<_> = observed.revisions.iter().filter(|revision| can_run(revision, app)).collect();
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
    revisions.into_iter().map(|revision| revision.name_any()).collect()
}

/// What runs on meanwhile. Where nothing may run yet, the template that is wanted,
/// for a Deployment without pods: also where it was a job until now.
fn kept(app: &ValidatedApp, wanted: &Wanted, observed: &Observed) -> (Option<String>, PodTemplateSpec) {
    let running = observed.running.clone();
    let revision = observed.revisions.iter().find(|revision| Some(revision.name_any()) == running);
    let template = match revision {
        Some(revision) => template_of(revision).filter(|_| is_of_a_job(revision) == app.job().is_some()),
        // Someone deleted the revision: what runs is kept as it is.
        None => observed.deployment.as_ref().and_then(|live| Some(live.spec.as_ref()?.template.clone())),
    };
    match running.zip(template) {
        Some((running, template)) => (Some(running), template),
        None => (None, wanted.template.clone()),
    }
}

/// How far the job is, and the job if it is to be started. Two never run at once.
fn stage(
    app: &ValidatedApp,
    before: &BeforeRollout,
    wanted: &Wanted,
    jobs: &[Arc<Job>],
) -> (Stage, Option<Job>) {
    let name = names::before_job(&app.name, wanted.name(), &before.text);
    let mine = jobs.iter().find(|job| job.name_any() == name && job.metadata.deletion_timestamp.is_none());
    if let Some(mine) = mine {
        return match job::state(mine) {
            State::Failed { message } => (Stage::Failed { job: name, message }, None),
            State::Active { .. } | State::Succeeded => (Stage::Runs { job: name }, None),
        };
    }
    if app.rollout.paused {
        return (Stage::Paused, None);
    }
    if app.instances == 0 {
        return (Stage::Stopped, None);
    }
    if let Some(other) = jobs.iter().find(|job| may_run(job)) {
        return (Stage::Waits { other: other.name_any() }, None);
    }
    let job = job::build(app, before, wanted.name(), &wanted.template);
    (Stage::Runs { job: name }, job)
}

/// Whether a pod of a job may be there. One that is being deleted waits for its pods.
fn may_run(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some() || matches!(job::state(job), State::Active { .. })
}

/// How long after a Job's start its status may still not tell that its pod runs: it
/// is written a moment later, several changes at once.
const SETTLES: SignedDuration = SignedDuration::from_secs(10);

/// The jobs that are in the way of another: of another revision than the wanted one, or
/// of another `before`. One that has started, or may have, is left to end, since a
/// migration that is cut in its middle is worse than one that is late. One that has
/// ended stays for its log until another is needed.
pub(super) fn obsolete_jobs(app: &ValidatedApp, wanted: &Wanted, observed: &Observed) -> Vec<Arc<Job>> {
    let before = app.rollout.before.as_ref();
    let current = before.map(|before| names::before_job(&app.name, wanted.name(), &before.text));
    let needs_one = wanted.gate == Some(Gate::Closed);
    let unrecorded = |job: &Job| {
        let revision =
            observed.revisions.iter().find(|known| Some(&*known.name_any()) == job::revision_of(job));
        revision.is_some_and(|revision| gate_of(revision) == Some(Gate::Closed))
    };
    let is_obsolete = |job: &&Arc<Job>| match job::state(job) {
        _ if job.metadata.deletion_timestamp.is_some() || Some(job.name_any()) == current => false,
        State::Active { started } => !started && job::is_older_than(job, SETTLES, observed.now),
        State::Failed { .. } => needs_one,
        State::Succeeded => needs_one && !unrecorded(job),
    };
    observed.jobs.iter().filter(is_obsolete).cloned().collect()
}

#[cfg(test)]
mod tests;
