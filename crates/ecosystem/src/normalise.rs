//! Reads an entry as PM2 reads it: which key means what, what it silently drops,
//! what it refuses.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::options::{self, Kind, Pm2Option};
use crate::report::{Entry, Verdict};

/// An entry under PM2's main names.
#[derive(Clone, Debug, Default)]
pub struct Normal {
    /// Values under PM2's main names.
    pub values: BTreeMap<&'static str, Value>,
    /// How each of them is called in the file.
    pub written: BTreeMap<&'static str, String>,
    /// The `env_…` objects by profile.
    pub profiles: BTreeMap<String, Map<String, Value>>,
    /// What PM2 ignores or refuses.
    pub entries: Vec<Entry>,
}

impl Normal {
    fn say(&mut self, option: &str, verdict: Verdict, note: String) {
        self.entries.push(Entry { option: option.to_owned(), verdict, field: None, note });
    }

    /// How an option is called in the file.
    pub fn written(&self, name: &str) -> String {
        self.written.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }
}

/// Reads an entry of a file.
pub fn entry(raw: &Map<String, Value>) -> Normal {
    let mut normal = Normal::default();
    for (key, value) in raw {
        if value.is_null() {
            continue;
        }
        let Some(option) = options::find(key) else {
            unknown(key, value, &mut normal);
            continue;
        };
        if is_lost(key, option, value) {
            let note = format!(
                "PM2 drops {value} under a name with `_`, so its default holds, here too; write the field into the \
                 NodeApp if you meant it"
            );
            normal.say(key, Verdict::IgnoredByPm2, note);
        } else if let Err(form) = check(option.kind, value) {
            normal.say(key, Verdict::Refused, format!("PM2 refuses the file: it must be {form}"));
        } else if normal.values.contains_key(option.name) {
            let other = normal.written(option.name);
            normal.say(key, Verdict::IgnoredByPm2, format!("means the same as {other}, which is used"));
        } else {
            normal.values.insert(option.name, value.clone());
            normal.written.insert(option.name, key.clone());
        }
    }
    // PM2 takes one for the other, whatever the other says.
    if normal.values.get("automation") == Some(&Value::Bool(false)) {
        normal.values.insert("pmx", Value::Bool(false));
    }
    normal
}

fn unknown(key: &str, value: &Value, normal: &mut Normal) {
    match (key.strip_prefix("env_"), value) {
        (Some(profile), Value::Object(variables)) if !profile.is_empty() => {
            normal.profiles.insert(profile.to_owned(), variables.clone());
        }
        (Some(profile), _) if !profile.is_empty() => {
            normal.say(key, Verdict::IgnoredByPm2, "must be an object of variables".to_owned());
        }
        _ => {
            let note = match nearest(key) {
                Some(name) => format!("PM2 does not know it and drops it silently; did you mean {name}?"),
                None => "PM2 does not know it and drops it silently".to_owned(),
            };
            normal.say(key, Verdict::IgnoredByPm2, note);
        }
    }
}

/// PM2 looks a value up under its main name and, if that is nothing or
/// "falsy", under the camelCase form: so `kill_timeout: 0` is lost.
fn is_lost(key: &str, option: &Pm2Option, value: &Value) -> bool {
    let falsy = matches!(value, Value::Bool(false)) || value.as_f64() == Some(0.0) || value == "";
    falsy && key == option.name && key.contains('_')
}

fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => text.trim().parse::<f64>().is_ok(),
        _ => false,
    }
}

/// Whole digits and one of the units at most.
fn is_measure(text: &str, units: &str) -> bool {
    let digits = text.strip_suffix(|letter| units.contains(letter)).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn check(kind: Kind, value: &Value) -> Result<(), &'static str> {
    let texts = |value: &Value| match value {
        Value::Array(items) => items.iter().all(|item| item.is_string() || item.is_number()),
        other => other.is_string(),
    };
    let right = match kind {
        Kind::Bool => value.is_boolean(),
        Kind::Number => is_number(value),
        Kind::Text => value.is_string(),
        Kind::Path => value.is_string() || value.is_boolean(),
        Kind::List => texts(value),
        Kind::Choice => value.is_boolean() || texts(value),
        Kind::Size => value.is_number() || value.as_str().is_some_and(|text| is_measure(text, "KMG")),
        Kind::Time => match value {
            Value::Number(number) => number.as_f64().is_some_and(|number| number >= 100.0),
            Value::String(text) => is_measure(text, "hms"),
            _ => false,
        },
        Kind::Instances => value.is_number() || value.is_string(),
        Kind::Codes => match value {
            Value::Array(items) => items.iter().all(is_number),
            other => is_number(other),
        },
        Kind::Object => value.is_object(),
        Kind::Any => true,
    };
    right.then_some(()).ok_or(form(kind))
}

const fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false, without quotes",
        Kind::Number => "a number",
        Kind::Text => "a text",
        Kind::Path => "the path of a file",
        Kind::List => "a text or a list of texts",
        Kind::Choice => "true, false, a text or a list of texts",
        Kind::Size => "a number of bytes, or whole digits with K, M or G such as 512M (no 1.5G, no MB, no m)",
        Kind::Time => "milliseconds from 100 on, or whole digits with h, m or s such as 10s",
        Kind::Instances => "a number or 'max'",
        Kind::Codes => "a list of exit codes",
        Kind::Object => "an object",
        Kind::Any => "anything",
    }
}

/// The option whose name is nearest to a misspelled one.
fn nearest(key: &str) -> Option<&'static str> {
    let flat = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    let wanted = flat(key);
    let names = options::OPTIONS.iter().map(|option| option.name);
    let best =
        names.map(|name| (distance(&wanted, &flat(name)), name)).min_by_key(|(distance, _)| *distance)?;
    (wanted.len() >= 4 && best.0 <= 2).then_some(best.1)
}

/// Letters to change between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let change = before + usize::from(letter != *other);
            before = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

/// Splits a text as a shell does: at blanks, quotes honoured.
pub fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, _) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Normal {
        entry(value.as_object().unwrap())
    }

    fn verdicts(value: &Value) -> Vec<(String, Verdict)> {
        read(value).entries.into_iter().map(|entry| (entry.option, entry.verdict)).collect()
    }

    #[test]
    fn zero_under_a_name_with_a_line_is_lost_as_in_pm2_and_elsewhere_is_kept() {
        let normal = read(&json!({"kill_timeout": 0, "maxRestarts": 0, "watch": false, "wait_ready": false}));
        assert_eq!(normal.values.keys().copied().collect::<Vec<_>>(), ["max_restarts", "watch"]);
        assert_eq!(normal.entries.len(), 2);
        assert!(normal.entries.iter().all(|entry| entry.verdict == Verdict::IgnoredByPm2));
    }

    #[test]
    fn wrong_forms_are_refused_as_pm2_does() {
        for value in [
            json!({"max_memory_restart": "1.5G"}),
            json!({"max_memory_restart": "512MB"}),
            json!({"max_memory_restart": "512m"}),
            json!({"kill_timeout": "5s"}),
            json!({"autorestart": "false"}),
            json!({"min_uptime": 50}),
            json!({"min_uptime": "1.5s"}),
            json!({"env": "A=b"}),
            json!({"script": 7}),
        ] {
            assert_eq!(verdicts(&value).first().map(|it| it.1), Some(Verdict::Refused), "{value}");
        }
        for value in [
            json!({"max_memory_restart": 1000}),
            json!({"kill_timeout": "5000"}),
            json!({"min_uptime": "10s"}),
            json!({"instances": "max"}),
            json!({"stop_exit_codes": [0, "1"]}),
        ] {
            assert_eq!(verdicts(&value), [], "{value}");
        }
    }

    #[test]
    fn unknown_keys_are_told_with_what_was_meant() {
        let normal = read(&json!({"kill_timout": 1, "replicas": 2, "env_staging": {"A": "b"}}));
        assert!(normal.entries[0].note.contains("did you mean kill_timeout"), "{:?}", normal.entries[0]);
        assert!(!normal.entries[1].note.contains("did you mean"), "{:?}", normal.entries[1]);
        assert_eq!(normal.profiles.keys().collect::<Vec<_>>(), ["staging"]);
    }

    #[test]
    fn a_text_is_split_as_a_shell_does() {
        assert_eq!(split("--a 'b c' \"d \\\" e\" f\\ g  ''"), ["--a", "b c", "d \" e", "f g", ""]);
        assert_eq!(split("  "), Vec::<String>::new());
    }
}
