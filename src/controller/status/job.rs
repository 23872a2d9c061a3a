//! The conditions of an app that is a job: it is as it should be when its schedule
//! stands, and something is wrong when its last run has failed.

use super::Verdict;
use crate::controller::runs::Runs;
use crate::crd::{ConditionType, Reason};

pub(super) fn verdicts(runs: &Runs) -> [Verdict; 5] {
    let (reason, message) = if runs.suspended {
        (Reason::Stopped, "stopped: no run is begun".to_owned())
    } else {
        let next = runs.status.next.as_deref().unwrap_or("never");
        (Reason::Scheduled, format!("a job: the next run is due at {next}"))
    };
    let verdict =
        |type_, holds, reason, message: &str| Verdict { type_, holds, reason, message: message.to_owned() };
    let degraded = match &runs.failure {
        Some(failure) => verdict(ConditionType::Degraded, true, Reason::RunFailed, failure),
        None => verdict(ConditionType::Degraded, false, Reason::Healthy, "nothing is wrong"),
    };
    [
        verdict(ConditionType::Ready, true, reason, &message),
        verdict(ConditionType::Available, true, reason, &message),
        verdict(ConditionType::Progressing, false, Reason::Settled, &message),
        degraded,
        verdict(ConditionType::Valid, true, Reason::Accepted, "the spec is carried out"),
    ]
}
