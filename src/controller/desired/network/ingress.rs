//! What leads to an app by an ingress controller.

use k8s_openapi::api::networking::v1 as networking;

use super::with;
use crate::controller::names;
use crate::controller::validate::ValidatedApp;
use crate::crd::route::{IngressHost, IngressPath, PathType};

/// The Ingress of an app that asks for one.
pub(super) fn build(app: &ValidatedApp) -> Option<networking::Ingress> {
    let plan = app.network.ingress.as_ref()?;
    let given = &plan.given;
    let tls = given.tls.iter().map(|tls| networking::IngressTLS {
        hosts: (!tls.hosts.is_empty()).then(|| tls.hosts.clone()),
        secret_name: tls.secret_name.clone(),
    });
    Some(networking::Ingress {
        metadata: with(app, app.name.clone(), &given.labels, &plan.annotations),
        spec: Some(networking::IngressSpec {
            ingress_class_name: given.class_name.clone(),
            rules: Some(given.hosts.iter().map(|host| rule(app, host)).collect()),
            tls: Some(tls.collect()).filter(|tls: &Vec<_>| !tls.is_empty()),
            default_backend: None,
        }),
        status: None,
    })
}

fn rule(app: &ValidatedApp, host: &IngressHost) -> networking::IngressRule {
    let all = [IngressPath { path: "/".to_owned(), ..IngressPath::default() }];
    let paths = if host.paths.is_empty() { all.as_slice() } else { &host.paths };
    networking::IngressRule {
        host: host.host.clone(),
        http: Some(networking::HTTPIngressRuleValue {
            paths: paths.iter().map(|given| path(app, given)).collect(),
        }),
    }
}

fn path(app: &ValidatedApp, given: &IngressPath) -> networking::HTTPIngressPath {
    let type_ = match given.path_type.unwrap_or_default() {
        PathType::Prefix => "Prefix",
        PathType::Exact => "Exact",
        PathType::ImplementationSpecific => "ImplementationSpecific",
    };
    let port = given.port.clone().unwrap_or_else(|| names::APP_PORT.to_owned());
    networking::HTTPIngressPath {
        path: Some(given.path.clone()),
        path_type: type_.to_owned(),
        backend: networking::IngressBackend {
            service: Some(networking::IngressServiceBackend {
                name: app.name.clone(),
                port: Some(networking::ServiceBackendPort { name: Some(port), number: None }),
            }),
            resource: None,
        },
    }
}
