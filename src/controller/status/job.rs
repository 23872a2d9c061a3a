//! How an app stands that is a job: it is as it should be when its schedule stands,
//! and something is wrong when its last run has failed.

use super::{Standing, Verdict};
use crate::controller::runs::Runs;
use crate::crd::{ConditionType, Reason};

pub(super) fn standing(runs: &Runs) -> Standing {
    let (reason, message) = if runs.suspended {
        (Reason::Stopped, "stopped: no run is begun".to_owned())
    } else {
        let next = runs.status.next.as_deref().unwrap_or("never");
        (Reason::Scheduled, format!("a job: the next run is due at {next}"))
    };
    let degraded = match &runs.failure {
        Some(failure) => Verdict::new(ConditionType::Degraded, true, Reason::RunFailed, failure),
        None => Verdict::new(ConditionType::Degraded, false, Reason::Healthy, "nothing is wrong"),
    };
    Standing {
        exists: true,
        ready: Verdict::new(ConditionType::Ready, true, reason, &message),
        available: Verdict::new(ConditionType::Available, true, reason, &message),
        progressing: Verdict::new(ConditionType::Progressing, false, Reason::Settled, &message),
        degraded,
    }
}
