//! `rollback`: an earlier revision runs again.

use std::time::Instant;

use nodeapp_operator::controller::names::{ROLLBACK_ANNOTATION, annotation, is_paused};
use nodeapp_operator::crd::{NodeApp, NodeAppStatus};
use serde_json::json;

use crate::Outcome;
use crate::change::Step;
use crate::cluster::{Cluster, Scope, wait_for};
use crate::revisions::Revision;
use crate::select::Selector;
use crate::waiting::{Goal, PAUSED, Waiting};

/// Run an earlier revision of an app, until its spec changes.
///
/// The last one that was completely rolled out if another one runs now, else the one before; --to takes any number or
/// name of `history`. The spec stays as it is, and what it asks for next runs again; --off goes back to it now.
///
/// Exit code: 0 if the revision runs in all instances; 1 if not, told with the reason.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp rollback shop\n  kubectl nodeapp rollback shop --to 3\n  kubectl nodeapp rollback shop --off"
)]
pub(crate) struct Args {
    /// Name, `all` or /regex/.
    #[arg(value_name = "NAME")]
    selector: Selector,
    /// Number or name of the revision.
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    /// Run what the spec asks for again.
    #[arg(long, conflicts_with = "to")]
    off: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(std::slice::from_ref(&args.selector)).await?;
        cluster.carry_out(&apps, Some(&args.waiting), async |app| cluster.roll_back(app, args).await).await
    })
}

/// What is to be done to get to a revision.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// It runs.
    There,
    /// It is what the spec asks for.
    Off,
    To(Revision),
}

/// The revision that is meant, of those there are, the newest first.
fn meant<'a>(
    to: Option<&str>,
    status: &NodeAppStatus,
    revisions: &'a [Revision],
) -> Result<&'a Revision, String> {
    let named = |name: &str| revisions.iter().find(|it| it.name == name);
    let Some(to) = to else {
        let running = status.revision.as_deref().unwrap_or_default();
        let stable = status.stable_revision.as_deref().filter(|stable| *stable != running).and_then(named);
        let number = named(running).map_or(i64::MAX, |it| it.number);
        let before = || revisions.iter().find(|it| it.number < number);
        return stable.or_else(before).ok_or_else(|| "has no earlier revision to go back to".to_owned());
    };
    let number: Option<i64> = to.parse().ok();
    named(to).or_else(|| revisions.iter().find(|it| Some(it.number) == number)).ok_or_else(|| {
        let all: Vec<String> = revisions.iter().map(|it| format!("{} ({})", it.number, it.name)).collect();
        format!("has no revision {to}; there are {}", all.join(", "))
    })
}

fn way(to: Option<&str>, app: &NodeApp, revisions: &[Revision]) -> Result<Way, String> {
    let status = app.status.clone().unwrap_or_default();
    let meant = meant(to, &status, revisions)?;
    let by_hand = status.rollback.as_ref().filter(|rollback| !rollback.from.is_empty());
    Ok(match by_hand {
        Some(rollback) if rollback.from == meant.name => Way::Off,
        _ if status.revision.as_deref() == Some(&meant.name) => Way::There,
        _ => Way::To(meant.clone()),
    })
}

impl Cluster {
    async fn roll_back(&self, app: &NodeApp, args: &Args) -> Result<Step, String> {
        if is_paused(&app.metadata) {
            return Err(PAUSED.to_owned());
        }
        if app.spec.rollout.as_ref().and_then(|rollout| rollout.paused) == Some(true) {
            return Err("rollout.paused is true, so nothing is replaced; `resume` goes on".to_owned());
        }
        let way =
            if args.off { Way::Off } else { way(args.to.as_deref(), app, &self.revisions(app).await?)? };
        let asked = annotation(&app.metadata, ROLLBACK_ANNOTATION);
        match way {
            Way::There => {
                let running =
                    app.status.as_ref().and_then(|status| status.revision.clone()).unwrap_or_default();
                Ok(Step::Said(format!("runs {running} already")))
            }
            Way::Off if asked.is_none() => Ok(Step::Said("runs what its spec asks for already".to_owned())),
            Way::Off => {
                self.patch(app, &json!({"metadata": {"annotations": {ROLLBACK_ANNOTATION: null}}})).await?;
                Ok(Step::Asked {
                    goal: Goal::NotRolledBack,
                    done: "runs what its spec asks for again".to_owned(),
                })
            }
            Way::To(revision) => {
                if asked == Some(&revision.name) {
                    self.forget_rollback(app, &args.waiting).await?;
                }
                let patch = json!({"metadata": {"annotations": {ROLLBACK_ANNOTATION: revision.name}}});
                self.patch(app, &patch).await?;
                let done = format!(
                    "runs revision {} ({}, {}) again",
                    revision.number, revision.name, revision.image
                );
                Ok(Step::Asked { goal: Goal::RolledBack(revision.name), done })
            }
        }
    }

    /// The same order as one that is spent is an order only after that one was taken away.
    async fn forget_rollback(&self, app: &NodeApp, waiting: &Waiting) -> Result<(), String> {
        self.patch(app, &json!({"metadata": {"annotations": {ROLLBACK_ANNOTATION: null}}})).await?;
        let (start, selector) =
            (Instant::now(), [crate::select::Selector::Name(app.metadata.name.clone().unwrap_or_default())]);
        loop {
            let found =
                Self { namespace: app.metadata.namespace.clone(), ..self.clone() }.apps(&selector).await?;
            let known = found.first().and_then(|app| app.status.as_ref()?.rollback.as_ref());
            if known.is_none() {
                return Ok(());
            }
            if start.elapsed() >= waiting.timeout {
                return Err(
                    "the operator has not seen that the last rollback is over; does it run?".to_owned()
                );
            }
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::app;

    fn revisions() -> Vec<Revision> {
        let one = |number: i64| Revision { number, name: format!("shop-{number}"), ..Revision::default() };
        vec![one(4), one(3), one(1)]
    }

    fn way_of(to: Option<&str>, status: &serde_json::Value) -> Result<Way, String> {
        way(to, &app(&[], status), &revisions())
    }

    #[test]
    fn without_a_name_it_is_the_last_good_one_or_the_one_before() {
        let number = |status: &serde_json::Value| match way_of(None, status) {
            Ok(Way::To(revision)) => revision.number,
            other => panic!("{other:?}"),
        };
        assert_eq!(number(&json!({"revision": "shop-4", "stableRevision": "shop-4"})), 3);
        assert_eq!(number(&json!({"revision": "shop-4", "stableRevision": "shop-1"})), 1);
        assert_eq!(number(&json!({"revision": "shop-3", "stableRevision": "shop-3"})), 1);
        let first = way_of(None, &json!({"revision": "shop-1", "stableRevision": "shop-1"}));
        assert!(first.expect_err("there is none").contains("no earlier revision"));
    }

    #[test]
    fn a_number_and_a_name_are_the_same_and_others_are_refused_with_those_there_are() {
        let status = json!({"revision": "shop-4"});
        assert_eq!(way_of(Some("3"), &status), way_of(Some("shop-3"), &status));
        assert_eq!(way_of(Some("4"), &status), Ok(Way::There));
        let error = way_of(Some("2"), &status).expect_err("there is none");
        assert_eq!(error, "has no revision 2; there are 4 (shop-4), 3 (shop-3), 1 (shop-1)");
    }

    #[test]
    fn forward_to_what_the_spec_asks_for_is_the_end_of_a_rollback() {
        let status = json!({"revision": "shop-1", "rollback": {"to": "shop-1", "from": "shop-4"}});
        assert_eq!(way_of(Some("4"), &status), Ok(Way::Off));
    }
}
