//! `trigger`: a custom action that the app has registered.

use crate::Outcome;
use crate::cluster::{Scope, wait_for};
use crate::select::Selector;

/// Call a custom action of an app in all its instances, and print what each returns.
///
/// Actions are those that the app has registered through @pm2/io, tx2 or by hand. Each instance has 30 s to answer.
///
/// Exit code: 0 if all have answered; 1 if one knows no such action, refused, or none runs.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp trigger shop clear-cache\n  kubectl nodeapp trigger shop resize '{\"width\": 300}'"
)]
pub(crate) struct Args {
    /// Name, `all` or /regex/.
    #[arg(value_name = "NAME")]
    selector: Selector,
    /// Name of the action; `describe` lists them.
    action: String,
    /// What it is given: JSON, or else a text.
    params: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(std::slice::from_ref(&args.selector)).await?;
        let words: Vec<&str> = ["trigger", &args.action].into_iter().chain(args.params.as_deref()).collect();
        cluster.tell(&apps, &words, Err("no instance runs, so nobody can be asked")).await
    })
}
