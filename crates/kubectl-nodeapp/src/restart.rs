//! `restart`: the process of each instance ends and starts again, in its pod.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

use crate::Outcome;
use crate::change::Step;
use crate::cluster::{Cluster, Scope};
use crate::instances::is_alive;
use crate::reload::{again, job};
use crate::state::is_job;
use crate::targets::{FileArgs, Target};
use crate::waiting::Waiting;

/// Time between two looks at a process that comes back.
const EVERY: Duration = Duration::from_millis(300);

/// Restart the processes of apps in place, two instances at a time, or one where there are no more than two.
///
/// Each process drains, ends and starts again in its own pod, with the same image and the same environment; its counts of
/// fast crashes begin anew, so an errored one is tried again. Stops at the first that does not come back. `reload` replaces
/// the pods instead, and keeps the old instance until the new one is ready. A stopped app is started, as in PM2. A FILE is
/// applied first, as by `start`; what it changes is rolled over by that, and apps that are as it says already are restarted.
///
/// Exit code: 0 if all processes are new and ready; 1 if one is not, told with the reason.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp restart shop\n  kubectl nodeapp restart all --parallel 4\n  kubectl nodeapp restart ecosystem.config.js --env production"
)]
pub(crate) struct Args {
    /// Names, `all`, /regex/ or files.
    #[arg(value_name = "NAME|FILE", required = true)]
    targets: Vec<Target>,
    #[command(flatten)]
    file: FileArgs,
    /// Instances at a time; 2 if not given, or 1 where there are no more than two.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: Option<u16>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    again(
        &args.targets,
        &args.file,
        &args.scope,
        &args.waiting,
        &async |cluster: &Cluster, app: &NodeApp, is_named: bool| cluster.restart(app, args, is_named).await,
    )
}

/// How a process is, as its runner tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// Another process than before, and it is ready.
    Back,
    /// Not yet, and why.
    Away(String),
    /// It will not come back by itself soon.
    Lost(String),
}

/// What a runner's answer says of a process that began at `before`.
fn seen(status: &Value, before: &Value) -> Seen {
    let state = status["state"].as_str().unwrap_or("unknown");
    let another = &status["startedAt"] != before;
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match state {
        "online" if another && status["ready"] == true => Seen::Back,
        "errored" | "stopped" if another => Seen::Lost(format!("{state}: {}", text("/lastExit/message"))),
        _ => Seen::Away(format!("{state}: {}", text("/notReadyReason"))),
    }
}

impl Cluster {
    async fn restart(&self, app: &NodeApp, args: &Args, is_named: bool) -> Result<Step, String> {
        if is_job(app) {
            let name = app.name_any();
            let run = format!("to run it now: kubectl create job --from=cronjob/{name} {name}-now");
            return job(&format!("is a job, and each run begins anew anyway; {run}"), is_named);
        }
        if app.spec.stopped == Some(true) {
            return self.start(app).await;
        }
        let alive: Vec<Pod> = self.instances(app).await?.into_iter().filter(is_alive).collect();
        if alive.is_empty() {
            return Err("no instance runs, so there is no process to restart; `describe` says why".to_owned());
        }
        let at_a_time = args.parallel.map_or(if alive.len() <= 2 { 1 } else { 2 }, usize::from);
        let restarts: Vec<_> = alive.iter().map(|pod| self.restart_one(pod, &args.waiting)).collect();
        let mut restarts = stream::iter(restarts).buffer_unordered(at_a_time);
        let mut back = 0;
        while let Some(restarted) = restarts.next().await {
            if let Err(why) = restarted {
                let left = alive.len() - back;
                return Err(format!(
                    "{why}; {back} instances were restarted, {left} were not, or are not back"
                ));
            }
            back += 1;
            if alive.len() > 1 && !args.waiting.no_wait {
                eprintln!("{}: {back} of {} instances restarted", app.name_any(), alive.len());
            }
        }
        let asked = if args.waiting.no_wait { ": asked for" } else { "" };
        Ok(Step::Said(format!("restarted in place, {back} instances{asked}")))
    }

    async fn restart_one(&self, pod: &Pod, waiting: &Waiting) -> Result<(), String> {
        let before = self.runner(pod).await?["startedAt"].take();
        self.ctl(pod, &["restart"]).await?;
        if waiting.no_wait {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let why = match self.runner(pod).await {
                Ok(status) => match seen(&status, &before) {
                    Seen::Back => return Ok(()),
                    Seen::Lost(why) => return Err(format!("{} did not come back: {why}", pod.name_any())),
                    Seen::Away(why) => why,
                },
                // The container may have been restarted around it.
                Err(error) => error,
            };
            if start.elapsed() >= waiting.timeout {
                let after = waiting.timeout.as_secs();
                return Err(format!("{} is not back after {after} s: {why}", pod.name_any()));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// What the runner of a pod tells of its process.
    ///
    /// # Errors
    /// When it does not answer, or not in JSON; what the cluster refuses.
    pub(crate) async fn runner(&self, pod: &Pod) -> Result<Value, String> {
        let answer = self.ctl(pod, &["status"]).await?;
        serde_json::from_str(&answer)
            .map_err(|error| format!("{}: the runner's answer is no JSON: {error}", pod.name_any()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_process_is_back_when_another_one_is_ready() {
        let of = |state: &str, ready: bool, started: u64| {
            let status = json!({"state": state, "ready": ready, "startedAt": started, "notReadyReason": "no port",
                "lastExit": {"message": "exit code 1"}});
            seen(&status, &json!(7))
        };
        assert_eq!(of("online", true, 8), Seen::Back);
        assert_eq!(of("online", true, 7), Seen::Away("online: no port".to_owned()), "the old one");
        assert_eq!(of("launching", false, 8), Seen::Away("launching: no port".to_owned()));
        assert_eq!(of("errored", false, 8), Seen::Lost("errored: exit code 1".to_owned()));
        assert_eq!(of("errored", false, 7), Seen::Away("errored: no port".to_owned()), "it was so before");
    }
}
