//! `flush`: the log files of apps are emptied.

use nodeapp_operator::crd::NodeApp;

use crate::cluster::{Scope, wait_for};
use crate::select::Selector;
use crate::state::full_name;
use crate::{Outcome, files};

/// Empty the log files of apps in all their instances; rotated ones stay.
///
/// An app has log files only where its spec asks for them (`outFile`, `errorFile`, `logFile`). What `logs` shows is the
/// container's output, which the node keeps and rotates; nobody can empty that.
///
/// Exit code: 0 if all are empty; 1 if one instance refused.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names, `all` or /regex/; all if none, as in PM2.
    #[arg(value_name = "NAME")]
    selectors: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let all = [Selector::All];
        let apps = cluster.apps(if args.selectors.is_empty() { &all } else { &args.selectors }).await?;
        let (apps, others): (Vec<NodeApp>, Vec<NodeApp>) = apps.into_iter().partition(has_files);
        for app in &others {
            files::say(&format!("{}: has no log files", full_name(app, cluster.namespace.is_none())));
        }
        cluster.tell(&apps, &["flush"], Ok("no instance runs, so there are no files")).await
    })
}

/// Whether its spec asks for log files.
fn has_files(app: &NodeApp) -> bool {
    let spec = &app.spec;
    spec.out_file.is_some()
        || spec.error_file.is_some()
        || spec.log_file.is_some()
        || spec.log_rotate.is_some()
}
