//! `env`: the variables of an app, where each comes from, and the values that are no secret.

use std::collections::BTreeSet;
use std::process::ExitCode;

use nodeapp_operator::crd::NodeApp;
use nodeapp_operator::crd::env::{Effective, EnvVarSource, effective, is_plain_credential};

use crate::cluster::{Scope, wait_for};
use crate::select::Selector;
use crate::state::full_name;
use crate::table::{Cell, Colour, Column, Screen, table};
use crate::{Outcome, files};

/// Show the environment of apps: each variable, where it comes from, and its value where that is no secret.
///
/// Asks for the NodeApp alone: what lies in Secrets and config maps is named and not read, and a value that looks like a
/// credential is masked. `NAME_*` stands for all keys of a Secret or config map. What the image and the runner set is not
/// listed; `ls -o yaml` has the values as they stand in the spec.
///
/// Exit code: 0; 1 if the cluster refuses, or a name is that of no app.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        for (at, app) in apps.iter().enumerate() {
            if apps.len() > 1 {
                let gap = if at > 0 { "\n" } else { "" };
                files::print(&format!("{gap}{}\n", full_name(app, cluster.namespace.is_none())));
            }
            files::print(&shown(app, Screen::of_output()));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// A variable, or all those of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// None where it is not to be shown, or not known.
    pub(crate) value: Option<String>,
    pub(crate) from: String,
}

fn shown(app: &NodeApp, screen: Screen) -> String {
    let variables = variables(app);
    if variables.is_empty() {
        return "no variables but those of the image and the runner\n".to_owned();
    }
    let columns =
        [("NAME", 0), ("FROM", 1), ("VALUE", 0)].map(|(title, expendable)| Column { title, expendable });
    let row = |variable: &Variable| {
        let value = match &variable.value {
            Some(value) => Cell::from(value.replace('\n', "\\n")),
            None => Cell::coloured("-", Colour::Grey),
        };
        vec![variable.name.as_str().into(), variable.from.as_str().into(), value]
    };
    table(&columns, &variables.iter().map(row).collect::<Vec<_>>(), screen)
}

/// What an app gets, from the weakest source to the strongest.
pub(crate) fn variables(app: &NodeApp) -> Vec<Variable> {
    let spec = &app.spec;
    let mut all = Vec::new();
    for source in &spec.env_from {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let from = match (&source.secret_ref, &source.config_map_ref) {
            (Some(secret), _) => format!("Secret {}", secret.name),
            (_, Some(map)) => format!("ConfigMap {}", map.name),
            _ => continue,
        };
        all.push(Variable { name: format!("{prefix}*"), value: None, from });
    }
    all.extend(effective(spec).iter().map(of_entry));
    if let Some(port) = spec.port {
        all.retain(|it| it.name != "PORT");
        all.push(Variable {
            name: "PORT".to_owned(),
            value: Some(port.to_string()),
            from: "port".to_owned(),
        });
    }
    // What the operator adds beyond the spec's own, such as the way to a Redis.
    let known: BTreeSet<String> = all.iter().map(|it| it.name.clone()).collect();
    for source in app.status.iter().flat_map(|status| &status.env) {
        let new = source.names.iter().filter(|name| !known.contains(*name) && !name.ends_with('*'));
        all.extend(new.map(|name| Variable { name: name.clone(), value: None, from: source.from.clone() }));
    }
    all
}

fn of_entry(entry: &Effective<'_>) -> Variable {
    let variable = entry.variable;
    let written = entry.profile.map_or_else(|| "env".to_owned(), |profile| format!("profile {profile}"));
    let (value, from) = match &variable.value_from {
        Some(source) => (None, format!("{} ({written})", of_source(source))),
        None if is_plain_credential(variable) => (Some("***".to_owned()), written),
        None => (Some(variable.value.clone().unwrap_or_default()), written),
    };
    Variable { name: variable.name.clone(), value, from }
}

fn of_source(source: &EnvVarSource) -> String {
    let EnvVarSource { secret_key_ref, config_map_key_ref, field_ref, resource_field_ref } = source;
    let key = |kind: &str, name: &str, key: &str| format!("{kind} {name}, key {key}");
    if let Some(it) = secret_key_ref {
        return key("Secret", &it.name, &it.key);
    }
    if let Some(it) = config_map_key_ref {
        return key("ConfigMap", &it.name, &it.key);
    }
    if let Some(it) = field_ref {
        return it.field_path.clone();
    }
    resource_field_ref.as_ref().map_or_else(|| "an unknown source".to_owned(), |it| it.resource.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::tests::app;

    #[test]
    fn each_variable_has_its_source_and_no_secret_is_shown() {
        let mut shop = app(&[], &json!({"env": [{"from": "redis", "names": ["REDIS_URL", "LOG_LEVEL"]}]}));
        shop.spec = serde_json::from_value(json!({
            "image": "shop:1", "port": 3000, "profile": "production",
            "envFrom": [{"secretRef": {"name": "db"}, "prefix": "DB_"}],
            "env": [
                {"name": "LOG_LEVEL", "value": "info"},
                {"name": "API_TOKEN", "value": "hunter2"},
                {"name": "STRIPE", "valueFrom": {"secretKeyRef": {"name": "pay", "key": "stripe"}}},
            ],
            "envProfiles": {"production": [{"name": "LOG_LEVEL", "value": "warn"}]},
        }))
        .expect("a spec");
        let rows: Vec<String> = variables(&shop)
            .into_iter()
            .map(|it| format!("{}={} from {}", it.name, it.value.unwrap_or_else(|| "-".to_owned()), it.from))
            .collect();
        let expected = [
            "DB_*=- from Secret db",
            "LOG_LEVEL=warn from profile production",
            "API_TOKEN=*** from env",
            "STRIPE=- from Secret pay, key stripe (env)",
            "PORT=3000 from port",
            "REDIS_URL=- from redis",
        ];
        assert_eq!(rows, expected);
    }
}
