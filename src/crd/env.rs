//! Environment variables of the app.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the Secret or `ConfigMap`: small letters, digits, `-` and `.`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "the name of a Secret or ConfigMap has small letters, digits, '-' and '.', and starts and ends with a letter or digit, also beside a '.', such as shop-db",
    ))]
    pub name: String,
    /// Key in it: letters, digits, `-`, `_` and `.`, not starting with `..`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^\\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')",
        "a key has letters, digits, '-', '_' and '.', and does not start with '..', such as database-url",
    ))]
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
    #[schemars(length(min = 1, max = 384))]
    #[x_kube(validation = (
        r"self.matches('^(metadata\\.(name|namespace|uid)|metadata\\.(labels|annotations)\\[\'([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\'\\]|spec\\.(nodeName|serviceAccountName)|status\\.(hostIP|hostIPs|podIP|podIPs))$')",
        "must be metadata.name, metadata.namespace, metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP or status.podIPs, and KEY the key of a label or an annotation such as example.com/team",
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Name of the Secret or `ConfigMap`: small letters, digits, `-` and `.`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "the name of a Secret or ConfigMap has small letters, digits, '-' and '.', and starts and ends with a letter or digit, also beside a '.', such as shop-db",
    ))]
    pub name: String,
    /// Start the app even if the object is missing. Default false: the pod waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// Schema of `envProfiles`: bounded, since every rule counts against the budget.
pub(super) fn profiles(generator: &mut SchemaGenerator) -> Schema {
    let variable = generator.subschema_for::<EnvVar>();
    json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {
            "type": "array",
            "maxItems": 100,
            "items": variable,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    })
}

/// A variable that the app gets, with the place where it is written.
#[derive(Clone, Debug)]
pub struct Effective<'a> {
    /// Path of the entry, such as `spec.env[2]`.
    pub field: String,
    /// Name of the profile that it is from, if it is.
    pub profile: Option<&'a str>,
    /// The entry.
    pub variable: &'a EnvVar,
}

/// The variables of `env` with those of the profile laid over them. One that both
/// have keeps its place, since a later variable may refer to it.
pub fn effective(spec: &super::NodeAppSpec) -> Vec<Effective<'_>> {
    let profile = spec.profile.as_deref().and_then(|name| spec.env_profiles.get_key_value(name));
    let (profile, over) = profile.map_or((None, [].as_slice()), |(name, list)| (Some(name.as_str()), list));
    let of_profile = |index: usize| Effective {
        field: format!("spec.envProfiles.{}[{index}]", profile.unwrap_or_default()),
        profile,
        variable: &over[index],
    };
    let base = spec.env.iter().enumerate().map(|(index, variable)| {
        let place = over.iter().position(|other| other.name == variable.name);
        place.map_or_else(
            || Effective { field: format!("spec.env[{index}]"), profile: None, variable },
            of_profile,
        )
    });
    let is_new = |index: &usize| spec.env.iter().all(|variable| variable.name != over[*index].name);
    base.chain((0..over.len()).filter(is_new).map(of_profile)).collect()
}

/// Names and values that look like a credential in plain text, which belongs into a
/// Secret.
pub fn is_plain_credential(variable: &EnvVar) -> bool {
    let Some(value) = variable.value.as_deref().filter(|value| !value.is_empty()) else { return false };
    // A reference to another variable is none itself.
    let refers = value.starts_with("$(") && value.ends_with(')');
    !refers && (nodeapp_contract::env::is_credential(&variable.name) || has_password(value))
}

/// A URL with a password, such as `postgres://shop:hunter2@db/shop`.
fn has_password(value: &str) -> bool {
    let authority =
        value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    let user = authority.and_then(|authority| authority.rsplit_once('@')).map(|(user, _)| user);
    user.and_then(|user| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with("$("))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str, value: &str) -> bool {
        is_plain_credential(&EnvVar {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..EnvVar::default()
        })
    }

    #[test]
    fn a_credential_in_plain_text_is_known_by_its_name_or_its_url() {
        for (name, value) in [
            ("DB_PASSWORD", "hunter2"),
            ("stripe_api_key", "sk_1"),
            ("SESSION_SECRET", "x"),
            ("GITHUB_TOKEN", "x"),
            ("DATABASE_URL", "postgres://shop:hunter2@db:5432/shop"),
        ] {
            assert!(plain(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("DB_PASSWORD", ""),
            ("DB_PASSWORD", "$(OTHER)"),
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("TOKEN_TTL", "60"),
            ("DATABASE_URL", "postgres://shop@db/shop"),
            ("DATABASE_URL", "postgres://shop:$(DB_PASSWORD)@db/shop"),
            ("HOMEPAGE", "https://example.com/a:b@c"),
            ("LOG_LEVEL", "info"),
            ("KEYBOARD", "qwerty"),
        ] {
            assert!(!plain(name, value), "{name}={value}");
        }
    }
}
