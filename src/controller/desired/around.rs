//! Lays around the app's pod what the user wants there, and what every pod has by default.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Settings;
use crate::controller::names;
use crate::controller::validate::ValidatedApp;

/// What the sidecars get to end, after the app has.
const SIDECARS_SHARE_SECONDS: i64 = 5;

/// The template with everything around the app. Of what is there already, the user's fields replace
/// those of the same name; the overlay comes last.
pub(super) fn around(
    mut template: core::PodTemplateSpec,
    app: &ValidatedApp,
    settings: &Settings,
) -> core::PodTemplateSpec {
    let plan = &app.pod;
    if let Some(metadata) = &mut template.metadata {
        metadata.labels.get_or_insert_default().extend(plan.labels.clone());
        metadata.annotations.get_or_insert_default().extend(plan.annotations.clone());
    }
    if let Some(pod) = &mut template.spec {
        pod.merge_from(plan.spec.clone());
        pod.security_context.merge_from(plan.security.clone());
        pod.topology_spread_constraints = spread(app);
        add_pull_secrets(pod, &settings.image_pull_secrets);
        let init = pod.init_containers.get_or_insert_default();
        init.extend(plan.sidecars.iter().cloned());
        init.extend(plan.before.iter().cloned());
        let of_user = plan.sidecars.iter().chain(&plan.before);
        if of_user.into_iter().any(|container| container.restart_policy.is_some()) {
            *pod.termination_grace_period_seconds.get_or_insert_default() += SIDECARS_SHARE_SECONDS;
        }
        let container = pod.containers.iter_mut().find(|container| container.name == names::APP_CONTAINER);
        if let Some(container) = container {
            container.security_context.merge_from(plan.container_security.clone());
            container.volume_mounts.get_or_insert_default().extend(plan.mounts.iter().cloned());
        }
    }
    if let Some(overlay) = plan.overlay.clone() {
        template.merge_from(overlay);
    }
    template
}

/// As evenly as possible over hosts and zones, unless something else is said. A job has one pod.
fn spread(app: &ValidatedApp) -> Option<Vec<core::TopologySpreadConstraint>> {
    if let Some(given) = &app.pod.spread {
        return Some(given.clone()).filter(|given| !given.is_empty());
    }
    let over = |key: &str| core::TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(names::selector(&app.name)),
            ..LabelSelector::default()
        }),
        ..core::TopologySpreadConstraint::default()
    };
    app.job().is_none().then(|| vec![over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")])
}

/// Adds those of the installation to those that are there.
pub(super) fn add_pull_secrets(pod: &mut core::PodSpec, names: &[String]) {
    for name in names {
        let secrets = pod.image_pull_secrets.get_or_insert_default();
        if secrets.iter().all(|secret| secret.name != *name) {
            secrets.push(core::LocalObjectReference { name: name.clone() });
        }
    }
}
