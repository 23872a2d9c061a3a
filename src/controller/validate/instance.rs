//! How many instances an app that fills the cluster wants, and their index, as the
//! runner is told of it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use nodeapp_contract::env;

use super::Problems;
use super::memory::Plan;
use super::pod::PodPlan;
use super::redis::{self, RedisPlan};
use crate::controller::capacity::Room;
use crate::crd::NodeAppSpec;
use crate::crd::notation::quantity_nanos;

/// Which variables have the number of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceIndex {
    /// The variable that has it, if it is another than `NODE_APP_INSTANCE`.
    pub variable: Option<String>,
    /// The variable that grows with it.
    pub increment: Option<String>,
}

/// How an app fills the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillPolicy {
    /// Instances fewer than would fit.
    pub leave: u64,
    /// Never more than this.
    pub max_instances: Option<u64>,
    /// What one instance is given.
    pub needs: Room,
}

/// How the app fills the cluster, if it does. An instance is given the CPU that it
/// requests, or a whole one, as PM2 gives one process to each; and the memory that
/// it may take.
pub(super) fn fill(
    spec: &NodeAppSpec,
    memory: &Plan,
    redis: Option<&RedisPlan>,
    pod: &PodPlan,
    problems: &mut Problems,
) -> Option<FillPolicy> {
    let given = spec.fill_cluster.as_ref()?;
    // 0 is a stopped app's, and no number of its own.
    if !matches!(spec.instances, 0 | 1) {
        problems.add(
            "spec.instances",
            "leave it out: spec.fillCluster decides how many; to limit it set spec.fillCluster.maxInstances",
        );
    }
    let number = |field, number: Option<i32>, least: u64, problems: &mut Problems| {
        let number = u64::try_from(number?).ok().filter(|number| *number >= least);
        if number.is_none() {
            problems.add(field, &format!("must be {least} or more"));
        }
        number
    };
    let bytes = |quantities: &Option<BTreeMap<String, Quantity>>| {
        let quantity = quantities.as_ref().and_then(|quantities| quantities.get("memory"));
        quantity.and_then(|quantity| part(quantity_nanos(&quantity.0)?, 1)).unwrap_or(0)
    };
    let cpu = spec.resources.as_ref().and_then(|resources| resources.requests.get("cpu"));
    let cpu = cpu.and_then(|cpu| part(cpu.nanos().ok()?, 1000));
    let resources = &memory.resources;
    let own = Room {
        cpu: cpu.unwrap_or(1000),
        memory: bytes(&resources.limits).max(bytes(&resources.requests)),
        pods: 1,
    };
    Some(FillPolicy {
        leave: number("spec.fillCluster.leave", given.leave, 0, problems).unwrap_or(0),
        max_instances: number("spec.fillCluster.maxInstances", given.max_instances, 1, problems),
        needs: redis.map_or(own, |redis| own.plus(redis::needs(redis))).plus(pod.needs()),
    })
}

/// So many billionths in parts of one, rounded up.
pub(super) fn part(nanos: i128, parts: i128) -> Option<u64> {
    const NANO: i128 = 1_000_000_000;
    u64::try_from((nanos.checked_mul(parts)? + NANO - 1) / NANO).ok()
}

/// The variables of the index; none for an app that wants no numbers.
pub(super) fn index(spec: &NodeAppSpec, port: Option<u16>, problems: &mut Problems) -> Option<InstanceIndex> {
    let wanted = spec.instance_index.unwrap_or(false);
    let (variable, increment) = (&spec.instance_var, &spec.increment_var);
    for (field, name) in [("spec.instanceVar", variable), ("spec.incrementVar", increment)] {
        let Some(name) = name else { continue };
        if !wanted {
            problems
                .add(field, "is given the instance index; set spec.instanceIndex: true too, or leave it out");
        }
        check_name(field, name, problems);
    }
    let index = variable.as_deref().unwrap_or(env::NODE_APP_INSTANCE);
    if variable.as_deref() == Some("PORT") {
        problems
            .add("spec.instanceVar", "PORT is where the app serves, not a number of it; take another name");
    }
    if wanted && spec.env.iter().any(|variable| variable.name == index) {
        problems.add(
            "spec.env",
            &format!("{index} is given the instance index; take it out, or name another in spec.instanceVar"),
        );
    }
    match increment.as_deref() {
        Some("PORT") if port.is_some() => problems.add(
            "spec.incrementVar",
            "PORT would be another in each instance, but the Service knows one; leave incrementVar out: each \
             instance has an address of its own",
        ),
        Some(name) if name == index => problems.add(
            "spec.incrementVar",
            &format!("{name} has the instance index already; take another name, or leave it out"),
        ),
        _ => {}
    }
    wanted.then(|| InstanceIndex { variable: variable.clone(), increment: increment.clone() })
}

fn check_name(field: &str, name: &str, problems: &mut Problems) {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(letter) || name.as_bytes()[0].is_ascii_digit() {
        problems.add(field, "must have letters, digits and '_', and not start with a digit");
    } else if name.starts_with("NODEAPP_") {
        problems.add(field, "names that start with NODEAPP_ belong to the operator; take another name");
    }
}
