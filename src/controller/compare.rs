//! Whether an object is already as it should be, so that nothing is written at
//! rest. The question is the one that server-side apply answers: would applying
//! change anything? It would when a wanted field has another value, and when we
//! own a field that is no longer wanted. Fields of others are not looked at,
//! except in objects that are one value as a whole.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

use super::names::{MANAGER, REPLICAS_MANAGER};
use crate::crd::notation::quantity_nanos;
use omitted::{is_leaf, without_omitted};

mod omitted;

/// Whether applying `desired` would leave `live` as it is.
pub fn is_applied(desired: &Value, live: &Value, managed: &[ManagedFieldsEntry]) -> bool {
    let ours = managed.iter().find(|entry| is_ours(entry)).and_then(|entry| entry.fields_v1.as_ref());
    let Some(owned) = ours.and_then(unpacked) else { return false };
    (covers("", desired, live) || covers("", &without_omitted(desired, live, &owned), live))
        && wants_all(&owned, desired)
        && !managed.iter().filter(|entry| is_foreign(entry)).any(|entry| has_taken(entry, &owned, desired))
}

/// Whether someone else has made a whole of ours their own, such as a list of tolerations: what they
/// have put into it stands in no field of its own.
fn has_taken(entry: &ManagedFieldsEntry, ours: &Value, desired: &Value) -> bool {
    let theirs = entry.fields_v1.as_ref().and_then(unpacked);
    theirs.is_some_and(|theirs| holds_alone(&theirs, ours, desired))
}

fn holds_alone(theirs: &Value, ours: &Value, desired: &Value) -> bool {
    theirs.as_object().into_iter().flatten().any(|(key, below)| {
        let wanted = match key.split_once(':') {
            Some(("f", name)) => desired.get(name),
            Some(("k", keys)) => item_with(desired, keys),
            _ => None,
        };
        let Some(wanted) = wanted else { return false };
        match ours.get(key) {
            Some(ours) => holds_alone(below, ours, wanted),
            None => is_leaf(below) && has_parts(wanted),
        }
    })
}

fn has_parts(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// Fields as text: as a tree, those of one Deployment take some fifty kilobytes.
pub fn packed(fields: &FieldsV1) -> FieldsV1 {
    FieldsV1(Value::String(fields.0.to_string()))
}

/// Fields as a tree, however they are kept.
pub(super) fn unpacked(fields: &FieldsV1) -> Option<Cow<'_, Value>> {
    match &fields.0 {
        Value::String(text) => serde_json::from_str(text).ok().map(Cow::Owned),
        tree => Some(Cow::Borrowed(tree)),
    }
}

/// Whether an entry is about what we applied, the status apart.
pub fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

/// Whether an entry is about what someone else has said of the object itself: neither
/// we nor Kubernetes' own controllers.
pub fn is_foreign(entry: &ManagedFieldsEntry) -> bool {
    let manager = entry.manager.as_deref();
    let is_known = |by| matches!(by, MANAGER | REPLICAS_MANAGER) || CONTROLLERS.contains(&by);
    entry.subresource.is_none() && manager.is_some_and(|by| !is_known(by))
}

/// Whether what we applied says the number of pods.
pub fn holds_replicas(managed: &[ManagedFieldsEntry]) -> bool {
    let ours = managed.iter().find(|entry| is_ours(entry)).and_then(|entry| entry.fields_v1.as_ref());
    ours.and_then(unpacked).is_some_and(|fields| !fields["f:spec"]["f:replicas"].is_null())
}

/// Who has changed the object since we did, if anyone but Kubernetes itself has.
/// Times are those of the API server, in whole seconds. `scaled_to`: the number of
/// pods, where it is ours and not what we said. Then a write by `/scale` is to blame, if
/// there is one; the API server notes no time of it, but ours would have taken its
/// place. One by Kubernetes itself is an autoscaler's. Of a write of 0 it notes nothing
/// at all: then nobody has the number, since it was taken from us.
pub fn changed_since_ours(entries: &[ManagedFieldsEntry], scaled_to: Option<i32>) -> Option<&str> {
    if scaled_to.is_some() {
        let by_scale = |entry: &&ManagedFieldsEntry| entry.subresource.as_deref() == Some("scale");
        if let Some(entry) = entries.iter().find(by_scale) {
            return entry
                .manager
                .as_deref()
                .map(|by| if CONTROLLERS.contains(&by) { AN_AUTOSCALER } else { by });
        }
        let held = entries.iter().any(|entry| entry.manager.as_deref() == Some(REPLICAS_MANAGER));
        if scaled_to == Some(0) && !held && !holds_replicas(entries) {
            return Some(SCALED_TO_NONE);
        }
    }
    let ours = entries.iter().filter(|entry| is_ours(entry)).filter_map(|entry| entry.time.as_ref()).max()?;
    let others = entries.iter().filter(|entry| is_foreign(entry));
    let latest = others.max_by_key(|entry| entry.time.clone())?;
    latest.time.as_ref().filter(|time| *time >= ours)?;
    latest.manager.as_deref()
}

/// What is to blame where Kubernetes' own controllers scale.
const AN_AUTOSCALER: &str = "a HorizontalPodAutoscaler";
/// What is to blame where nothing is known but the number.
const SCALED_TO_NONE: &str = "someone who scaled it to 0";
/// Field managers of Kubernetes' own controllers: they are called as the program is, which in
/// k3s and in `MicroK8s` is all of Kubernetes in one.
const CONTROLLERS: [&str; 3] = ["kube-controller-manager", "k3s", "kubelite"];

/// Whether `live` has every field of `desired` with the same value.
fn covers(field: &str, desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (desired, live) if is_atomic(field) => desired == live,
        (Value::Object(desired), Value::Object(live)) => desired.iter().all(|(key, wanted)| {
            // Quantities lie in maps under these names, or alone under the last.
            let hint = if matches!(field, "requests" | "limits") { "quantity" } else { key.as_str() };
            live.get(key).is_some_and(|value| covers(hint, wanted, value))
        }),
        (Value::Array(desired), Value::Array(live)) => covers_list(field, desired, live),
        (Value::String(desired), Value::String(live)) => {
            desired == live || (is_quantity(field) && same_quantity(desired, live))
        }
        (desired, live) => desired == live,
    }
}

/// Objects that the API server replaces as a whole and does not complete: what
/// someone adds changes what we said, as another label in a selector does.
fn is_atomic(field: &str) -> bool {
    matches!(
        field,
        "selector"
            | "labelSelector"
            | "namespaceSelector"
            | "nodeSelector"
            | "podSelector"
            | "secretKeyRef"
            | "configMapKeyRef"
            | "scaleTargetRef"
    )
}

fn is_quantity(field: &str) -> bool {
    matches!(field, "quantity" | "sizeLimit" | "divisor" | "averageValue")
}

fn same_quantity(one: &str, other: &str) -> bool {
    quantity_nanos(one).is_some_and(|value| quantity_nanos(other) == Some(value))
}

fn covers_list(field: &str, desired: &[Value], live: &[Value]) -> bool {
    let Some(keys) = merge_keys(field) else {
        return desired.len() == live.len()
            && desired.iter().zip(live).all(|(wanted, value)| covers("", wanted, value));
    };
    let same_key = |one: &Value, other: &Value| keys.iter().all(|key| one.get(key) == other.get(key));
    // In order, since a variable may refer to those before it, but with items of
    // others in between.
    let mut rest = live.iter();
    desired.iter().all(|wanted| rest.any(|value| same_key(wanted, value) && covers("", wanted, value)))
}

/// The keys by which the API server merges a list; lists without any are
/// replaced as a whole.
fn merge_keys(field: &str) -> Option<&'static [&'static str]> {
    match field {
        "containers" | "env" | "imagePullSecrets" | "initContainers" | "resourceClaims"
        | "schedulingGates" | "volumes" => Some(&["name"]),
        "hostAliases" => Some(&["ip"]),
        "topologySpreadConstraints" => Some(&["topologyKey", "whenUnsatisfiable"]),
        "volumeDevices" => Some(&["devicePath"]),
        "volumeMounts" => Some(&["mountPath"]),
        "ownerReferences" => Some(&["uid"]),
        // Containers call it containerPort, Services port; the other is absent in both.
        "ports" => Some(&["containerPort", "port", "protocol"]),
        _ => None,
    }
}

/// Whether every field that we own is still wanted.
fn wants_all(owned: &Value, desired: &Value) -> bool {
    let Some(fields) = owned.as_object() else { return true };
    fields.iter().all(|(key, below)| {
        if key == "." {
            return true;
        }
        match key.split_once(':') {
            Some(("f", name)) => desired.get(name).is_some_and(|value| wants_all(below, value)),
            Some(("k", keys)) => item_with(desired, keys).is_some_and(|item| wants_all(below, item)),
            Some(("v", value)) => is_item(desired, value),
            _ => false,
        }
    })
}

/// The item of a list that has these keys, as `managedFields` write them.
pub(super) fn item_with<'a>(list: &'a Value, keys: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| matches_keys(item, keys))
}

/// Whether an item of a list has these keys.
pub(super) fn matches_keys(item: &Value, keys: &str) -> bool {
    let keys: Option<Map<String, Value>> = serde_json::from_str(keys).ok();
    keys.is_some_and(|keys| keys.iter().all(|(key, value)| item.get(key) == Some(value)))
}

fn is_item(list: &Value, value: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(value) else { return false };
    list.as_array().is_some_and(|items| items.contains(&value))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn managed(fields: Value) -> Vec<ManagedFieldsEntry> {
        vec![ManagedFieldsEntry {
            manager: Some(MANAGER.to_owned()),
            operation: Some("Apply".to_owned()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }]
    }

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let desired = json!({"spec": {"replicas": 2}});
        let live = json!({"spec": {"replicas": 2, "paused": false}, "status": {"replicas": 1}});
        assert!(is_applied(&desired, &live, &managed(json!({"f:spec": {"f:replicas": {}}}))));
    }

    #[test]
    fn another_value_is_a_difference() {
        let owned = managed(json!({"f:spec": {"f:replicas": {}}}));
        assert!(!is_applied(&json!({"spec": {"replicas": 2}}), &json!({"spec": {"replicas": 3}}), &owned));
        assert!(!is_applied(&json!({"spec": {"replicas": 2}}), &json!({"spec": {}}), &owned));
    }

    #[test]
    fn a_field_that_is_ours_but_no_longer_wanted_is_a_difference() {
        let desired = json!({"env": [{"name": "A", "value": "1"}]});
        let live = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
        let a = json!({".": {}, "f:name": {}, "f:value": {}});
        let ours = managed(json!({"f:env": {r#"k:{"name":"A"}"#: a, r#"k:{"name":"B"}"#: a}}));
        let theirs = managed(json!({"f:env": {r#"k:{"name":"A"}"#: a}}));
        assert!(!is_applied(&desired, &live, &ours));
        assert!(is_applied(&desired, &live, &theirs), "what others add is theirs");
    }

    #[test]
    fn fields_that_are_kept_as_text_are_the_same_fields() {
        let live = json!({"spec": {"replicas": 2, "paused": true}});
        let mut ours = managed(json!({"f:spec": {"f:replicas": {}, "f:paused": {}}}));
        for entry in &mut ours {
            entry.fields_v1 = entry.fields_v1.as_ref().map(packed);
        }
        assert!(is_applied(&live, &live, &ours));
        assert!(
            !is_applied(&json!({"spec": {"replicas": 2}}), &live, &ours),
            "we own what is no longer wanted"
        );
    }

    #[test]
    fn an_object_that_was_never_applied_must_be() {
        let both = json!({"spec": {"replicas": 2}});
        assert!(!is_applied(&both, &both, &[]));
    }

    #[test]
    fn quantities_are_compared_by_value_and_nothing_else_is() {
        let resources = |cpu: &str| json!({"resources": {"limits": {"cpu": cpu}}});
        assert!(covers("", &resources("0.5"), &resources("500m")));
        assert!(!covers("", &resources("0.5"), &resources("501m")));
        assert!(!covers("", &json!({"args": ["0.5"]}), &json!({"args": ["500m"]})));
    }

    #[test]
    fn lists_without_keys_are_compared_as_a_whole() {
        assert!(!covers("command", &json!(["a"]), &json!(["a", "b"])));
        assert!(covers("command", &json!(["a", "b"]), &json!(["a", "b"])));
    }

    #[test]
    fn the_order_of_what_is_wanted_is_wanted_too_since_variables_refer_to_earlier_ones() {
        let variables = |names: &[&str]| -> Value {
            names.iter().map(|name| json!({"name": name, "value": "1"})).collect()
        };
        let desired = variables(&["HOST", "URL"]);
        assert!(!covers("env", &desired, &variables(&["URL", "HOST"])));
        assert!(covers("env", &desired, &variables(&["THEIRS", "HOST", "THEIRS_TOO", "URL"])));
        assert!(!covers("env", &desired, &variables(&["HOST"])));
    }

    #[test]
    fn what_someone_adds_to_a_selector_changes_all_of_it() {
        let service = |selector: Value| json!({"spec": {"selector": selector, "type": "ClusterIP"}});
        let desired = service(json!({"app": "cart"}));
        assert!(covers("", &desired, &desired));
        assert!(!covers("", &desired, &service(json!({"app": "cart", "track": "stable"}))));
        let budget = |labels: Value| service(json!({"matchLabels": labels}));
        assert!(!covers("", &budget(json!({"a": "b"})), &budget(json!({"a": "b", "c": "d"}))));
        let secret = |key: Value| json!({"valueFrom": {"secretKeyRef": key}});
        let key = secret(json!({"name": "s", "key": "k"}));
        assert!(covers("", &key, &key));
        assert!(!covers("", &key, &secret(json!({"name": "s", "key": "k", "optional": true}))));
    }

    #[test]
    fn what_someone_adds_to_a_whole_of_ours_is_a_difference() {
        let node = |labels: Value| json!({"spec": {"nodeSelector": labels}});
        assert!(!covers("", &node(json!({"a": "b"})), &node(json!({"a": "b", "c": "d"}))));
        // Where the API server makes one value of a list, and another a field more in an item of it.
        let tolerations = |item: Value| json!({"spec": {"tolerations": [item], "paused": false}});
        let desired = tolerations(json!({"key": "a"}));
        let live = tolerations(json!({"key": "a", "tolerationSeconds": 5}));
        let by = |manager: &str, fields: Value| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            fields_v1: Some(FieldsV1(json!({ "f:spec": fields }))),
            ..ManagedFieldsEntry::default()
        };
        let theirs = by("kubectl-edit", json!({"f:tolerations": {}}));
        let ours = managed(json!({"f:spec": {"f:paused": {}}})).remove(0);
        assert!(!is_applied(&desired, &live, &[ours.clone(), theirs.clone()]));
        let both = managed(json!({"f:spec": {"f:paused": {}, "f:tolerations": {}}})).remove(0);
        assert!(is_applied(&desired, &desired, &[both.clone(), theirs]), "they want the same");
        // Single values are compared as they are, and Kubernetes' own controllers take nothing.
        assert!(is_applied(&desired, &desired, &[both.clone(), by("kubectl-edit", json!({"f:paused": {}}))]));
        let controllers = by("k3s", json!({"f:tolerations": {}}));
        assert!(is_applied(&desired, &desired, &[ours, controllers]));
    }

    #[test]
    fn who_changed_an_object_last_is_known_by_time_and_not_by_place() {
        let entry = |manager: &str, seconds| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(if manager == MANAGER { "Apply" } else { "Update" }.to_owned()),
            time: Some(Time(Timestamp::from_second(seconds).unwrap())),
            ..ManagedFieldsEntry::default()
        };
        let culprit = |managed: &[ManagedFieldsEntry]| changed_since_ours(managed, None).map(str::to_owned);
        let (ours, before, after) =
            (entry(MANAGER, 10), entry("kubectl-create", 9), entry("kubectl-edit", 10));
        assert_eq!(culprit(&[before.clone(), ours.clone()]), None);
        assert_eq!(culprit(&[after, before, ours.clone()]).as_deref(), Some("kubectl-edit"));
        for controllers in ["kube-controller-manager", "k3s", "kubelite"] {
            assert_eq!(culprit(&[ours.clone(), entry(controllers, 11)]), None, "{controllers}");
        }
        let status = ManagedFieldsEntry { subresource: Some("status".into()), ..entry("kubelet", 11) };
        assert_eq!(culprit(&[ours, status]), None);
        assert_eq!(culprit(&[entry("kubectl-edit", 10)]), None, "never ours");
    }

    #[test]
    fn who_scaled_a_deployment_is_known_though_the_api_server_notes_no_time_of_it() {
        let entry = |manager: &str, operation: &str, subresource: Option<&str>| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            time: subresource.is_none().then(|| Time(Timestamp::from_second(10).unwrap())),
            ..ManagedFieldsEntry::default()
        };
        let ours = entry(MANAGER, "Apply", None);
        for (manager, culprit) in
            [("kubectl", "kubectl"), ("kube-controller-manager", AN_AUTOSCALER), ("k3s", AN_AUTOSCALER)]
        {
            let managed = [ours.clone(), entry(manager, "Update", Some("scale"))];
            assert_eq!(changed_since_ours(&managed, Some(7)), Some(culprit));
            assert_eq!(changed_since_ours(&managed, None), None, "the number is not what was changed");
        }
        let held = entry(REPLICAS_MANAGER, "Apply", None);
        assert_eq!(changed_since_ours(&[ours.clone(), held.clone()], Some(7)), None, "that is us");
        // Of a scale to 0 the API server notes nothing.
        assert_eq!(changed_since_ours(std::slice::from_ref(&ours), Some(0)), Some(SCALED_TO_NONE));
        assert_eq!(changed_since_ours(&[ours.clone(), held], Some(0)), None, "that is us");
        let fields = Some(FieldsV1(json!({"f:spec": {"f:replicas": {}}})));
        let holds = ManagedFieldsEntry { fields_v1: fields, ..ours };
        assert_eq!(changed_since_ours(&[holds], Some(0)), None, "that is us");
    }

    #[test]
    fn sets_are_compared_by_their_values() {
        let owned = json!({"f:finalizers": {r#"v:"x""#: {}}});
        assert!(wants_all(&owned, &json!({"finalizers": ["x"]})));
        assert!(!wants_all(&owned, &json!({"finalizers": ["y"]})));
    }
}
