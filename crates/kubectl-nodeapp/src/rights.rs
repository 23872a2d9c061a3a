//! What each verb asks the API server for: one table, for the manual, for the role of the chart, for `doctor`.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

pub(crate) use table::TABLE;

use crate::{Outcome, files};

/// The `ClusterRole` of the chart with all of it.
pub(crate) const ROLE: &str = "nodeapp-operator-user";

/// Show what each verb asks the API server for, as a table or as a role to be given to people.
///
/// Whoever has the role `edit` in a namespace may do all of it there. For others: `kubectl nodeapp rights -o yaml |
/// kubectl apply -f -` makes the `ClusterRole`, if the chart has not, and a `RoleBinding` to it gives it in a namespace.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Verbs of this program; all if none is given.
    #[arg(value_name = "VERB")]
    verbs: Vec<String>,
    /// How to tell.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// A `ClusterRole` with all of it.
    Yaml,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let known = |verb: &&String| TABLE.iter().any(|row| row.verb == **verb);
    if let Some(unknown) = args.verbs.iter().find(|verb| !known(verb)) {
        let verbs: Vec<&str> = TABLE.iter().map(|row| row.verb).collect();
        return Err(format!("there is no verb `{unknown}`; there are {}", verbs.join(", ")));
    }
    let wanted = |row: &&Row| args.verbs.is_empty() || args.verbs.iter().any(|verb| verb == row.verb);
    let rows: Vec<Row> = TABLE.iter().filter(wanted).copied().collect();
    let text = match args.output {
        Format::Table => markdown(&rows),
        Format::Yaml => serde_saphyr::to_string(&role(&rows)).map_err(|error| error.to_string())?,
    };
    files::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// What is done with a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// API group, empty for the core group.
    pub(crate) group: &'static str,
    /// Plural name, with its subresource.
    pub(crate) resource: &'static str,
    pub(crate) verbs: &'static [&'static str],
}

/// What a verb of this program needs in the namespace of the app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) verb: &'static str,
    pub(crate) rules: &'static [Rule],
}

/// One right: a verb on a resource of a group.
pub(crate) type Right = (&'static str, &'static str, &'static str);

/// All rights, with the verbs of this program that need each.
pub(crate) fn needed(rows: &[Row]) -> BTreeMap<Right, Vec<&'static str>> {
    let mut needed: BTreeMap<Right, Vec<&'static str>> = BTreeMap::new();
    for row in rows {
        for rule in row.rules {
            for verb in rule.verbs {
                needed.entry((rule.group, rule.resource, verb)).or_default().push(row.verb);
            }
        }
    }
    needed
}

/// The same as rules of a role, sorted by group and resource.
fn rules(rows: &[Row]) -> Vec<Value> {
    let mut rules: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (group, resource, verb) in needed(rows).into_keys() {
        rules.entry((group, resource)).or_default().insert(verb);
    }
    let rule = |((group, resource), verbs): ((&str, &str), BTreeSet<&str>)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    rules.into_iter().map(rule).collect()
}

fn role(rows: &[Row]) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": ROLE},
        "rules": rules(rows),
    })
}

/// The table, in the form of the manual.
fn markdown(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let rules: Vec<String> = row.rules.iter().map(spoken).collect();
        let rules = if rules.is_empty() { "none".to_owned() } else { rules.join("; ") };
        format!("| `{}` | {rules} |\n", row.verb)
    };
    format!("| verb | rights |\n|---|---|\n{}", rows.iter().map(line).collect::<String>())
}

fn spoken(rule: &Rule) -> String {
    let group = if rule.group.is_empty() { String::new() } else { format!(".{}", rule.group) };
    let resource = match rule.resource.split_once('/') {
        Some((resource, sub)) => format!("{resource}{group}/{sub}"),
        None => format!("{}{group}", rule.resource),
    };
    format!("{} `{resource}`", rule.verbs.join(", "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// A file of the repository that follows from the table; written anew where `UPDATE_GOLDEN` is set.
    fn compare(path: &str, expected: impl Fn(&str) -> String) {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let written = std::fs::read_to_string(&file).expect(path);
        let wanted = expected(&written);
        if std::env::var_os("UPDATE_GOLDEN").is_some() && wanted != written {
            std::fs::write(&file, &wanted).expect(path);
        }
        let written = std::fs::read_to_string(&file).expect(path);
        assert!(
            wanted == written,
            "{path} is old; write it anew by UPDATE_GOLDEN=1 cargo test -p kubectl-nodeapp rights"
        );
    }

    #[test]
    fn every_verb_has_its_row_and_every_row_its_verb() {
        let arguments = crate::Arguments::command();
        let verbs: BTreeSet<&str> = arguments.get_subcommands().map(clap::Command::get_name).collect();
        let rows: Vec<&str> = TABLE.iter().map(|row| row.verb).collect();
        assert!(rows.is_sorted(), "{rows:?}");
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), verbs);
    }

    #[test]
    fn the_manual_has_the_table() {
        compare("docs/kubectl-rights.md", |written| {
            let (before, rest) = written.split_once("| verb | rights |\n").expect("the table");
            let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
            format!("{before}{}\n{after}", markdown(TABLE))
        });
    }

    #[test]
    fn the_role_of_the_chart_has_the_rights_of_the_table() {
        compare("charts/nodeapp-operator/templates/_user-rules.tpl", |_| {
            let rules = serde_saphyr::to_string(&rules(TABLE)).expect("YAML");
            format!(
                "{{{{- /* Made of crates/kubectl-nodeapp/src/rights/table.rs; see docs/kubectl-rights.md. */ -}}}}\n\
                 {{{{- define \"nodeapp-operator.userRules\" -}}}}\n{}\n{{{{- end -}}}}\n",
                rules.trim_end()
            )
        });
    }

    #[test]
    fn no_verb_reads_secrets_or_takes_everything() {
        for (group, resource, verb) in needed(TABLE).into_keys() {
            assert!(
                resource != "secrets" && group != "*" && resource != "*" && verb != "*",
                "{verb} {resource}"
            );
        }
    }

    #[test]
    fn a_verb_that_there_is_not_is_refused_with_those_there_are() {
        let args = Args { verbs: vec!["lift".to_owned()], output: Format::Table };
        assert!(run(&args).expect_err("no such verb").contains("no verb `lift`; there are audit, "));
    }
}
