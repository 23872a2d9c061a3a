//! What is around the pods: other instances, nodes, budgets, monitoring.

use std::collections::BTreeSet;

use nodeapp_contract::RUNNER_PORT;
use nodeapp_operator::controller::names;
use serde_json::json;

use super::super::facts::Facts;
use super::super::line::Line;
use crate::production::is_production;

/// Whether anybody looks at the metrics.
pub(super) fn monitoring(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "monitoring";
    if facts.is_job() {
        return None;
    }
    let monitors = facts.monitors.as_ref().cloned().unwrap_or_default();
    if let Some(name) = monitors.matching.first() {
        return Some(Line::pass(CHECK, format!("the PodMonitor {name} has its metrics scraped")));
    }
    let annotations = facts.pod_annotations();
    let is_scraped = annotations.get("prometheus.io/scrape").is_some_and(|value| value == "true");
    if is_scraped {
        return Some(Line::pass(CHECK, "its pods have the annotations by which Prometheus scrapes"));
    }
    if monitors.known {
        let monitor = json!({
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {"name": facts.name()},
            "spec": {
                "selector": {"matchLabels": names::selector(&facts.name())},
                "podMetricsEndpoints": [{"port": names::RUNNER_PORT, "path": "/metrics"}],
            },
        });
        let command = format!("echo '{monitor}' | kubectl apply{} -f -", facts.flags);
        return Some(Line::warn(CHECK, "no PodMonitor selects its pods", command));
    }
    let port = RUNNER_PORT.to_string();
    let wanted =
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": port, "prometheus.io/path": "/metrics"});
    let message = "nothing in the cluster scrapes its metrics, as far as can be seen";
    Some(Line::warn(CHECK, message, facts.patch(&json!({"pod": {"annotations": wanted}}))))
}

/// Whether one may be missing.
pub(super) fn instances(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "instances";
    if facts.is_job() || facts.is_stopped() {
        return None;
    }
    let count = facts.instances();
    if count >= 2 {
        return Some(Line::pass(CHECK, format!("there are {count} at least")));
    }
    let spec = &facts.app.spec;
    let command = if spec.autoscaling.is_some() {
        let most = spec.autoscaling.as_ref().map_or(2, |autoscaling| autoscaling.max_instances.max(2));
        facts.patch(&json!({"autoscaling": {"minInstances": 2, "maxInstances": most}}))
    } else if spec.fill_cluster.is_some() {
        facts.patch(&json!({"fillCluster": null, "instances": 2}))
    } else {
        format!("kubectl scale nodeapp {}{} --replicas=2", facts.name(), facts.flags)
    };
    let message =
        if count == 1 { "there is one: while its node is drained, nobody answers" } else { "there is none" };
    Some(if is_production(&facts.app) {
        Line::fail(CHECK, format!("{message}, and it is in production"), command)
    } else {
        Line::warn(CHECK, message, command)
    })
}

/// Whether a drain of nodes leaves enough of them.
pub(super) fn disruption_budget(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "disruptionBudget";
    if facts.is_job() || facts.is_stopped() || facts.instances() < 2 {
        return None;
    }
    let budgets = facts.budgets.as_ref().ok()?;
    let foreign = budgets.iter().find(|budget| !budget.own);
    let delete = |name: &str| format!("kubectl delete poddisruptionbudget {name}{}", facts.flags);
    let all_ready = facts.pods().iter().filter(|pod| pod.ready).count()
        >= usize::try_from(facts.instances()).unwrap_or(usize::MAX);
    Some(match (budgets.as_slice(), foreign) {
        ([], _) => {
            let message = "there is none: the operator makes one as soon as it is at work";
            Line::fail(CHECK, message, super::installation::bring_back(facts))
        }
        ([_, _, ..], Some(foreign)) => {
            let message =
                "several budgets select its pods, and Kubernetes then evicts none: nodes cannot be drained";
            Line::fail(CHECK, message, delete(&foreign.name))
        }
        ([one], Some(_)) if one.allowed < 1 && all_ready => {
            let message = format!("{} allows no eviction: nodes cannot be drained", one.name);
            Line::fail(CHECK, message, delete(&one.name))
        }
        ([one, ..], _) => {
            Line::pass(CHECK, format!("{} keeps all but one while nodes are drained", one.name))
        }
    })
}

/// Whether the loss of one node loses all.
pub(super) fn spread(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "spread";
    if facts.is_job() || facts.is_stopped() || facts.instances() < 2 {
        return None;
    }
    let pod = facts.app.spec.pod.as_ref();
    let is_off = pod.is_some_and(|pod| {
        pod.topology_spread_constraints.as_ref().is_some_and(Vec::is_empty) && pod.affinity.is_none()
    });
    if is_off {
        let message = "it is switched off: all instances may land on one node";
        let command = facts.patch(&json!({"pod": {"topologySpreadConstraints": null}}));
        return Some(Line::warn(CHECK, message, command));
    }
    let ready: Vec<_> = facts.pods().iter().filter(|pod| pod.ready).collect();
    let used: BTreeSet<_> = ready.iter().filter_map(|pod| pod.node.as_deref()).collect();
    let nodes = facts.nodes.as_ref().copied().ok();
    Some(match (used.len(), nodes) {
        (1, Some(2..)) if ready.len() > 1 => {
            let time = facts.now.strftime("%Y-%m-%dT%H:%M:%SZ");
            let restart = format!("{}={time} --overwrite", names::RESTARTED_ANNOTATION);
            let message = "all instances are on one node, though there are others; a restart spreads them";
            Line::warn(CHECK, message, facts.kubectl("annotate", &restart))
        }
        (1, Some(1)) if ready.len() > 1 => {
            Line::pass(CHECK, "it is asked for; the cluster has one node that takes pods, and that has all")
        }
        (0 | 1, _) => Line::pass(CHECK, "it is asked for"),
        (count, _) => Line::pass(CHECK, format!("its instances are on {count} nodes")),
    })
}
