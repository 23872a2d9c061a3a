//! `diff`: what applying a file would change, in the NodeApp and in what the operator makes of it.

mod live;
mod mask;
mod unified;

use std::path::PathBuf;
use std::process::ExitCode;

use nodeapp_operator::controller::desired::Settings;
use nodeapp_operator::controller::names;
use nodeapp_operator::controller::render::render;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Scope, wait_for};
use crate::files;
use crate::render::{documents, unlisted, yaml};
use crate::table::{Colour, Screen};

/// Show what applying a file with NodeApps would change.
///
/// Asks the API server what each NodeApp would become, and shows the difference; then the same for what the operator would
/// make of it: Deployment, Service and so on. Nothing is written. Exit code 0: no difference; 1: some; 2: it could not be
/// found out. Credentials are masked. A new `ControllerRevision`, which holds the template once more, is not shown.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files with NodeApps, `-` for standard input. Other kinds in them are passed over.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only the NodeApps themselves.
    #[arg(long)]
    no_children: bool,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let differs = wait_for(async { Ok(ExitCode::from(u8::from(Box::pin(compared(args)).await?))) });
    differs.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

async fn compared(args: &Args) -> Result<bool, String> {
    let mut wanted = Vec::new();
    for file in &args.files {
        wanted.extend(
            documents(file)?.into_iter().flat_map(unlisted).filter(|object| object["kind"] == "NodeApp"),
        );
    }
    if wanted.is_empty() {
        return Err("there is no NodeApp in what was given".to_owned());
    }
    let cluster = args.scope.connect().await?;
    let mut differs = false;
    for mut object in wanted {
        if object["metadata"]["namespace"].is_null() {
            let Some(namespace) = &cluster.namespace else {
                return Err("with -A a NodeApp has to name its namespace".to_owned());
            };
            object["metadata"]["namespace"] = json!(namespace);
        }
        for Change { title, before, after } in Box::pin(changes(&cluster, &object, args)).await? {
            differs |= shown(&title, before, after);
        }
    }
    Ok(differs)
}

/// An object before and after; null where there is none.
struct Change {
    title: String,
    before: Value,
    after: Value,
}

impl Change {
    fn new(before: Option<Value>, after: Option<Value>) -> Self {
        let either = after.as_ref().or(before.as_ref());
        let title = either.map_or_else(String::new, |object| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let metadata = &object["metadata"];
            format!("{} {}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
        });
        Self { title, before: before.unwrap_or_default(), after: after.unwrap_or_default() }
    }
}

async fn changes(cluster: &Cluster, object: &Value, args: &Args) -> Result<Vec<Change>, String> {
    let before = live::get(cluster, object).await?;
    let manager = live::applier(before.as_ref());
    let mut after = live::applied(cluster, object, before.as_ref(), &manager).await?;
    for part in ["apiVersion", "kind"] {
        after[part] = object[part].clone();
    }
    let typed =
        |value: &Value| serde_json::from_value::<NodeApp>(value.clone()).map_err(|error| error.to_string());
    let known = before.as_ref().map(typed).transpose()?;
    let mut changes = vec![Change::new(before.clone(), Some(after.clone()))];
    if args.no_children {
        return Ok(changes);
    }
    let settings = live::settings(cluster, known.as_ref()).await;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let around = live::around(cluster, namespace, before.as_ref()).await?;
    changes.extend(children(cluster, &typed(&after)?, known.as_ref(), around, &settings).await?);
    Ok(changes)
}

async fn children(
    cluster: &Cluster,
    app: &NodeApp,
    known: Option<&NodeApp>,
    around: live::Around,
    settings: &Settings,
) -> Result<Vec<Change>, String> {
    let wanted = render(app, &around.snapshot, settings)?;
    // What the operator leaves alone, it prunes nothing of either.
    let mut gone = if wanted.is_empty() { Vec::new() } else { around.pruned };
    let mut changes = Vec::new();
    for child in wanted {
        gone.retain(|it| {
            (&it["kind"], &it["metadata"]["name"]) != (&child["kind"], &child["metadata"]["name"])
        });
        if child["kind"] == "ControllerRevision" || child["kind"] == "Secret" {
            continue;
        }
        let before = live::get(cluster, &child).await?;
        if let Some(before) = before.as_ref().filter(|before| live::is_foreign(before, known)) {
            return Err(format!(
                "{} {} is there already and is not the app's; the operator would not touch it",
                child["kind"].as_str().unwrap_or_default(),
                before["metadata"]["name"].as_str().unwrap_or_default()
            ));
        }
        let mut after =
            live::applied(cluster, &child, before.as_ref(), nodeapp_operator::controller::names::MANAGER)
                .await?;
        for part in ["apiVersion", "kind"] {
            after[part] = child[part].clone();
        }
        changes.push(Change::new(before, Some(after)));
    }
    changes.extend(gone.into_iter().map(|object| Change::new(Some(object), None)));
    Ok(changes)
}

/// Prints a difference, if there is one.
fn shown(title: &str, before: Value, after: Value) -> bool {
    let (mut before, mut after) = (stripped(before), stripped(after));
    if before == after {
        return false;
    }
    mask::mask(&mut before, &mut after);
    let text = |value: &Value| if value.is_null() { String::new() } else { yaml(value) };
    let difference = unified::unified(&text(&before), &text(&after));
    let screen = Screen::of_output();
    let line = |line: &str| {
        let colour = match line.as_bytes().first() {
            Some(b'-') => Colour::Red,
            Some(b'+') => Colour::Green,
            Some(b'@') => Colour::Cyan,
            _ => Colour::Default,
        };
        format!("{}\n", if colour == Colour::Default { line.to_owned() } else { screen.paint(colour, line) })
    };
    let (from, to) = (side("live", title, before.is_null()), side("applied", title, after.is_null()));
    let header = format!("--- {from}\n+++ {to}\n");
    files::print(&format!("{header}{}", difference.lines().map(line).collect::<String>()));
    true
}

fn side(name: &str, title: &str, is_nothing: bool) -> String {
    if is_nothing { "/dev/null".to_owned() } else { format!("{name} {title}") }
}

/// Without what the API server keeps for itself.
fn stripped(mut object: Value) -> Value {
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in
            ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"]
        {
            metadata.remove(field);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            // Which content of ConfigMaps and Secrets the pods have: not of the file.
            annotations.retain(|name, _| !name.starts_with("nodeapp.dev/config"));
            // A hash of what is shown anyway.
            annotations.remove(names::APPLIED_ANNOTATION);
        }
        if metadata.get("annotations").is_some_and(|it| it.as_object().is_some_and(serde_json::Map::is_empty))
        {
            metadata.remove("annotations");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_keeps_for_itself_is_no_difference() {
        let object = |version: &str| {
            json!({
                "kind": "NodeApp",
                "metadata": {"name": "a", "resourceVersion": version, "uid": version, "generation": 3,
                    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": version}},
                "spec": {"image": "a:1"},
                "status": {"restarts": version},
            })
        };
        assert_eq!(stripped(object("1")), stripped(object("2")));
        assert_eq!(
            stripped(object("1")),
            json!({"kind": "NodeApp", "metadata": {"name": "a"}, "spec": {"image": "a:1"}})
        );
        assert_eq!(stripped(Value::Null), Value::Null);
    }
}
