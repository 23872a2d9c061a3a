//! The Ingress, and the cookie by which each controller keeps a client with its instance: all of
//! them can, none of them in the way of another.

use std::collections::{BTreeMap, BTreeSet};

use super::{ServicePlan, check_metadata, port_named};
use crate::controller::validate::Problems;
use crate::crd::route::{CookieAffinity, Ingress, IngressController};

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngressPlan {
    /// What is given of it.
    pub given: Ingress,
    /// Annotations, with those for the cookie.
    pub annotations: BTreeMap<String, String>,
}

/// By this annotation classes were named before there was a field for them.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) fn plan(
    name: &str,
    given: &Ingress,
    service: &mut ServicePlan,
    problems: &mut Problems,
) -> IngressPlan {
    check_metadata("spec.ingress", &given.labels, &given.annotations, problems);
    if given.hosts.is_empty() {
        problems.add("spec.ingress.hosts", "names no host; add one, such as {host: shop.example.com}");
    }
    if given.class_name.is_some() && given.annotations.contains_key(CLASS_ANNOTATION) {
        problems.add(
            "spec.ingress.className",
            "and the annotation kubernetes.io/ingress.class in spec.ingress.annotations both name a class; take the \
             annotation out",
        );
    }
    check_paths(given, service, problems);
    let mut annotations = given.annotations.clone();
    if let Some(cookie) = &given.cookie_affinity {
        let cookies = cookies(name, given, cookie, problems);
        lay("spec.ingress.annotations", &mut annotations, cookies.of_ingress, problems);
        lay("spec.service.annotations", &mut service.annotations, cookies.of_service, problems);
    }
    IngressPlan { given: given.clone(), annotations }
}

fn check_paths(given: &Ingress, service: &ServicePlan, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, host) in given.hosts.iter().enumerate() {
        let name = host.host.as_deref().unwrap_or_default();
        if host.paths.is_empty() && !seen.insert((name, "/", "Prefix")) {
            problems.add(
                &format!("spec.ingress.hosts[{index}]"),
                "leads to all paths of a host that is there already; leave one of them out",
            );
        }
        for (at, path) in host.paths.iter().enumerate() {
            let field = format!("spec.ingress.hosts[{index}].paths[{at}]");
            let type_ = path.path_type.unwrap_or_default();
            if !path.path.starts_with('/') {
                problems.add(&format!("{field}.path"), "must begin with /, such as /api");
            }
            let kind = match type_ {
                crate::crd::route::PathType::Prefix => "Prefix",
                crate::crd::route::PathType::Exact => "Exact",
                crate::crd::route::PathType::ImplementationSpecific => "ImplementationSpecific",
            };
            if kind != "ImplementationSpecific" && has_odd_segments(&path.path) {
                problems.add(
                    &format!("{field}.path"),
                    "has //, /./ or /../ in it, which no request has; take that out",
                );
            }
            if !seen.insert((name, path.path.as_str(), kind)) {
                problems.add(&field, "is there twice; leave one of them out");
            }
            port_named(&format!("{field}.port"), path.port.as_deref(), service, problems);
        }
    }
}

/// Segments that clients resolve before they ask.
pub(super) fn has_odd_segments(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    ["//", "/./", "/../", "%2f"].iter().any(|odd| lower.contains(odd))
        || lower.ends_with("/..")
        || lower.ends_with("/.")
}

/// Annotations by which a controller is told of a cookie: some read them in the Ingress, some in the
/// Service.
#[derive(Default)]
struct Cookies {
    of_ingress: Vec<(&'static str, String)>,
    of_service: Vec<(&'static str, String)>,
}

fn controller(given: &Ingress) -> Option<IngressController> {
    given.controller.or(match given.class_name.as_deref() {
        Some("nginx") => Some(IngressController::IngressNginx),
        Some("traefik") => Some(IngressController::Traefik),
        _ => None,
    })
}

fn cookies(name: &str, given: &Ingress, cookie: &CookieAffinity, problems: &mut Problems) -> Cookies {
    let field = "spec.ingress.cookieAffinity";
    let Some(controller) = controller(given) else {
        let class = given.class_name.as_deref().map_or_else(
            || "without spec.ingress.className it is not known which one that is".to_owned(),
            |class| format!("spec.ingress.className {class} does not say which one that is"),
        );
        problems.add(
            field,
            &format!(
                "every controller has its own way of it, and {class}; set spec.ingress.controller to IngressNginx, \
                 Traefik, HAProxyTechnologies or HAProxyIngress. For any other controller, leave \
                 cookieAffinity out and write its own annotations into spec.ingress.annotations or \
                 spec.service.annotations"
            ),
        );
        return Cookies::default();
    };
    let age = cookie.max_age_seconds.map(|seconds| seconds.to_string());
    let has_age = matches!(controller, IngressController::IngressNginx | IngressController::Traefik);
    if age.is_some() && !has_age {
        problems.add(
            &format!("{field}.maxAgeSeconds"),
            &format!("{} cannot limit the age of the cookie; leave it out", controller.name()),
        );
    }
    told(controller, cookie.name.clone().unwrap_or_else(|| format!("{name}-instance")), age)
}

/// What a controller reads of a cookie and its age.
fn told(controller: IngressController, name: String, age: Option<String>) -> Cookies {
    let yes = || "true".to_owned();
    match controller {
        IngressController::IngressNginx => {
            let mut all = vec![
                ("nginx.ingress.kubernetes.io/affinity", "cookie".to_owned()),
                // Balanced, its default, would move clients when instances come.
                ("nginx.ingress.kubernetes.io/affinity-mode", "persistent".to_owned()),
                ("nginx.ingress.kubernetes.io/session-cookie-name", name),
            ];
            all.extend(age.map(|age| ("nginx.ingress.kubernetes.io/session-cookie-max-age", age)));
            Cookies { of_ingress: all, ..Cookies::default() }
        }
        IngressController::Traefik => {
            let mut all = vec![
                ("traefik.ingress.kubernetes.io/service.sticky.cookie", yes()),
                ("traefik.ingress.kubernetes.io/service.sticky.cookie.name", name),
                ("traefik.ingress.kubernetes.io/service.sticky.cookie.httponly", yes()),
            ];
            all.extend(age.map(|age| ("traefik.ingress.kubernetes.io/service.sticky.cookie.maxage", age)));
            Cookies { of_service: all, ..Cookies::default() }
        }
        IngressController::HAProxyTechnologies => {
            Cookies { of_ingress: vec![("haproxy.org/cookie-persistence", name)], ..Cookies::default() }
        }
        IngressController::HAProxyIngress => Cookies {
            of_ingress: vec![
                ("haproxy-ingress.github.io/affinity", "cookie".to_owned()),
                ("haproxy-ingress.github.io/session-cookie-name", name),
            ],
            ..Cookies::default()
        },
    }
}

/// Adds annotations; one that is there with another value is told.
fn lay(
    field: &str,
    annotations: &mut BTreeMap<String, String>,
    more: Vec<(&'static str, String)>,
    problems: &mut Problems,
) {
    for (key, value) in more {
        match annotations.get(key) {
            Some(given) if *given != value => problems.add(
                field,
                &format!(
                    "{key}: {given} is set by spec.ingress.cookieAffinity too, to {value}; take it out here, or take \
                     cookieAffinity out"
                ),
            ),
            _ => drop(annotations.insert(key.to_owned(), value)),
        }
    }
}
