//! What a pod has around the app, in Kubernetes' own names and types.
//!
//! The large types are not spelled out: their schemas are some hundred kilobytes. They are objects
//! here, and [`crate::controller::validate`] reads them as strictly as the API server reads a pod.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What the pods have around the app: fields of Kubernetes' `PodSpec` by their own names and types,
/// labels and annotations, and sidecars. `kubectl explain pod.spec` tells more of each. Whatever is
/// not here goes into podTemplate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Labels of the pods, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods, beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Which nodes and which neighbours are wanted or to be avoided: an `Affinity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object")]
    pub affinity: Option<Value>,
    /// Taints of nodes that are no hindrance.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
    /// How instances are spread over hosts, zones or what else nodes have labels for: items are of the
    /// type `TopologySpreadConstraint`; without labelSelector they count the pods of the app. `[]` is
    /// no spread at all. Default: over hosts and zones as evenly as possible, maxSkew 1 with
    /// `ScheduleAnyway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "spread_constraints")]
    pub topology_spread_constraints: Option<Vec<Value>>,
    /// Class of the pods' priority. Default: the one of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Class of the container runtime. Default: the one of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// `ServiceAccount` of the pods, which has to exist. Default: one of the app's own, with no rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Give the containers the token of the `ServiceAccount`. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// Secrets of the namespace with which images are pulled, beside those of the installation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub image_pull_secrets: Vec<SecretName>,
    /// What all containers of the pods may do: a `PodSecurityContext`. A field that is given replaces
    /// the one of the same name in the default. Default: user, group and fsGroup 1000, runAsNonRoot and
    /// the seccomp profile `RuntimeDefault`, as Pod Security `restricted` asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object")]
    pub security_context: Option<Value>,
    /// Volumes, for volumeMounts of the app and of the containers here: items are of the type `Volume`,
    /// such as `{name: uploads, persistentVolumeClaim: {claimName: shop-uploads}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "by_name")]
    pub volumes: Vec<Value>,
    /// Containers that run to their end before the app starts, one after the other, when the sidecars
    /// have started: items are of the type `Container`. For another order, sidecars can stand here too,
    /// with `restartPolicy: Always`. Default requests: 10m cpu and 32Mi memory;
    /// limits: 500m cpu and 256Mi memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "by_name")]
    pub init_containers: Vec<Value>,
    /// Containers that run beside the app: they start before it and end after it. Items are of the type
    /// `Container`; defaults as for initContainers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "by_name")]
    pub sidecars: Vec<Value>,
    /// Whom the pods ask for names. Default `ClusterFirst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_policy: Option<DnsPolicy>,
    /// What is added to the DNS settings of dnsPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Lines of `/etc/hosts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ip"])
    )]
    pub host_aliases: Vec<HostAlias>,
}

/// A taint that is no hindrance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint. Default: every key, with the operator `Exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 316))]
    pub key: Option<String>,
    /// Whether value counts. Default `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// Effect of the taint. Default: every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How long a `NoExecute` taint is borne, in seconds. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// Whether the value of a toleration counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum TolerationOperator {
    Exists,
    Equal,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, clippy::enum_variant_names)] // Kubernetes' own names.
pub enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

/// A Secret of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Whom the pods ask for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own names; docs on variants would not reach the schema.
pub enum DnsPolicy {
    ClusterFirst,
    ClusterFirstWithHostNet,
    Default,
    None,
}

/// DNS settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsConfig {
    /// Addresses of servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic"))]
    pub nameservers: Vec<String>,
    /// Domains in which short names are looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub searches: Vec<String>,
    /// Options of the resolver, such as `ndots`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub options: Vec<DnsOption>,
}

/// An option of the resolver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DnsOption {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its value, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub value: Option<String>,
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostAlias {
    /// The address.
    #[schemars(length(min = 1, max = 64))]
    pub ip: String,
    /// The names that it has.
    #[schemars(length(min = 1, max = 64), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub hostnames: Vec<String>,
}

/// An object of a type of Kubernetes.
pub(super) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Volumes or containers.
fn by_name(_: &mut SchemaGenerator) -> Schema {
    list(&[("name", "Its name.")])
}

/// Mounts of the app's container.
pub(super) fn mounts(_: &mut SchemaGenerator) -> Schema {
    list(&[("mountPath", "Where the volume is in the container.")])
}

fn spread_constraints(_: &mut SchemaGenerator) -> Schema {
    list(&[
        ("topologyKey", "Label of the nodes, such as `topology.kubernetes.io/zone`."),
        ("whenUnsatisfiable", "`DoNotSchedule`, or `ScheduleAnyway`."),
    ])
}

/// Objects of a type of Kubernetes, by the same keys as there, so that two managers can each have
/// theirs.
fn list(keys: &[(&str, &str)]) -> Schema {
    let text =
        |about: &str| json!({"type": "string", "minLength": 1, "maxLength": 1024, "description": about});
    let properties: Map<_, _> = keys.iter().map(|(key, about)| ((*key).to_owned(), text(about))).collect();
    let keys: Vec<_> = keys.iter().map(|(key, _)| key).collect();
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": keys,
        "items": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "required": keys,
            "properties": properties,
        },
    })
}
