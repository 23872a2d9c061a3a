//! The address of an app inside the cluster: its own name, its own port.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::controller::names;
use crate::controller::validate::ValidatedApp;

/// The Service of an app with a port.
pub(super) fn build(app: &ValidatedApp) -> Option<Service> {
    let port = app.runner.port?;
    Some(Service {
        metadata: metadata(app, app.name.clone()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(names::selector(&app.name)),
            ports: Some(vec![ServicePort {
                name: Some(names::APP_PORT.to_owned()),
                port: i32::from(port),
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(names::APP_PORT.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    })
}
