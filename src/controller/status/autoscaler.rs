//! An autoscaler of ours that cannot do its work, as without a metrics-server.

use jiff::{SignedDuration, Timestamp};

use super::conditions::Verdict;
use crate::controller::cache::trouble_of;
use crate::controller::desired::{Applied, Children};
use crate::crd::{ConditionType, Reason};

/// How long one may lack figures: those of a new instance take a while.
const PATIENCE: SignedDuration = SignedDuration::from_mins(3);

/// When it has lasted for too long, if there is trouble.
pub(super) fn due(children: &Children<Applied>) -> Option<Timestamp> {
    let trouble = trouble_of(children.autoscaler.as_ref()?)?;
    trouble.last_transition_time.as_ref()?.0.checked_add(PATIENCE).ok()
}

/// What is wrong beside that, if nothing worse is.
pub(super) fn degradation_beside(children: &Children<Applied>, other: Verdict, now: Timestamp) -> Verdict {
    match told(children, now) {
        Some(message) if !other.holds => {
            let (type_, reason) = (ConditionType::Degraded, Reason::AutoscalerInactive);
            Verdict { type_, holds: true, reason, message }
        }
        _ => other,
    }
}

fn told(children: &Children<Applied>, now: Timestamp) -> Option<String> {
    due(children).filter(|due| *due <= now)?;
    let autoscaler = children.autoscaler.as_ref()?;
    let trouble = trouble_of(autoscaler)?;
    Some(format!(
        "the HorizontalPodAutoscaler {} does not scale: {}: {}. The number of instances stays as it is; where \
         `kubectl top pods` shows no figures, a metrics-server is missing or fails",
        autoscaler.metadata.name.as_deref().unwrap_or_default(),
        trouble.reason.as_deref().unwrap_or_default(),
        trouble.message.as_deref().unwrap_or_default()
    ))
}
