//! Requests, limits and the memory line.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::Problems;
use crate::crd::notation::{Quantity, bytes_as_quantity};
use crate::crd::{NodeAppSpec, defaults};

/// What the container gets, and where the runner restarts the process.
pub(super) struct Plan {
    /// Requests and limits.
    pub resources: ResourceRequirements,
    /// Memory line in bytes, if there is one.
    pub restart_above: Option<u64>,
    /// Memory limit in bytes, if there is one.
    pub limit: Option<u64>,
}

/// Works out requests and limits. The limit lies above the line by a quarter, so
/// that there is time for a graceful restart before the kernel kills.
pub(super) fn plan(spec: &NodeAppSpec, problems: &mut Problems) -> Plan {
    let given = spec.resources.clone().unwrap_or_default();
    let restart_above = spec
        .max_memory_restart
        .as_ref()
        .and_then(|size| problems.take("spec.maxMemoryRestart", size.parse().map(Some), None));
    check_all("spec.resources.requests", &given.requests, problems);
    check_all("spec.resources.limits", &given.limits, problems);

    let mut limits = given.limits;
    if let Some(line) = restart_above {
        match limits.get("memory") {
            None => {
                let limit = line.saturating_mul(5).div_ceil(4);
                limits.insert("memory".to_owned(), bytes_as_quantity(limit).as_str().into());
            }
            Some(limit) => check_line(line, limit, spec, problems),
        }
    }
    let mut requests = given.requests;
    request_by_default(&mut requests, &limits, "cpu", defaults::CPU_REQUEST);
    let memory = bytes_as_quantity(restart_above.unwrap_or(defaults::MEMORY_REQUEST));
    request_by_default(&mut requests, &limits, "memory", &memory);
    check_requests("spec.resources.requests", &requests, &limits, problems);

    let limit = limits.get("memory").and_then(|limit| limit.whole().ok());
    let resources =
        ResourceRequirements { claims: None, requests: quantities(requests), limits: quantities(limits) };
    Plan { resources, restart_above, limit }
}

/// Checks the names and the values of requests or limits.
pub(super) fn check_all(field: &str, quantities: &BTreeMap<String, Quantity>, problems: &mut Problems) {
    for (name, quantity) in quantities {
        let field = format!("{field}.{name}");
        if !is_resource(name) {
            problems.add(
                &field,
                "is no resource; known are cpu, memory, ephemeral-storage, and names with a domain such as \
                 nvidia.com/gpu",
            );
        }
        problems.take(&field, quantity.nanos(), 0);
    }
}

fn is_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage")
        || name.starts_with("hugepages-")
        || name.split_once('/').is_some_and(|(domain, name)| !domain.is_empty() && !name.is_empty())
}

fn check_line(line: u64, limit: &Quantity, spec: &NodeAppSpec, problems: &mut Problems) {
    let Ok(bytes) = limit.whole() else { return };
    if u128::from(line) * 10 > u128::from(bytes) * 9 {
        let written = spec.max_memory_restart.as_ref().map(ToString::to_string).unwrap_or_default();
        let least = (u128::from(line) * 10).div_ceil(9);
        problems.add(
            "spec.maxMemoryRestart",
            &format!(
                "{written} is above 90 % of spec.resources.limits.memory ({limit}), where the kernel kills \
                 before a graceful restart; lower it, or raise the limit to at least {least} bytes"
            ),
        );
    }
}

/// Requests what is not requested, and never more than the limit.
pub(super) fn request_by_default(
    requests: &mut BTreeMap<String, Quantity>,
    limits: &BTreeMap<String, Quantity>,
    name: &str,
    default: &str,
) {
    let default = Quantity::from(default);
    let smaller = match limits.get(name) {
        Some(limit) if is_less(limit, &default) => limit.clone(),
        _ => default,
    };
    requests.entry(name.to_owned()).or_insert(smaller);
}

fn is_less(one: &Quantity, other: &Quantity) -> bool {
    matches!((one.nanos(), other.nanos()), (Ok(one), Ok(other)) if one < other)
}

/// Checks that no more is requested than the limit allows.
pub(super) fn check_requests(
    field: &str,
    requests: &BTreeMap<String, Quantity>,
    limits: &BTreeMap<String, Quantity>,
    problems: &mut Problems,
) {
    for (name, request) in requests {
        let Some(limit) = limits.get(name) else { continue };
        if let (Ok(wanted), Ok(most)) = (request.nanos(), limit.nanos())
            && wanted > most
        {
            problems.add(
                &format!("{field}.{name}"),
                &format!("{request} is more than the limit {limit}; lower it or raise the limit"),
            );
        }
    }
}

/// Quantities as Kubernetes takes them.
pub(super) fn quantities(quantities: BTreeMap<String, Quantity>) -> Option<BTreeMap<String, ApiQuantity>> {
    let converted: BTreeMap<_, _> =
        quantities.into_iter().map(|(name, quantity)| (name, ApiQuantity(quantity.to_string()))).collect();
    (!converted.is_empty()).then_some(converted)
}
