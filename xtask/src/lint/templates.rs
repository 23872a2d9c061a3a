//! What each template of the operator's chart makes of its values: one small story per case, judged on the parsed
//! objects and not on their text.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

mod cases;

/// Where the arguments of a Deployment's first container are.
const ARGS: &str = "/spec/template/spec/containers/0/args";
/// Templates that give something only where the cluster has the Prometheus Operator; [`super::charts`] looks at them.
const MONITORING: &str = "monitoring-";

/// A story about one template.
struct Case {
    story: &'static str,
    /// Below `templates/`.
    template: &'static str,
    /// `--set-json` of Helm.
    set: &'static [&'static str],
    expect: Expect,
}

/// What the template gives.
enum Expect {
    /// No object at all.
    Nothing,
    /// These kinds, in this order.
    Kinds(&'static [&'static str]),
    /// In the first object of this kind there is at each of these JSON pointers this JSON; nothing at all where it
    /// is empty.
    Has(&'static str, &'static [(&'static str, &'static str)]),
    /// The first container of the Deployment has these arguments, in this order, others between them or not.
    Args(&'static [&'static str]),
}

/// Plays every case; a template without one is a failure.
///
/// # Errors
/// Names the first case that fails, and every template that has none.
pub(super) fn check(template: impl Fn() -> Command, folder: &Path) -> Result<usize> {
    let told: BTreeSet<&str> = cases::ALL.iter().map(|case| case.template).collect();
    let mut untold = templates(folder)?;
    untold.retain(|name| !told.contains(&**name) && !name.starts_with(MONITORING));
    ensure!(untold.is_empty(), "templates without a case in xtask/src/lint/templates/cases.rs: {untold:?}");
    for case in cases::ALL {
        play(case, template()).with_context(|| format!("{}: {}", case.template, case.story))?;
    }
    Ok(cases::ALL.len())
}

/// The templates that give objects, by their paths below the folder.
fn templates(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            names.extend(templates(&entry.path())?.into_iter().map(|inner| format!("{name}/{inner}")));
        } else if entry.path().extension().is_some_and(|extension| extension == "yaml") {
            names.push(name);
        }
    }
    Ok(names)
}

fn play(case: &Case, mut command: Command) -> Result<()> {
    for set in case.set {
        command.args(["--set-json", set]);
    }
    let rendered = objects(&crate::sh::output(&mut command)?, case.template)?;
    let kinds: Vec<&str> = rendered.iter().filter_map(|object| object["kind"].as_str()).collect();
    match case.expect {
        Expect::Nothing => ensure!(kinds.is_empty(), "gives {kinds:?}"),
        Expect::Kinds(wanted) => ensure!(kinds == wanted, "gives {kinds:?}, not {wanted:?}"),
        Expect::Has(kind, fields) => {
            let object = rendered.iter().find(|object| object["kind"] == kind);
            let object = object.with_context(|| format!("gives {kinds:?} and no {kind}"))?;
            for (pointer, wanted) in fields {
                differs(object.pointer(pointer), wanted).with_context(|| format!("{kind} at {pointer}"))?;
            }
        }
        Expect::Args(wanted) => {
            let args = rendered.iter().find_map(|object| object.pointer(ARGS)?.as_array());
            let args = args.with_context(|| format!("gives {kinds:?} and no arguments"))?;
            let mut rest = args.iter().filter_map(Value::as_str);
            for wanted in wanted {
                ensure!(
                    rest.any(|arg| arg == *wanted),
                    "{wanted} is not there, or not in its place: {args:?}"
                );
            }
        }
    }
    Ok(())
}

fn differs(found: Option<&Value>, wanted: &str) -> Result<()> {
    if wanted.is_empty() {
        return match found {
            Some(found) => bail!("there is {found}"),
            None => Ok(()),
        };
    }
    let wanted: Value = serde_json::from_str(wanted).with_context(|| format!("no JSON: {wanted}"))?;
    let found = found.with_context(|| format!("there is nothing, not {wanted}"))?;
    ensure!(*found == wanted, "there is {found}, not {wanted}");
    Ok(())
}

/// The objects that come from this template, in their order.
fn objects(rendered: &str, template: &str) -> Result<Vec<Value>> {
    let source = format!("# Source: nodeapp-operator/templates/{template}\n");
    rendered
        .split("---\n")
        .filter_map(|document| document.strip_prefix(source.as_str()))
        .map(|yaml| serde_saphyr::from_str(yaml).with_context(|| format!("no YAML:\n{yaml}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart_by_their_template() {
        let rendered = "---\n# Source: nodeapp-operator/templates/a.yaml\nkind: A\n---\n# Source: nodeapp-operator/templates/b.yaml\nkind: B\n";
        let found = objects(rendered, "b.yaml").expect("YAML");
        assert_eq!(found, [serde_json::json!({"kind": "B"})]);
        assert!(objects(rendered, "c.yaml").expect("YAML").is_empty());
    }

    #[test]
    fn what_should_not_be_there_is_a_difference_too() {
        assert!(differs(Some(&Value::Null), "").is_err());
        assert!(differs(None, "").is_ok());
        assert!(differs(None, "1").is_err());
        assert!(differs(Some(&1.into()), "2").is_err());
        assert!(differs(Some(&1.into()), "1").is_ok());
    }
}
