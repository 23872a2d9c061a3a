//! How a rollout went, and what is told where it was taken back.

use super::rollout::{Rollout, Situation};
use crate::controller::desired::{Applied, Children, History};
use crate::crd::{NodeApp, NodeAppStatus};

/// What is known of rollouts, after a look at this one.
pub(super) fn judge(
    app: &NodeApp,
    before: History,
    wanted: &str,
    running: &str,
    situation: &Situation,
) -> History {
    let History { stable, failed } = before;
    // It was to be taken back, and is not: the way back is gone.
    let no_way_back = is_asked_for(app) && running == wanted && failed.as_deref() == Some(wanted);
    let stable = stable.filter(|stable| !no_way_back || stable == wanted);
    // Another spec is another attempt.
    let mut failed = failed.filter(|failed| failed == wanted);
    match situation.rollout {
        // A stopped app has shown nothing.
        Rollout::Settled if situation.wanted > 0 => {
            // It took its time, but it came.
            failed = failed.filter(|failed| failed != running);
            return History { stable: Some(running.to_owned()), failed };
        }
        _ if situation.overdue && running == wanted => failed = Some(wanted.to_owned()),
        _ => {}
    }
    History { stable, failed }
}

/// Whether the template that runs is to be replaced by the last good one.
pub(super) fn is_due(app: &NodeApp, status: &NodeAppStatus) -> bool {
    let another = status.stable_revision.is_some() && status.stable_revision != status.revision;
    is_asked_for(app)
        && another
        && status.failed_revision.is_some()
        && status.failed_revision == status.revision
}

fn is_asked_for(app: &NodeApp) -> bool {
    app.spec.rollout.as_ref().and_then(|rollout| rollout.auto_rollback).unwrap_or(false)
}

/// What is told of a rollout that was taken back.
pub(super) fn message(children: &Children<Applied>) -> Option<String> {
    let wanted = children.revision.metadata.name.as_deref().unwrap_or_default();
    let running = &children.running;
    (wanted != running).then(|| {
        format!(
            "the rollout of {wanted} has failed and was taken back: {running} runs again, and stays until the spec \
             changes. Correct the spec, or set rollout.autoRollback to false to try {wanted} again"
        )
    })
}
