//! The address of an app inside the cluster: its own name, its own port, and what is asked for beside
//! them.

use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig};

use super::metadata;
use super::network::with;
use crate::controller::names;
use crate::controller::validate::{ServicePlan, ValidatedApp};
use crate::crd::network::{ServiceType, SessionAffinity, TrafficDistribution, TrafficPolicy};

/// The Service of an app with a port.
pub(super) fn build(app: &ValidatedApp) -> Option<Service> {
    let plan = app.network.service.as_ref()?;
    let given = &plan.given;
    let ranges = &given.load_balancer_source_ranges;
    Some(Service {
        metadata: with(app, app.name.clone(), &given.labels, &plan.annotations),
        spec: Some(ServiceSpec {
            type_: Some(type_(given.type_.unwrap_or_default()).to_owned()),
            selector: Some(names::selector(&app.name)),
            ports: Some(plan.ports.clone()),
            session_affinity: given.session_affinity.map(affinity),
            session_affinity_config: affinity_config(plan),
            internal_traffic_policy: given.internal_traffic_policy.map(policy),
            external_traffic_policy: given.external_traffic_policy.map(policy),
            traffic_distribution: given.traffic_distribution.map(|given| match given {
                TrafficDistribution::PreferClose => "PreferClose".to_owned(),
            }),
            load_balancer_class: given.load_balancer_class.clone(),
            load_balancer_source_ranges: (!ranges.is_empty()).then(|| ranges.clone()),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

/// The one without an address of its own, whose name stands for those of all ready pods.
pub(super) fn headless(app: &ValidatedApp) -> Option<Service> {
    let plan = app.network.service.as_ref().filter(|plan| plan.given.headless == Some(true))?;
    // It is nothing that a node could forward to.
    let port = |port: &ServicePort| ServicePort { node_port: None, ..port.clone() };
    Some(Service {
        metadata: metadata(app, names::headless(&app.name)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            selector: Some(names::selector(&app.name)),
            ports: Some(plan.ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}

const fn type_(given: ServiceType) -> &'static str {
    match given {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}

fn affinity(given: SessionAffinity) -> String {
    match given {
        SessionAffinity::None => "None".to_owned(),
        SessionAffinity::ClientIP => "ClientIP".to_owned(),
    }
}

fn affinity_config(plan: &ServicePlan) -> Option<SessionAffinityConfig> {
    let timeout_seconds = plan.given.session_affinity_config.as_ref()?.client_ip.as_ref()?.timeout_seconds?;
    let client_ip = Some(ClientIPConfig { timeout_seconds: Some(timeout_seconds) });
    Some(SessionAffinityConfig { client_ip })
}

fn policy(given: TrafficPolicy) -> String {
    match given {
        TrafficPolicy::Cluster => "Cluster".to_owned(),
        TrafficPolicy::Local => "Local".to_owned(),
    }
}
