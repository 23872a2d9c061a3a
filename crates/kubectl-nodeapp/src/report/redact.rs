//! What is taken out of a report. Plain functions of what was read.
//!
//! First what stands in a known place goes: values of variables, words of commands, header fields, annotations. Then
//! every other text is looked through, for what was found so far and for what says itself that it is a credential.

use std::ops::Range;
use std::sync::LazyLock;

use nodeapp_ecosystem::normalise::split;
use nodeapp_ecosystem::secrets::{Masks, hidden, in_arguments, name_says_so};
use regex::{Captures, Regex};
use serde_json::Value;

/// Annotations that repeat the object, values of variables too.
const REPEATS: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];
/// Annotation with the runner's configuration, in which a key lets its holder read last lines.
const RUNNER_CONFIG: &str = nodeapp_contract::CONFIG_ANNOTATION;
/// Values shorter than this are in many texts, where masking them would tell them.
const LONG_ENOUGH: usize = 8;
/// What stands where something was.
const MASK: &str = "***";
/// The same where it was all there was.
const LEFT_OUT: &str = "(left out)";

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
                            let found = in_arguments(&split(text));
                            self.take_out(&found, text);
                        }
                        ("headers" | "httpHeaders", Value::Array(fields)) => self.headers(fields),
                        ("annotations", Value::Object(annotations)) => {
                            annotations.iter_mut().for_each(|(name, value)| self.annotation(name, value));
                            self.walk(value);
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
            let secrets = hidden(&name, &value);
            if !self.include_env || !secrets.is_empty() {
                variable["value"] = format!("(left out, {} characters)", value.chars().count()).into();
            }
            if !self.include_env && value.len() >= LONG_ENOUGH {
                self.masks.extend([value]);
            }
            self.masks.extend(secrets);
        }
    }

    /// The words of a command, of which some are what comes after `--token`.
    fn arguments(&mut self, words: &mut [Value]) {
        let texts: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let found = in_arguments(&texts);
        for word in words {
            if let Value::String(word) = word {
                self.take_out(&found, word);
            }
        }
    }

    /// Takes them out of this text whatever they are, and remembers them for others.
    fn take_out(&mut self, found: &[String], text: &mut String) {
        for secret in found.iter().filter(|secret| !secret.is_empty()) {
            *text = text.replace(secret.as_str(), MASK);
        }
        self.masks.extend(found.iter().cloned());
    }

    /// Header fields of probes: as `{name, value}` in the API, as pairs for the runner.
    fn headers(&mut self, fields: &mut [Value]) {
        for field in fields {
            let value = if field.is_array() { field.get_mut(1) } else { field.get_mut("value") };
            if let Some(value) = value {
                self.masks.extend(value.as_str().map(str::to_owned));
                *value = LEFT_OUT.into();
            }
        }
    }

    /// What people write beside an app; the runner's configuration is looked into elsewhere.
    fn annotation(&mut self, name: &str, value: &mut Value) {
        let secrets = value.as_str().map(|text| hidden(name, text)).unwrap_or_default();
        if name != RUNNER_CONFIG && !secrets.is_empty() {
            self.masks.extend(secrets);
            *value = LEFT_OUT.into();
        }
    }

    fn config(&mut self, text: &mut String) {
        let Ok(mut config) = serde_json::from_str::<Value>(text) else { return };
        if let Some(key) = config.pointer_mut("/logTail/key") {
            *key = LEFT_OUT.into();
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

    /// Remembers what the lines of a text give away: `token=…`, `"token": "…"`, an address with a password.
    pub(super) fn learn(&mut self, text: &str) {
        self.learn_but(text, |_| false);
    }

    fn learn_but(&mut self, text: &str, harmless: fn(&str) -> bool) {
        for pair in secrets_of_pairs(text, harmless) {
            // What looks random is found wherever it stands, and a trace id is in each line.
            let known = |secret: &String| pair.named || !speaks_for_itself(secret);
            self.masks.extend(pair.secrets.into_iter().filter(known));
        }
        self.masks.extend(ADDRESSES.captures_iter(text).map(|address| address["password"].to_owned()));
    }

    /// The same for every text in an object.
    pub(super) fn learn_from(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.learn_from(item)),
            Value::Object(fields) => fields.values().for_each(|value| self.learn_from(value)),
            Value::String(text) => self.learn_but(text, is_hash),
            _ => {}
        }
    }

    /// Looks through what is left of an object, text by text, before quoting and folding hide anything.
    pub(super) fn finish(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.finish(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.finish(value)),
            Value::String(text) => match serde_json::from_str::<Value>(text) {
                Ok(mut inner @ (Value::Array(_) | Value::Object(_))) => {
                    self.finish(&mut inner);
                    *text = inner.to_string();
                }
                _ => *text = self.clean(text, is_hash),
            },
            _ => {}
        }
    }

    /// A text, such as a log, without any of it.
    pub(super) fn page(&self, text: &str) -> String {
        self.clean(text, |_| false)
    }

    fn clean(&self, text: &str, harmless: fn(&str) -> bool) -> String {
        let text = ADDRESSES.replace_all(text, format!("${{scheme}}{MASK}@"));
        let mut left = String::new();
        let mut at = 0;
        for Pair { value, secrets, .. } in secrets_of_pairs(&text, harmless) {
            if value.start >= at {
                left += &text[at..value.start];
                left += &secrets
                    .iter()
                    .fold(text[value.clone()].to_owned(), |left, secret| left.replace(secret, MASK));
                at = value.end;
            }
        }
        let text = left + &text[at..];
        let text = WORDS.replace_all(&text, |word: &Captures| {
            let word = &word[0];
            if harmless(word) || hidden("", word).is_empty() { word } else { MASK }.to_owned()
        });
        self.masks.apply_to_ours(&text)
    }
}

/// A name and a value in a text.
struct Pair {
    /// Where the value stands.
    value: Range<usize>,
    /// What of it is secret.
    secrets: Vec<String>,
    /// Whether its name says so.
    named: bool,
}

/// The pairs of a text, with what is secret of them by their name and form.
fn secrets_of_pairs(text: &str, harmless: fn(&str) -> bool) -> Vec<Pair> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(pair) = PAIRS.captures_at(text, at) {
        let Some(value) = pair.name("value") else { break };
        // In `refused: password: …` what looks like a value is the next name.
        at = if value.as_str().ends_with([':', '=']) { value.start() } else { value.end() };
        if !is_mask(value.as_str()) && !harmless(value.as_str()) {
            let (name, secrets) = (&pair["name"], hidden(&pair["name"], value.as_str()));
            found.push(Pair { value: value.range(), secrets, named: name_says_so(name) });
        }
    }
    found
}

/// Whether it is taken out of every text for what it looks like.
fn speaks_for_itself(secret: &str) -> bool {
    WORDS.find(secret).is_some_and(|word| word.len() == secret.len()) && !hidden("", secret).is_empty()
}

/// Whether something was taken out here before.
fn is_mask(word: &str) -> bool {
    word.starts_with('*') || LEFT_OUT.starts_with(word)
}

/// Digests of images and of what we make; a secret that looks like one is known by its name.
fn is_hash(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of ours is valid")
}

/// `name=value`, `name: value`, `"name": "value"`, also with the scheme of a header field before the value.
static PAIRS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?P<name>[A-Za-z][\w.-]*)(?P<between>\\?["']?\s*[:=]\s*(?:\\?["'])?(?:(?i:bearer|basic)\s+)?)(?P<value>[^\s"'\\,;{}\[\]]+)"#,
    )
});
/// `scheme://user:password@`; a password may have a slash in it.
static ADDRESSES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/:@"']*:(?P<password>[^\s@"']+)@"#)
});
/// Words that are long enough to be the key of a service.
static WORDS: LazyLock<Regex> = LazyLock::new(|| pattern(r#"[^\s"',;:=(){}<>\[\]\\]{16,}"#));

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app() -> Value {
        let config = json!({"name": "web", "logTail": {"key": "k3y-of-the-page"}, "launch": {
            "argv": ["--pass=quo\"ted\\1"],
            "check": {"headers": [["Authorization", "Basic YXBwOnB3"]]},
        }})
        .to_string();
        json!({
            "metadata": {
                "name": "web",
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"env\":\"in-the-annotation\"}",
                    RUNNER_CONFIG: config,
                    "example.com/api-token": "open sesame",
                },
            },
            "spec": {
                "args": ["--token", "abcdef123456", "--password", "swordfish", "--pass=quo\"ted\\1"],
                "image": "shop@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "readinessProbe": {"http": {"headers": [{"name": "Authorization", "value": "Basic YXBwOnB3"}]}},
                "env": [
                    {"name": "REGION", "value": "europe-west"},
                    {"name": "DB_PASSWORD", "value": "correct horse"},
                    {"name": "PIN_TOKEN", "value": "swordfish"},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
                ],
                "envProfiles": {"staging": [{"name": "HOST", "value": "staging.example.com"}]},
            },
            "status": {"message": "refused: password: hunter2xyz"},
            "data": {"raw": json!({"env": [{"name": "A", "value": "within-a-text"}]}).to_string()},
        })
    }

    fn shown(include_env: bool) -> String {
        let mut redaction = Redaction::new(include_env);
        let mut object = app();
        redaction.object(&mut object);
        redaction.learn("connected to postgres://app:s3cretpw@db/shop");
        redaction.learn_from(&object);
        redaction.finish(&mut object);
        let log = redaction.page("in europe-west: correct horse at postgres://app:s3cretpw@db/shop");
        format!("{object} {log}")
    }

    #[test]
    fn no_value_of_a_variable_is_shown_and_no_credential_anywhere() {
        let shown = shown(false);
        for gone in [
            "europe-west",
            "correct horse",
            "staging.example.com",
            "abcdef123456",
            "swordfish",
            "k3y-of-the-page",
            "in-the-annotation",
            "within-a-text",
            "s3cretpw",
            "YXBwOnB3",
            "managedFields",
            "open sesame",
            "hunter2xyz",
            "quo",
        ] {
            assert!(!shown.contains(gone), "{gone}: {shown}");
        }
        for kept in
            ["REGION", "secretKeyRef", "(left out, 11 characters)", "sha256:0123456789abcdef0123456789abcdef"]
        {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn plain_variables_can_be_asked_for_and_credentials_cannot() {
        let shown = shown(true);
        assert!(shown.contains("staging.example.com") && shown.contains("europe-west"), "{shown}");
        for gone in ["correct horse", "abcdef123456", "swordfish"] {
            assert!(!shown.contains(gone), "{gone}: {shown}");
        }
    }

    #[test]
    fn log_lines_of_every_form_lose_their_credentials() {
        let lines = r#"2026-11-23T10:00:00Z {"level":30,"password":"Tr0ub4dor-3x"}
2026-11-23T10:00:00Z {"url":"postgres://app:s3cretpw@db/shop","pid":7}
2026-11-23T10:00:01Z {"authorization":"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}
2026-11-23T10:00:02Z login failed, password: hunter2xyz
2026-11-23T10:00:03Z DB_PASSWORD=swordfish node app.js
2026-11-23T10:00:04Z using sk_live_0123456789abcdef"#;
        let mut redaction = Redaction::new(false);
        redaction.learn(lines);
        let page = redaction.page(lines);
        for gone in ["Tr0ub4dor", "s3cretpw", "eyJ", "hunter2xyz", "swordfish", "sk_live"] {
            assert!(!page.contains(gone), "{gone}: {page}");
        }
        for kept in ["2026-11-23T10:00:02Z login failed", "\"pid\":7", "@db/shop", "node app.js"] {
            assert!(page.contains(kept), "{kept}: {page}");
        }
    }

    #[test]
    fn an_id_in_each_line_is_masked_there_and_is_not_looked_for_elsewhere() {
        let (trace, token) = ("9f86d081884c7d659a2feaa0c55ad015", "4bf92f3577b34da6a3ce929d0e0e4736");
        let line = format!(r#"{{"traceId":"{trace}","sessionToken":"{token}"}}"#);
        let mut redaction = Redaction::new(false);
        redaction.learn(&line);
        assert!(!redaction.masks.are_in(trace) && redaction.masks.are_in(token));
        let page = redaction.page(&line);
        assert!(!page.contains(trace) && !page.contains(token), "{page}");
    }
}
