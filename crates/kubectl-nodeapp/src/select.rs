//! Which apps a verb means, said as in PM2: a name, PM2's namespace, `all`, `/regex/`, or several of them.

use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use nodeapp_ecosystem::NAMESPACE_LABEL;
use nodeapp_operator::crd::NodeApp;
use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cluster::{Attempt, Cluster, told};

/// What apps are called in refusals.
pub(crate) const RESOURCE: &str = "nodeapps.nodeapp.dev";

/// One way to name apps.
#[derive(Clone, Debug)]
pub(crate) enum Selector {
    All,
    /// Of an app; where none is called so, of a namespace of PM2, which is a label here.
    Name(String),
    Pattern(Regex),
}

impl std::str::FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(pattern) = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')) {
            return Regex::new(pattern).map(Self::Pattern).map_err(|error| format!("{text}: {error}"));
        }
        if text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!(
                "`{text}`: apps are named here by their name, not by PM2's number; see `ls`"
            ));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

impl Selector {
    pub(crate) fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Name(wanted) => wanted == name,
            Self::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

/// Whether an app is meant by its own name.
pub(crate) fn is_named(selectors: &[Selector], app: &NodeApp) -> bool {
    selectors.iter().any(|selector| matches!(selector, Selector::Name(name) if *name == app.name_any()))
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => write!(f, "all"),
            Self::Name(name) => write!(f, "{name}"),
            Self::Pattern(pattern) => write!(f, "/{pattern}/"),
        }
    }
}

impl Cluster {
    /// All apps of the namespace, or of all of them, sorted by namespace and name, as the cluster has them.
    ///
    /// # Errors
    /// What the cluster refuses, in words.
    pub(crate) async fn raw_apps(&self) -> Result<Vec<DynamicObject>, String> {
        let attempt = Attempt { verb: "list", resource: RESOURCE, namespace: self.namespace.as_deref() };
        let list = self.nodeapps().list(&ListParams::default()).await;
        let mut apps = list.map_err(|error| told(&attempt, &error))?.items;
        apps.sort_by_cached_key(|app| (app.namespace(), app.name_any()));
        Ok(apps)
    }

    /// The same, as far as this version of the plugin understands them.
    ///
    /// # Errors
    /// What the cluster refuses, in words.
    pub(crate) async fn all_apps(&self) -> Result<Vec<NodeApp>, String> {
        Ok(self.raw_apps().await?.into_iter().map(understood).collect())
    }

    /// The apps that are meant, each once. One name alone needs the right to get, anything else the right to list.
    ///
    /// # Errors
    /// When a name or a pattern takes none, with the names that are near; or what the cluster refuses.
    pub(crate) async fn apps(&self, selectors: &[Selector]) -> Result<Vec<NodeApp>, String> {
        if let ([Selector::Name(name)], Some(namespace)) = (selectors, &self.namespace) {
            let attempt = Attempt { verb: "get", resource: RESOURCE, namespace: Some(namespace) };
            let found = self.nodeapps().get_opt(name).await;
            if let Some(app) = found.map_err(|error| told(&attempt, &error))? {
                return Ok(vec![understood(app)]);
            }
        }
        chosen(self.all_apps().await?, selectors, self.namespace.as_deref())
    }

    /// What is meant, for whoever goes on watching: with the names of its apps for a namespace of PM2.
    ///
    /// # Errors
    /// As before.
    pub(crate) async fn meant(&self, selectors: &[Selector]) -> Result<Vec<Selector>, String> {
        Ok(spelled(selectors, &self.apps(selectors).await?))
    }
}

fn spelled(selectors: &[Selector], apps: &[NodeApp]) -> Vec<Selector> {
    let names = |selector: &Selector| -> Vec<Selector> {
        let Selector::Name(name) = selector else { return vec![selector.clone()] };
        if apps.iter().any(|app| app.name_any() == *name) {
            return vec![selector.clone()];
        }
        let inside = apps.iter().filter(|app| app.labels().get(NAMESPACE_LABEL) == Some(name));
        inside.map(|app| Selector::Name(app.name_any())).collect()
    };
    selectors.iter().flat_map(names).collect()
}

/// As far as this version of the plugin understands it: what another version of the API has beyond that is left out, so
/// that an older plugin keeps working.
pub(crate) fn understood(object: DynamicObject) -> NodeApp {
    let DynamicObject { metadata, data, .. } = object;
    let spec = in_parts(&data["spec"], &["image"]);
    let status = data.get("status").map(|status| in_parts(status, &[]));
    NodeApp { metadata, spec, status }
}

/// All of an object, or the fields of it that can be read; `first` are those that the others cannot be read without.
fn in_parts<T: DeserializeOwned + Default>(object: &Value, first: &[&str]) -> T {
    if let Ok(all) = T::deserialize(object) {
        return all;
    }
    let Some(fields) = object.as_object() else { return T::default() };
    let of = |known: &Map<String, Value>| T::deserialize(Value::Object(known.clone())).ok();
    let (mut known, mut read) = (Map::new(), T::default());
    let rest = fields.keys().map(String::as_str).filter(|name| !first.contains(name));
    for name in first.iter().copied().chain(rest) {
        known.insert(name.to_owned(), fields.get(name).cloned().unwrap_or(Value::from("")));
        match of(&known) {
            Some(more) => read = more,
            None => drop(known.remove(name)),
        }
    }
    read
}

/// Those of the apps that are meant. As in PM2, the name of an app wins over that of a namespace of PM2.
///
/// # Errors
/// When a name or a pattern takes none, with the names that are near.
pub(crate) fn chosen<K: ResourceExt>(
    apps: Vec<K>,
    selectors: &[Selector],
    namespace: Option<&str>,
) -> Result<Vec<K>, String> {
    let names: Vec<String> = apps.iter().map(ResourceExt::name_any).collect();
    let mut meant = vec![false; apps.len()];
    for selector in selectors {
        let mut taken: Vec<usize> = (0..apps.len()).filter(|at| selector.takes(&names[*at])).collect();
        if let (Selector::Name(name), true) = (selector, taken.is_empty()) {
            let is_in = |app: &K| app.labels().get(NAMESPACE_LABEL) == Some(name);
            taken = (0..apps.len()).filter(|at| is_in(&apps[*at])).collect();
        }
        if taken.is_empty() {
            return Err(nobody(selector, &names, namespace));
        }
        for at in taken {
            meant[at] = true;
        }
    }
    Ok(apps.into_iter().zip(meant).filter_map(|(app, is_meant)| is_meant.then_some(app)).collect())
}

fn nobody(selector: &Selector, names: &[String], namespace: Option<&str>) -> String {
    let place = namespace.map_or_else(|| "any namespace".to_owned(), |name| format!("namespace {name}"));
    if names.is_empty() {
        return format!("there is no NodeApp in {place}; -n names another one, -A takes all");
    }
    let near = near(&selector.to_string(), names);
    let hint = if near.is_empty() { names } else { &near[..] };
    let more = if hint.len() > 5 { ", …" } else { "" };
    let hint = hint.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let word = if near.is_empty() { "there are" } else { "did you mean" };
    let end = if near.is_empty() { "" } else { "?" };
    format!("no NodeApp {selector} in {place}; {word} {hint}{more}{end}")
}

/// Names that differ by a few letters, or contain what was asked for; the nearest first.
fn near(wanted: &str, names: &[String]) -> Vec<String> {
    let mut near: Vec<(usize, &String)> = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .filter(|(distance, name)| *distance <= wanted.len().div_ceil(3) || name.contains(wanted))
        .collect();
    near.sort();
    near.dedup_by(|one, other| one.1 == other.1);
    near.into_iter().map(|(_, name)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Vec<NodeApp> {
        ["shop", "shop-admin", "worker"]
            .map(|name| NodeApp::new(name, nodeapp_operator::crd::NodeAppSpec::default()))
            .to_vec()
    }

    fn names(selectors: &[&str]) -> Result<Vec<String>, String> {
        let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(chosen(apps(), &selectors, Some("web"))?.iter().map(ResourceExt::name_any).collect())
    }

    #[test]
    fn apps_are_chosen_as_in_pm2_and_each_once() {
        assert_eq!(names(&["all"]).expect("all"), ["shop", "shop-admin", "worker"]);
        assert_eq!(names(&["/^shop/"]).expect("a pattern"), ["shop", "shop-admin"]);
        assert_eq!(names(&["worker", "/work/", "shop"]).expect("names"), ["shop", "worker"]);
    }

    #[test]
    fn a_namespace_of_pm2_means_its_apps_unless_an_app_is_called_so() {
        let mut apps = apps();
        for (at, namespace) in [(0, "front"), (1, "front"), (2, "shop")] {
            apps[at].labels_mut().insert(NAMESPACE_LABEL.to_owned(), namespace.to_owned());
        }
        let of = |word: &str| -> Vec<String> {
            let selector = word.parse().expect("a selector");
            chosen(apps.clone(), &[selector], None).expect("apps").iter().map(ResourceExt::name_any).collect()
        };
        assert_eq!(of("front"), ["shop", "shop-admin"]);
        assert_eq!(of("shop"), ["shop"], "not the worker, whose namespace has that name");
        let given = [Selector::Name("front".to_owned()), Selector::All];
        let spelled: Vec<String> = spelled(&given, &apps).iter().map(ToString::to_string).collect();
        assert_eq!(spelled, ["shop", "shop-admin", "all"], "who goes on watching needs the names");
    }

    #[test]
    fn a_wrong_name_gets_the_near_ones() {
        let error = names(&["sohp"]).expect_err("no such app");
        assert_eq!(error, "no NodeApp sohp in namespace web; did you mean shop?");
        let error = names(&["database"]).expect_err("no such app");
        assert!(error.contains("there are shop, shop-admin, worker"), "{error}");
        assert!(names(&["0"]).expect_err("a number").contains("by their name"));
        assert!(names(&["/(/"]).expect_err("a broken pattern").contains('('));
    }

    #[test]
    fn a_field_of_a_newer_version_costs_nothing_but_itself() {
        let object = serde_json::json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "metadata": {"name": "shop"},
            "spec": {"image": "shop:1", "instances": 3, "logType": "parquet", "orbit": {"moons": 2}},
            "status": {"restarts": 4, "desiredReplicas": "three"},
        });
        let app = understood(serde_json::from_value(object).expect("an object"));
        assert_eq!((app.spec.image.as_str(), app.spec.instances, app.spec.log_type), ("shop:1", 3, None));
        assert_eq!(app.status.map(|status| status.restarts), Some(4));
    }
}
