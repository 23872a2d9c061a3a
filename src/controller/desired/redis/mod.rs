//! The Redis of an app: a part of its pods, or children of its own.

mod pod_part;
mod server;
mod shared;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec, Secret, Service};

pub(super) use pod_part::part;
pub(in crate::controller) use server::credentials;
pub(in crate::controller) use shared::is_ready;

use super::Settings;
use crate::controller::names;
use crate::controller::observe::Observed;
use crate::controller::validate::{RedisPlan, ValidatedApp};

/// The children of a Redis that all instances share.
#[derive(Clone, Debug, Default)]
pub enum RedisChildren {
    /// None is wanted. What is left of one goes, its data only where that was asked for.
    #[default]
    Unwanted,
    /// None is wanted any more, but there are pods that use it.
    StillUsed,
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
            Self::Unwanted | Self::StillUsed => None,
        }
    }
}

/// What becomes of the children. `template` is the one that the app's pods are to be
/// made from.
pub(super) fn decide(
    app: &ValidatedApp,
    template: &PodTemplateSpec,
    observed: &Observed,
    settings: &Settings,
) -> RedisChildren {
    if let Some(RedisPlan::Shared(wanted)) = &app.redis {
        return RedisChildren::Wanted(Box::new(shared::build(app, wanted, observed, settings)));
    }
    let live = observed.deployment.as_deref();
    let of_live = live.and_then(|deployment| deployment.spec.as_ref()).map(|spec| &spec.template);
    let is_used = uses(app, template)
        || of_live.is_some_and(|template| uses(app, template))
        || live.is_some_and(has_old_pods);
    if is_used { RedisChildren::StillUsed } else { RedisChildren::Unwanted }
}

/// Whether pods made from a template reach the Redis: they have its password.
fn uses(app: &ValidatedApp, template: &PodTemplateSpec) -> bool {
    let secret = names::redis_secret(&app.name);
    let volumes = template.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| volume.secret.as_ref()?.secret_name.as_ref()).any(|name| *name == secret)
}

/// Whether there may be pods that were made from an earlier template.
fn has_old_pods(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation < deployment.metadata.generation
        || status.updated_replicas.unwrap_or(0) < status.replicas.unwrap_or(0)
}

#[cfg(test)]
mod tests;
