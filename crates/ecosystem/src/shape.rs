//! Where the apps are in what a file holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::map::Count;
use crate::normalise::{self, Normal};
use crate::read::Source;
use crate::report::{Entry, Verdict};
use crate::{is_container, options, recorded};

/// An entry of a file.
pub(crate) struct App {
    /// Its place in the file, from 1.
    pub(crate) number: usize,
    /// What it says.
    pub(crate) entry: Result<Normal, String>,
    /// How many instances it has.
    pub(crate) count: Count,
    /// Its options that depend on the number of CPUs, beside instances.
    pub(crate) uneven: Vec<String>,
    /// Whether PM2 recorded it.
    pub(crate) recorded: bool,
}

/// What a file holds.
#[derive(Default)]
pub(crate) struct Found {
    /// Its apps.
    pub(crate) apps: Vec<App>,
    /// Sections beside them.
    pub(crate) sections: BTreeSet<String>,
    /// Modules of PM2 in a record.
    pub(crate) modules: Vec<String>,
}

/// Finds the apps.
///
/// # Errors
/// When there is nothing that PM2 would take.
pub(crate) fn find(source: &Source) -> Result<Found, String> {
    let value = &source.variants[0].1;
    if let Some(items) = value.as_array().filter(|items| items.iter().any(recorded::is_record)) {
        return Ok(recorded::find(items));
    }
    let items = items(value).ok_or_else(|| {
        "holds no apps: PM2 takes { apps: [...] }, a list of apps, or one app with a script".to_owned()
    })?;
    if items.is_empty() {
        return Err("the list of apps is empty".to_owned());
    }
    let others: Vec<(u32, Vec<&Value>)> = source.variants[1..]
        .iter()
        .map(|(cpus, value)| (*cpus, self::items(value).unwrap_or_default()))
        .collect();
    let mut found = Found::default();
    if let Some(object) = value.as_object() {
        let is_section = |key: &&String| options::SECTIONS.iter().any(|(section, _)| section == key);
        found.sections = object.keys().filter(is_section).cloned().collect();
    }
    let deploys = deploys(value);
    for (index, item) in items.iter().enumerate() {
        let entry = match item {
            Value::Object(map) => {
                let mut normal = normalise::entry(&without_sections(map, items.len() == 1));
                lay_under(&deploys, &mut normal);
                Ok(normal)
            }
            _ => Err("must be an object with a script".to_owned()),
        };
        let same: Vec<(u32, &Value)> = std::iter::once((source.variants[0].0, *item))
            .chain(others.iter().filter_map(|(cpus, items)| Some((*cpus, *items.get(index)?))))
            .collect();
        let count = Count::of(&same.iter().map(|(cpus, item)| (*cpus, instances(item))).collect::<Vec<_>>());
        found.apps.push(App { number: index + 1, entry, count, uneven: uneven(&same), recorded: false });
    }
    Ok(found)
}

/// The variables of `deploy`, by environment.
fn deploys(value: &Value) -> BTreeMap<&str, &Map<String, Value>> {
    let sections = value.get("deploy").and_then(Value::as_object).into_iter().flatten();
    let variables = sections.filter_map(|(name, section)| {
        Some((name.as_str(), section.get("env")?.as_object().filter(|variables| !variables.is_empty())?))
    });
    variables.collect()
}

/// With `--env name` PM2 gives every app the variables of `deploy.name`, over its `env`
/// and under its own `env_name`.
fn lay_under(deploys: &BTreeMap<&str, &Map<String, Value>>, normal: &mut Normal) {
    for (name, variables) in deploys {
        let profile = normal.profiles.entry((*name).to_owned()).or_default();
        let own = std::mem::replace(profile, (*variables).clone());
        profile.extend(own);
        normal.entries.push(Entry {
            option: format!("deploy.{name}.env"),
            verdict: Verdict::Mapped,
            field: Some(format!("spec.envProfiles.{name}")),
            note: format!("over env and under env_{name}, as PM2 has it with --env {name}"),
        });
    }
}

/// An app that is the whole file may have sections beside its options.
fn without_sections(map: &Map<String, Value>, single: bool) -> Map<String, Value> {
    let mut map = map.clone();
    if single {
        map.retain(|key, _| !options::SECTIONS.iter().any(|(section, _)| section == key));
    }
    map
}

fn items(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::Array(items) => Some(items.iter().collect()),
        Value::Object(map) => match map.get("apps").or_else(|| map.get("pm2")) {
            Some(Value::Array(items)) => Some(items.iter().collect()),
            Some(single) if is_container(single) => Some(vec![single]),
            Some(_) => None,
            None => {
                let has_script =
                    map.keys().any(|key| options::find(key).is_some_and(|option| option.name == "script"));
                has_script.then(|| vec![value])
            }
        },
        _ => None,
    }
}

/// `instances`, unless PM2 would refuse its form.
fn instances(item: &Value) -> Option<Value> {
    item.get("instances").filter(|value| value.is_number() || value.is_string()).cloned()
}

/// Options that differ between machines.
fn uneven(same: &[(u32, &Value)]) -> Vec<String> {
    let Some((_, first)) = same.first() else { return Vec::new() };
    let objects: Vec<&Map<String, Value>> = same.iter().filter_map(|(_, item)| item.as_object()).collect();
    let Some(first) = first.as_object() else { return Vec::new() };
    first
        .iter()
        .filter(|(key, _)| *key != "instances")
        .flat_map(|(key, value)| {
            let differs = |value: &Value, of: &dyn Fn(&Map<String, Value>) -> Option<Value>| {
                objects.iter().any(|object| of(object).as_ref() != Some(value))
            };
            let inner: BTreeMap<String, Value> = match value {
                Value::Object(inner) => {
                    inner.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
                }
                _ => BTreeMap::new(),
            };
            if inner.is_empty() {
                let changes = differs(value, &|object| object.get(key).cloned());
                return changes.then(|| key.clone()).into_iter().collect::<Vec<_>>();
            }
            inner
                .iter()
                .filter(|(name, value)| {
                    differs(value, &|object| object.get(key)?.get(name.as_str()).cloned())
                })
                .map(|(name, _)| format!("{key}.{name}"))
                .collect()
        })
        .collect()
}
