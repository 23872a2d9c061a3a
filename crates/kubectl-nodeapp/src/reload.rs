//! `reload`: new instances take the place of the old ones, and no request fails.

use jiff::Timestamp;
use nodeapp_operator::controller::names::{RESTARTED_ANNOTATION, is_paused};
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use crate::Outcome;
use crate::change::Step;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::Selector;
use crate::state::is_job;
use crate::waiting::{Goal, PAUSED, Waiting};

/// Replace all instances of apps, one surge at a time: a new one gets ready first, then an old one drains and goes.
///
/// The spec stays as it is; a change of the spec does the same by itself. A stopped app is started, as in PM2. A build
/// that does not get ready stops there, and the old instances go on serving.
///
/// Exit code: 0 if all instances are new; 1 if the rollout has failed or takes too long, told with the reason.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  kubectl nodeapp reload shop\n  kubectl nodeapp reload all --timeout 5m")]
pub(crate) struct Args {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        cluster.carry_out(&apps, Some(&args.waiting), async |app| cluster.reload(app).await).await
    })
}

/// Why it cannot be reloaded.
fn refused(app: &NodeApp) -> Result<(), String> {
    if is_job(app) {
        return Err("is a job, and each run begins anew anyway".to_owned());
    }
    if is_paused(&app.metadata) {
        return Err(PAUSED.to_owned());
    }
    if app.spec.rollout.as_ref().and_then(|rollout| rollout.paused) == Some(true) {
        return Err("rollout.paused is true, so nothing is replaced; `resume` goes on".to_owned());
    }
    Ok(())
}

impl Cluster {
    async fn reload(&self, app: &NodeApp) -> Result<Step, String> {
        refused(app)?;
        if app.spec.stopped == Some(true) {
            return self.start(app).await;
        }
        let request = Timestamp::now().to_string();
        self.patch(app, &json!({"metadata": {"annotations": {RESTARTED_ANNOTATION: request}}})).await?;
        Ok(Step::Asked { goal: Goal::Reloaded(request), done: "reloaded".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::app;

    #[test]
    fn what_would_replace_nothing_is_refused_with_the_way_out() {
        let mut shop = app(&["Ready=True:AllInstancesReady"], &json!({}));
        assert_eq!(refused(&shop), Ok(()));
        shop.spec.rollout = serde_json::from_value(json!({"paused": true})).expect("a rollout");
        assert!(refused(&shop).expect_err("paused").contains("`resume`"));
        shop.metadata.annotations = Some([("nodeapp.dev/paused".to_owned(), "true".to_owned())].into());
        assert!(refused(&shop).expect_err("left alone").contains("nodeapp.dev/paused"));
        shop.spec.autorestart = Some(false);
        shop.spec.cron_restart = Some("@daily".to_owned());
        assert!(refused(&shop).expect_err("a job").contains("job"));
    }
}
