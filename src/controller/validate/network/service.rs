//! The Service: its type, its ports, and who stays with whom.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::{check_metadata, is_network};
use crate::controller::names;
use crate::controller::validate::Problems;
use crate::controller::validate::pod::PodPlan;
use crate::crd::NodeAppSpec;
use crate::crd::network::{Service, ServicePort, ServiceType, SessionAffinity};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServicePlan {
    /// What is given of it.
    pub given: Service,
    /// All of its ports, the app's first.
    pub ports: Vec<core::ServicePort>,
    /// Annotations, with those that the ingress controller reads there.
    pub annotations: BTreeMap<String, String>,
}

pub(super) fn plan(spec: &NodeAppSpec, port: u16, pod: &PodPlan, problems: &mut Problems) -> ServicePlan {
    let given = spec.service.clone().unwrap_or_default();
    check_metadata("spec.service", &given.labels, &given.annotations, problems);
    check_type(&given, problems);
    let affinity = given.session_affinity.unwrap_or_default();
    if given.session_affinity_config.is_some() && affinity != SessionAffinity::ClientIP {
        problems.add(
            "spec.service.sessionAffinityConfig",
            "is about clients that stay with one instance; set spec.service.sessionAffinity: ClientIP, or leave it out",
        );
    }
    for (index, range) in given.load_balancer_source_ranges.iter().enumerate() {
        if !is_network(range) {
            problems.add(
                &format!("spec.service.loadBalancerSourceRanges[{index}]"),
                &format!("{range} is no network; write it as 192.0.2.0/24 or 2001:db8::/32"),
            );
        }
    }
    let mut ports = vec![core::ServicePort {
        name: Some(names::APP_PORT.to_owned()),
        port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(names::APP_PORT.to_owned())),
        app_protocol: given.app_protocol.clone(),
        node_port: given.node_port,
    }];
    let targets = targets(pod);
    for (index, more) in given.ports.iter().enumerate() {
        let field = format!("spec.service.ports[{index}]");
        check_clash(&field, more, &ports, problems);
        ports.push(service_port(&field, more, &targets, problems));
    }
    ServicePlan { annotations: given.annotations.clone(), ports, given }
}

/// Fields that mean nothing to a Service of this type would be refused, or lost without a word.
fn check_type(given: &Service, problems: &mut Problems) {
    let type_ = given.type_.unwrap_or_default();
    let balanced = type_ == ServiceType::LoadBalancer;
    let outside = balanced || type_ == ServiceType::NodePort;
    let open = "needs spec.service.type NodePort or LoadBalancer; set it, or leave this out";
    let cloud = "needs spec.service.type LoadBalancer; set it, or leave this out";
    for (field, is_given, has_meaning, why) in [
        ("nodePort", given.node_port.is_some(), outside, open),
        ("externalTrafficPolicy", given.external_traffic_policy.is_some(), outside, open),
        ("loadBalancerClass", given.load_balancer_class.is_some(), balanced, cloud),
        ("loadBalancerSourceRanges", !given.load_balancer_source_ranges.is_empty(), balanced, cloud),
    ] {
        if is_given && !has_meaning {
            problems.add(&format!("spec.service.{field}"), why);
        }
    }
    for (index, _) in given.ports.iter().enumerate().filter(|(_, port)| port.node_port.is_some() && !outside)
    {
        problems.add(&format!("spec.service.ports[{index}].nodePort"), open);
    }
}

/// Two ports of one Service have different names and numbers.
fn check_clash(field: &str, more: &ServicePort, others: &[core::ServicePort], problems: &mut Problems) {
    let protocol = more.protocol.unwrap_or_default().name();
    let same_protocol = |other: &&core::ServicePort| other.protocol.as_deref() == Some(protocol);
    let name_of = |other: &core::ServicePort| other.name.clone().unwrap_or_default();
    if more.name == names::APP_PORT {
        problems.add(&format!("{field}.name"), "http is the app's own port (spec.port); take another name");
    } else if others.iter().any(|other| other.name.as_deref() == Some(&more.name)) {
        problems.add(&format!("{field}.name"), &format!("{} is there twice; rename one of them", more.name));
    }
    if let Some(other) = others.iter().filter(same_protocol).find(|other| other.port == more.port) {
        let whose = match name_of(other).as_str() {
            names::APP_PORT => "the app's own (spec.port)".to_owned(),
            name => format!("that of {name}"),
        };
        problems.add(
            &format!("{field}.port"),
            &format!("{protocol} port {} is {whose} already; take another number", more.port),
        );
    }
    let taken = others
        .iter()
        .filter(same_protocol)
        .find(|other| more.node_port.is_some() && other.node_port == more.node_port);
    if let Some(other) = taken {
        problems.add(
            &format!("{field}.nodePort"),
            &format!("is that of {} already; take another number", name_of(other)),
        );
    }
}

/// Names of ports that the containers of the pods have.
fn targets(pod: &PodPlan) -> BTreeSet<String> {
    let of_overlay = pod.overlay.iter().filter_map(|overlay| overlay.spec.as_ref());
    let of_overlay =
        of_overlay.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let containers = pod.sidecars.iter().chain(&pod.before).chain(of_overlay);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let ours = [names::APP_PORT, names::RUNNER_PORT].map(str::to_owned);
    ports.filter_map(|port| port.name.clone()).chain(ours).collect()
}

fn service_port(
    field: &str,
    given: &ServicePort,
    targets: &BTreeSet<String>,
    problems: &mut Problems,
) -> core::ServicePort {
    let field = format!("{field}.targetPort");
    let target = match &given.target_port {
        None | Some(Value::Null) => IntOrString::Int(given.port),
        Some(Value::String(name)) => {
            if !targets.contains(name) {
                let known: Vec<_> = targets.iter().map(String::as_str).collect();
                problems.add(
                    &field,
                    &format!(
                        "no container of the pods has a port {name}; write its number, or take one of those there \
                         are: {}",
                        known.join(", ")
                    ),
                );
            }
            IntOrString::String(name.clone())
        }
        Some(other) => {
            let number = other.as_i64().and_then(|number| i32::try_from(number).ok());
            let number = number.filter(|number| (1..=65_535).contains(number));
            if number.is_none() {
                problems.add(&field, "must be a port from 1 to 65535, or the name of a port");
            }
            IntOrString::Int(number.unwrap_or(given.port))
        }
    };
    core::ServicePort {
        name: Some(given.name.clone()),
        port: given.port,
        protocol: Some(given.protocol.unwrap_or_default().name().to_owned()),
        target_port: Some(target),
        app_protocol: given.app_protocol.clone(),
        node_port: given.node_port,
    }
}
