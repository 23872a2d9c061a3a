//! What PM2 has recorded: `dump.pm2` and the output of `pm2 jlist`, where every
//! process is an entry and defaults and the whole environment are written out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::map::Count;
use crate::normalise::Normal;
use crate::options;
use crate::report::{Entry, Verdict};
use crate::shape::{App, Found};

/// PM2's names in records for options that have another one in files.
const RENAMED: [(&str, &str); 5] = [
    ("pm_exec_path", "script"),
    ("pm_cwd", "cwd"),
    ("pm_out_log_path", "out_file"),
    ("pm_err_log_path", "error_file"),
    ("pm_log_path", "log_file"),
];

/// The record of a process: its own element in a dump, below `pm2_env` in a list.
fn record(item: &Value) -> Option<&Map<String, Value>> {
    let inner = item.get("pm2_env").unwrap_or(item).as_object()?;
    inner.contains_key("pm_exec_path").then_some(inner)
}

/// Whether an element is the record of a process.
pub(crate) fn is_record(item: &Value) -> bool {
    record(item).is_some()
}

/// The processes of one name, which are the instances of one app.
struct Processes<'v> {
    name: String,
    /// One of them, that runs if any does.
    record: &'v Map<String, Value>,
    /// Those that PM2 would start again, and those that it would leave stopped.
    started: i64,
    stopped: i64,
}

/// Whether PM2 leaves a process stopped when it brings back what it has recorded.
/// Errored ones are started.
fn is_stopped(record: &Map<String, Value>) -> bool {
    let status = record.get("status").and_then(Value::as_str);
    matches!(status, Some("stopped" | "stopping"))
}

/// The apps of a record.
pub(crate) fn find(items: &[Value]) -> Found {
    let mut found = Found::default();
    let mut apps: Vec<Processes<'_>> = Vec::new();
    for item in items {
        let Some(record) = record(item) else { continue };
        let name = record.get("name").or_else(|| item.get("name")).and_then(Value::as_str).unwrap_or("app");
        let module =
            record.get("axm_options").and_then(|options| options.get("isModule")).and_then(Value::as_bool);
        if module == Some(true) || record.get("pmx_module").and_then(Value::as_bool) == Some(true) {
            found.modules.push(name.to_owned());
            continue;
        }
        let stopped = is_stopped(record);
        let counts = (i64::from(!stopped), i64::from(stopped));
        match apps.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                if known.started == 0 && !stopped {
                    known.record = record;
                }
                known.started += counts.0;
                known.stopped += counts.1;
            }
            None => {
                apps.push(Processes { name: name.to_owned(), record, started: counts.0, stopped: counts.1 });
            }
        }
    }
    for (index, app) in apps.into_iter().enumerate() {
        let count = if app.started == 0 { app.stopped } else { app.started };
        found.apps.push(App {
            number: index + 1,
            entry: Ok(app.normal()),
            count: Count::Fixed(count),
            uneven: Vec::new(),
            recorded: true,
        });
    }
    found
}

impl Processes<'_> {
    fn normal(&self) -> Normal {
        let mut normal = normal(&self.name, self.record);
        if self.stopped == 0 {
            return normal;
        }
        let (field, note) = if self.started == 0 {
            normal.values.insert("autostart", Value::from(false));
            ("spec.stopped", "PM2 has stopped it, and it stays so; `stopped: false` starts it".to_owned())
        } else {
            let all = self.started + self.stopped;
            (
                "spec.instances",
                format!("{} of {all} processes are stopped in PM2; only the others count", self.stopped),
            )
        };
        let field = Some(field.to_owned());
        normal.entries.push(Entry { option: "status".to_owned(), verdict: Verdict::Changed, field, note });
        normal
    }
}

fn normal(name: &str, record: &Map<String, Value>) -> Normal {
    let mut values: BTreeMap<&'static str, Value> = BTreeMap::new();
    for option in options::OPTIONS {
        let renamed = RENAMED.iter().find(|(_, name)| *name == option.name).map(|(key, _)| *key);
        let key = renamed.unwrap_or(option.name);
        // Variables of the environment stand beside the options, under any name.
        let is_kept = !matches!(option.name, "port" | "username" | "uid" | "gid" | "instances");
        if let Some(value) = record.get(key).filter(|value| is_kept && !value.is_null()) {
            values.insert(option.name, value.clone());
        }
    }
    values.insert("name", Value::from(name));
    let profiles = record
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("env_")?.to_owned(), value.as_object()?.clone())));
    Normal { values, profiles: profiles.collect(), ..Normal::default() }
}
