//! What leads to an app beside its Service, and what keeps others away.

mod ingress;
mod policy;
mod route;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::applied::marked;
use super::redis::RedisChildren;
use super::{Settings, metadata, service};
use crate::controller::gateway::HttpRoute;
use crate::controller::names;
use crate::controller::observe::Observed;
use crate::controller::validate::ValidatedApp;

/// What leads to an app beside its Service, and what keeps others away.
#[derive(Clone, Debug, Default)]
pub struct NetworkChildren {
    /// A Service that stands for the addresses of the pods.
    pub headless: Option<Service>,
    /// For an ingress controller.
    pub ingress: Option<Ingress>,
    /// For a Gateway.
    pub route: Option<HttpRoute>,
    /// The cluster does not have the Gateway API, so that there cannot be a route.
    pub route_waits: bool,
    /// Who may reach the pods of the app, and whom they may reach.
    pub policy: Option<NetworkPolicy>,
    /// Who may reach its Redis.
    pub redis_policy: Option<NetworkPolicy>,
}

/// What there is to be.
pub(super) fn build(
    app: &ValidatedApp,
    redis: &RedisChildren,
    observed: &Observed,
    settings: &Settings,
) -> NetworkChildren {
    let route = route::build(app);
    let route_waits = route.is_some() && observed.network.lacks_gateway_api;
    NetworkChildren {
        headless: service::headless(app),
        ingress: ingress::build(app).map(marked),
        route: route.filter(|_| !route_waits).map(marked),
        route_waits,
        policy: policy::of_app(app, settings).map(marked),
        redis_policy: policy::of_redis(app, redis).map(marked),
    }
}

/// Metadata of a child with labels and annotations of the user's.
pub(super) fn with(
    app: &ValidatedApp,
    name: String,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> ObjectMeta {
    let mut all = labels.clone();
    all.extend(names::labels(&app.name));
    ObjectMeta {
        labels: Some(all),
        annotations: (!annotations.is_empty()).then(|| annotations.clone()),
        ..metadata(app, name)
    }
}

#[cfg(test)]
mod tests;
