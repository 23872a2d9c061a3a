//! `pause` and `resume`: nothing is replaced for now.

use nodeapp_operator::controller::names::{PAUSED_ANNOTATION, is_paused};
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::Outcome;
use crate::change::Step;
use crate::cluster::{Scope, wait_for};
use crate::select::Selector;
use crate::waiting::{Goal, Waiting};

/// Let no change replace an instance, until `resume`.
///
/// Sets `rollout.paused: true`: changes of the spec and restarts wait, scaling and stopping go on. With --operator it is
/// the annotation nodeapp.dev/paused: the operator leaves the app alone altogether.
///
/// Exit code: 0 if all are paused; 1 if the cluster refuses one.
#[derive(clap::Args)]
pub(crate) struct PauseArgs {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    /// Let the operator change nothing at all about them.
    #[arg(long)]
    operator: bool,
    #[command(flatten)]
    scope: Scope,
}

/// Carry out what a `pause` has kept back, and wait for it.
///
/// Exit code: 0 if all are ready with what their spec asks for; 1 if one is not, told with the reason.
#[derive(clap::Args)]
pub(crate) struct ResumeArgs {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

fn rollouts_wait(app: &NodeApp) -> bool {
    app.spec.rollout.as_ref().and_then(|rollout| rollout.paused) == Some(true)
}

pub(crate) fn pause(args: &PauseArgs) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        let pause = async |app: &NodeApp| {
            let (already, patch, words) = if args.operator {
                let patch = json!({"metadata": {"annotations": {PAUSED_ANNOTATION: "true"}}});
                (is_paused(&app.metadata), patch, "the operator leaves it alone until `resume`")
            } else {
                let patch = json!({"spec": {"rollout": {"paused": true}}});
                (rollouts_wait(app), patch, "nothing is replaced until `resume`; scaling goes on")
            };
            if already {
                return Ok(Step::Said("is paused already".to_owned()));
            }
            cluster.patch(app, &patch).await.map(|_| Step::Said(format!("paused: {words}")))
        };
        cluster.carry_out(&apps, None, pause).await
    })
}

/// What takes both kinds of pause away; none where there is none.
fn release(app: &NodeApp) -> Option<Value> {
    let mut patch = json!({});
    if rollouts_wait(app) {
        patch["spec"] = json!({"rollout": {"paused": false}});
    }
    if is_paused(&app.metadata) {
        patch["metadata"] = json!({"annotations": {PAUSED_ANNOTATION: null}});
    }
    (patch != json!({})).then_some(patch)
}

pub(crate) fn resume(args: &ResumeArgs) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        let resume = async |app: &NodeApp| {
            let Some(patch) = release(app) else { return Ok(Step::Said("is not paused".to_owned())) };
            let patched = cluster.patch(app, &patch).await?;
            let goal = Goal::Ready(patched.metadata.generation.unwrap_or(0));
            Ok(Step::Asked { goal, done: "resumed".to_owned() })
        };
        cluster.carry_out(&apps, Some(&args.waiting), resume).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::app;

    #[test]
    fn a_resume_takes_away_the_pauses_that_there_are_and_no_other_field() {
        let mut shop = app(&[], &json!({}));
        assert_eq!(release(&shop), None);
        shop.spec.rollout =
            serde_json::from_value(json!({"paused": true, "maxSurge": 1})).expect("a rollout");
        assert_eq!(release(&shop), Some(json!({"spec": {"rollout": {"paused": false}}})));
        shop.metadata.annotations = Some([(PAUSED_ANNOTATION.to_owned(), "true".to_owned())].into());
        let both = json!({
            "spec": {"rollout": {"paused": false}},
            "metadata": {"annotations": {PAUSED_ANNOTATION: null}},
        });
        assert_eq!(release(&shop), Some(both));
    }
}
