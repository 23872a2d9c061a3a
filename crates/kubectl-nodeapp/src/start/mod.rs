//! `start`: what was stopped runs again, and what a file has runs as it says.

mod file;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kube::ResourceExt as _;
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use crate::Outcome;
use crate::change::Step;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::Selector;
use crate::state::counted_by;
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
    targets: Vec<String>,
    /// Image of the apps in a file of PM2.
    #[arg(long)]
    image: Option<String>,
    /// Profile to select in a file of PM2, as in `pm2 start --env`.
    #[arg(long)]
    env: Option<String>,
    /// Where the apps of a file of PM2 lie in their image.
    #[arg(long, value_name = "DIR", default_value = "/app")]
    workdir: String,
    /// Of a file, only these apps.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

/// Whether a word is a file: no name of an app has a `.` or a `/`, and a pattern has one at both ends.
fn is_file(word: &str) -> bool {
    let is_pattern = word.len() > 1 && word.starts_with('/') && word.ends_with('/');
    word == "-" || (!is_pattern && word.contains(['.', '/']))
}

/// Files and apps among the words.
fn targets(words: &[String]) -> Result<(Vec<PathBuf>, Vec<Selector>), String> {
    let (files, names): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| is_file(word));
    let files: Vec<PathBuf> = files.into_iter().map(PathBuf::from).collect();
    let names = names.into_iter().map(|name| name.parse()).collect::<Result<Vec<Selector>, String>>()?;
    if !files.is_empty() || !names.is_empty() {
        return Ok((files, names));
    }
    let usual = USUAL.iter().map(Path::new).find(|file| file.is_file());
    let usual =
        usual.ok_or("name an app or a file; there is no nodeapp.yaml and no ecosystem.config.js here")?;
    Ok((vec![usual.to_owned()], Vec::new()))
}

pub(crate) fn run(args: &Args) -> Outcome {
    let (files, names) = targets(&args.targets)?;
    // Before the cluster is asked: whoever has a wrong file needs none.
    let found = file::read(&files, args)?;
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let mut code = ExitCode::SUCCESS;
        if !found.is_empty() {
            code = cluster.apply(found, &args.waiting).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_names_by_how_they_look() {
        for file in ["nodeapp.yaml", "./shop", "deploy/shop", "-", "/etc/dump.pm2"] {
            assert!(is_file(file), "{file}");
        }
        for name in ["shop", "all", "/^shop/", "/a.b/"] {
            assert!(!is_file(name), "{name}");
        }
        let words = ["shop".to_owned(), "a.yaml".to_owned()];
        let (files, names) = targets(&words).expect("both");
        assert_eq!((files, names.len()), (vec![PathBuf::from("a.yaml")], 1));
    }
}
