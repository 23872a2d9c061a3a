//! Which selectors take the pods of an app.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::ResourceExt;
use nodeapp_operator::controller::names;
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

/// The labels that the pods have.
pub(super) fn pod_labels(app: &NodeApp) -> BTreeMap<String, String> {
    let mut labels = app.spec.pod.as_ref().map(|pod| pod.labels.clone()).unwrap_or_default();
    labels.extend(names::labels(&app.name_any()));
    labels
}

/// Whether a selector takes these labels; an empty one takes all.
pub(super) fn takes(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let is_met = |requirement: &LabelSelectorRequirement| {
        let value = labels.get(&requirement.key);
        let among = || {
            let values = requirement.values.as_deref().unwrap_or_default();
            value.is_some_and(|value| values.contains(value))
        };
        match requirement.operator.as_str() {
            "In" => among(),
            "NotIn" => !among(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    };
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().flatten().all(is_met)
}

/// Whether a `PodMonitor` looks into a namespace.
pub(super) fn reaches(monitor: &Value, namespace: &str) -> bool {
    let selector = &monitor["spec"]["namespaceSelector"];
    if selector["any"] == true {
        return true;
    }
    match selector["matchNames"].as_array().filter(|names| !names.is_empty()) {
        Some(names) => names.iter().any(|name| name == namespace),
        None => monitor["metadata"]["namespace"] == namespace,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(selector: &Value) -> bool {
        let labels =
            BTreeMap::from([("app".to_owned(), "shop".to_owned()), ("tier".to_owned(), "web".to_owned())]);
        takes(&serde_json::from_value(selector.clone()).expect("a selector"), &labels)
    }

    #[test]
    fn selectors_take_labels_as_in_kubernetes() {
        assert!(taken(&json!({})));
        assert!(taken(&json!({"matchLabels": {"app": "shop"}})));
        assert!(!taken(&json!({"matchLabels": {"app": "shop", "tier": "db"}})));
        let by = |operator: &str, key: &str, values: &[&str]| {
            taken(&json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
        };
        assert!(by("In", "app", &["other", "shop"]) && !by("In", "app", &["other"]));
        assert!(by("NotIn", "app", &["other"]) && !by("NotIn", "app", &["shop"]));
        assert!(by("Exists", "tier", &[]) && !by("Exists", "none", &[]));
        assert!(by("DoesNotExist", "none", &[]) && !by("DoesNotExist", "tier", &[]));
    }

    #[test]
    fn a_pod_monitor_looks_where_its_namespace_selector_says() {
        let monitor = |selector: &Value| json!({"metadata": {"namespace": "monitoring"}, "spec": {"namespaceSelector": selector}});
        assert!(reaches(&monitor(&json!({"any": true})), "web"));
        assert!(reaches(&monitor(&json!({"matchNames": ["web"]})), "web"));
        assert!(!reaches(&monitor(&json!({"matchNames": ["other"]})), "web"));
        assert!(!reaches(&monitor(&json!({})), "web") && reaches(&monitor(&Value::Null), "monitoring"));
    }
}
