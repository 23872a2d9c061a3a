//! Keeps all but one instance through voluntary disruptions. A single instance
//! has none: it could never be moved off a node that is drained.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::controller::names;
use crate::controller::validate::ValidatedApp;

/// The budget of an app that has two or more instances, or may come to have them: one
/// that is stopped keeps it.
pub(super) fn build(app: &ValidatedApp) -> Option<PodDisruptionBudget> {
    let instances = app.autoscaling.as_ref().map_or(app.unless_stopped, |autoscaling| autoscaling.most);
    (instances >= 2).then(|| PodDisruptionBudget {
        metadata: metadata(app, app.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(names::selector(&app.name)),
                ..LabelSelector::default()
            }),
            // A broken app must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
