//! `flush`: the log files of apps are emptied.

use crate::Outcome;
use crate::cluster::{Scope, wait_for};
use crate::select::Selector;

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
        cluster.tell(&apps, &["flush"], Ok("no instance runs, so there are no files")).await
    })
}
