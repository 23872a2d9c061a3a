//! What is taken out of a report. Plain functions of what was read.

use nodeapp_ecosystem::secrets::{Masks, hidden, in_arguments};
use serde_json::Value;

/// Annotations that repeat the object, values of variables too.
const REPEATS: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];
/// Annotation with the runner's configuration, in which a key lets its holder read last lines.
const RUNNER_CONFIG: &str = nodeapp_contract::CONFIG_ANNOTATION;
/// Values shorter than this are in many texts, where masking them would tell them.
const LONG_ENOUGH: usize = 8;

/// What must not be shown anywhere.
pub(super) struct Redaction {
    include_env: bool,
    masks: Masks,
}

impl Redaction {
    pub(super) fn new(include_env: bool) -> Self {
        Self { include_env, masks: Masks::default() }
    }

    /// Takes out what must not be shown, and remembers it for texts.
    pub(super) fn object(&mut self, object: &mut Value) {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        self.walk(object);
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                fields.retain(|name, _| !REPEATS.contains(&name.as_str()));
                for (name, value) in fields {
                    match (name.as_str(), &mut *value) {
                        // Also those of profiles and of the containers around.
                        ("env", Value::Array(_)) => self.variables(value),
                        ("envProfiles", Value::Object(profiles)) => {
                            profiles.values_mut().for_each(|list| self.variables(list));
                        }
                        ("args" | "command" | "nodeArgs" | "argv", Value::Array(words)) => {
                            self.arguments(words);
                        }
                        ("args" | "command" | "nodeArgs", Value::String(text)) => {
                            self.masks.extend(in_arguments(&nodeapp_ecosystem::normalise::split(text)));
                        }
                        (RUNNER_CONFIG, Value::String(text)) => self.config(text),
                        // A template that is kept as text.
                        (_, Value::String(text)) if text.starts_with(['{', '[']) => self.text_of_json(text),
                        _ => self.walk(value),
                    }
                }
            }
            _ => {}
        }
    }

    /// A list of variables, of which those with a value have it in plain.
    fn variables(&mut self, list: &mut Value) {
        for variable in list.as_array_mut().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default().to_owned();
            let Some(value) = variable["value"].as_str().map(str::to_owned) else { continue };
            self.masks.extend(hidden(&name, &value));
            if !self.include_env {
                if value.len() >= LONG_ENOUGH {
                    self.masks.extend([value.clone()]);
                }
                variable["value"] = format!("(left out, {} characters)", value.chars().count()).into();
            }
        }
    }

    fn arguments(&mut self, words: &[Value]) {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        self.masks.extend(in_arguments(&words));
    }

    fn config(&mut self, text: &mut String) {
        let Ok(mut config) = serde_json::from_str::<Value>(text) else { return };
        if let Some(key) = config.pointer_mut("/logTail/key") {
            *key = "(left out)".into();
        }
        self.walk(&mut config);
        *text = config.to_string();
    }

    fn text_of_json(&mut self, text: &mut String) {
        if let Ok(mut value) = serde_json::from_str::<Value>(text) {
            self.walk(&mut value);
            *text = value.to_string();
        }
    }

    /// Remembers what a log line gives away: `token=…`, an address with a password.
    pub(super) fn learn(&mut self, lines: &str) {
        for line in lines.lines() {
            self.masks.extend(in_arguments(&nodeapp_ecosystem::normalise::split(line)));
        }
    }

    /// A finished page without any of it.
    pub(super) fn page(&self, text: &str) -> String {
        self.masks.apply_to_ours(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app() -> Value {
        let config = json!({"name": "web", "logTail": {"key": "k3y-of-the-page"}, "launch": {}}).to_string();
        json!({
            "metadata": {
                "name": "web",
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"env\":\"in-the-annotation\"}",
                    RUNNER_CONFIG: config,
                },
            },
            "spec": {
                "args": ["--token", "abcdef123456"],
                "env": [
                    {"name": "REGION", "value": "europe-west"},
                    {"name": "DB_PASSWORD", "value": "correct horse"},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
                ],
                "envProfiles": {"staging": [{"name": "HOST", "value": "staging.example.com"}]},
            },
            "data": {"raw": json!({"env": [{"name": "A", "value": "within-a-text"}]}).to_string()},
        })
    }

    fn shown(include_env: bool) -> String {
        let mut redaction = Redaction::new(include_env);
        let mut object = app();
        redaction.object(&mut object);
        redaction.learn("connected to postgres://app:s3cretpw@db/shop");
        redaction.page(&format!("{object} in europe-west: correct horse at postgres://app:s3cretpw@db/shop"))
    }

    #[test]
    fn no_value_of_a_variable_is_shown_and_no_credential_anywhere() {
        let shown = shown(false);
        for gone in [
            "europe-west",
            "correct horse",
            "staging.example.com",
            "abcdef123456",
            "k3y-of-the-page",
            "in-the-annotation",
            "within-a-text",
            "s3cretpw",
            "managedFields",
        ] {
            assert!(!shown.contains(gone), "{gone}: {shown}");
        }
        for kept in ["REGION", "secretKeyRef", "(left out, 11 characters)"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn plain_variables_can_be_asked_for_and_credentials_cannot() {
        let shown = shown(true);
        assert!(shown.contains("staging.example.com") && shown.contains("europe-west"), "{shown}");
        assert!(!shown.contains("correct horse") && !shown.contains("abcdef123456"), "{shown}");
    }
}
