//! Credentials are never printed, not even in a difference.

use std::collections::BTreeSet;

use nodeapp_operator::crd::env::{EnvVar, is_plain_credential};
use serde_json::Value;

/// Shorter values are not looked for in other texts: they are everywhere.
const SHORTEST: usize = 4;

/// Masks the credentials of an object before and after a change. Where they differ, both sides say so.
pub(super) fn mask(before: &mut Value, after: &mut Value) {
    let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
    collect(before, &mut old);
    collect(after, &mut new);
    replace(before, &new, " (before)");
    replace(after, &old, " (after)");
    let values: BTreeSet<String> = old.into_iter().chain(new).map(|(_, value)| value).collect();
    for value in values.iter().filter(|value| value.len() >= SHORTEST) {
        scrub(before, value);
        scrub(after, value);
    }
}

/// A credential: where it stands, and what it is.
type Credential = (String, String);

fn credential(object: &Value) -> Option<Credential> {
    let (name, value) = (object["name"].as_str()?, object["value"].as_str()?);
    let variable = EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() };
    is_plain_credential(&variable).then(|| (name.to_owned(), value.to_owned()))
}

/// The values of a Secret.
fn of_secret(object: &Value) -> Vec<Credential> {
    if object["kind"] != "Secret" {
        return Vec::new();
    }
    let fields = ["data", "stringData"].into_iter().filter_map(|field| object[field].as_object());
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    fields.flatten().filter_map(pair).collect()
}

fn collect(value: &Value, found: &mut BTreeSet<Credential>) {
    found.extend(credential(value));
    found.extend(of_secret(value));
    match value {
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

fn replace(value: &mut Value, others: &BTreeSet<Credential>, side: &str) {
    let masked = |it: &Credential| {
        Value::String(if others.contains(it) { "***".to_owned() } else { format!("***{side}") })
    };
    if let Some(found) = credential(value) {
        value["value"] = masked(&found);
    }
    for (key, text) in of_secret(value) {
        for field in ["data", "stringData"] {
            if value[field][&key] == text.as_str() {
                value[field][&key] = masked(&(key.clone(), text.clone()));
            }
        }
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, others, side)),
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, others, side)),
        _ => {}
    }
}

/// Takes a credential out of all other texts, such as the arguments of a program.
fn scrub(value: &mut Value, credential: &str) {
    match value {
        Value::String(text) if text.contains(credential) => *text = text.replace(credential, "***"),
        Value::Object(fields) => fields.values_mut().for_each(|field| scrub(field, credential)),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, credential)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(before: &Value, after: &Value) -> (Value, Value) {
        let (mut before, mut after) = (before.clone(), after.clone());
        mask(&mut before, &mut after);
        (before, after)
    }

    #[test]
    fn a_credential_that_changes_is_told_as_changed_and_not_as_what() {
        let env = |password: &str| json!({"env": [{"name": "DB_PASSWORD", "value": password}, {"name": "A", "value": "1"}]});
        let (before, after) = masked(&env("hunter2"), &env("hunter3"));
        assert_eq!(before["env"][0]["value"], "*** (before)");
        assert_eq!(after["env"][0]["value"], "*** (after)");
        assert_eq!(after["env"][1]["value"], "1");
        let (before, after) = masked(&env("hunter2"), &env("hunter2"));
        assert_eq!((&before["env"][0]["value"], before == after), (&json!("***"), true));
    }

    #[test]
    fn the_values_of_secrets_are_masked_and_wherever_else_they_stand() {
        let secret = json!({"kind": "Secret", "data": {"password": "c2VjcmV0"}, "x": "has c2VjcmV0 in it"});
        let (before, _) = masked(&secret, &Value::Null);
        assert_eq!(before["data"]["password"], "*** (before)");
        assert_eq!(before["x"], "has *** in it");
    }

    #[test]
    fn a_url_with_a_password_is_masked_in_other_texts_too() {
        let app = json!({
            "env": [{"name": "DATABASE_URL", "value": "postgres://a:b@db/shop"}],
            "args": ["--db=postgres://a:b@db/shop"],
        });
        let (_, after) = masked(&Value::Null, &app);
        assert!(!after.to_string().contains("postgres"), "{after}");
    }
}
