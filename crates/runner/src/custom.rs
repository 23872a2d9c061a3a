//! What an app registers by PM2's messages: custom actions (`axm:action`) and
//! custom metrics (`axm:monitor`), as `@pm2/io`, `tx2` and plain `process.send`
//! do it. All of it is bounded in number and length.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};

/// Metrics and actions of one app; more are ignored.
pub(crate) const MAX_ENTRIES: usize = 64;
/// Bytes of a name, a unit or a value; what is longer is ignored.
pub(crate) const MAX_TEXT: usize = 128;

/// A message that means something to the runner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// `'ready'`.
    Ready,
    /// Values of custom metrics.
    Monitor(Vec<(String, Metric)>),
    /// There is a custom action of this name.
    Action(String, Action),
    /// An action has answered: its name, and what it returns as JSON.
    Reply(String, String),
}

/// A custom metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    /// A number, or a text that may hold one.
    value: Value,
    unit: Option<String>,
}

impl Metric {
    /// The value as a number, if it is one: `12.5`, `"12.5"`, `true`.
    pub(crate) fn number(&self) -> Option<f64> {
        let number = match &self.value {
            Value::Number(number) => number.as_f64(),
            Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
            // As JavaScript writes it; what else the standard library could read is 16 kB of code.
            Value::String(text) => serde_json::from_slice(text.trim().as_bytes()).ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// Its unit, empty if it has none.
    pub(crate) fn unit(&self) -> &str {
        self.unit.as_deref().unwrap_or_default()
    }
}

/// A custom action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Action {
    /// Arguments of its function: 2 means that it takes parameters.
    arity: Option<u64>,
    comment: Option<String>,
}

/// What the running process has registered.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    actions: BTreeMap<String, Action>,
    metrics: BTreeMap<String, Metric>,
}

impl Registry {
    /// Takes values in; those of names that are known already replace older ones.
    pub(crate) fn monitor(&mut self, metrics: Vec<(String, Metric)>) {
        for (name, metric) in metrics {
            if self.metrics.len() < MAX_ENTRIES || self.metrics.contains_key(&name) {
                self.metrics.insert(name, metric);
            }
        }
    }

    /// Takes an action in.
    pub(crate) fn action(&mut self, name: String, action: Action) {
        if self.actions.len() < MAX_ENTRIES || self.actions.contains_key(&name) {
            self.actions.insert(name, action);
        }
    }

    /// Names of the actions.
    pub(crate) fn names(&self) -> Vec<String> {
        self.actions.keys().cloned().collect()
    }

    /// Whether there is such an action.
    pub(crate) fn has(&self, action: &str) -> bool {
        self.actions.contains_key(action)
    }

    /// The metrics by name.
    pub(crate) fn metrics(&self) -> &BTreeMap<String, Metric> {
        &self.metrics
    }

    /// The actions as a JSON array.
    pub(crate) fn actions_json(&self) -> String {
        let all = self.actions.iter().map(|(name, action)| {
            let mut entry = json!({"name": name});
            if let Some(arity) = action.arity {
                entry["takesParams"] = json!(arity >= 2);
            }
            if let Some(comment) = &action.comment {
                entry["comment"] = json!(comment);
            }
            entry
        });
        Value::Array(all.collect()).to_string()
    }

    /// The metrics as a JSON object.
    pub(crate) fn metrics_json(&self) -> String {
        let all = self.metrics.iter().map(|(name, metric)| {
            let mut entry = json!({"value": metric.value});
            if let Some(unit) = &metric.unit {
                entry["unit"] = json!(unit);
            }
            (name.clone(), entry)
        });
        Value::Object(all.collect()).to_string()
    }
}

/// The message for an action: its name alone, or with parameters, which are
/// JSON or else a plain text as PM2 passes them.
pub(crate) fn call(action: &str, params: Option<&str>) -> String {
    match params {
        None => Value::from(action).to_string(),
        Some(text) => {
            let opts = serde_json::from_slice(text.as_bytes()).unwrap_or_else(|_| Value::from(text));
            json!({"msg": action, "opts": opts}).to_string()
        }
    }
}

/// Reads a line of the channel; `None` for what means nothing here, which is
/// legal: messages to nobody, Node.js' own, garbage.
pub(crate) fn parse(line: &[u8]) -> Option<Message> {
    if line == b"\"ready\"" {
        return Some(Message::Ready);
    }
    // An app may send anything a million times a second: only what can be one of
    // PM2's messages is looked into.
    if line.first() != Some(&b'{') || !line.windows(5).any(|part| part == b"\"axm:") {
        return None;
    }
    let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
    let data = envelope.data.get();
    match envelope.kind.get() {
        "\"axm:monitor\"" => {
            serde_json::from_slice(data.as_bytes()).ok().map(|Monitor(all)| Message::Monitor(all))
        }
        "\"axm:action\"" => {
            let told: Told<'_> = serde_json::from_slice(data.as_bytes()).ok()?;
            let name = text(told.action_name)?;
            let opts: Opts<'_> = told
                .opts
                .and_then(|opts| serde_json::from_slice(opts.get().as_bytes()).ok())
                .unwrap_or_default();
            let arity = told.arity.and_then(|raw| raw.get().parse().ok());
            Some(Message::Action(name, Action { arity, comment: opts.comment.and_then(text) }))
        }
        "\"axm:reply\"" => {
            let told: Told<'_> = serde_json::from_slice(data.as_bytes()).ok()?;
            let value = told.value.map_or("null", RawValue::get);
            Some(Message::Reply(text(told.action_name)?, value.to_owned()))
        }
        _ => None,
    }
}

/// A text that is not too long.
fn text(raw: &RawValue) -> Option<String> {
    // Six bytes of JSON at most for each byte of text.
    let short = raw.get().len() <= MAX_TEXT * 6 + 2;
    let text: String = short.then(|| serde_json::from_slice(raw.get().as_bytes()).ok())??;
    (!text.is_empty() && text.len() <= MAX_TEXT).then_some(text)
}

// Borrowed and raw: a message of the greatest length costs its own length only,
// whatever it is made of.

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    action_name: &'a RawValue,
    #[serde(borrow, default)]
    arity: Option<&'a RawValue>,
    #[serde(borrow, default)]
    opts: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "return")]
    value: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Opts<'a> {
    #[serde(borrow, default)]
    comment: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Measured<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    unit: Option<&'a RawValue>,
}

impl Measured<'_> {
    fn metric(&self) -> Option<Metric> {
        let raw = self.value.get();
        let value = match raw.bytes().next()? {
            b'"' => Value::String(text(self.value)?),
            b'{' | b'[' => return None,
            _ if raw.len() > MAX_TEXT => return None,
            b't' | b'f' => Value::Bool(raw == "true"),
            _ => Value::Number(raw.parse::<Number>().ok()?),
        };
        Some(Metric { value, unit: self.unit.and_then(text) })
    }
}

struct Monitor(Vec<(String, Metric)>);

impl<'de> Deserialize<'de> for Monitor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Monitor;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object of metrics")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Monitor, A::Error> {
        let mut found = vec![];
        while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
            if found.len() >= MAX_ENTRIES || name.is_empty() || name.len() > MAX_TEXT {
                continue;
            }
            let measured = serde_json::from_slice::<Measured<'_>>(raw.get().as_bytes()).ok();
            if let Some(metric) = measured.and_then(|measured| measured.metric()) {
                found.push((name, metric));
            }
        }
        Ok(Monitor(found))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn registry(lines: &[&str]) -> Registry {
        let mut registry = Registry::default();
        for line in lines {
            match parse(line.as_bytes()) {
                Some(Message::Monitor(all)) => registry.monitor(all),
                Some(Message::Action(name, action)) => registry.action(name, action),
                _ => {}
            }
        }
        registry
    }

    #[test]
    fn metrics_come_as_numbers_or_as_texts_with_numbers() {
        let registry = registry(&[
            r#"{"type":"axm:monitor","data":{"users":{"value":3,"unit":"users","type":"x","historic":true}}}"#,
            r#"{"type":"axm:monitor","data":{"p95":{"value":"1.06","unit":"ms"},"mode":{"value":"warm"},"odd":7}}"#,
            r#"{"type":"axm:monitor","data":{"small":{"value":" 1e-7 "},"none":{"value":"Infinity"}}}"#,
        ]);
        let number = |name: &str| registry.metrics()[name].number();
        assert_eq!((number("users"), number("p95"), number("mode")), (Some(3.0), Some(1.06), None));
        assert_eq!((number("small"), number("none")), (Some(1e-7), None));
        assert_eq!(registry.metrics()["users"].unit(), "users");
        assert_eq!(
            registry.metrics_json(),
            r#"{"mode":{"value":"warm"},"none":{"value":"Infinity"},"p95":{"unit":"ms","value":"1.06"},"small":{"value":" 1e-7 "},"users":{"unit":"users","value":3}}"#
        );
    }

    #[test]
    fn actions_are_registered_and_answer() {
        let registry = registry(&[
            r#"{"type":"axm:action","data":{"action_name":"db:clean","action_type":"custom","arity":2,"opts":{"comment":"cleans"}}}"#,
            r#"{"type":"axm:action","data":{"action_name":"hello","arity":1,"opts":null}}"#,
        ]);
        assert!(registry.has("hello") && !registry.has("bye"));
        assert_eq!(
            registry.actions_json(),
            r#"[{"comment":"cleans","name":"db:clean","takesParams":true},{"name":"hello","takesParams":false}]"#
        );
        assert_eq!(call("hello", None), r#""hello""#);
        assert_eq!(call("hello", Some(r#"{"a":1}"#)), r#"{"msg":"hello","opts":{"a":1}}"#);
        assert_eq!(call("hello", Some("all of it")), r#"{"msg":"hello","opts":"all of it"}"#);
        let reply = r#"{"type":"axm:reply","data":{"at":1,"action_name":"hello","return":{"done":[1]}}}"#;
        assert_eq!(parse(reply.as_bytes()), Some(Message::Reply("hello".into(), r#"{"done":[1]}"#.into())));
        let nothing = r#"{"type":"axm:reply","data":{"action_name":"hello"}}"#;
        assert_eq!(parse(nothing.as_bytes()), Some(Message::Reply("hello".into(), "null".into())));
    }

    #[test]
    fn whatever_an_app_registers_is_bounded() {
        let mut registry = Registry::default();
        for round in 0..20 {
            let data: serde_json::Map<_, _> =
                (0..500).map(|n| (format!("metric {round} {n}"), json!({"value": n}))).collect();
            let line = json!({"type": "axm:monitor", "data": data}).to_string();
            let Some(Message::Monitor(all)) = parse(line.as_bytes()) else { panic!("{line}") };
            assert!(all.len() <= MAX_ENTRIES);
            registry.monitor(all);
            for n in 0..50 {
                registry.action(format!("action {round} {n}"), Action::default());
            }
        }
        assert_eq!((registry.metrics().len(), registry.names().len()), (MAX_ENTRIES, MAX_ENTRIES));
        let long = "x".repeat(MAX_TEXT + 1);
        let line =
            json!({"type": "axm:monitor", "data": {&long: {"value": 1}, "v": {"value": long}}}).to_string();
        assert_eq!(parse(line.as_bytes()), Some(Message::Monitor(vec![])));
        let line = json!({"type": "axm:action", "data": {"action_name": long}}).to_string();
        assert_eq!(parse(line.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
            let mut line = br#"{"type":"axm:monitor","data":"#.to_vec();
            line.extend_from_slice(&bytes);
            line.push(b'}');
            parse(&line);
        }

        #[test]
        fn a_value_of_any_kind_is_a_metric_or_none(value in ".{0,40}") {
            let line = format!(r#"{{"type":"axm:monitor","data":{{"x":{{"value":{value}}}}}}}"#);
            parse(line.as_bytes());
            let line = json!({"type": "axm:monitor", "data": {"x": {"value": value}}}).to_string();
            let read = parse(line.as_bytes());
            let is_one = !value.is_empty();
            prop_assert_eq!(matches!(&read, Some(Message::Monitor(all)) if all.len() == usize::from(is_one)), true);
        }
    }
}
