//! `render`: what the operator would create, by the operator's own plain functions.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kube::ResourceExt;
use nodeapp_operator::controller::cache::AppKey;
use nodeapp_operator::controller::desired::{DEFAULT_REDIS_IMAGE, Settings};
use nodeapp_operator::controller::render::{Snapshot, render};
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

use crate::{Outcome, files};

/// The runner of this version, where the chart puts it.
pub(crate) const RUNNER_IMAGE: &str = concat!("nodeapp/nodeapp-runner:", env!("CARGO_PKG_VERSION"));
pub(crate) const FORWARDER_IMAGE: &str = concat!("nodeapp/nodeapp-forwarder:", env!("CARGO_PKG_VERSION"));

/// Show what the operator would create for NodeApps, without a cluster.
///
/// Objects of other kinds among the input are passed over, so that the output of `kustomize build` or `helm template`
/// can be piped in. Without --observed the app is taken to be new, and its children are shown without owner.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kustomize build . | kubectl nodeapp render -\n  kubectl get nodeapp,sa,cm,svc,pdb,deploy,sts,pvc,hpa,ing,netpol,cronjob,job,pod,controllerrevision -o yaml > now.yaml\n  kubectl nodeapp render shop.yaml --observed now.yaml"
)]
pub(crate) struct Args {
    /// Files with NodeApps, `-` for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// What the cluster has, from `kubectl get -o yaml` or `-o json`.
    #[arg(long, value_name = "FILE")]
    observed: Option<PathBuf>,
    /// Namespace of NodeApps that name none.
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Image of the runner; if none, that of the app in --observed, else the one of this version.
    #[arg(long, env = "NODEAPP_RUNNER_IMAGE")]
    runner_image: Option<String>,
    /// Image of the forwarder.
    #[arg(long, env = "NODEAPP_FORWARDER_IMAGE", default_value = FORWARDER_IMAGE)]
    forwarder_image: String,
    /// Image of the Redis of apps that name none.
    #[arg(long, env = "NODEAPP_REDIS_IMAGE", default_value = DEFAULT_REDIS_IMAGE)]
    redis_image: String,
    /// The operator looks after Secrets that apps refer to, as with its own option of this name. Their metadata must
    /// be in --observed then; their values are not looked at and are better left out.
    #[arg(long)]
    watch_secrets: bool,
    /// Secret that the operator lets every pod pull its images with, by its own option of this name. May be repeated.
    #[arg(long = "image-pull-secret", env = "NODEAPP_IMAGE_PULL_SECRETS", value_delimiter = ',')]
    image_pull_secrets: Vec<String>,
    /// Namespace of the operator, which spec.networkPolicy lets reach the runners.
    #[arg(long, default_value = "nodeapp-system")]
    operator_namespace: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut snapshot = Snapshot::default();
    if let Some(file) = &args.observed {
        for object in documents(file)? {
            snapshot.add(object)?;
        }
    }
    let mut stream = String::new();
    let mut failed = false;
    let mut found = 0;
    for file in &args.files {
        for object in
            documents(file)?.into_iter().flat_map(unlisted).filter(|object| object["kind"] == "NodeApp")
        {
            found += 1;
            match children(object, args, &snapshot) {
                Ok(children) => stream.extend(children.iter().map(|child| format!("---\n{}", yaml(child)))),
                Err(error) => {
                    failed = true;
                    eprintln!("error: {}: {error}", file.display());
                }
            }
        }
    }
    if found == 0 {
        return Err("there is no NodeApp in what was given".to_owned());
    }
    files::print(&stream);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn children(object: Value, args: &Args, snapshot: &Snapshot) -> Result<Vec<Value>, String> {
    let mut app: NodeApp = serde_json::from_value(object).map_err(|error| error.to_string())?;
    app.metadata.namespace.get_or_insert_with(|| args.namespace.clone());
    let key = AppKey { namespace: app.namespace().unwrap_or_default(), name: app.name_any() };
    let given = args.runner_image.as_deref().or_else(|| snapshot.runner_image(&key));
    let runner_image = given.unwrap_or(RUNNER_IMAGE).to_owned();
    // Without `..`, so that a setting which comes later is not forgotten here.
    let settings = Settings {
        runner_image,
        forwarder_image: args.forwarder_image.clone(),
        redis_image: args.redis_image.clone(),
        watch_secrets: args.watch_secrets,
        image_pull_secrets: args.image_pull_secrets.clone(),
        namespace: Some(args.operator_namespace.clone()),
    };
    render(&app, snapshot, &settings)
}

pub(crate) fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}

/// The elements of a list, or the object itself.
pub(crate) fn unlisted(object: Value) -> Vec<Value> {
    match object.get("items") {
        Some(Value::Array(items)) => items.clone(),
        _ => vec![object],
    }
}

/// The objects of a file of YAML or JSON; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or is neither.
pub(crate) fn documents(file: &Path) -> Result<Vec<Value>, String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if text.trim_start().starts_with('{') {
        let object = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(vec![object]);
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|error| format!("{} is no YAML: {error}", file.display()))?;
    Ok(documents.into_iter().filter(Value::is_object).collect())
}
