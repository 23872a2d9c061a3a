//! What leads to an app from outside the cluster: an Ingress, or an `HTTPRoute` of the Gateway API.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An `Ingress` with the name of the app, for the ingress controller of the cluster. Needs port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Class of the controller that it is for: Kubernetes' `ingressClassName`. Default: the one that
    /// the cluster has for those without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub class_name: Option<String>,
    /// Which controller that is, where className does not say it: for cookieAffinity, which each of them
    /// has in a way of its own. Default: `IngressNginx` with className `nginx`, `Traefik` with `traefik`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<IngressController>,
    /// Hosts and paths that lead to the app.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub hosts: Vec<IngressHost>,
    /// Certificates, for hosts that are reached by HTTPS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub tls: Vec<IngressTls>,
    /// The controller sets a cookie, and who sends it stays with the same instance while there is that
    /// instance. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie_affinity: Option<CookieAffinity>,
    /// Labels of the Ingress, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Ingress, which controllers take their settings from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// An ingress controller whose annotations are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Told in docs/network.md; docs on variants would not reach the schema.
pub enum IngressController {
    IngressNginx,
    Traefik,
    HAProxyTechnologies,
    HAProxyIngress,
}

impl IngressController {
    /// Its name in a spec.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IngressNginx => "IngressNginx",
            Self::Traefik => "Traefik",
            Self::HAProxyTechnologies => "HAProxyTechnologies",
            Self::HAProxyIngress => "HAProxyIngress",
        }
    }
}

/// A host that leads to the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressHost {
    /// Name of the host, such as `shop.example.com` or `*.example.com`. Default: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub host: Option<String>,
    /// Paths of the host. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub paths: Vec<IngressPath>,
}

/// A path that leads to the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressPath {
    /// The path, such as `/api`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/\S*$"))]
    pub path: String,
    /// Whether what begins with it is meant too, or what the controller makes of it. Default Prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_type: Option<PathType>,
    /// Name of the port of the Service that it leads to: one of service.ports. Default http, the app's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub port: Option<String>,
}

/// How a path of an Ingress is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum PathType {
    #[default]
    Prefix,
    Exact,
    ImplementationSpecific,
}

/// A certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressTls {
    /// Hosts that it is for. Default: those of the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub hosts: Vec<String>,
    /// Name of the Secret with it, in the namespace of the app. Default: one that the controller has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub secret_name: Option<String>,
}

/// A cookie by which the controller knows the instance of a client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CookieAffinity {
    /// Name of the cookie. It must not be one that the app sets itself. Default: the name of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z0-9_.-]+$"))]
    pub name: Option<String>,
    /// Seconds for which the browser keeps it. Only with `IngressNginx` and `Traefik`. Default: until it
    /// is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub max_age_seconds: Option<i32>,
}

/// An `HTTPRoute` of the Gateway API with the name of the app, for a Gateway that somebody else runs.
/// Where the cluster does not have that API yet, it is made as soon as it has. Needs port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// The Gateways that it is for.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub parent_refs: Vec<ParentRef>,
    /// Names of hosts, such as `shop.example.com` or `*.example.com`. Default: those of the Gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(min = 1, max = 253),
            regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
        ),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub hostnames: Vec<String>,
    /// Paths that lead to the app. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub paths: Vec<RoutePath>,
    /// Labels of the `HTTPRoute`, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the `HTTPRoute`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// A Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Its namespace. It has to allow routes from that of the app. Default: the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Name of one of its listeners. Default: all that allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub section_name: Option<String>,
    /// Port of its listeners. Default: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// A path that leads to the app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutePath {
    /// Whether what begins with it is meant too, or it is a regular expression, which not every
    /// implementation knows. Default `PathPrefix`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<RoutePathType>,
    /// The path, such as `/api`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/\S*$"))]
    pub value: String,
    /// Name of the port of the Service that it leads to: one of service.ports. Default http, the app's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub port: Option<String>,
}

/// How a path of an `HTTPRoute` is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // The Gateway API's own names; docs on variants would not reach the schema.
pub enum RoutePathType {
    #[default]
    PathPrefix,
    Exact,
    RegularExpression,
}

/// How the `HTTPRoute` of an app is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteStatus {
    /// Whether it has been made: not where the cluster does not have the Gateway API.
    pub exists: bool,
    /// Whether all of its Gateways have accepted it.
    pub accepted: bool,
    /// Since when not all of them have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub not_accepted_since: Option<String>,
    /// What is wrong, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
}
