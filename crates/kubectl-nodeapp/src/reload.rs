//! `reload`: new instances take the place of the old ones, and no request fails.

use std::process::ExitCode;

use jiff::Timestamp;
use nodeapp_operator::controller::names::{RESTARTED_ANNOTATION, is_paused};
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use crate::change::Step;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::select::is_named;
use crate::state::is_job;
use crate::targets::{FileArgs, Target, split};
use crate::waiting::{Goal, PAUSED, Waiting};
use crate::{Outcome, apps_file};

/// Replace all instances of apps, one surge at a time: a new one gets ready first, then an old one drains and goes.
///
/// The spec stays as it is; a change of the spec does the same by itself. A stopped app is started, as in PM2. A build
/// that does not get ready stops there, and the old instances go on serving. A FILE is applied first, as by `start`; what it
/// changes is rolled over by that, and apps that are as it says already are reloaded.
///
/// Exit code: 0 if all instances are new; 1 if the rollout has failed or takes too long, told with the reason.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp reload shop\n  kubectl nodeapp reload all --timeout 5m\n  kubectl nodeapp reload ecosystem.config.js --env production"
)]
pub(crate) struct Args {
    /// Names, `all`, /regex/ or files.
    #[arg(value_name = "NAME|FILE", required = true)]
    targets: Vec<Target>,
    #[command(flatten)]
    file: FileArgs,
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
        &async |cluster: &Cluster, app: &NodeApp, is_named: bool| cluster.reload(app, is_named).await,
    )
}

/// Does something to all apps that are named, and to those of files that are as the file says already.
pub(crate) fn again(
    words: &[Target],
    file: &FileArgs,
    scope: &Scope,
    waiting: &Waiting,
    verb: &impl AsyncFn(&Cluster, &NodeApp, bool) -> Result<Step, String>,
) -> Outcome {
    let (files, names) = split(words);
    if files.is_empty() {
        file.without_file()?;
    }
    let found = apps_file::read(&files, file)?;
    wait_for(async {
        let cluster = scope.connect().await?;
        let mut code = ExitCode::SUCCESS;
        if !found.is_empty() {
            let otherwise = async |app: &NodeApp| verb(&cluster, app, true).await.map(Some);
            code = cluster.apply(found, waiting, otherwise).await?;
        }
        if !names.is_empty() {
            let apps = cluster.apps(&names).await?;
            let one = async |app: &NodeApp| verb(&cluster, app, is_named(&names, app)).await;
            let done = cluster.carry_out(&apps, Some(waiting), one).await?;
            code = if code == ExitCode::SUCCESS { done } else { code };
        }
        Ok(code)
    })
}

/// Why a job is left alone.
const JOB: &str = "is a job, and each run begins anew anyway";

/// A job has no process to begin anew. Who names it has to know that it was not run; among `all` it is in its place.
pub(crate) fn job(words: &str, is_named: bool) -> Result<Step, String> {
    if is_named { Err(words.to_owned()) } else { Ok(Step::Said(words.to_owned())) }
}

/// Why it cannot be reloaded.
fn refused(app: &NodeApp) -> Result<(), String> {
    if is_paused(&app.metadata) {
        return Err(PAUSED.to_owned());
    }
    if app.spec.rollout.as_ref().and_then(|rollout| rollout.paused) == Some(true) {
        return Err("rollout.paused is true, so nothing is replaced; `resume` goes on".to_owned());
    }
    Ok(())
}

impl Cluster {
    async fn reload(&self, app: &NodeApp, is_named: bool) -> Result<Step, String> {
        if is_job(app) {
            return job(JOB, is_named);
        }
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
    }

    #[test]
    fn a_job_is_refused_by_its_name_and_passed_over_among_all() {
        assert!(job(JOB, true).expect_err("refused").contains("job"));
        assert!(job(JOB, false).is_ok());
    }
}
