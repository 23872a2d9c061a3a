//! The Redis of an app: a part of its pods, or children of its own.

mod pod_part;
mod server;
mod shared;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec, Secret, Service};

pub(super) use pod_part::part;
pub(in crate::controller) use server::credentials;
pub(in crate::controller) use shared::is_ready;

use super::job::{State, state};
use super::{Course, Settings};
use crate::controller::names;
use crate::controller::observe::{Observed, ObservedRedis};
use crate::controller::pods::AppPod;
use crate::controller::validate::{RedisPlan, ValidatedApp};

/// The children of a Redis that all instances share.
#[derive(Clone, Debug, Default)]
pub enum RedisChildren {
    /// None is wanted. What is left of one goes, its data only where that was asked for.
    #[default]
    Unwanted,
    /// None is wanted any more, but there are pods that use it, or may again.
    StillUsed,
    /// None is wanted, but the pods are made from a template that uses one, and it is gone.
    Missing,
    /// One is wanted.
    Wanted(Box<SharedChildren>),
}

/// The children of a Redis, in the order in which they are applied.
#[derive(Clone, Debug)]
pub struct SharedChildren {
    /// Its data.
    pub claim: PersistentVolumeClaim,
    /// Its password, still without it, where there may be none yet. It is never read.
    pub secret: Option<Secret>,
    /// Its address.
    pub service: Service,
    /// Its pod.
    pub stateful_set: StatefulSet,
}

impl RedisChildren {
    /// What is wanted.
    pub fn wanted(&self) -> Option<&SharedChildren> {
        match self {
            Self::Wanted(children) => Some(children),
            Self::Unwanted | Self::StillUsed | Self::Missing => None,
        }
    }
}

/// What becomes of the children. `template` is the one that the app's pods are to be
/// made from.
pub(super) fn decide(
    app: &ValidatedApp,
    course: &Course,
    template: &PodTemplateSpec,
    observed: &Observed,
    settings: &Settings,
) -> RedisChildren {
    if let Some(RedisPlan::Shared(wanted)) = &app.redis {
        return RedisChildren::Wanted(Box::new(shared::build(app, wanted, observed, settings)));
    }
    if uses(&app.name, template) {
        let is_there = observed.redis.stateful_set.is_some();
        return if is_there { RedisChildren::StillUsed } else { RedisChildren::Missing };
    }
    if is_gone(&observed.redis) {
        return RedisChildren::Unwanted;
    }
    let live = observed.deployment.as_deref();
    let of_live = live.and_then(|deployment| deployment.spec.as_ref()).map(|spec| &spec.template);
    let is_used = of_live.is_some_and(|template| uses(&app.name, template))
        || live.is_some_and(has_old_pods)
        || has_users(app, observed)
        || may_be_taken_back(app, course, observed);
    if is_used { RedisChildren::StillUsed } else { RedisChildren::Unwanted }
}

/// Whether pods made from a template of the app reach its Redis: they have its password.
pub(in crate::controller) fn uses(app: &str, template: &PodTemplateSpec) -> bool {
    let secret = names::redis_secret(app);
    let volumes = template.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| volume.secret.as_ref()?.secret_name.as_ref()).any(|name| *name == secret)
}

/// Whether there is nothing to take away. Data that is to be kept belongs to nobody.
fn is_gone(redis: &ObservedRedis) -> bool {
    let ObservedRedis { stateful_set, service, claim } = redis;
    stateful_set.is_none() && service.is_none() && !claim.as_deref().is_some_and(is_owned)
}

/// Whether a claim goes with the app.
pub(in crate::controller) fn is_owned(claim: &PersistentVolumeClaim) -> bool {
    claim.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
}

/// Whether there may be pods that were made from an earlier template. One that is on its
/// way out is not counted there.
fn has_old_pods(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation < deployment.metadata.generation
        || status.updated_replicas.unwrap_or(0) < status.replicas.unwrap_or(0)
}

/// Whether pods that the Deployment does not count may use it: those that are being stopped and
/// finish their requests, and those of jobs.
fn has_users(app: &ValidatedApp, observed: &Observed) -> bool {
    let all = app.job().is_some() || has_none(observed);
    // The others are of a template that does not use it, as the Deployment says.
    let of_before = |pod: &AppPod| all || pod.is_terminating() || pod.template_hash().is_none();
    let by_pods = observed.pods.iter().any(|pod| may_use(pod) && of_before(pod));
    let runs = |job: &Job| matches!(state(job), State::Active { .. });
    let by_job = |job: &Job| job.spec.as_ref().is_some_and(|spec| uses(&app.name, &spec.template));
    by_pods || observed.jobs.iter().any(|job| runs(job) && by_job(job))
}

/// Whether a pod may reach it. Before the kubelet has seen one, nobody knows.
fn may_use(pod: &AppPod) -> bool {
    let known = &pod.status.init_container_statuses;
    let forwards = known.iter().any(|container| container.name == names::FORWARDER_CONTAINER);
    !pod.has_ended() && (forwards || known.is_empty())
}

/// Whether a rollout may still fail and be taken back to a template that uses it.
fn may_be_taken_back(app: &ValidatedApp, course: &Course, observed: &Observed) -> bool {
    app.job().is_none() && !has_none(observed) && course.running != observed.history.stable
}

/// Whether no instance is wanted: then no rollout goes on.
fn has_none(observed: &Observed) -> bool {
    let live = observed.deployment.as_deref().and_then(|deployment| deployment.spec.as_ref());
    live.is_some_and(|spec| spec.replicas == Some(0))
}

#[cfg(test)]
mod tests;
