//! `dev`: a folder of this machine in one instance, restarted as it changes. For development only.

mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use nodeapp_contract::{CONFIG_ANNOTATION, RunnerConfig};
use nodeapp_operator::controller::names::annotation;
use nodeapp_operator::crd::NodeApp;
use serde::Deserialize;
use tokio::time::sleep;

use crate::Outcome;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::instances::{APP, is_alive};
use crate::one::One;
use crate::production::{ENVIRONMENT_LABEL, is_production};
use tree::{Changes, Files};

/// What takes the files in, run by the Node.js of the image.
const RECEIVER: &str = include_str!("receive.cjs");
/// Between two looks at the folder. Two looks that agree make a change whole.
const EVERY: Duration = Duration::from_millis(300);
/// Wait before what did not get through is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often the instance is looked for while nothing changes.
const SEEN_EVERY: Duration = Duration::from_secs(5);

/// Run a folder of this machine in one instance, and restart it in place when files change. For development only.
///
/// Files are copied into the app's folder of that instance, which has to be writable; its other instances, and its
/// next pod, run what the image has. `node_modules`, names that begin with a dot and what .gitignore names stay here.
/// Refused where the NodeApp has the label `nodeapp.dev/environment=production`, or `NODE_ENV=production` without another
/// value of that label.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  kubectl nodeapp dev . web\n  kubectl nodeapp dev src web --to /app/src")]
pub(crate) struct Args {
    /// The folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    one: One,
    /// Where it goes in the container; the app's working directory if none.
    #[arg(long, value_name = "DIR")]
    to: Option<String>,
    /// Copy once and end.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if !args.folder.is_dir() {
        return Err(format!("{} is no folder", args.folder.display()));
    }
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let (app, pod) = cluster.one(&args.one).await?;
        if is_production(&app) {
            return Err(format!(
                "{} is in production, and dev is for development; if it is not, say so: kubectl label nodeapp {} \
                 {ENVIRONMENT_LABEL}=development",
                app.name_any(),
                app.name_any()
            ));
        }
        let to = match &args.to {
            Some(to) => to.clone(),
            None => folder_of(&pod).ok_or("the app has no cwd in its spec; --to says where its files are")?,
        };
        let copy = Copy { cluster: &cluster, app: &app, pod: &pod, folder: &args.folder, to: &to };
        let files = tree::look(&args.folder)?;
        let all = Changes { written: files.keys().cloned().collect(), deleted: vec![] };
        copy.pass(&files, &all).await?;
        eprintln!("{}: {} files are in {to}, restarted", pod.name_any(), all.written.len());
        if !args.once {
            eprintln!(
                "Changes in {} follow. Ctrl-C ends it; the instance keeps what it has.",
                args.folder.display()
            );
            copy.follow(files).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The app's working directory.
fn folder_of(pod: &Pod) -> Option<String> {
    serde_json::from_str::<RunnerConfig>(annotation(&pod.metadata, CONFIG_ANNOTATION)?).ok()?.cwd
}

/// What the receiver says in the end.
#[derive(Deserialize)]
struct Received {
    written: usize,
    deleted: usize,
}

/// A folder on its way into an instance.
struct Copy<'a> {
    cluster: &'a Cluster,
    app: &'a NodeApp,
    pod: &'a Pod,
    folder: &'a Path,
    to: &'a str,
}

impl Copy<'_> {
    /// Passes changes on for as long as there is the instance. What did not get through is tried again.
    async fn follow(&self, mut there: Files) -> Result<(), String> {
        let mut told = String::new();
        let mut seen = Instant::now();
        loop {
            sleep(EVERY).await;
            let now = tree::look(self.folder)?;
            if tree::changes(&there, &now).is_empty() {
                // Whoever changes nothing is not to believe that somebody listens.
                if seen.elapsed() >= SEEN_EVERY {
                    self.is_there().await?;
                    seen = Instant::now();
                }
                continue;
            }
            sleep(EVERY).await;
            let settled = tree::look(self.folder)?;
            if settled != now {
                continue;
            }
            let changes = tree::changes(&there, &settled);
            match self.pass(&settled, &changes).await {
                Ok(()) => {
                    eprintln!("{}: {}: restarted", self.pod.name_any(), changes.told());
                    there = settled;
                    told.clear();
                }
                Err(why) => {
                    self.is_there().await?;
                    if told != why {
                        eprintln!("{why}; it is tried again");
                        told = why;
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Ends it once the instance is no more; a cluster that does not answer may do so later.
    async fn is_there(&self) -> Result<(), String> {
        let Ok(pods) = self.cluster.instances(self.app).await else { return Ok(()) };
        if pods.iter().any(|pod| pod.uid() == self.pod.uid() && is_alive(pod)) {
            return Ok(());
        }
        Err(format!(
            "{} is no more, and its successor runs what the image has; start dev again for that one",
            self.pod.name_any()
        ))
    }

    /// Passes these changes on and restarts the process.
    async fn pass(&self, files: &Files, changes: &Changes) -> Result<(), String> {
        let bytes = tree::packed(self.folder, files, changes)?;
        let command = ["node", "-e", RECEIVER, self.to];
        let answer =
            self.cluster.exec_with(self.pod, &command, &bytes).await.map_err(|why| self.explained(&why))?;
        let received: Received = serde_json::from_slice(&answer)
            .map_err(|_| format!("{}: the files did not arrive", self.pod.name_any()))?;
        if received.written > changes.written.len() || received.deleted != changes.deleted.len() {
            return Err(format!("{}: only a part of the files has arrived", self.pod.name_any()));
        }
        self.cluster.ctl(self.pod, &["restart"]).await.map(drop)
    }

    /// Says what is missing where the folder is that of the image.
    fn explained(&self, why: &str) -> String {
        if !["EROFS", "EACCES", "EPERM"].iter().any(|error| why.contains(error)) {
            return why.lines().find(|line| line.contains("Error")).unwrap_or(why).to_owned();
        }
        let containers = self.pod.spec.iter().flat_map(|spec| &spec.containers);
        let image =
            containers.into_iter().find(|container| container.name == APP).and_then(|app| app.image.clone());
        advice(&self.pod.name_any(), self.to, image.as_deref().unwrap_or("IMAGE"))
    }
}

fn advice(pod: &str, to: &str, image: &str) -> String {
    format!(
        "{pod}: {to} cannot be written, since it is part of the image. Give the app a copy of it that can, while you \
         develop:\n\n\
         spec:\n  volumeMounts: [{{name: code, mountPath: {to}}}]\n  pod:\n    volumes: [{{name: code, emptyDir: {{}}}}]\n    \
         initContainers:\n      - name: copy-code\n        image: {image}\n        command: [node, -e, \"fs.cpSync('{to}', \
         '/code', {{recursive: true}})\"]\n        volumeMounts: [{{name: code, mountPath: /code}}]\n\n\
         (writablePaths: [{to}] would be empty at the start of a pod.)"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_advice_can_be_pasted_into_a_nodeapp() {
        let advice = advice("web-1", "/app", "shop:1");
        let yaml = advice.split("\n\n").nth(1).expect("a part of a spec");
        let spec: Value = serde_saphyr::from_str(yaml).expect("YAML");
        let copy = &spec["spec"]["pod"]["initContainers"][0];
        assert_eq!(copy["command"][2], "fs.cpSync('/app', '/code', {recursive: true})");
        assert_eq!(spec["spec"]["volumeMounts"][0]["mountPath"], "/app");
    }
}
