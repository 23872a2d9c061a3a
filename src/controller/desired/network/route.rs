//! What leads to an app by a Gateway. Everything that the API would fill in is said, so that what
//! comes back is what was written.

use serde_json::{Value, json};

use super::with;
use crate::controller::gateway::HttpRoute;
use crate::controller::validate::{RouteTarget, ValidatedApp};
use crate::crd::route::{ParentRef, RoutePathType};

/// The route of an app that asks for one.
pub(super) fn build(app: &ValidatedApp) -> Option<HttpRoute> {
    let plan = app.network.route.as_ref()?;
    let given = &plan.given;
    let mut spec = json!({
        "parentRefs": given.parent_refs.iter().map(parent).collect::<Vec<_>>(),
        "rules": plan.targets.iter().map(|target| rule(app, target)).collect::<Vec<_>>(),
    });
    if !given.hostnames.is_empty() {
        spec["hostnames"] = json!(given.hostnames);
    }
    let metadata = with(app, app.name.clone(), &given.labels, &given.annotations);
    Some(HttpRoute::new(metadata, spec))
}

fn parent(given: &ParentRef) -> Value {
    let mut parent = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": given.name});
    let optional = [
        ("namespace", given.namespace.as_ref().map(|it| json!(it))),
        ("sectionName", given.section_name.as_ref().map(|it| json!(it))),
        ("port", given.port.map(|it| json!(it))),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            parent[field] = value;
        }
    }
    parent
}

fn rule(app: &ValidatedApp, target: &RouteTarget) -> Value {
    let type_ = match target.type_ {
        RoutePathType::PathPrefix => "PathPrefix",
        RoutePathType::Exact => "Exact",
        RoutePathType::RegularExpression => "RegularExpression",
    };
    json!({
        "matches": [{"path": {"type": type_, "value": target.path}}],
        "backendRefs": [{"group": "", "kind": "Service", "name": app.name, "port": target.port, "weight": 1}],
    })
}
