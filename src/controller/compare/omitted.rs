//! Values that the API server takes and leaves out of its answers: false, 0 and nothing at all, where
//! that is what a missing value means.

use serde_json::{Map, Value};

use super::matches_keys;

/// What is wanted without what the API server has left out. Such a value is still ours; had someone
/// else taken it away, it would not be.
pub(super) fn without_omitted(desired: &Value, live: &Value, owned: &Value) -> Value {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let keep = |(key, wanted): (&String, &Value)| {
                let kept = match (live.get(key), below(owned, key)) {
                    (None, Some(_)) if is_nothing(wanted) => return None,
                    (Some(live), Some(owned)) => without_omitted(wanted, live, owned),
                    _ => wanted.clone(),
                };
                Some((key.clone(), kept))
            };
            desired.iter().filter_map(keep).collect()
        }
        (Value::Array(items), Value::Array(live)) => {
            let keep = |(index, item): (usize, &Value)| {
                let (live, owned) = if is_leaf(owned) {
                    (live.get(index)?, owned)
                } else {
                    let owned = owned.as_object()?.iter();
                    let mut owned = owned.filter_map(|(key, below)| Some((key.strip_prefix("k:")?, below)));
                    let (keys, owned) = owned.find(|(keys, _)| matches_keys(item, keys))?;
                    (live.iter().find(|live| matches_keys(live, keys))?, owned)
                };
                Some(without_omitted(item, live, owned))
            };
            items.iter().enumerate().map(|pair| keep(pair).unwrap_or_else(|| pair.1.clone())).collect()
        }
        (desired, _) => desired.clone(),
    }
}

/// What is owned below a field; where the field is owned as a whole, all of it.
fn below<'a>(owned: &'a Value, key: &str) -> Option<&'a Value> {
    if is_leaf(owned) { Some(owned) } else { owned.get(format!("f:{key}")) }
}

/// Whether a field is owned as a whole.
pub(super) fn is_leaf(owned: &Value) -> bool {
    owned.as_object().is_some_and(Map::is_empty)
}

/// What stands for nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_ours_and_nothing_may_be_missing() {
        let desired = json!({"pod": {"hostNetwork": false, "list": [{"name": "a", "tty": false, "x": 1}]}});
        let owned = json!({"f:pod": {
            "f:hostNetwork": {}, "f:list": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:tty": {}, "f:x": {}}},
        }});
        let live = json!({"pod": {"list": [{"name": "other"}, {"name": "a", "x": 1}]}});
        let kept = json!({"pod": {"list": [{"name": "a", "x": 1}]}});
        assert_eq!(without_omitted(&desired, &live, &owned), kept);
    }

    #[test]
    fn what_someone_took_away_is_missed_and_so_is_what_is_something() {
        let desired = json!({"automount": false, "name": "a"});
        assert_eq!(without_omitted(&desired, &json!({"name": "a"}), &json!({"f:name": {}})), desired);
        let owned = json!({"f:automount": {}, "f:name": {}});
        assert_eq!(without_omitted(&desired, &json!({}), &owned), json!({"name": "a"}));
        assert_eq!(without_omitted(&desired, &json!({"automount": true}), &owned)["automount"], false);
    }

    #[test]
    fn a_list_that_is_one_value_is_looked_through_too() {
        let desired = json!({"tolerations": [{"key": "a", "value": ""}]});
        let live = json!({"tolerations": [{"key": "a"}]});
        let owned = json!({"f:tolerations": {}});
        assert_eq!(without_omitted(&desired, &live, &owned), live);
    }
}
