//! The `ConfigMaps` and Secrets that apps refer to: who uses which, and what is in
//! them, as hashes. Only what is referred to is kept; of everything else the watch
//! brings a name and a version, which are dropped at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource, ResourceExt};

use super::cache::AppKey;
use super::error::{Action, Class, Error};
use super::names::hash;
use super::validate::{Reference, Referent};

/// What an app refers to, and what is in it.
pub type Contents = BTreeMap<Referent, Content>;

/// What is in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It could not be read.
    Unknown,
    /// There is no such object.
    Missing,
    /// The hashes of its values.
    Values(BTreeMap<String, String>),
    /// Its version, where nobody may look into it.
    Version(String),
}

impl Content {
    /// What is in a `ConfigMap`.
    pub fn of_config_map(found: &ConfigMap) -> Self {
        let values = found.data.iter().flatten().map(|(key, value)| (key.clone(), hash(value)));
        Self::Values(values.collect())
    }

    /// What a Secret shows without a look into it.
    pub fn of_secret(found: &ObjectMeta) -> Self {
        Self::Version(hash(&format!("{:?} {:?}", found.uid, found.resource_version)))
    }
}

/// An object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    namespace: String,
    referent: Referent,
}

/// What is known of one object.
#[derive(Debug, Default)]
struct Known {
    users: HashSet<AppKey>,
    /// What was read last, with the version that it was read in.
    content: Option<(Option<String>, Content)>,
    /// How often the watch has brought something new, so that what was read before
    /// is not taken for news.
    changes: u64,
    /// Whether the list that is coming in has it.
    listed: bool,
}

/// All objects that apps refer to.
#[derive(Debug, Default)]
pub struct References {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<Place, Known>,
    of_app: HashMap<AppKey, BTreeSet<Referent>>,
}

/// Kinds that are referred to, of which the watch brings metadata.
pub trait Referable {
    /// Which one it is.
    fn referent(name: String) -> Referent;
}

impl Referable for ConfigMap {
    fn referent(name: String) -> Referent {
        Referent::ConfigMap(name)
    }
}

impl Referable for Secret {
    fn referent(name: String) -> Referent {
        Referent::Secret(name)
    }
}

impl References {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an app refers to, and nothing else any more.
    pub fn uses(&self, app: &AppKey, referents: BTreeSet<Referent>) {
        let mut state = self.lock();
        let before = state.of_app.remove(app).unwrap_or_default();
        for referent in before.difference(&referents) {
            let place = Place { namespace: app.namespace.clone(), referent: referent.clone() };
            if let Some(known) = state.objects.get_mut(&place) {
                known.users.remove(app);
                if known.users.is_empty() {
                    state.objects.remove(&place);
                }
            }
        }
        for referent in &referents {
            let place = Place { namespace: app.namespace.clone(), referent: referent.clone() };
            state.objects.entry(place).or_default().users.insert(app.clone());
        }
        if !referents.is_empty() {
            state.of_app.insert(app.clone(), referents);
        }
    }

    /// Forgets an app.
    pub fn forget(&self, app: &AppKey) {
        self.uses(app, BTreeSet::new());
    }

    /// Takes in what a watch has seen; returns the apps that it concerns.
    pub fn take<K: Referable, M: Resource>(&self, event: &Event<M>) -> HashSet<AppKey> {
        let mut state = self.lock();
        let kind = K::referent(String::new());
        match event {
            Event::Init => {
                state.of_kind(&kind).for_each(|known| known.listed = false);
                HashSet::new()
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let version = object.resource_version();
                let Some(known) = state.find::<K, M>(object) else { return HashSet::new() };
                known.listed = true;
                let same = matches!(&known.content, Some((read, _)) if *read == version);
                if same { HashSet::new() } else { known.is_out_of_date() }
            }
            Event::Delete(object) => {
                state.find::<K, M>(object).map(Known::is_out_of_date).unwrap_or_default()
            }
            Event::InitDone => {
                let gone = |known: &&mut Known| {
                    !known.listed && !matches!(known.content, None | Some((_, Content::Missing)))
                };
                state.of_kind(&kind).filter(gone).flat_map(Known::is_out_of_date).collect()
            }
        }
    }

    /// What is known, or how often it had changed when it was asked for.
    fn known(&self, place: &Place) -> Result<Content, u64> {
        let state = self.lock();
        let known = state.objects.get(place);
        let content = known.and_then(|known| known.content.as_ref());
        content.map(|(_, content)| content.clone()).ok_or_else(|| known.map_or(0, |known| known.changes))
    }

    /// Keeps what was read, unless it has changed since.
    fn keep(&self, place: &Place, changes: u64, version: Option<String>, content: &Content) {
        if let Some(known) = self.lock().objects.get_mut(place)
            && known.changes == changes
        {
            known.content = Some((version, content.clone()));
        }
    }
}

impl State {
    fn of_kind(&mut self, kind: &Referent) -> impl Iterator<Item = &mut Known> {
        let kind = std::mem::discriminant(kind);
        let same = move |place: &Place| std::mem::discriminant(&place.referent) == kind;
        self.objects.iter_mut().filter(move |(place, _)| same(place)).map(|(_, known)| known)
    }

    fn find<K: Referable, M: Resource>(&mut self, object: &M) -> Option<&mut Known> {
        let namespace = object.namespace().unwrap_or_default();
        self.objects.get_mut(&Place { namespace, referent: K::referent(object.name_any()) })
    }
}

impl Known {
    fn is_out_of_date(&mut self) -> HashSet<AppKey> {
        self.content = None;
        self.changes += 1;
        self.users.clone()
    }
}

/// What an app refers to, read where it is not known.
///
/// # Errors
/// When the API server does not answer. A right that is missing is no error.
pub async fn look(
    references: &References,
    client: &Client,
    app: &AppKey,
    wanted: &[Reference],
) -> Result<Contents, Error> {
    references.uses(app, wanted.iter().map(|reference| reference.referent.clone()).collect());
    let mut contents = Contents::new();
    for Reference { referent, .. } in wanted {
        let place = Place { namespace: app.namespace.clone(), referent: referent.clone() };
        let content = match references.known(&place) {
            Ok(content) => content,
            Err(changes) => match read(client, &place).await {
                Ok((version, content)) => {
                    references.keep(&place, changes, version, &content);
                    content
                }
                Err(error) if error.class() == Class::Forbidden => {
                    tracing::debug!(app = app.name, "{error}; a change of it will go unnoticed");
                    Content::Unknown
                }
                Err(error) => return Err(error),
            },
        };
        contents.insert(referent.clone(), content);
    }
    Ok(contents)
}

/// Reads a `ConfigMap`; of a Secret only its metadata, so that no value of it is
/// ever in the memory of the operator.
async fn read(client: &Client, place: &Place) -> Result<(Option<String>, Content), Error> {
    let failed = |kind, name: &str| {
        let name = name.to_owned();
        move |source| Error { action: Action::Read, kind, name, source }
    };
    match &place.referent {
        Referent::ConfigMap(name) => {
            let api = Api::<ConfigMap>::namespaced(client.clone(), &place.namespace);
            let found = api.get_opt(name).await.map_err(failed("ConfigMap", name))?;
            Ok(found.map_or((None, Content::Missing), |found| {
                (found.metadata.resource_version.clone(), Content::of_config_map(&found))
            }))
        }
        Referent::Secret(name) => {
            let api = Api::<Secret>::namespaced(client.clone(), &place.namespace);
            let found = api.get_metadata_opt(name).await.map_err(failed("Secret", name))?;
            Ok(found.map_or((None, Content::Missing), |found| {
                (found.resource_version(), Content::of_secret(found.meta()))
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppKey {
        AppKey { namespace: "shop".into(), name: name.into() }
    }

    fn object(name: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("shop".into());
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    fn place(name: &str) -> Place {
        Place { namespace: "shop".into(), referent: Referent::ConfigMap(name.into()) }
    }

    fn names(apps: HashSet<AppKey>) -> Vec<String> {
        let mut names: Vec<_> = apps.into_iter().map(|app| app.name).collect();
        names.sort();
        names
    }

    fn used() -> References {
        let references = References::default();
        for name in ["web", "api"] {
            references.uses(&app(name), [Referent::ConfigMap("common".into())].into());
        }
        references
    }

    fn took(references: &References, event: &Event<ConfigMap>) -> Vec<String> {
        names(references.take::<ConfigMap, _>(event))
    }

    #[test]
    fn a_change_concerns_those_who_refer_to_it_and_is_news_once() {
        let references = used();
        references.keep(&place("common"), 0, Some("1".into()), &Content::Missing);
        let known = Event::Apply(object("common", "1"));
        assert!(took(&references, &known).is_empty(), "that is what was read");
        assert!(took(&references, &Event::Apply(object("unknown", "9"))).is_empty());
        assert_eq!(took(&references, &Event::Apply(object("common", "2"))), ["api", "web"]);
        assert_eq!(references.known(&place("common")), Err(1), "to be read anew");
        references.uses(&app("api"), BTreeSet::new());
        assert_eq!(took(&references, &Event::Delete(object("common", "3"))), ["web"]);
        references.forget(&app("web"));
        assert!(references.lock().objects.is_empty() && references.lock().of_app.is_empty());
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let references = used();
        let Err(changes) = references.known(&place("common")) else { panic!("nothing was read") };
        took(&references, &Event::Apply(object("common", "2")));
        references.keep(&place("common"), changes, Some("1".into()), &Content::Missing);
        assert!(references.known(&place("common")).is_err(), "an old answer");
    }

    #[test]
    fn a_new_list_tells_what_has_gone_meanwhile() {
        let references = used();
        references.keep(&place("common"), 0, Some("1".into()), &Content::Values(BTreeMap::new()));
        for there in [true, false] {
            took(&references, &Event::Init);
            if there {
                assert!(took(&references, &Event::InitApply(object("common", "1"))).is_empty());
            }
            let gone = took(&references, &Event::InitDone);
            assert_eq!(gone.is_empty(), there, "{gone:?}");
        }
    }
}
