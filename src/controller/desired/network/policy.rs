//! Who may reach the pods of an app and of its Redis. The kubelet always may, or nothing would ever
//! be ready.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use nodeapp_contract::RUNNER_PORT;

use super::super::redis::RedisChildren;
use super::super::{Settings, metadata};
use crate::controller::names;
use crate::controller::validate::ValidatedApp;

/// The policy of an app's own pods, and of the job before its rollouts: it has the same image and the
/// same secrets.
pub(super) fn of_app(app: &ValidatedApp, settings: &Settings) -> Option<networking::NetworkPolicy> {
    let plan = app.network.policy.as_ref()?;
    let nobody = plan.from.as_ref().is_some_and(Vec::is_empty);
    let ports = app_ports(app);
    let of_app = (!nobody && !ports.is_empty())
        .then(|| networking::NetworkPolicyIngressRule { from: plan.from.clone(), ports: Some(ports) });
    let mut who = vec![operator(settings)];
    who.extend(plan.metrics_from.iter().cloned());
    let of_runner = networking::NetworkPolicyIngressRule {
        from: Some(who),
        ports: Some(vec![port(IntOrString::String(names::RUNNER_PORT.to_owned()), "TCP")]),
    };
    let mut types = vec!["Ingress".to_owned()];
    types.extend(plan.egress.is_some().then(|| "Egress".to_owned()));
    Some(networking::NetworkPolicy {
        metadata: metadata(app, app.name.clone()),
        spec: Some(networking::NetworkPolicySpec {
            pod_selector: Some(selector(names::code_selector(&app.name))),
            policy_types: Some(types),
            ingress: Some(of_app.into_iter().chain([of_runner]).collect()),
            egress: plan.egress.clone().filter(|rules| !rules.is_empty()),
        }),
    })
}

/// The ports of the app that its Service leads to. By their names where they have any, since those
/// lead to the right number in pods of before, too. The runner's is not among them, whatever leads there.
fn app_ports(app: &ValidatedApp) -> Vec<networking::NetworkPolicyPort> {
    let service = app.network.service.iter().flat_map(|service| &service.ports);
    let mut ports: Vec<networking::NetworkPolicyPort> = Vec::new();
    for given in service {
        let Some(target) = given.target_port.clone() else { continue };
        let is_the_runners = match &target {
            IntOrString::Int(number) => *number == i32::from(RUNNER_PORT),
            IntOrString::String(name) => name == names::RUNNER_PORT,
        };
        let port = port(target, given.protocol.as_deref().unwrap_or("TCP"));
        if !is_the_runners && !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

/// The policy of the pod of a Redis that all instances share.
pub(super) fn of_redis(app: &ValidatedApp, redis: &RedisChildren) -> Option<networking::NetworkPolicy> {
    let plan = app.network.policy.as_ref()?;
    if matches!(redis, RedisChildren::Unwanted | RedisChildren::Missing) {
        return None;
    }
    let of = |labels| networking::NetworkPolicyPeer {
        pod_selector: Some(selector(labels)),
        ..networking::NetworkPolicyPeer::default()
    };
    // The job before a rollout has none of the labels by which the app's pods are found.
    let job = names::job_labels(&app.name);
    let job = ["app.kubernetes.io/component", "app.kubernetes.io/instance", names::MANAGED_BY_LABEL]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), job.get(key)?.clone())))
        .collect();
    let mut who = vec![of(names::selector(&app.name)), of(job)];
    who.extend(plan.redis_from.iter().cloned());
    Some(networking::NetworkPolicy {
        metadata: ObjectMeta {
            labels: Some(names::redis_labels(&app.name)),
            ..metadata(app, names::redis(&app.name))
        },
        spec: Some(networking::NetworkPolicySpec {
            pod_selector: Some(selector(names::redis_selector(&app.name))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![networking::NetworkPolicyIngressRule {
                from: Some(who),
                ports: Some(vec![port(IntOrString::String(names::REDIS_CONTAINER.to_owned()), "TCP")]),
            }]),
            egress: None,
        }),
    })
}

/// The operator, which asks the runners how their processes are.
fn operator(settings: &Settings) -> networking::NetworkPolicyPeer {
    let home = settings
        .namespace
        .as_ref()
        .map(|name| BTreeMap::from([(names::NAMESPACE_LABEL.to_owned(), name.clone())]));
    let labels = names::OPERATOR_LABELS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    networking::NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector { match_labels: home, ..LabelSelector::default() }),
        pod_selector: Some(selector(labels.into())),
        ip_block: None,
    }
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

fn port(port: IntOrString, protocol: &str) -> networking::NetworkPolicyPort {
    networking::NetworkPolicyPort {
        port: Some(port),
        protocol: Some(protocol.to_owned()),
        ..networking::NetworkPolicyPort::default()
    }
}
