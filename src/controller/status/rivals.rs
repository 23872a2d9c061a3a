//! Autoscalers of others that set the number of an app's pods behind its back.

use super::Verdict;
use crate::controller::desired::{Applied, Children};
use crate::crd::{ConditionType, Reason};

/// What is wrong with an app whose children are as they should be; `own` comes first.
pub(super) fn degradation_beside(children: &Children<Applied>, own: Verdict) -> Verdict {
    match message(children) {
        Some(message) if !own.holds => {
            let (type_, reason) = (ConditionType::Degraded, Reason::ForeignAutoscaler);
            Verdict { type_, holds: true, reason, message }
        }
        _ => own,
    }
}

fn message(children: &Children<Applied>) -> Option<String> {
    let names = Some(children.rivals.join(", ")).filter(|names| !names.is_empty())?;
    let deployment = children.deployment.as_ref()?;
    let app = deployment.metadata.name.as_deref().unwrap_or_default();
    Some(match &children.autoscaler {
        Some(_) => format!(
            "the HorizontalPodAutoscaler {names} and the one of spec.autoscaling set the number of pods of the \
             Deployment {app} in turn. Delete the former, or take spec.autoscaling out and let it scale the NodeApp \
             (scaleTargetRef: {{apiVersion: nodeapp.dev/v1alpha1, kind: NodeApp, name: {app}}})"
        ),
        None => format!(
            "the HorizontalPodAutoscaler {names} and the operator set the number of pods of the Deployment {app} in \
             turn. Let it scale the NodeApp instead (scaleTargetRef: {{apiVersion: nodeapp.dev/v1alpha1, kind: \
             NodeApp, name: {app}}}), or delete it and use spec.autoscaling"
        ),
    })
}
