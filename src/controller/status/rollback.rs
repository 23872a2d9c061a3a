//! How a rollout went, and what is told where it was taken back.

use super::rollout::{Rollout, Situation};
use crate::controller::desired::History;
use crate::crd::{NodeApp, NodeAppStatus};

/// What is known of rollouts, after a look at this one.
pub(super) fn judge(
    app: &NodeApp,
    before: History,
    wanted: &str,
    running: Option<&str>,
    situation: &Situation,
) -> History {
    let History { stable, failed } = before;
    // It was to be taken back, and is not: the way back is gone.
    let no_way_back = is_asked_for(app) && running == Some(wanted) && failed.as_deref() == Some(wanted);
    let stable = stable.filter(|stable| !no_way_back || stable == wanted);
    // Another spec is another attempt.
    let mut failed = failed.filter(|failed| failed == wanted);
    match situation.rollout {
        // A stopped app has shown nothing.
        Rollout::Settled if situation.wanted > 0 => {
            // It took its time, but it came.
            failed = failed.filter(|failed| Some(failed.as_str()) != running);
            return History { stable: running.map(str::to_owned).or(stable), failed };
        }
        _ if situation.overdue && running == Some(wanted) => failed = Some(wanted.to_owned()),
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
