//! `start`: what was stopped runs again, and what a file has runs as it says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kube::ResourceExt as _;
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use crate::Outcome;
use crate::apps_file;
use crate::change::Step;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::Selector;
use crate::state::counted_by;
use crate::targets::{FileArgs, Target, split};
use crate::waiting::{Goal, Waiting};

/// Files that are taken where none is named.
const USUAL: [&str; 2] = ["nodeapp.yaml", "ecosystem.config.js"];

/// Start apps that are stopped, or all that a file has.
///
/// A NAME that is stopped gets `stopped: false`; one that runs is left as it is, `restart` and `reload` begin it anew. A FILE
/// (whatever has a `.` or a `/` in it) is a NodeApp in YAML or JSON, or a file of PM2: ecosystem.config.js, .json, .yaml,
/// dump.pm2. It is applied as a whole or not at all, what it says wins over what others have set, and an app whose pods it
/// changes is rolled over without losing a request. Without any, it is nodeapp.yaml or else ecosystem.config.js. Waits until
/// all instances are ready.
///
/// Exit code: 0 if all run; 1 if one does not, told with the reason, or a file is refused, with nothing changed.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp start shop\n  kubectl nodeapp start all --timeout 2m\n  kubectl nodeapp start nodeapp.yaml\n  kubectl nodeapp start ecosystem.config.js --env production --image registry.example/acme/shop:1.4.2"
)]
pub(crate) struct Args {
    /// Names, `all`, /regex/, files, or `-` for NodeApps on standard input.
    #[arg(value_name = "NAME|FILE")]
    targets: Vec<Target>,
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

/// Files and apps among the words, or the usual file where there is no word.
fn targets(words: &[Target]) -> Result<(Vec<PathBuf>, Vec<Selector>), String> {
    if !words.is_empty() {
        return Ok(split(words));
    }
    let usual = USUAL.iter().map(Path::new).find(|file| file.is_file());
    let usual =
        usual.ok_or("name an app or a file; there is no nodeapp.yaml and no ecosystem.config.js here")?;
    Ok((vec![usual.to_owned()], Vec::new()))
}

pub(crate) fn run(args: &Args) -> Outcome {
    let (files, names) = targets(&args.targets)?;
    if files.is_empty() {
        args.file.without_file()?;
    }
    // Before the cluster is asked: whoever has a wrong file needs none.
    let found = apps_file::read(&files, &args.file)?;
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let mut code = ExitCode::SUCCESS;
        if !found.is_empty() {
            code = cluster.apply(found, &args.waiting, async |_| Ok(None)).await?;
        }
        if !names.is_empty() {
            let apps = cluster.apps(&names).await?;
            let started =
                cluster.carry_out(&apps, Some(&args.waiting), async |app| cluster.start(app).await).await?;
            code = if code == ExitCode::SUCCESS { started } else { code };
        }
        Ok(code)
    })
}

impl Cluster {
    /// Lets a stopped app run.
    ///
    /// # Errors
    /// Where it wants no instance even so; what the cluster refuses.
    pub(crate) async fn start(&self, app: &NodeApp) -> Result<Step, String> {
        let done = "started".to_owned();
        if app.spec.instances == 0 && counted_by(app).is_none() {
            return Err(format!("wants no instance: instances is 0; `scale {} 1`", app.name_any()));
        }
        if app.spec.stopped != Some(true) {
            return Ok(Step::Said("is not stopped; `restart` or `reload` begins it anew".to_owned()));
        }
        let patched = self.patch(app, &json!({"spec": {"stopped": false}})).await?;
        Ok(Step::Asked { goal: Goal::Ready(patched.metadata.generation.unwrap_or(0)), done })
    }
}
