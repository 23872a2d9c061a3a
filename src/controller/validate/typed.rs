//! Reads objects of Kubernetes' types as strictly as the API server does: a field that is not known
//! there is a mistake, and not something to pass over.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Problems;

/// Reads an object; none, and a problem for each mistake, if that cannot be done.
pub(super) fn typed<T: DeserializeOwned + Serialize>(
    field: &str,
    given: &Value,
    problems: &mut Problems,
) -> Option<T> {
    let read: T = match T::deserialize(given) {
        Ok(read) => read,
        Err(error) => {
            let field = culprit::<T>(field, given);
            problems.add(&field, &format!("cannot be read: {error}"));
            return None;
        }
    };
    let known = serde_json::to_value(&read).expect("a Kubernetes object is JSON");
    let before = problems.iter().count();
    look_for_unknown(field, given, &known, problems);
    (problems.iter().count() == before).then_some(read)
}

/// The field of an object without which it can be read.
fn culprit<T: DeserializeOwned>(field: &str, given: &Value) -> String {
    let Some(fields) = given.as_object() else { return field.to_owned() };
    let without = |key: &&String| {
        let mut rest = fields.clone();
        rest.remove(*key);
        T::deserialize(&Value::Object(rest)).is_ok()
    };
    fields.keys().find(without).map_or_else(|| field.to_owned(), |key| format!("{field}.{key}"))
}

/// What was read says everything that was known of it.
fn look_for_unknown(field: &str, given: &Value, known: &Value, problems: &mut Problems) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given {
                let below = format!("{field}.{key}");
                match known.get(key) {
                    Some(known) => look_for_unknown(&below, value, known, problems),
                    None if value.is_null() => {}
                    None => problems.add(&below, "is no field of Kubernetes there; see `kubectl explain`"),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                look_for_unknown(&format!("{field}[{index}]"), given, known, problems);
            }
        }
        _ => {}
    }
}

/// A value of the spec as one of Kubernetes' types that has the same fields.
pub(super) fn same<T: DeserializeOwned>(given: &impl Serialize) -> T {
    let value = serde_json::to_value(given).expect("a spec is JSON");
    T::deserialize(value).expect("the type has these fields")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, Volume};
    use serde_json::json;

    use super::*;

    fn problems_of<T: DeserializeOwned + Serialize>(given: &Value) -> String {
        let mut problems = Problems::default();
        let read = typed::<T>("spec.x", given, &mut problems);
        assert_eq!(read.is_some(), problems.is_empty());
        problems.to_string()
    }

    #[test]
    fn what_kubernetes_knows_is_read_whatever_its_form() {
        for given in [
            json!({"name": "a", "image": "b", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}),
            json!({"name": "a", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": ""}]}),
            json!({"name": "a", "livenessProbe": {"httpGet": {"port": "http"}}, "tty": null}),
        ] {
            assert_eq!(problems_of::<Container>(&given), "", "{given}");
        }
    }

    #[test]
    fn a_misspelled_field_is_named_however_deep_it_lies() {
        let volume = json!({"name": "a", "persistentVolumeClaim": {"claimName": "b", "readonly": true}});
        let text = problems_of::<Volume>(&volume);
        assert!(text.starts_with("spec.x.persistentVolumeClaim.readonly: "), "{text}");
        let container = json!({"name": "a", "env": [{"name": "A"}, {"name": "B", "val": "1"}]});
        let text = problems_of::<Container>(&container);
        assert!(text.starts_with("spec.x.env[1].val: "), "{text}");
    }

    #[test]
    fn a_value_of_another_type_is_named_with_its_field() {
        let text = problems_of::<Container>(&json!({"name": "a", "tty": "yes"}));
        assert!(text.starts_with("spec.x.tty: cannot be read"), "{text}");
        let text = problems_of::<Volume>(&json!("a"));
        assert!(text.starts_with("spec.x: cannot be read"), "{text}");
    }
}
