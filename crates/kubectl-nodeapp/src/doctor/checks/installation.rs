//! The operator, its API, and what the user may do.

use super::super::facts::Facts;
use super::super::line::Line;

/// Names that are told of a list.
const NAMED: usize = 3;

/// Whether the user may do what the verbs of this program need.
pub(super) fn rights(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "rights";
    let rights = facts.rights.as_ref().ok()?;
    if rights.denied.is_empty() {
        return Some(Line::pass(CHECK, format!("{} may use every verb here", rights.user)));
    }
    let denied =
        rights.denied.iter().take(NAMED).map(|(what, verbs)| format!("{what} ({})", verbs.join(", ")));
    let denied = denied.collect::<Vec<_>>().join("; ");
    let more = rights.denied.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("{} may not {denied}{more}; somebody who may grant it runs", rights.user);
    Some(Line::warn(CHECK, message, grant(&rights.user, &without_user(&facts.flags))))
}

/// What gives somebody the role with all that the verbs need.
fn grant(user: &str, flags: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = user.chars().map(letter).collect();
    let who = match user.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user='{user}'"),
    };
    let name = name.trim_matches('-');
    format!("kubectl create rolebinding nodeapp-{name}{flags} --clusterrole={} {who}", crate::rights::ROLE)
}

/// The flags without those that say who somebody is.
fn without_user(flags: &str) -> String {
    flags.split(" --as").next().unwrap_or(flags).to_owned()
}

/// Whether the operator is at work.
pub(super) fn operator(facts: &Facts) -> Line {
    const CHECK: &str = "operator";
    let status = facts.app.status.as_ref();
    let looked_at = status.and_then(|status| status.observed_generation);
    let is_behind = looked_at != facts.app.metadata.generation && !facts.is_paused();
    let Some(operator) = facts.operator.as_ref().ok().and_then(Option::as_ref) else {
        return if is_behind {
            let message = "it has not carried out the newest spec, and its Deployment is not in sight";
            Line::fail(CHECK, message, bring_back(facts))
        } else {
            Line::pass(CHECK, "it has carried out the newest spec; its Deployment is not in sight")
        };
    };
    let restart = bring_back(facts);
    if operator.wanted == 0 {
        Line::fail(CHECK, "it is scaled to nothing: apps run on, and no change is carried out", restart)
    } else if operator.ready == 0 {
        let message = format!("{} in {} is not ready: its log says why", operator.name, operator.namespace);
        Line::fail(CHECK, message, restart)
    } else if let Some((age, held)) = operator.lease.filter(|(age, held)| age > held) {
        let message = format!("nobody leads: its Lease holds {held} s and was renewed {age} s ago");
        Line::fail(CHECK, message, restart)
    } else if is_behind {
        let message = "it is ready, but has not carried out the newest spec yet";
        Line::warn(CHECK, message, facts.ours("doctor", ""))
    } else {
        Line::pass(CHECK, format!("{} in {} is at work", operator.name, operator.namespace))
    }
}

/// What brings the operator back to work.
pub(super) fn bring_back(facts: &Facts) -> String {
    let Some(operator) = facts.operator.as_ref().ok().and_then(Option::as_ref) else {
        return "helm upgrade --install nodeapp-operator charts/nodeapp-operator --namespace nodeapp-system \
                --create-namespace"
            .to_owned();
    };
    let place = format!("deployment {} -n {}", operator.name, operator.namespace);
    if operator.wanted == 0 {
        format!("kubectl scale {place} --replicas=1")
    } else {
        format!("kubectl rollout restart {place}")
    }
}

/// Whether the API in the cluster is as new as this program.
pub(super) fn definition(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "definition";
    let lacking = facts.lacking.as_ref().ok()?;
    if lacking.is_empty() {
        return Some(Line::pass(CHECK, "the cluster's NodeApp has every field that this program knows"));
    }
    let named = lacking.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = lacking.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message =
        format!("the cluster's NodeApp lacks {named}{more}: such fields are dropped without a word");
    let operator = facts.operator.as_ref().ok().and_then(Option::as_ref);
    let command = operator.map_or_else(
        || "kubectl apply --server-side -f manifests/crds.yaml".to_owned(),
        |operator| {
            format!(
                "kubectl exec -n {} deployment/{} -- /nodeapp-operator crd | kubectl apply --server-side -f -",
                operator.namespace, operator.name
            )
        },
    );
    Some(Line::warn(CHECK, message, command))
}
