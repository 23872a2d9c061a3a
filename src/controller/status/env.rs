//! What the status tells of the environment: names with their sources, never values,
//! and a warning of credentials in plain text.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, PodTemplateSpec};

use crate::controller::names;
use crate::controller::text::cut;
use crate::crd::env::{effective, is_plain_credential};
use crate::crd::redis::RedisAccess;
use crate::crd::status::EnvNames;
use crate::crd::{NodeApp, NodeAppSpec};

/// Names that are listed at most; a status is read by people and kept in memory.
const MOST_NAMES: usize = 200;
/// The source that stands for all those that have no name in the list.
const OTHERS: &str = "others";
/// Longest source and longest name, in bytes: what the schema takes.
const LONGEST_SOURCE: usize = 1024;
const LONGEST_NAME: usize = 512;
/// Names in a warning.
const MOST_NAMED: usize = 5;

/// The environment of the pods made from a template. `spec` is what they were made
/// from, if that is known: it tells a profile's variables from those of env.
pub(super) fn names(template: Option<&PodTemplateSpec>, spec: Option<&NodeAppSpec>) -> Vec<EnvNames> {
    let Some(container) = template.and_then(app_container) else { return Vec::new() };
    let entries = spec.map(effective).unwrap_or_default();
    let redis = spec.and_then(|spec| spec.redis.as_ref()?.access) == Some(RedisAccess::Env);
    let list_of = |name: &str| match entries.iter().find(|entry| entry.variable.name == name) {
        Some(entry) => entry.profile.map_or_else(|| "env".to_owned(), |profile| format!("profile {profile}")),
        None if redis => "redis".to_owned(),
        None => "env".to_owned(),
    };
    let mut listed = Listed { groups: Vec::new(), room: MOST_NAMES };
    for source in container.env_from.iter().flatten() {
        let (from, name) = of_whole(source);
        listed.add(&from, &name);
    }
    let has_port = container.ports.iter().flatten().any(|port| port.name.as_deref() == Some(names::APP_PORT));
    let own = container.env.iter().flatten().filter(|variable| !variable.name.starts_with("NODEAPP_"));
    for variable in own.filter(|variable| !(has_port && variable.name == "PORT")) {
        listed.add(&of_variable(variable, list_of(&variable.name)), &variable.name);
    }
    if has_port {
        listed.add("port", "PORT");
    }
    listed.groups
}

struct Listed {
    groups: Vec<EnvNames>,
    room: usize,
}

impl Listed {
    fn add(&mut self, from: &str, name: &str) {
        let known = self.groups.iter().position(|group| group.from == from);
        let (from, has_room) = match (known, self.room) {
            (None, 0) => (OTHERS, false),
            (_, room) => (from, room > 0),
        };
        self.room -= usize::from(has_room);
        let group = self.group(&cut(from, LONGEST_SOURCE));
        if has_room {
            group.names.push(cut(name, LONGEST_NAME));
        } else {
            group.omitted = Some(group.omitted.unwrap_or(0) + 1);
        }
    }

    fn group(&mut self, from: &str) -> &mut EnvNames {
        let at = self.groups.iter().position(|group| group.from == from).unwrap_or_else(|| {
            self.groups.push(EnvNames { from: from.to_owned(), ..EnvNames::default() });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }
}

fn app_container(template: &PodTemplateSpec) -> Option<&Container> {
    let pod = template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == names::APP_CONTAINER)
}

fn of_whole(source: &EnvFromSource) -> (String, String) {
    let object = match (&source.secret_ref, &source.config_map_ref) {
        (Some(secret), _) => format!("Secret {}", secret.name),
        (None, Some(config)) => format!("ConfigMap {}", config.name),
        (None, None) => "nothing".to_owned(),
    };
    (format!("{object} (envFrom)"), format!("{}*", source.prefix.as_deref().unwrap_or_default()))
}

fn of_variable(variable: &EnvVar, list: String) -> String {
    let Some(source) = &variable.value_from else { return list };
    match (&source.secret_key_ref, &source.config_map_key_ref) {
        (Some(key), _) => format!("Secret {} ({list})", key.name),
        (None, Some(key)) => format!("ConfigMap {} ({list})", key.name),
        (None, None) => format!("pod ({list})"),
    }
}

/// A warning, if there is reason for one.
pub(super) fn warning(app: &NodeApp) -> Option<String> {
    let entries = effective(&app.spec);
    let plain: BTreeSet<_> = entries
        .iter()
        .filter(|entry| is_plain_credential(entry.variable))
        .map(|entry| entry.variable.name.as_str())
        .collect();
    if plain.is_empty() {
        return None;
    }
    let named: Vec<_> = plain.iter().take(MOST_NAMED).copied().collect();
    let more = match plain.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "{}{more}: this looks like a credential in plain text, which everyone who can read the NodeApp can read; keep \
         it in a Secret and name that by valueFrom.secretKeyRef",
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn app(spec: &Value) -> NodeApp {
        let metadata = json!({"name": "cart", "uid": "u"});
        let mut spec = spec.clone();
        spec["image"] = "a:1".into();
        spec["script"] = "a.js".into();
        let whole = json!({"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "metadata": metadata, "spec": spec});
        serde_json::from_value(whole).unwrap()
    }

    fn made_for(app: &NodeApp) -> PodTemplateSpec {
        use crate::controller::desired::{Settings, desired};
        use crate::controller::observe::Observed;
        let valid = crate::controller::validate::validate(app).unwrap();
        let settings = Settings { runner_image: "runner:1".into(), ..Settings::default() };
        desired(&valid, &Observed::default(), &settings).template().cloned().unwrap()
    }

    fn full() -> NodeApp {
        app(&json!({
            "port": 3000,
            "profile": "production",
            "env": [
                {"name": "LOG_LEVEL", "value": "info"},
                {"name": "NODE_ENV", "value": "development"},
                {"name": "PORT", "value": "3000"},
                {"name": "STRIPE", "valueFrom": {"secretKeyRef": {"name": "pay", "key": "k"}}},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            "envProfiles": {
                "production": [
                    {"name": "NODE_ENV", "value": "production"},
                    {"name": "DSN", "valueFrom": {"secretKeyRef": {"name": "dsn", "key": "k"}}},
                ],
                "staging": [{"name": "NODE_ENV", "value": "staging"}],
            },
            "envFrom": [{"prefix": "DB_", "secretRef": {"name": "db"}}, {"configMapRef": {"name": "common"}}],
        }))
    }

    fn words(groups: &[EnvNames]) -> Vec<String> {
        groups.iter().map(|group| format!("{}: {}", group.from, group.names.join(" "))).collect()
    }

    #[test]
    fn every_variable_stands_with_the_source_that_won() {
        let app = full();
        assert_eq!(
            words(&names(Some(&made_for(&app)), Some(&app.spec))),
            [
                "Secret db (envFrom): DB_*",
                "ConfigMap common (envFrom): *",
                "env: LOG_LEVEL",
                "profile production: NODE_ENV",
                "Secret pay (env): STRIPE",
                "pod (env): NODE",
                "Secret dsn (profile production): DSN",
                "port: PORT",
            ]
        );
    }

    #[test]
    fn no_value_is_told() {
        let app = full();
        let text = format!("{:?}", names(Some(&made_for(&app)), Some(&app.spec)));
        for value in ["info", "3000", "development", "\"production\""] {
            assert!(!text.contains(value), "{value} in {text}");
        }
    }

    #[test]
    fn a_long_list_has_an_end() {
        let many: Vec<_> = (0..300).map(|n| json!({"name": format!("V{n}")})).collect();
        let app = app(&json!({"env": many}));
        let groups = names(Some(&made_for(&app)), Some(&app.spec));
        assert_eq!((groups.len(), groups[0].names.len(), groups[0].omitted), (1, MOST_NAMES, Some(100)));
    }

    #[test]
    fn a_long_list_of_sources_has_an_end_too() {
        let of = |n| json!({"name": format!("V{n}"), "valueFrom": {"secretKeyRef": {"name": format!("s{n}"), "key": "k"}}});
        let many: Vec<_> = (0..300).map(of).collect();
        let app = app(&json!({"env": many, "port": 3000}));
        let groups = names(Some(&made_for(&app)), Some(&app.spec));
        assert_eq!(groups.len(), MOST_NAMES + 1);
        let others = groups.last().unwrap();
        assert_eq!((others.from.as_str(), others.names.len(), others.omitted), ("others", 0, Some(101)));
    }

    #[test]
    fn credentials_in_plain_text_are_named_and_those_that_a_profile_replaces_are_not() {
        assert_eq!(warning(&full()), None);
        let plain = json!({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]});
        let text = warning(&app(&plain)).unwrap();
        assert!(text.starts_with("DB_PASSWORD: ") && !text.contains("hunter2"), "{text}");
        let mut over = plain;
        over["profile"] = "production".into();
        over["envProfiles"]["production"] =
            json!([{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]);
        assert_eq!(warning(&app(&over)), None);
    }
}
