//! Environment of the app.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::Problems;
use crate::crd::NodeAppSpec;
use crate::crd::env::{Effective, EnvFrom, EnvVar, EnvVarSource, KeyRef, effective};

/// The variables as Kubernetes takes them: env with the profile laid over it.
pub(super) fn variables(spec: &NodeAppSpec, port: Option<u16>, problems: &mut Problems) -> Vec<core::EnvVar> {
    check_list("spec.env", &spec.env, problems);
    for (name, variables) in &spec.env_profiles {
        // Those that are not in force too: a switch should bring no surprise.
        let field = format!("spec.envProfiles.{name}");
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if name.is_empty() || name.len() > 63 || !name.bytes().all(letter) {
            problems.add(&field, "the name of a profile has at most 63 letters, digits, '-', '_' and '.'");
        }
        check_list(&field, variables, problems);
    }
    if let Some(profile) = spec.profile.as_ref().filter(|profile| !spec.env_profiles.contains_key(*profile)) {
        let known: Vec<_> = spec.env_profiles.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
        problems.add(
            "spec.profile",
            &format!(
                "{profile} is none of spec.envProfiles ({known}); add it there, or take one of them (PM2 would go \
                 on without it)"
            ),
        );
    }
    let effective = effective(spec);
    for Effective { field, variable, .. } in &effective {
        check_port(field, variable, port, problems);
    }
    effective.iter().map(|entry| variable(entry.variable)).collect()
}

fn check_list(list: &str, variables: &[EnvVar], problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, variable) in variables.iter().enumerate() {
        let field = format!("{list}[{index}]");
        check_name(&format!("{field}.name"), &variable.name, problems);
        if !seen.insert(&variable.name) {
            problems.add(&format!("{field}.name"), &format!("{} is there twice", variable.name));
        }
        if variable.value.is_some() && variable.value_from.is_some() {
            problems.add(&field, "has either value or valueFrom, not both");
        }
        if let Some(source) = &variable.value_from {
            check_source(&format!("{field}.valueFrom"), source, problems);
        }
    }
}

fn check_name(field: &str, name: &str, problems: &mut Problems) {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if name.is_empty() || !name.bytes().all(letter) || name.as_bytes()[0].is_ascii_digit() {
        problems.add(field, "must have letters, digits, '_', '-' and '.', and not start with a digit");
    } else if name.starts_with("NODEAPP_") {
        problems.add(field, "names that start with NODEAPP_ belong to the operator; take another name");
    }
}

fn check_source(field: &str, source: &EnvVarSource, problems: &mut Problems) {
    let given = [
        source.secret_key_ref.is_some(),
        source.config_map_key_ref.is_some(),
        source.field_ref.is_some(),
        source.resource_field_ref.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        problems
            .add(field, "has exactly one of secretKeyRef, configMapKeyRef, fieldRef and resourceFieldRef");
    }
    if let Some(divisor) = source.resource_field_ref.as_ref().and_then(|resource| resource.divisor.as_ref()) {
        problems.take(&format!("{field}.resourceFieldRef.divisor"), divisor.nanos(), 0);
    }
}

/// `port` is what the app is given as PORT; a different PORT beside it would be
/// silently lost, and so would one that only the pod knows.
fn check_port(field: &str, variable: &EnvVar, port: Option<u16>, problems: &mut Problems) {
    if variable.name != "PORT" {
        return;
    }
    let Some(port) = port else { return };
    let (below, given) = match (&variable.value, &variable.value_from) {
        (Some(value), _) if *value == port.to_string() => return,
        (Some(value), _) if !value.is_empty() => (".value", value.as_str()),
        (Some(_), _) => (".value", "empty"),
        (None, Some(_)) => (".valueFrom", "taken from elsewhere"),
        (None, None) => ("", "empty"),
    };
    problems.add(
        &format!("{field}{below}"),
        &format!("PORT is {given} here but spec.port is {port}; leave PORT out, spec.port sets it"),
    );
}

fn variable(variable: &EnvVar) -> core::EnvVar {
    core::EnvVar {
        name: variable.name.clone(),
        // An empty value is dropped by the API server; absent means the same.
        value: variable.value.clone().filter(|value| !value.is_empty()),
        value_from: variable.value_from.as_ref().map(source),
    }
}

fn source(source: &EnvVarSource) -> core::EnvVarSource {
    core::EnvVarSource {
        secret_key_ref: source.secret_key_ref.as_ref().map(|KeyRef { name, key, optional }| {
            core::SecretKeySelector { name: name.clone(), key: key.clone(), optional: *optional }
        }),
        config_map_key_ref: source.config_map_key_ref.as_ref().map(|KeyRef { name, key, optional }| {
            core::ConfigMapKeySelector { name: name.clone(), key: key.clone(), optional: *optional }
        }),
        field_ref: source.field_ref.as_ref().map(|field| core::ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: field.field_path.clone(),
        }),
        resource_field_ref: source.resource_field_ref.as_ref().map(|resource| core::ResourceFieldSelector {
            container_name: None,
            resource: resource.resource.clone(),
            // The API server writes the default out.
            divisor: Some(ApiQuantity(
                resource.divisor.as_ref().map_or_else(|| "0".to_owned(), ToString::to_string),
            )),
        }),
    }
}

/// Whole objects as Kubernetes takes them.
pub(super) fn sources(spec: &NodeAppSpec, problems: &mut Problems) -> Vec<core::EnvFromSource> {
    for (index, source) in spec.env_from.iter().enumerate() {
        let field = format!("spec.envFrom[{index}]");
        if source.secret_ref.is_some() == source.config_map_ref.is_some() {
            problems.add(&field, "has exactly one of secretRef and configMapRef");
        }
        if let Some(prefix) = source.prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
            check_name(&format!("{field}.prefix"), prefix, problems);
        }
    }
    spec.env_from.iter().map(env_from).collect()
}

fn env_from(source: &EnvFrom) -> core::EnvFromSource {
    core::EnvFromSource {
        prefix: source.prefix.clone().filter(|prefix| !prefix.is_empty()),
        secret_ref: source
            .secret_ref
            .as_ref()
            .map(|object| core::SecretEnvSource { name: object.name.clone(), optional: object.optional }),
        config_map_ref: source
            .config_map_ref
            .as_ref()
            .map(|object| core::ConfigMapEnvSource { name: object.name.clone(), optional: object.optional }),
    }
}
