//! The `HTTPRoute`: where it hangs, and what it leads to.

use std::collections::BTreeSet;

use super::ingress::has_odd_segments;
use super::{ServicePlan, check_metadata, port_named};
use crate::controller::validate::Problems;
use crate::crd::route::{HttpRoute, RoutePathType};

/// A route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutePlan {
    /// What is given of it.
    pub given: HttpRoute,
    /// Its paths, and the ports that they lead to.
    pub targets: Vec<RouteTarget>,
}

/// A path, and the port of the Service that it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTarget {
    /// How it is meant.
    pub type_: RoutePathType,
    /// The path.
    pub path: String,
    /// The port, by its number.
    pub port: i32,
}

pub(super) fn plan(given: &HttpRoute, service: &ServicePlan, problems: &mut Problems) -> RoutePlan {
    check_metadata("spec.httpRoute", &given.labels, &given.annotations, problems);
    if given.parent_refs.is_empty() {
        problems.add(
            "spec.httpRoute.parentRefs",
            "names no Gateway; add one, such as {name: edge, namespace: infra}",
        );
    }
    check_parents(given, problems);
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for (index, path) in given.paths.iter().enumerate() {
        let field = format!("spec.httpRoute.paths[{index}]");
        let type_ = path.type_.unwrap_or_default();
        if type_ != RoutePathType::RegularExpression {
            if !path.value.starts_with('/') {
                problems.add(&format!("{field}.value"), "must begin with /, such as /api");
            } else if has_odd_segments(&path.value) || path.value.contains('#') {
                problems.add(
                    &format!("{field}.value"),
                    "has //, /./, /../ or # in it, which no request has; take that out",
                );
            }
        }
        if !seen.insert((type_, path.value.as_str())) {
            problems.add(&field, "is there twice; leave one of them out");
        }
        if let Some(port) = port_named(&format!("{field}.port"), path.port.as_deref(), service, problems) {
            targets.push(RouteTarget { type_, path: path.value.clone(), port });
        }
    }
    if given.paths.is_empty() {
        let port = service.ports.first().map_or(0, |port| port.port);
        targets.push(RouteTarget { type_: RoutePathType::PathPrefix, path: "/".to_owned(), port });
    }
    RoutePlan { given: given.clone(), targets }
}

/// The API wants references to one Gateway to differ in their listeners, and in nothing else.
fn check_parents(given: &HttpRoute, problems: &mut Problems) {
    for (index, parent) in given.parent_refs.iter().enumerate() {
        let twin = given.parent_refs[..index].iter().find(|other| {
            (&other.name, &other.namespace) == (&parent.name, &parent.namespace)
                && (parent.section_name.is_none()
                    || other.section_name.is_none()
                    || other.section_name == parent.section_name)
        });
        if twin.is_some() {
            problems.add(
                &format!("spec.httpRoute.parentRefs[{index}]"),
                "names a Gateway that is there already; give each of them another sectionName, or leave one out",
            );
        }
    }
}
