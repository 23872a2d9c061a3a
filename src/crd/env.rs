//! Environment variables of the app.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::Quantity;

/// One environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!(has(self.value) && has(self.valueFrom))",
    "an env entry has either value or valueFrom, not both",
))]
pub struct EnvVar {
    /// Name of the variable: letters, digits, `_`, `-` and `.`, not starting with a digit.
    /// Names that start with `NODEAPP_` belong to the operator.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        "self.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$')",
        "an env name has letters, digits, '_', '-' and '.', and does not start with a digit, such as LOG_LEVEL",
    ))]
    #[x_kube(validation = (
        "!self.startsWith('NODEAPP_')",
        "env names that start with NODEAPP_ belong to the operator; take another name",
    ))]
    pub name: String,
    /// Value of the variable. `$(NAME)` is replaced by the value of a variable that comes earlier.
    /// Empty when neither value nor valueFrom is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub value: Option<String>,
    /// Where the value comes from, instead of value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where the value of a variable comes from; exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].filter(x, x).size() == 1",
    "valueFrom has exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef",
))]
pub struct EnvVarSource {
    /// A key of a Secret in the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a `ConfigMap` in the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// A field of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
    /// A resource limit or request of the app's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_field_ref: Option<ResourceFieldRef>,
}

/// A key of a Secret or `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the Secret or `ConfigMap`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// Start the app even if the object or the key is missing. Default false: the pod waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A field of the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Path of the field: `metadata.name`, `metadata.namespace`, `metadata.uid`,
    /// `metadata.labels['KEY']`, `metadata.annotations['KEY']`, `spec.nodeName`,
    /// `spec.serviceAccountName`, `status.hostIP`, `status.hostIPs`, `status.podIP` or `status.podIPs`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = (
        r"self.matches('^(metadata\\.(name|namespace|uid)|metadata\\.(labels|annotations)\\[\'[-./_a-zA-Z0-9]+\'\\]|spec\\.(nodeName|serviceAccountName)|status\\.(hostIP|hostIPs|podIP|podIPs))$')",
        "must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP or status.podIPs",
    ))]
    pub field_path: String,
}

/// A resource of the app's container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceFieldRef {
    /// `limits.` or `requests.` with `cpu`, `memory` or `ephemeral-storage`.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = (
        r"self.matches('^(limits|requests)\\.(cpu|memory|ephemeral-storage)$')",
        "must be limits. or requests. with cpu, memory or ephemeral-storage, such as limits.memory",
    ))]
    pub resource: String,
    /// Unit of the value, such as `1Mi`. Default 1: whole cores, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divisor: Option<Quantity>,
}

/// All keys of a Secret or `ConfigMap` as variables; exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.secretRef) != has(self.configMapRef)",
    "an envFrom entry has exactly one of secretRef and configMapRef",
))]
pub struct EnvFrom {
    /// Put before each key to make the name of the variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[-._a-zA-Z][-._a-zA-Z0-9]*$"))]
    pub prefix: Option<String>,
    /// A Secret in the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectRef>,
    /// A `ConfigMap` in the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ObjectRef>,
}

/// A Secret or `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Name of the Secret or `ConfigMap`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Start the app even if the object is missing. Default false: the pod waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}
