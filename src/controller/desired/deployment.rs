//! Runs the pods: replaces them one surge at a time and never serves with fewer.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::config::Config;
use super::metadata;
use crate::controller::names;
use crate::controller::validate::ValidatedApp;

/// `ReplicaSets` kept by the Deployment, for who looks what ran before. History is
/// in the `ControllerRevisions`, and the way back is the `NodeApp`: a `kubectl
/// rollout undo` is reverted, since the `NodeApp` still asks for the other template.
const REPLICA_SETS_KEPT: i32 = 3;

/// The Deployment of an app with the given pod template, which is that of `revision`
/// unless no pods may be made yet.
pub(super) fn build(
    app: &ValidatedApp,
    mut template: PodTemplateSpec,
    revision: Option<&str>,
    config: Config,
) -> Deployment {
    let mut metadata = metadata(app, app.name.clone());
    let annotations = [
        (names::REVISION_ANNOTATION, revision.map(str::to_owned)),
        (names::CONFIG_ANNOTATION, config.seen),
        (names::CONFIG_CHANGED_ANNOTATION, config.changed),
    ];
    let annotations = annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    metadata.annotations =
        Some(annotations.collect()).filter(|annotations: &BTreeMap<_, _>| !annotations.is_empty());
    if let Some(mark) = config.mark {
        let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
        annotations.insert(names::CONFIG_HASH_ANNOTATION.to_owned(), mark);
    }
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            // An autoscaler decides by itself.
            replicas: app.autoscaling.is_none().then_some(app.instances),
            paused: app.rollout.paused.then_some(true),
            min_ready_seconds: Some(app.rollout.min_ready_seconds).filter(|seconds| *seconds > 0),
            revision_history_limit: Some(REPLICA_SETS_KEPT),
            progress_deadline_seconds: Some(progress_deadline(app)),
            selector: LabelSelector {
                match_labels: Some(names::selector(&app.name)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(app.rollout.max_surge.clone()),
                    max_unavailable: Some(app.rollout.max_unavailable.clone()),
                }),
            }),
            template,
        }),
        status: None,
    }
}

fn progress_deadline(app: &ValidatedApp) -> i32 {
    i32::try_from(seconds_rounded_up(app.rollout.progress_deadline)).unwrap_or(i32::MAX)
}

/// Whole seconds, rounded up.
pub(super) fn seconds_rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
