//! Which `ConfigMaps` and Secrets an app refers to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, PodTemplateSpec};

use super::ValidatedApp;
use crate::controller::names::APP_CONTAINER;

/// An object that is referred to, in the namespace of the app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Referent {
    /// A `ConfigMap` by its name.
    ConfigMap(String),
    /// A Secret by its name.
    Secret(String),
}

impl std::fmt::Display for Referent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ConfigMap(name) => write!(f, "ConfigMap/{name}"),
            Self::Secret(name) => write!(f, "Secret/{name}"),
        }
    }
}

/// How an app refers to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The object.
    pub referent: Referent,
    /// Whether all its keys are used.
    pub all: bool,
    /// Single keys, and whether the app starts without them.
    pub keys: BTreeMap<String, bool>,
    /// Whether the app starts without the object.
    pub optional: bool,
}

impl ValidatedApp {
    /// What the spec refers to and the app is to be restarted for, each object once.
    /// Secrets only where the operator may look after them.
    pub fn references(&self, secrets: bool) -> Vec<Reference> {
        self.references_in(&self.env, &self.env_from, secrets)
    }

    /// The same of the pods of another template than that of the spec, which an earlier
    /// revision has.
    pub fn references_of(&self, template: &PodTemplateSpec, secrets: bool) -> Vec<Reference> {
        let containers = template.spec.iter().flat_map(|spec| &spec.containers);
        let Some(app) = containers.into_iter().find(|container| container.name == APP_CONTAINER) else {
            return Vec::new();
        };
        let (env, env_from) = (app.env.as_deref(), app.env_from.as_deref());
        self.references_in(env.unwrap_or_default(), env_from.unwrap_or_default(), secrets)
    }

    fn references_in(&self, env: &[EnvVar], env_from: &[EnvFromSource], secrets: bool) -> Vec<Reference> {
        if !self.rollout.on_config_change {
            return Vec::new();
        }
        let mut found: BTreeMap<Referent, Reference> = BTreeMap::new();
        let mut add = |referent: Referent, key: Option<&str>, optional: Option<bool>| {
            if matches!(referent, Referent::Secret(_)) && !secrets {
                return;
            }
            let new = || Reference {
                referent: referent.clone(),
                all: false,
                keys: BTreeMap::new(),
                optional: true,
            };
            let reference = found.entry(referent.clone()).or_insert_with(new);
            let optional = optional.unwrap_or(false);
            reference.optional &= optional;
            match key {
                Some(key) => *reference.keys.entry(key.to_owned()).or_insert(true) &= optional,
                None => reference.all = true,
            }
        };
        for source in env_from {
            if let Some(object) = &source.config_map_ref {
                add(Referent::ConfigMap(object.name.clone()), None, object.optional);
            }
            if let Some(object) = &source.secret_ref {
                add(Referent::Secret(object.name.clone()), None, object.optional);
            }
        }
        for source in env.iter().filter_map(|variable| variable.value_from.as_ref()) {
            if let Some(key) = &source.config_map_key_ref {
                add(Referent::ConfigMap(key.name.clone()), Some(&key.key), key.optional);
            }
            if let Some(key) = &source.secret_key_ref {
                add(Referent::Secret(key.name.clone()), Some(&key.key), key.optional);
            }
        }
        found.into_values().collect()
    }
}
