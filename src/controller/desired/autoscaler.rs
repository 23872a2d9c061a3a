//! Lets the number of instances follow the load. It stays through a stop: a
//! Deployment of none pauses it.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata;
use crate::controller::names;
use crate::controller::validate::ValidatedApp;
use crate::crd::notation::{Share, bytes_as_quantity};

/// The autoscaler of an app whose number of instances follows the load.
pub(super) fn build(app: &ValidatedApp) -> Option<HorizontalPodAutoscaler> {
    let policy = app.autoscaling.as_ref()?;
    let cpu = policy.cpu.map(|percent| metric("cpu", Share::Percent(percent)));
    let memory = policy.memory.map(|share| metric("memory", share));
    Some(HorizontalPodAutoscaler {
        metadata: metadata(app, app.name.clone()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: app.name.clone(),
            },
            min_replicas: Some(policy.least),
            max_replicas: policy.most,
            metrics: Some(cpu.into_iter().chain(memory).collect()),
            behavior: policy.behavior.clone(),
        }),
        status: None,
    })
}

/// What the app's container uses on average; that of sidecars does not count.
fn metric(resource: &str, target: Share) -> MetricSpec {
    let target = match target {
        Share::Percent(percent) => MetricTarget {
            type_: "Utilization".to_owned(),
            average_utilization: Some(percent),
            ..MetricTarget::default()
        },
        Share::Bytes(bytes) => MetricTarget {
            type_: "AverageValue".to_owned(),
            average_value: Some(Quantity(bytes_as_quantity(bytes))),
            ..MetricTarget::default()
        },
    };
    MetricSpec {
        type_: "ContainerResource".to_owned(),
        container_resource: Some(ContainerResourceMetricSource {
            container: names::APP_CONTAINER.to_owned(),
            name: resource.to_owned(),
            target,
        }),
        ..MetricSpec::default()
    }
}
