//! A number of instances that follows the load, and what it could never follow.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Problems;
use super::memory::Plan;
use crate::crd::autoscaling::{Autoscaling, ScalingPolicy, ScalingRules};
use crate::crd::notation::{Share, quantity_nanos};
use crate::crd::{NodeAppSpec, defaults};

/// An autoscaling that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoscalingPolicy {
    /// Instances that are always there, at least 1.
    pub least: i32,
    /// Instances that there are at most.
    pub most: i32,
    /// CPU time to aim at, in percent of the request.
    pub cpu: Option<i32>,
    /// Memory to aim at: in percent of the request, or in bytes.
    pub memory: Option<Share>,
    /// How fast instances come and go.
    pub behavior: Option<HorizontalPodAutoscalerBehavior>,
}

pub(super) fn policy(spec: &NodeAppSpec, plan: &Plan, problems: &mut Problems) -> Option<AutoscalingPolicy> {
    let given = spec.autoscaling.as_ref()?;
    if spec.instances != defaults::instances() {
        problems.add(
            "spec.instances",
            "cannot stand beside spec.autoscaling, which decides the number; leave instances out, and for more of \
             them set autoscaling.minInstances",
        );
    }
    if spec.fill_cluster.is_some() {
        problems.add(
            "spec.autoscaling",
            "and spec.fillCluster both decide how many instances there are; leave one of them out",
        );
    }
    let (least, most) = limits(given, problems);
    if given.cpu.is_none() && given.memory.is_none() {
        problems.add("spec.autoscaling", "needs something to go by: set cpu, memory or both");
    }
    Some(AutoscalingPolicy {
        least,
        most,
        cpu: cpu(given, plan, problems),
        memory: memory(given, spec, plan, problems),
        behavior: given.behavior.as_ref().map(|behavior| HorizontalPodAutoscalerBehavior {
            scale_up: behavior.scale_up.as_ref().map(rules),
            scale_down: behavior.scale_down.as_ref().map(rules),
        }),
    })
}

fn limits(given: &Autoscaling, problems: &mut Problems) -> (i32, i32) {
    let (least, most) = (given.min_instances.unwrap_or(defaults::MIN_INSTANCES), given.max_instances);
    if least < 1 {
        problems.add(
            "spec.autoscaling.minInstances",
            "must be 1 or more, since nothing would tell of load; spec.stopped: true stops the app",
        );
    }
    if least > most {
        problems.add(
            "spec.autoscaling.minInstances",
            &format!("{least} is above maxInstances ({most}); lower it, or raise maxInstances"),
        );
    }
    (least, most)
}

fn cpu(given: &Autoscaling, plan: &Plan, problems: &mut Problems) -> Option<i32> {
    let field = "spec.autoscaling.cpu";
    let written = given.cpu.as_ref()?;
    let percent = problems.take(field, written.parse().map(Some), None)?;
    let request = request(plan, "cpu", field, problems)?;
    let limit = plan.resources.limits.as_ref().and_then(|limits| amount(limits, "cpu"));
    if let Some((limit, text)) = limit
        && share_of(request.0, percent) >= limit
    {
        problems.add(
            field,
            &format!(
                "{written} of spec.resources.requests.cpu ({}) is not below spec.resources.limits.cpu ({text}), so no \
                 load could ever pass it; lower it, or raise the limit",
                request.1
            ),
        );
    }
    Some(percent)
}

fn memory(given: &Autoscaling, spec: &NodeAppSpec, plan: &Plan, problems: &mut Problems) -> Option<Share> {
    let field = "spec.autoscaling.memory";
    let written = given.memory.as_ref()?;
    let share = problems.take(field, written.parse().map(Some), None)?;
    let nanos = match share {
        Share::Bytes(bytes) => i128::from(bytes) * NANO,
        Share::Percent(percent) => share_of(request(plan, "memory", field, problems)?.0, percent),
    };
    let aim = match share {
        Share::Bytes(_) => written.to_string(),
        Share::Percent(_) => format!("{written} of spec.resources.requests.memory"),
    };
    if let Some(line) = plan.restart_above {
        if nanos >= i128::from(line) * NANO {
            let line = spec.max_memory_restart.as_ref().map(ToString::to_string).unwrap_or_default();
            problems.add(
                field,
                &format!(
                    "{aim} is not below spec.maxMemoryRestart ({line}), where an instance is restarted before more \
                     instances come; lower it, or raise maxMemoryRestart"
                ),
            );
        }
    } else if plan.limit.is_some_and(|limit| nanos >= i128::from(limit) * NANO) {
        problems.add(
            field,
            &format!(
                "{aim} is not below spec.resources.limits.memory, where the kernel kills an instance before more \
                 instances come; lower it, or raise the limit"
            ),
        );
    }
    Some(share)
}

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

fn share_of(amount: i128, percent: i32) -> i128 {
    amount.saturating_mul(percent.into()) / 100
}

/// The request that a percentage is of, in billionths and as it is written.
fn request(plan: &Plan, resource: &str, field: &str, problems: &mut Problems) -> Option<(i128, String)> {
    let request = plan.resources.requests.as_ref().and_then(|requests| amount(requests, resource));
    let request = request.filter(|(nanos, _)| *nanos > 0);
    if request.is_none() {
        problems.add(
            field,
            &format!(
                "is a percentage of spec.resources.requests.{resource}, which is 0; give it a value, or leave it out \
                 for the default"
            ),
        );
    }
    request
}

fn amount(quantities: &BTreeMap<String, Quantity>, resource: &str) -> Option<(i128, String)> {
    let text = &quantities.get(resource)?.0;
    Some((quantity_nanos(text)?, text.clone()))
}

fn rules(rules: &ScalingRules) -> HPAScalingRules {
    let policies: Vec<HPAScalingPolicy> = rules.policies.iter().map(policy_of).collect();
    HPAScalingRules {
        policies: Some(policies).filter(|policies| !policies.is_empty()),
        select_policy: rules.select_policy.map(|policy| policy.name().to_owned()),
        stabilization_window_seconds: rules.stabilization_window_seconds,
        ..HPAScalingRules::default()
    }
}

fn policy_of(policy: &ScalingPolicy) -> HPAScalingPolicy {
    HPAScalingPolicy {
        type_: policy.type_.name().to_owned(),
        value: policy.value,
        period_seconds: policy.period_seconds,
    }
}
