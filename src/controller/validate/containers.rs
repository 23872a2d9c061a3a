//! Containers around the app: those that run before it, and those that run beside it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Problems;
use super::pod::check_volume;
use crate::controller::names;
use crate::crd::NodeAppSpec;
use crate::crd::notation::quantity_nanos;

/// What a container around the app requests and may take if it does not say so: enough for a small
/// program, and a bound for one that leaks.
const REQUESTS: [(&str, &str); 2] = [("cpu", "10m"), ("memory", "32Mi")];
const LIMITS: [(&str, &str); 2] = [("cpu", "500m"), ("memory", "256Mi")];

/// Names of containers that are the operator's.
const OURS: [&str; 5] = [
    names::APP_CONTAINER,
    names::BEFORE_CONTAINER,
    names::FORWARDER_CONTAINER,
    names::INSTALL_CONTAINER,
    names::REDIS_CONTAINER,
];

/// Whether they fit beside each other and beside ours.
pub(super) fn check(
    sidecars: &[core::Container],
    before: &[core::Container],
    volumes: &BTreeSet<&str>,
    spec: &NodeAppSpec,
    problems: &mut Problems,
) {
    let mut seen = BTreeSet::new();
    let listed = |list: &'static str| move |(index, container)| (list, index, container);
    let sidecars = sidecars.iter().enumerate().map(listed("sidecars"));
    let before = before.iter().enumerate().map(listed("initContainers"));
    for (list, index, container) in sidecars.chain(before) {
        let field = format!("spec.pod.{list}[{index}]");
        let beside = list == "sidecars" || is_sidecar(container);
        let name = container.name.as_str();
        if OURS.contains(&name) || name.starts_with("nodeapp-") {
            problems.add(
                &format!("{field}.name"),
                &format!("{name} is a container of the operator; take another name"),
            );
        } else if !seen.insert(name) {
            problems.add(&format!("{field}.name"), &format!("{name} is there twice; rename one of them"));
        }
        if container.image.as_ref().is_none_or(|image| image.trim().is_empty()) {
            problems.add(&format!("{field}.image"), "must name a container image");
        }
        check_ports(&field, container, beside, spec, problems);
        if container.restart_policy.as_deref().is_some_and(|policy| policy != "Always") {
            problems
                .add(&format!("{field}.restartPolicy"), "is Always for a sidecar, and left out for others");
        }
        for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
            check_volume(&format!("{field}.volumeMounts[{index}]"), mount, volumes, true, problems);
        }
    }
}

/// All containers of a pod have one address.
fn check_ports(
    field: &str,
    container: &core::Container,
    beside: bool,
    spec: &NodeAppSpec,
    problems: &mut Problems,
) {
    let runner = i32::from(nodeapp_contract::RUNNER_PORT);
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let number = port.container_port;
        let owner = match number {
            _ if number == runner => "the runner's",
            _ if Some(number) == spec.port && beside => "the app's (spec.port)",
            _ => continue,
        };
        problems.add(
            &format!("{field}.ports[{index}].containerPort"),
            &format!("{number} is {owner}, and all containers of a pod have one address; take another port"),
        );
    }
}

/// Whether a container among those that run before the app goes on beside it.
pub(super) fn is_sidecar(container: &core::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// A sidecar, which Kubernetes knows by its restart policy.
pub(super) fn sidecar(container: core::Container) -> core::Container {
    complete(core::Container { restart_policy: Some("Always".to_owned()), ..container })
}

/// The container with what it does not say: requests, limits, and what Pod Security `restricted` asks
/// for.
pub(super) fn complete(mut container: core::Container) -> core::Container {
    // The API server would add it, and then not find it in what we say.
    for port in container.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
    }
    let security = container.security_context.get_or_insert_default();
    let privileged = security.privileged == Some(true);
    security.allow_privilege_escalation.get_or_insert(privileged);
    if !privileged {
        let capabilities = security.capabilities.get_or_insert_default();
        capabilities.drop.get_or_insert_with(|| vec!["ALL".to_owned()]);
    }
    bound(container.resources.get_or_insert_default());
    container
}

fn bound(resources: &mut core::ResourceRequirements) {
    let (requests, limits) =
        (resources.requests.get_or_insert_default(), resources.limits.get_or_insert_default());
    for ((name, request), (_, limit)) in REQUESTS.into_iter().zip(LIMITS) {
        if !limits.contains_key(name) {
            // One that requests more than that may take what it requests.
            let limit = larger(requests.get(name), limit);
            limits.insert(name.to_owned(), limit);
        }
        if !requests.contains_key(name) {
            let request = smaller(limits, name, request);
            requests.insert(name.to_owned(), request);
        }
    }
}

fn larger(given: Option<&Quantity>, default: &str) -> Quantity {
    let more = |given: &&Quantity| quantity_nanos(&given.0) > quantity_nanos(default);
    given.filter(more).cloned().unwrap_or_else(|| Quantity(default.to_owned()))
}

fn smaller(limits: &BTreeMap<String, Quantity>, name: &str, default: &str) -> Quantity {
    let less = |limit: &&Quantity| quantity_nanos(&limit.0) < quantity_nanos(default);
    limits.get(name).filter(less).cloned().unwrap_or_else(|| Quantity(default.to_owned()))
}
