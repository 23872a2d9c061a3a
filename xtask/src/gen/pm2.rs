//! Every option of PM2's configuration file with its default beside ours: the part of the reference for whoever comes
//! from PM2.
//!
//! Included by `tests/generated.rs` of the operator as well, see [`super::render`].

use std::fmt::Write as _;

use serde_json::Value;

use super::reference;

/// The table of the import, which would bring an engine for JavaScript along as a crate.
#[allow(dead_code, unreachable_pub, reason = "the import uses the rest")]
#[path = "../../../crates/ecosystem/src/options.rs"]
mod options;

use options::{OPTIONS, Pm2Option};

/// The section of the reference, given the schema of `spec`.
pub(crate) fn section(page: &mut String, spec: &Value) {
    page.push_str(
        "\n## PM2's options\n\nEvery option of an `ecosystem.config.js`, with its other names. Each can be written in \
         camel case too. Defaults are what holds when it is left out. [From PM2](from-pm2.md) tells how each behaves \
         here.\n\n| PM2 | default | here | default |\n|---|---|---|---|\n",
    );
    for option in OPTIONS {
        let (here, ours) = here(option, spec);
        let _ = writeln!(page, "| {} | {} | {here} | {ours} |", names(option), option.default);
    }
}

fn names(option: &Pm2Option) -> String {
    let others: Vec<String> = option.aliases.iter().map(|alias| format!("`{alias}`")).collect();
    let others = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    format!("`{}`{others}", option.name)
}

/// The field, or what to do instead, and what holds without it.
fn here(option: &Pm2Option, spec: &Value) -> (String, String) {
    if option.field.is_empty() {
        return (format!("no field: {}", option.says), String::new());
    }
    let fields: Vec<&str> = option.field.split(" or ").collect();
    let shown: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
    let property = fields.first().map_or(&Value::Null, |field| &spec["properties"][field]);
    let ours = reference::ours(property);
    let ours = if ours.is_empty() && property.is_object() { "none".to_owned() } else { ours };
    (shown.join(" or "), ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_stands_beside_its_field_and_both_defaults() {
        let described = |text: &str| json!({"type": "string", "description": text});
        let spec = json!({"properties": {
            "killTimeout": described("How long. Default 5s (PM2: 1.6s)."),
            "instances": {"type": "integer", "default": 1},
        }});
        let mut page = String::new();
        section(&mut page, &spec);
        for row in [
            "| `kill_timeout` | 1600 | `killTimeout` | 5s |",
            "| `instances` | 1 | `instances` or `fillCluster` | `1` |",
            "| `pid_file` (`pid`) | ~/.pm2/pids/NAME-ID.pid | no field: the process is",
        ] {
            assert!(page.lines().any(|line| line.starts_with(row)), "{row} is not in\n{page}");
        }
    }
}
