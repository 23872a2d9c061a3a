//! What others have put into a child beside what is wanted of it, such as a variable
//! by `kubectl set env` or `paused` by `kubectl rollout pause`. Server-side apply leaves
//! such fields alone for ever; a patch of its own takes them out.
//!
//! Which ones they are is read from `managedFields`. So defaults of the API server and
//! what its webhooks put in, which nobody owns, are no additions. The patch takes the
//! ownership away too: whatever comes of it, the same is not tried again.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::compare::{is_foreign, item_with, matches_keys, unpacked};

/// What others have added, and the way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Additions {
    /// Who was the last to.
    pub by: String,
    /// Which fields it is about.
    pub fields: String,
    /// The JSON patch that takes it out of this very version of the object.
    pub patch: Value,
}

/// A step on the way to a field; of the items of one list, the later ones are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    Item(usize),
}

/// What others have added to the spec of an object. Its metadata is everyone's; the
/// annotations of its pods are too, since `kubectl rollout restart` writes one.
pub fn additions(desired: &Value, live: &Value, meta: &ObjectMeta) -> Option<Additions> {
    let version = meta.resource_version.as_ref()?;
    let managed = meta.managed_fields.as_deref().unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut holders = Vec::new();
    for (place, entry) in managed.iter().enumerate().filter(|(_, entry)| is_foreign(entry)) {
        let Some(owned) = entry.fields_v1.as_ref().and_then(unpacked) else { continue };
        let Some(spec) = owned.get("f:spec") else { continue };
        let spec = json!({ "f:spec": spec });
        let mut of_one = BTreeSet::new();
        beyond(&spec, desired, live, &mut Vec::new(), &mut of_one);
        if !of_one.is_empty() {
            holders.push((place, entry));
            found.append(&mut of_one);
        }
    }
    let (_, latest) = holders.iter().max_by_key(|(_, entry)| entry.time.clone())?;
    let mut patch = vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version})];
    // The last of a list first, so that the others stay where they are.
    patch.extend(found.iter().rev().map(|steps| json!({"op": "remove", "path": pointer(steps)})));
    patch.extend(holders.iter().map(|(place, _)| {
        json!({"op": "remove", "path": format!("/metadata/managedFields/{place}/fieldsV1/f:spec")})
    }));
    let fields: Vec<_> = found.iter().map(|steps| pointer(steps)).collect();
    let by = latest.manager.clone().unwrap_or_default();
    Some(Additions { by, fields: fields.join(", "), patch: Value::Array(patch) })
}

/// Notes the outermost fields that are owned and there, but not desired.
fn beyond(
    owned: &Value,
    desired: &Value,
    live: &Value,
    way: &mut Vec<Step>,
    found: &mut BTreeSet<Vec<Step>>,
) {
    for (key, below) in owned.as_object().into_iter().flatten() {
        let Some((step, wanted, value)) = follow(key, desired, live) else { continue };
        way.push(step);
        match wanted {
            _ if is_everyones(way) => {}
            Some(wanted) => beyond(below, wanted, value, way, found),
            None => {
                found.insert(way.clone());
            }
        }
        way.pop();
    }
}

/// One step further: what is desired there, if anything, and what there is.
fn follow<'a>(
    key: &str,
    desired: &'a Value,
    live: &'a Value,
) -> Option<(Step, Option<&'a Value>, &'a Value)> {
    match key.split_once(':')? {
        ("f", name) => Some((Step::Field(name.to_owned()), desired.get(name), live.get(name)?)),
        ("k", keys) => {
            let items = live.as_array()?;
            let place = items.iter().position(|item| matches_keys(item, keys))?;
            Some((Step::Item(place), item_with(desired, keys), &items[place]))
        }
        ("v", value) => {
            let value: Value = serde_json::from_str(value).ok()?;
            let items = live.as_array()?;
            let place = items.iter().position(|item| *item == value)?;
            let wanted = desired.as_array().and_then(|items| items.iter().find(|item| **item == value));
            Some((Step::Item(place), wanted, &items[place]))
        }
        _ => None,
    }
}

fn is_everyones(way: &[Step]) -> bool {
    let names = |names: &[&str]| {
        let last = way.len().checked_sub(names.len()).map(|from| &way[from..]);
        let is = |(step, name): (&Step, &&str)| matches!(step, Step::Field(field) if field == name);
        last.is_some_and(|last| last.iter().zip(names).all(is))
    };
    // Without the number, the API server takes one: it is the autoscaler's to say.
    names(&["metadata", "annotations"]) || (way.len() == 2 && names(&["spec", "replicas"]))
}

fn pointer(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Field(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        Step::Item(place) => format!("/{place}"),
    };
    steps.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::names::{MANAGER, REPLICAS_MANAGER};

    /// An object of which these managers own these fields.
    fn meta(owners: &[(&str, Value)]) -> ObjectMeta {
        let entries: Vec<_> = owners
            .iter()
            .enumerate()
            .map(|(second, (manager, fields))| {
                let operation = if *manager == MANAGER { "Apply" } else { "Update" };
                let time = format!("2026-01-01T00:00:0{second}Z");
                json!({"manager": manager, "operation": operation, "time": time, "fieldsV1": fields})
            })
            .collect();
        serde_json::from_value(json!({"resourceVersion": "7", "managedFields": entries})).unwrap()
    }

    fn removed(additions: &Additions) -> Vec<&str> {
        let ops = additions.patch.as_array().unwrap().iter();
        ops.filter(|op| op["op"] == "remove").map(|op| op["path"].as_str().unwrap()).collect()
    }

    #[test]
    fn what_others_have_added_is_taken_out_with_their_hold_on_it() {
        let env = |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
        let object = |paused: Value, names: &[&str]| json!({"spec": {"paused": paused, "env": env(names)}});
        let item = json!({".": {}, "f:name": {}});
        let fields = json!({
            "f:metadata": {"f:labels": {"f:team": {}}},
            "f:spec": {"f:paused": {}, "f:env": {
                r#"k:{"name":"X"}"#: item, r#"k:{"name":"Y"}"#: item, r#"k:{"name":"A"}"#: item,
                r#"k:{"name":"GONE"}"#: item,
            }},
        });
        let desired = json!({"spec": {"env": env(&["A", "B"])}});
        let live = object(json!(true), &["X", "A", "Y", "B"]);
        let ours = json!({"f:spec": {"f:env": {r#"k:{"name":"A"}"#: item}}});
        let found = additions(&desired, &live, &meta(&[(MANAGER, ours), ("kubectl-set", fields)])).unwrap();
        assert_eq!(
            (found.by.as_str(), found.fields.as_str()),
            ("kubectl-set", "/spec/env/0, /spec/env/2, /spec/paused")
        );
        assert_eq!(
            removed(&found),
            ["/spec/paused", "/spec/env/2", "/spec/env/0", "/metadata/managedFields/1/fieldsV1/f:spec"]
        );
        assert_eq!(found.patch[0]["value"], "7", "of this version and no later one");
    }

    #[test]
    fn annotations_of_pods_the_number_and_defaults_are_no_additions() {
        let live = json!({"spec": {"replicas": 4, "dnsPolicy": "ClusterFirst", "template": {
            "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "t"}},
        }}});
        let annotation = json!({"f:kubectl.kubernetes.io/restartedAt": {}});
        let theirs = json!({"f:spec": {
            "f:replicas": {}, "f:template": {"f:metadata": {"f:annotations": annotation}},
        }});
        let desired = json!({"spec": {"template": {"metadata": {}}}});
        assert_eq!(additions(&desired, &live, &meta(&[("kubectl", theirs)])), None);
        let all = json!({"f:spec": {"f:dnsPolicy": {}}});
        for us in [MANAGER, REPLICAS_MANAGER, "kube-controller-manager"] {
            assert_eq!(additions(&desired, &live, &meta(&[(us, all.clone())])), None, "{us}");
        }
        let mut scaled = meta(&[("kubectl", all)]);
        scaled.managed_fields.as_mut().unwrap()[0].subresource = Some("scale".into());
        assert_eq!(additions(&desired, &live, &scaled), None);
    }

    #[test]
    fn two_who_have_added_the_same_are_one_addition_and_a_name_may_have_slashes() {
        let live = json!({"spec": {"nodeSelector": {"a/b": "c", "d~e": "f"}}});
        let desired = json!({"spec": {"nodeSelector": {}}});
        let both = json!({"f:spec": {"f:nodeSelector": {"f:a/b": {}, "f:d~e": {}}}});
        let one = json!({"f:spec": {"f:nodeSelector": {"f:a/b": {}}}});
        let found = additions(&desired, &live, &meta(&[("first", both), ("second", one)])).unwrap();
        assert_eq!(found.by, "second");
        let expected = [
            "/spec/nodeSelector/d~0e",
            "/spec/nodeSelector/a~1b",
            "/metadata/managedFields/0/fieldsV1/f:spec",
            "/metadata/managedFields/1/fieldsV1/f:spec",
        ];
        assert_eq!(removed(&found), expected);
    }

    #[test]
    fn an_item_of_a_set_is_an_addition_too() {
        let live = json!({"spec": {"finalizers": ["ours", "theirs"]}});
        let theirs = json!({"f:spec": {"f:finalizers": {r#"v:"ours""#: {}, r#"v:"theirs""#: {}}}});
        let desired = json!({"spec": {"finalizers": ["ours"]}});
        let found = additions(&desired, &live, &meta(&[("kubectl", theirs)])).unwrap();
        assert_eq!(removed(&found)[0], "/spec/finalizers/1");
    }
}
