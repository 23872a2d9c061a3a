//! `wait`: until apps are as their spec asks for.

use kube::ResourceExt as _;
use nodeapp_operator::crd::NodeApp;

use crate::change::Step;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::Selector;
use crate::waiting::{Goal, Waiting};
use crate::{Outcome, files};

/// Wait until apps are ready with what their spec asks for, and fail with the reason when that cannot come.
///
/// Exit code: 0 if all are; 1 if a rollout has failed, the spec cannot be carried out, or the time is over.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl apply -f nodeapp.yaml && kubectl nodeapp wait shop --timeout 5m\n  kubectl nodeapp wait shop --for stopped"
)]
pub(crate) struct Args {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    /// What is waited for.
    #[arg(long = "for", value_name = "STATE", default_value = "ready")]
    state: For,
    /// Wait no longer than this, such as 90s, 5m or 1h.
    #[arg(long, value_name = "TIME", value_parser = crate::words::span, default_value = "10m")]
    timeout: std::time::Duration,
    #[command(flatten)]
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum For {
    Ready,
    Stopped,
    Deleted,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = if args.state == For::Deleted {
            cluster.left(&args.selectors).await?
        } else {
            cluster.apps(&args.selectors).await?
        };
        let step = async |app: &NodeApp| {
            let generation = app.metadata.generation.unwrap_or(0);
            let (goal, done) = match args.state {
                For::Ready => (Goal::Ready(generation), "ready"),
                For::Stopped if app.spec.stopped != Some(true) && app.spec.instances > 0 => {
                    return Err("is not to be stopped; `stop` says so".to_owned());
                }
                For::Stopped => (Goal::Stopped(generation), "stopped"),
                For::Deleted => (Goal::Gone, "deleted"),
            };
            Ok(Step::Awaited { goal, done: done.to_owned() })
        };
        cluster.carry_out(&apps, Some(&Waiting { no_wait: false, timeout: args.timeout }), step).await
    })
}

impl Cluster {
    /// The apps that are meant, as far as they are there: what is gone is what is waited for.
    async fn left(&self, selectors: &[Selector]) -> Result<Vec<NodeApp>, String> {
        let all = self.all_apps().await?;
        for selector in selectors {
            if !all.iter().any(|app| selector.takes(&app.name_any())) {
                files::say(&format!("{selector}: is gone already"));
            }
        }
        Ok(all.into_iter().filter(|app| selectors.iter().any(|it| it.takes(&app.name_any()))).collect())
    }
}
