//! How an app is reached, and by whom: what can be carried out of it, and what cannot.

mod ingress;
mod policy;
mod route;
mod service;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

pub use ingress::IngressPlan;
pub use policy::PolicyPlan;
pub use route::{RoutePlan, RouteTarget};
pub use service::ServicePlan;

use super::pod::PodPlan;
use super::redis::RedisPlan;
use super::{Problems, pod};
use crate::crd::NodeAppSpec;

/// How an app is reached, and by whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkPlan {
    /// Its Service; none for a worker.
    pub service: Option<ServicePlan>,
    /// What leads to it from outside, by an ingress controller.
    pub ingress: Option<IngressPlan>,
    /// What leads to it from outside, by the Gateway API.
    pub route: Option<RoutePlan>,
    /// What keeps others away.
    pub policy: Option<PolicyPlan>,
}

/// What is known of an app elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub name: &'a str,
    pub port: Option<u16>,
    pub redis: Option<&'a RedisPlan>,
    pub pod: &'a PodPlan,
}

/// How an app is reached.
pub(super) fn plan(spec: &NodeAppSpec, known: Known<'_>, problems: &mut Problems) -> NetworkPlan {
    if known.port.is_none() && spec.port.is_none() {
        for (field, given) in [
            ("service", spec.service.is_some()),
            ("ingress", spec.ingress.is_some()),
            ("httpRoute", spec.http_route.is_some()),
        ] {
            if given {
                problems.add(
                    &format!("spec.{field}"),
                    "leads to the app's port, and spec.port is missing; set it, or leave this out",
                );
            }
        }
    }
    let policy = policy::plan(spec, known, problems);
    let Some(port) = known.port else { return NetworkPlan { policy, ..NetworkPlan::default() } };
    let mut service = service::plan(spec, port, known.pod, problems);
    let ingress = spec.ingress.as_ref().map(|given| ingress::plan(known.name, given, &mut service, problems));
    let route = spec.http_route.as_ref().map(|given| route::plan(given, &service, problems));
    NetworkPlan { service: Some(service), ingress, route, policy }
}

/// The number of the Service's port of this name, if it can carry HTTP.
fn port_named(
    field: &str,
    name: Option<&str>,
    service: &ServicePlan,
    problems: &mut Problems,
) -> Option<i32> {
    let name = name.unwrap_or(crate::controller::names::APP_PORT);
    let found = service.ports.iter().find(|port| port.name.as_deref() == Some(name));
    if let Some(found) = found.filter(|found| found.protocol.as_deref() == Some("TCP")) {
        return Some(found.port);
    }
    let tcp = |port: &&core::ServicePort| port.protocol.as_deref() == Some("TCP");
    let names: Vec<&str> = service.ports.iter().filter(tcp).filter_map(|port| port.name.as_deref()).collect();
    problems.add(
        field,
        &format!(
            "the Service has no TCP port {name}; add it to spec.service.ports, or take one of those there are: {}",
            names.join(", ")
        ),
    );
    None
}

fn check_metadata(
    field: &str,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    problems: &mut Problems,
) {
    pod::check_metadata(field, labels, annotations, problems);
}

/// A network such as `192.0.2.0/24`.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(length) = length.parse::<u8>() else { return false };
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => length <= 32,
        Ok(std::net::IpAddr::V6(_)) => length <= 128,
        Err(_) => false,
    }
}
