//! Who may reach what.

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::{Known, is_network};
use crate::controller::validate::Problems;
use crate::controller::validate::redis::RedisPlan;
use crate::controller::validate::typed::typed;
use crate::crd::NodeAppSpec;

/// Who may reach what, as Kubernetes takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyPlan {
    /// Who may reach the app's ports; none is everyone.
    pub from: Option<Vec<NetworkPolicyPeer>>,
    /// Who may reach the runner's, beside the operator.
    pub metrics_from: Vec<NetworkPolicyPeer>,
    /// Who may reach the shared Redis, beside the app.
    pub redis_from: Vec<NetworkPolicyPeer>,
    /// Whom the app may reach; none is everyone.
    pub egress: Option<Vec<NetworkPolicyEgressRule>>,
}

pub(super) fn plan(spec: &NodeAppSpec, known: Known<'_>, problems: &mut Problems) -> Option<PolicyPlan> {
    let given = spec.network_policy.as_ref()?;
    if given.from.is_some() && spec.port.is_none() {
        problems.add(
            "spec.networkPolicy.from",
            "is about the app's port, and spec.port is missing: nobody reaches a worker. Set spec.port, or leave it out",
        );
    }
    if !given.redis_from.is_empty() && !matches!(known.redis, Some(RedisPlan::Shared(_))) {
        problems.add(
            "spec.networkPolicy.redisFrom",
            "is about a Redis that all instances share; set spec.redis.mode: Shared, or leave it out",
        );
    }
    let field = |name: &str| format!("spec.networkPolicy.{name}");
    Some(PolicyPlan {
        from: given.from.as_ref().map(|given| peers(&field("from"), given, problems)),
        metrics_from: peers(&field("metricsFrom"), &given.metrics_from, problems),
        redis_from: peers(&field("redisFrom"), &given.redis_from, problems),
        egress: given.egress.as_ref().map(|given| egress(&field("egress"), given, problems)),
    })
}

fn peers(field: &str, given: &[Value], problems: &mut Problems) -> Vec<NetworkPolicyPeer> {
    let mut all = Vec::new();
    for (index, value) in given.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let Some(peer) = typed::<NetworkPolicyPeer>(&field, value, problems) else { continue };
        all.push(checked(&field, peer, problems));
    }
    all
}

/// The peer as the API server keeps it: without what is empty.
fn checked(field: &str, mut peer: NetworkPolicyPeer, problems: &mut Problems) -> NetworkPolicyPeer {
    let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
    match &mut peer.ip_block {
        Some(_) if selects => problems.add(
            field,
            "has ipBlock and a selector, and is one or the other; make two items of it",
        ),
        Some(block) => {
            block.except.take_if(|except| except.is_empty());
            let networks = std::iter::once(("cidr", &block.cidr))
                .chain(block.except.iter().flatten().map(|network| ("except", network)));
            for (name, network) in networks.filter(|(_, network)| !is_network(network)) {
                problems.add(
                    &format!("{field}.ipBlock.{name}"),
                    &format!("{network} is no network; write it as 192.0.2.0/24 or 2001:db8::/32"),
                );
            }
        }
        None if !selects => problems.add(
            field,
            "says nobody and everybody; for all pods of the cluster write {namespaceSelector: {}}, for those of this \
             namespace {podSelector: {}}",
        ),
        None => {}
    }
    peer.pod_selector.iter_mut().chain(&mut peer.namespace_selector).for_each(slim);
    peer
}

fn slim(selector: &mut LabelSelector) {
    selector.match_labels.take_if(|labels| labels.is_empty());
    selector.match_expressions.take_if(|expressions| expressions.is_empty());
    for expression in selector.match_expressions.iter_mut().flatten() {
        expression.values.take_if(|values| values.is_empty());
    }
}

fn egress(field: &str, given: &[Value], problems: &mut Problems) -> Vec<NetworkPolicyEgressRule> {
    let mut all = Vec::new();
    for (index, value) in given.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let Some(mut rule) = typed::<NetworkPolicyEgressRule>(&field, value, problems) else { continue };
        rule.ports.take_if(|ports| ports.is_empty());
        for port in rule.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        let to = rule.to.take().unwrap_or_default().into_iter().enumerate();
        let to: Vec<_> = to.map(|(at, peer)| checked(&format!("{field}.to[{at}]"), peer, problems)).collect();
        rule.to = Some(to).filter(|to| !to.is_empty());
        all.push(rule);
    }
    all
}
