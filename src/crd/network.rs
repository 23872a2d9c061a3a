//! How an app is reached, and by whom: its Service, what leads to it from outside, and what keeps
//! others away. By Kubernetes' own names.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The Service of the app, which has its name and its port. Whatever is not given is as in
/// Kubernetes. Needs port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Where it is reached: inside the cluster, on a port of every node too, or by a load balancer
    /// too that the cluster's cloud makes. Default `ClusterIP`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// `ClientIP`: connections from one address go to one instance for as long as there is that
    /// instance. Behind an ingress controller it has no effect; see ingress.cookieAffinity. Default
    /// None.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// How long that lasts. Needs sessionAffinity `ClientIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity_config: Option<SessionAffinityConfig>,
    /// What is spoken on the app's port, for who stands before it: `http`, `kubernetes.io/h2c`,
    /// `kubernetes.io/ws` and the like. Default: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub app_protocol: Option<String>,
    /// Port of every node that leads to the app's port. Needs type `NodePort` or `LoadBalancer`.
    /// Default: one that is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
    /// More ports, beside the app's own, which is called `http`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub ports: Vec<ServicePort>,
    /// A second Service beside it, called as the app with `-headless` behind, without an address of
    /// its own: its name stands for the addresses of all ready pods. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headless: Option<bool>,
    /// `Local`: who asks from inside the cluster reaches instances on the same node only. Default
    /// Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// `Local`: who asks from outside reaches instances on the node that was asked only, and the app
    /// sees the address of the client. Needs type `NodePort` or `LoadBalancer`. Default Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Which of the instances are preferred: those in the zone of the client. Needs Kubernetes 1.31 or
    /// newer. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_distribution: Option<TrafficDistribution>,
    /// Who makes the load balancer. It cannot be changed later. Needs type `LoadBalancer`. Default: the
    /// cluster's cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub load_balancer_class: Option<String>,
    /// Networks that may reach the load balancer, such as `192.0.2.0/24`, where the cloud can do that.
    /// Needs type `LoadBalancer`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Labels of the Service, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Service, such as those that a cloud reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// Where a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// Whether connections of one client stay with one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum SessionAffinity {
    #[default]
    None,
    ClientIP,
}

/// How long connections of one client stay with one instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAffinityConfig {
    /// For clients that are told apart by their addresses.
    #[serde(default, rename = "clientIP", skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<ClientIpConfig>,
}

/// How long clients are remembered by their addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientIpConfig {
    /// Seconds without a connection after which an address is forgotten. Default 10800, three hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: Option<i32>,
}

/// One more port of the Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name, other than `http`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Port of the pod that it leads to, by its number or its name; `http` is the app's own. Default:
    /// the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "number_or_name")]
    pub target_port: Option<Value>,
    /// Default TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// What is spoken on it, as for the app's port. Default: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub app_protocol: Option<String>,
    /// Port of every node that leads to it, as for the app's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
}

/// What carries the packets of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, clippy::upper_case_acronyms)] // Kubernetes' own names.
pub enum Protocol {
    #[default]
    TCP,
    UDP,
    SCTP,
}

impl Protocol {
    /// Kubernetes' word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TCP => "TCP",
            Self::UDP => "UDP",
            Self::SCTP => "SCTP",
        }
    }
}

/// Which instances are reached from a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum TrafficPolicy {
    #[default]
    Cluster,
    Local,
}

/// Which instances are preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum TrafficDistribution {
    #[default]
    PreferClose,
}

/// Who may reach the pods, and whom they may reach: a `NetworkPolicy`, which the network of the cluster
/// has to enforce. `{}` lets everyone reach the ports of the app, nobody but the operator the runner's
/// port 9615, and nobody but the app a Redis of mode Shared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Who may reach port and service.ports: items are of Kubernetes' type `NetworkPolicyPeer`, such as
    /// `{podSelector: {matchLabels: {app: web}}}`; `[]` is nobody. Default: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "peers")]
    pub from: Option<Vec<Value>>,
    /// Who may reach the runner's port 9615, where the metrics are, beside the operator. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "peers")]
    pub metrics_from: Vec<Value>,
    /// Who may reach the Redis of mode Shared, beside the app. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "peers")]
    pub redis_from: Vec<Value>,
    /// Whom the pods of the app may reach: items are of Kubernetes' type `NetworkPolicyEgressRule`;
    /// nothing is added to them, not even DNS. `[]` is nobody. Default: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "peers")]
    pub egress: Option<Vec<Value>>,
}

/// A port as Kubernetes writes it.
fn number_or_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true, "maxLength": 63})
}

/// Objects of a type of Kubernetes.
fn peers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}
