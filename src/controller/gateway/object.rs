//! The `HTTPRoute` of the Gateway API, as far as it is written and read.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An `HTTPRoute`. Its spec is kept as it is, so that whatever others put into it is seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// Always the same.
    #[serde(default = "api_version")]
    api_version: String,
    /// Always the same.
    #[serde(default = "kind")]
    kind: String,
    /// Name, owner and the rest.
    pub metadata: ObjectMeta,
    /// Parents, hosts and rules.
    #[serde(default)]
    pub spec: Value,
    /// What controllers say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RouteStatus>,
}

fn api_version() -> String {
    <HttpRoute as k8s_openapi::Resource>::API_VERSION.to_owned()
}

fn kind() -> String {
    <HttpRoute as k8s_openapi::Resource>::KIND.to_owned()
}

impl Default for HttpRoute {
    fn default() -> Self {
        Self::new(ObjectMeta::default(), Value::Null)
    }
}

impl HttpRoute {
    /// One that nobody has said anything of.
    pub fn new(metadata: ObjectMeta, spec: Value) -> Self {
        Self { api_version: api_version(), kind: kind(), metadata, spec, status: None }
    }
}

/// What controllers say of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteStatus {
    /// For each parent, and each controller that feels responsible for it.
    pub parents: Vec<RouteParentStatus>,
}

/// What a controller says of a route and a parent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParentStatus {
    /// The parent, as the route refers to it.
    pub parent_ref: ParentReference,
    /// Who says it.
    pub controller_name: String,
    /// `Accepted`, `ResolvedRefs` and others.
    pub conditions: Vec<Condition>,
}

/// A reference to a parent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentReference {
    /// Its namespace, if it is not the route's.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// One of its listeners.
    pub section_name: Option<String>,
    /// The port of its listeners.
    pub port: Option<i32>,
}

impl k8s_openapi::Resource for HttpRoute {
    const API_VERSION: &'static str = "gateway.networking.k8s.io/v1";
    const GROUP: &'static str = "gateway.networking.k8s.io";
    const KIND: &'static str = "HTTPRoute";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "httproutes";
    type Scope = NamespaceResourceScope;
}

impl k8s_openapi::Metadata for HttpRoute {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &Self::Ty {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Self::Ty {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_put_into_a_route_is_kept_and_what_is_applied_has_no_status() {
        let live = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "web"}, "spec": {"rules": [{"filters": [{"type": "Odd"}]}], "new": 1},
            "status": {"parents": [{
                "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
                "controllerName": "example.com/gateway", "conditions": [],
            }]},
        });
        let read: HttpRoute = serde_json::from_value(live.clone()).unwrap();
        let parents = &read.status.as_ref().unwrap().parents;
        assert_eq!(parents[0].parent_ref.name, "edge");
        assert_eq!(serde_json::to_value(&read).unwrap()["spec"], live["spec"]);
        let written = serde_json::to_value(HttpRoute::new(ObjectMeta::default(), json!({}))).unwrap();
        assert_eq!(written["apiVersion"], live["apiVersion"]);
        assert_eq!(written["kind"], "HTTPRoute");
        assert!(written.get("status").is_none());
    }
}
