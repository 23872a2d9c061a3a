//! What is generated from the source and committed elsewhere: `cargo xtask gen`
//! writes it, a test compares.

use serde::Serialize;

use crate::{crd, permissions};

/// The `CustomResourceDefinition` as YAML.
pub fn crd_yaml() -> String {
    yaml(&crd::definition())
}

/// The `ClusterRole` of the operator as YAML.
pub fn rbac_yaml() -> String {
    yaml(&permissions::cluster_role())
}

/// The same with the rights for Secrets.
pub fn rbac_with_secrets_yaml() -> String {
    yaml(&permissions::cluster_role_with_secrets())
}

/// The `Role` of the operator in its own namespace as YAML.
pub fn own_role_yaml() -> String {
    yaml(&permissions::own_role())
}

/// YAML with sorted keys, so that the same value always gives the same text.
fn yaml(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).expect("a Kubernetes object is JSON");
    serde_saphyr::to_string(&value).expect("JSON is YAML")
}
