//! `send-signal`: a signal to the main process of each instance.

use crate::Outcome;
use crate::cluster::{Scope, wait_for};
use crate::select::Selector;

/// Send a signal to the main process of each instance.
///
/// Exit code: 0 if it was sent to all; 1 if one refused, or none runs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  kubectl nodeapp send-signal SIGUSR2 shop")]
pub(crate) struct Args {
    /// Its name, such as SIGUSR2 or HUP.
    signal: String,
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        let idle = Err("no instance runs, so there is nobody to send it to");
        cluster.tell(&apps, &["signal", &args.signal], idle).await
    })
}
