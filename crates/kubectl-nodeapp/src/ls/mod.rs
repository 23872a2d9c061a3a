//! `ls`: PM2's table, a row for each app.

mod rows;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::{Selector, chosen, understood};
use crate::table::Screen;
use crate::usage::Usages;
use crate::{Outcome, files};

/// Time between two looks with `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// List apps: how many instances are ready, restarts, CPU, memory, state, and why one is not well.
///
/// CPU (100% is one core) and memory are sums over the instances and need a metrics-server; `-` stands where there is
/// none. UPTIME is since when at least one instance has served without a break.
///
/// Exit code: 0, also where there is no app; 1 if the cluster refuses, or a name is that of no app.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp ls\n  kubectl nodeapp ls -A -o wide\n  kubectl nodeapp ls '/^shop/' --sort memory:desc\n  kubectl nodeapp ls -o name | xargs -n1 kubectl get"
)]
pub(crate) struct Args {
    /// Names, `all` or /regex/; all if none.
    #[arg(value_name = "NAME")]
    selectors: Vec<Selector>,
    /// Form of the output: wide, json, yaml or name.
    #[arg(long, short, value_name = "FORM")]
    output: Option<Form>,
    /// Look again every two seconds.
    #[arg(long, short)]
    watch: bool,
    /// Column to sort by, the largest first with :desc; by name if none.
    #[arg(long, value_name = "COLUMN[:desc]")]
    sort: Option<rows::Sort>,
    #[command(flatten)]
    scope: Scope,
}

/// Arguments of `jlist`.
#[derive(clap::Args)]
pub(crate) struct JlistArgs {
    /// Names, `all` or /regex/; all if none.
    #[arg(value_name = "NAME")]
    selectors: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

/// How objects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    Wide,
    Json,
    Yaml,
    Name,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        if !args.watch {
            let text = shown(&cluster, args).await?;
            if text.is_empty() {
                eprintln!("{}", nothing(cluster.namespace.as_deref()));
            }
            files::print(&text);
            return Ok(ExitCode::SUCCESS);
        }
        watch(&cluster, args).await
    })
}

/// `jlist`: `ls -o json`.
pub(crate) fn jlist(args: &JlistArgs) -> Outcome {
    let JlistArgs { selectors, scope } = args;
    let (selectors, scope) = (selectors.clone(), scope.clone());
    run(&Args { selectors, output: Some(Form::Json), watch: false, sort: None, scope })
}

/// Shows it again and again: in place on a terminal, and elsewhere each time that something is different.
async fn watch(cluster: &Cluster, args: &Args) -> Outcome {
    let (mut table, mut trouble, mut said) = (shown(cluster, args).await?, String::new(), None);
    loop {
        let text =
            if table.is_empty() { nothing(cluster.namespace.as_deref()) + "\n" } else { table.clone() };
        let text = text + &trouble;
        let mut out = std::io::stdout();
        let written = if out.is_terminal() {
            write!(out, "\x1b[H\x1b[2J{text}")
        } else if said.as_ref() == Some(&text) {
            Ok(())
        } else {
            write!(out, "{text}")
        };
        if written.and_then(|()| out.flush()).is_err() {
            // Nobody reads it any more.
            return Ok(ExitCode::SUCCESS);
        }
        said = Some(text);
        tokio::time::sleep(EVERY).await;
        // What went well once goes on when the cluster is away for a moment.
        match shown(cluster, args).await {
            Ok(new) => (table, trouble) = (new, String::new()),
            Err(error) => trouble = format!("error: {error}\n"),
        }
    }
}

/// The list; nothing where there is no app, and only a table would tell.
async fn shown(cluster: &Cluster, args: &Args) -> Result<String, String> {
    let is_table = matches!(args.output, None | Some(Form::Wide));
    let usage = async { if is_table { cluster.usage().await } else { None } };
    let (apps, usage) = futures::join!(cluster.raw_apps(), usage);
    let mut apps = apps?;
    if !args.selectors.is_empty() {
        apps = chosen(apps, &args.selectors, cluster.namespace.as_deref())?;
    }
    if is_table && apps.is_empty() {
        return Ok(String::new());
    }
    Ok(match args.output {
        Some(form @ (Form::Json | Form::Yaml | Form::Name)) => written(apps, form),
        None | Some(Form::Wide) => {
            let apps: Vec<NodeApp> = apps.into_iter().map(understood).collect();
            let wide = args.output == Some(Form::Wide);
            let usage = usage.as_ref().map(Usages::by_app);
            let view = rows::View {
                wide,
                namespaces: cluster.namespace.is_none(),
                usage: usage.as_ref(),
                now: Timestamp::now(),
            };
            rows::table(&apps, &view, args.sort, Screen::of_output())
        }
    })
}

fn nothing(namespace: Option<&str>) -> String {
    let place = namespace.map_or_else(|| "any namespace".to_owned(), |name| format!("namespace {name}"));
    format!("there is no NodeApp in {place}; `kubectl nodeapp start FILE` makes one")
}

/// Objects as kubectl writes them.
pub(crate) fn written(apps: Vec<DynamicObject>, form: Form) -> String {
    if form == Form::Name {
        let lines: Vec<String> =
            apps.iter().map(|app| format!("nodeapp.nodeapp.dev/{}\n", app.name_any())).collect();
        return lines.concat();
    }
    let items: Vec<Value> = apps.into_iter().map(object).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    if form == Form::Yaml {
        return serde_saphyr::to_string(&list).expect("JSON is YAML");
    }
    let mut text = serde_json::to_string_pretty(&list).expect("JSON is JSON");
    text.push('\n');
    text
}

/// Items of a list carry no kind; who writes which field is of no interest here.
pub(crate) fn object(app: DynamicObject) -> Value {
    let mut object = json!({"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp"});
    let mut metadata = app.metadata;
    metadata.managed_fields = None;
    object["metadata"] = serde_json::to_value(metadata).unwrap_or_default();
    if let Value::Object(data) = app.data {
        for (name, value) in data {
            object[name] = value;
        }
    }
    object
}
