//! `stop`: no instance, and everything else stays.

use serde_json::json;

use crate::change::Step;
use crate::cluster::{Scope, wait_for};
use crate::targets::{Target, split};
use crate::waiting::{Goal, Waiting};
use crate::{Outcome, apps_file};

/// Stop apps: their instances drain and end, everything else stays.
///
/// Sets `stopped: true`. Waits until no instance is left. A schedule does not start them again; `start` does.
///
/// Exit code: 0 if all are stopped; 1 if one is not, told with the reason.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp stop shop\n  kubectl nodeapp stop '/^shop/' worker\n  kubectl nodeapp stop all -n web"
)]
pub(crate) struct Args {
    /// Names, `all`, /regex/, or files: then the apps that they have.
    #[arg(value_name = "NAME|FILE", required = true)]
    targets: Vec<Target>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let (files, names) = split(&args.targets);
    let found = apps_file::named(&files)?;
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.targeted(&names, &found).await?;
        let stop = async |app: &nodeapp_operator::crd::NodeApp| {
            if app.spec.stopped == Some(true) && cluster.instances(app).await?.is_empty() {
                return Ok(Step::Said("is stopped already".to_owned()));
            }
            let patched = cluster.patch(app, &json!({"spec": {"stopped": true}})).await?;
            let goal = Goal::Stopped(patched.metadata.generation.unwrap_or(0));
            Ok(Step::Asked { goal, done: "stopped".to_owned() })
        };
        cluster.carry_out(&apps, Some(&args.waiting), stop).await
    })
}
