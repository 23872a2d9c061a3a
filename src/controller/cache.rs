//! What the watches have seen of the children, found by app. Kept by hand
//! rather than in a reflector's store, since an app's revisions must be found
//! without a walk over everyone's.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerStatus,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::compare;
use super::names::{APP_LABEL, MANAGED_BY_LABEL, MANAGER};

/// Namespace and name of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppKey {
    /// Namespace of the app and its children.
    pub namespace: String,
    /// Name of the app.
    pub name: String,
}

impl AppKey {
    /// The app that a child says it belongs to.
    fn of_child(meta: &ObjectMeta) -> Option<Self> {
        let name = meta.labels.as_ref()?.get(APP_LABEL)?.clone();
        Some(Self { namespace: meta.namespace.clone()?, name })
    }
}

/// How an object is kept.
pub trait Form<K>: PartialEq {
    /// Takes it in.
    fn keep(object: K) -> Self;
    /// Gives it out again.
    fn give(&self) -> Arc<K>;
}

/// As it is: for small objects, and for those that are looked at all the time.
impl<K: PartialEq> Form<K> for Arc<K> {
    fn keep(object: K) -> Self {
        Self::new(object)
    }

    fn give(&self) -> Arc<K> {
        self.clone()
    }
}

/// As compressed text, which takes an eighth of a Deployment's memory: its typed form
/// has room for every field that a container could have, and room for four containers.
#[derive(Debug)]
pub struct Packed<K> {
    text: Box<[u8]>,
    kind: PhantomData<fn() -> K>,
}

impl<K> PartialEq for Packed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K: Serialize + DeserializeOwned + Default> Form<K> for Packed<K> {
    fn keep(object: K) -> Self {
        // Neither direction can fail for what came as JSON.
        let text = serde_json::to_vec(&object).unwrap_or_default();
        let text = lz4_flex::compress_prepend_size(&text).into_boxed_slice();
        Self { text, kind: PhantomData }
    }

    fn give(&self) -> Arc<K> {
        let text = lz4_flex::decompress_size_prepended(&self.text).unwrap_or_default();
        Arc::new(serde_json::from_slice(&text).unwrap_or_default())
    }
}

/// The children of one kind.
#[derive(Debug)]
pub struct Cache<K, F = Packed<K>> {
    state: RwLock<State<F>>,
    kind: PhantomData<fn() -> K>,
}

#[derive(Debug)]
struct State<F> {
    live: Index<F>,
    /// A list that is not complete yet.
    listing: Option<Index<F>>,
}

#[derive(Debug)]
struct Index<F> {
    /// Each app's children by name, in the order of their names.
    by_app: HashMap<AppKey, Vec<(String, F)>>,
    /// Under which app an object stands, should its label be changed.
    app_of: HashMap<(String, String), AppKey>,
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        Self { by_app: HashMap::new(), app_of: HashMap::new() }
    }
}

impl<K, F> Default for Cache<K, F> {
    fn default() -> Self {
        let state = State { live: Index::default(), listing: None };
        Self { state: RwLock::new(state), kind: PhantomData }
    }
}

impl<K: Resource + ResourceExt, F: Form<K>> Cache<K, F> {
    /// The children of an app.
    pub fn of(&self, app: &AppKey) -> Vec<Arc<K>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.live.by_app.get(app).into_iter().flatten().map(|(_, child)| child.give()).collect()
    }

    /// An app's child of this name.
    pub fn named(&self, app: &AppKey, name: &str) -> Option<Arc<K>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let children = state.live.by_app.get(app)?;
        let place = place_of(children, name).ok()?;
        Some(children[place].1.give())
    }

    /// Whether nothing is kept, of whatever app.
    pub fn is_empty(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.live.by_app.is_empty() && state.live.app_of.is_empty()
    }

    /// The children of all apps.
    pub fn all(&self) -> Vec<(AppKey, Arc<K>)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let apps = state.live.by_app.iter();
        apps.flat_map(|(app, children)| children.iter().map(|(_, child)| (app.clone(), child.give())))
            .collect()
    }

    /// Takes in what a watch has seen; returns the apps that it concerns.
    pub fn take(&self, event: Event<K>) -> HashSet<AppKey> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                state.listing = Some(Index::default());
                HashSet::new()
            }
            Event::InitApply(object) => {
                state.listing.get_or_insert_default().insert(object);
                HashSet::new()
            }
            Event::InitDone => {
                let listed = state.listing.take().unwrap_or_default();
                let changed = state.live.differences(&listed);
                state.live = listed;
                changed
            }
            Event::Apply(object) => state.live.insert(object),
            Event::Delete(object) => state.live.remove(object.meta()),
        }
    }
}

impl<F: PartialEq> Index<F> {
    fn insert<K: Resource>(&mut self, object: K) -> HashSet<AppKey>
    where
        F: Form<K>,
    {
        let app = AppKey::of_child(object.meta());
        let name = object.name_any();
        let namespace = object.namespace().unwrap_or_default();
        let kept = F::keep(object);
        if app.as_ref().is_some_and(|app| self.child(app, &name) == Some(&kept)) {
            // Something has changed in it that is not kept.
            return HashSet::new();
        }
        let mut concerned = self.drop_child(namespace.clone(), &name);
        if let Some(app) = app {
            self.app_of.insert((namespace, name.clone()), app.clone());
            let children = self.by_app.entry(app.clone()).or_default();
            let place = place_of(children, &name).unwrap_or_else(|place| place);
            // There is one in nearly every case.
            children.reserve_exact(1);
            children.insert(place, (name, kept));
            concerned.insert(app);
        }
        concerned
    }

    fn child(&self, app: &AppKey, name: &str) -> Option<&F> {
        let children = self.by_app.get(app)?;
        Some(&children[place_of(children, name).ok()?].1)
    }

    fn remove(&mut self, meta: &ObjectMeta) -> HashSet<AppKey> {
        self.drop_child(meta.namespace.clone().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    fn drop_child(&mut self, namespace: String, name: &str) -> HashSet<AppKey> {
        let Some(app) = self.app_of.remove(&(namespace, name.to_owned())) else { return HashSet::new() };
        if let Some(children) = self.by_app.get_mut(&app) {
            children.retain(|(known, _)| known != name);
            if children.is_empty() {
                self.by_app.remove(&app);
            }
        }
        HashSet::from([app])
    }

    fn differences(&self, other: &Self) -> HashSet<AppKey> {
        let apps: HashSet<&AppKey> = self.by_app.keys().chain(other.by_app.keys()).collect();
        let changed = |app: &&AppKey| self.by_app.get(app) != other.by_app.get(app);
        apps.into_iter().filter(changed).cloned().collect()
    }
}

/// Where a child is, or would be.
fn place_of<F>(children: &[(String, F)], name: &str) -> Result<usize, usize> {
    children.binary_search_by(|(known, _)| known.as_str().cmp(name))
}

/// Drops what nobody reads before an object is kept: there may be thousands.
pub fn slim<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    if let Some(managed) = &mut meta.managed_fields {
        for entry in managed {
            // Of Kubernetes' own controllers and of statuses, who and when is of interest, what is not.
            let is_of_interest = compare::is_ours(entry) || compare::is_foreign(entry);
            let fields = entry.fields_v1.take().filter(|_| is_of_interest);
            entry.fields_v1 = fields.as_ref().map(compare::packed);
        }
    }
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

/// The same for an app, of which nobody asks who wrote what.
pub fn slim_app<K: Resource>(app: &mut K) {
    app.meta_mut().managed_fields = None;
    slim(app);
}

/// The same for a Job. Of the run of an app that is a job only the end is read.
pub fn slim_job(job: &mut Job) {
    slim(job);
    if job.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "CronJob") {
        job.metadata.managed_fields = None;
        job.spec = None;
    }
}

/// The same for an autoscaler. All of a cluster are watched, since one of someone
/// else may scale a Deployment of ours: of such a one only that is kept, and it
/// stands under the app whose Deployment it would be. The status is dropped but for what
/// keeps it from its work, and the version that changes with it every few seconds.
pub fn slim_autoscaler(autoscaler: &mut HorizontalPodAutoscaler) {
    slim(autoscaler);
    let trouble = trouble_of(autoscaler).cloned();
    autoscaler.status = trouble.map(|trouble| HorizontalPodAutoscalerStatus {
        conditions: Some(vec![trouble]),
        ..HorizontalPodAutoscalerStatus::default()
    });
    let meta = autoscaler.meta_mut();
    meta.resource_version = None;
    if let Some(managed) = &mut meta.managed_fields {
        managed.retain(|entry| entry.subresource.is_none());
    }
    let labels = meta.labels.get_or_insert_default();
    if labels.get(MANAGED_BY_LABEL).is_some_and(|by| by == MANAGER) {
        return;
    }
    labels.clear();
    autoscaler.status = None;
    let meta = autoscaler.meta_mut();
    meta.annotations = None;
    meta.managed_fields = None;
    let target = autoscaler.spec.take().map(|spec| spec.scale_target_ref);
    if let Some(target) = target.filter(|target| target.kind == "Deployment") {
        autoscaler.labels_mut().insert(APP_LABEL.to_owned(), target.name);
    }
}

/// What an autoscaler says keeps it from its work. That of a stopped app has none.
pub fn trouble_of(autoscaler: &HorizontalPodAutoscaler) -> Option<&HorizontalPodAutoscalerCondition> {
    let conditions = autoscaler.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| {
        condition.type_ == "ScalingActive"
            && condition.status == "False"
            && condition.reason.as_deref() != Some("ScalingDisabled")
    })
}

/// The same for a revision, whose data as a tree would take several times the
/// memory of its text; [`data`] makes it a tree again.
pub fn slim_revision(revision: &mut ControllerRevision) {
    slim(revision);
    if let Some(data) = &mut revision.data {
        data.0 = Value::String(data.0.to_string());
    }
}

/// What a revision holds, cached or not. An app may have ten of them and needs one
/// or two, so that each is made a tree where it is looked into.
pub fn data(revision: &ControllerRevision) -> Option<Cow<'_, Value>> {
    let RawExtension(data) = revision.data.as_ref()?;
    let tree = data.as_str().and_then(|text| serde_json::from_str(text).ok());
    Some(tree.map_or(Cow::Borrowed(data), Cow::Owned))
}

/// A cached revision as the API server has it.
pub fn expanded(revision: &ControllerRevision) -> ControllerRevision {
    let data = data(revision).map(|data| RawExtension(data.into_owned()));
    ControllerRevision { metadata: revision.metadata.clone(), data, revision: revision.revision }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    fn service(app: &str, name: &str, version: &str) -> Service {
        let mut service = Service::default();
        service.metadata.namespace = Some("shop".to_owned());
        service.metadata.name = Some(name.to_owned());
        service.metadata.resource_version = Some(version.to_owned());
        service.labels_mut().insert(APP_LABEL.to_owned(), app.to_owned());
        service
    }

    fn key(app: &str) -> AppKey {
        AppKey { namespace: "shop".to_owned(), name: app.to_owned() }
    }

    fn names(cache: &Cache<Service>, app: &str) -> Vec<String> {
        cache.of(&key(app)).iter().map(|service| service.name_any()).collect()
    }

    #[test]
    fn a_list_replaces_what_was_known_only_when_it_is_complete() {
        let cache: Cache<Service> = Cache::default();
        cache.take(Event::Apply(service("web", "old", "1")));
        cache.take(Event::Init);
        cache.take(Event::InitApply(service("web", "new", "2")));
        assert_eq!(names(&cache, "web"), ["old"]);
        assert_eq!(cache.take(Event::InitDone), HashSet::from([key("web")]));
        assert_eq!(names(&cache, "web"), ["new"]);
    }

    #[test]
    fn a_list_that_brings_nothing_new_concerns_nobody() {
        let cache: Cache<Service> = Cache::default();
        cache.take(Event::Apply(service("web", "web", "1")));
        cache.take(Event::Apply(service("api", "api", "1")));
        cache.take(Event::Init);
        cache.take(Event::InitApply(service("web", "web", "1")));
        assert_eq!(cache.take(Event::InitDone), HashSet::from([key("api")]), "api went unseen");
    }

    #[test]
    fn a_change_that_is_not_kept_concerns_nobody() {
        let cache: Cache<Service> = Cache::default();
        assert_eq!(cache.take(Event::Apply(service("web", "web", "1"))), HashSet::from([key("web")]));
        assert_eq!(cache.take(Event::Apply(service("web", "web", "1"))), HashSet::new());
        assert_eq!(cache.take(Event::Apply(service("web", "web", "2"))), HashSet::from([key("web")]));
    }

    #[test]
    fn a_revision_is_kept_as_text_and_comes_back_as_it_was() {
        for data in [json!({"spec": {"image": "a:1"}, "template": [1, "x"]}), json!("text"), json!(null)] {
            let whole = ControllerRevision { data: Some(RawExtension(data)), ..Default::default() };
            let mut kept = whole.clone();
            slim_revision(&mut kept);
            assert!(kept.data.as_ref().is_some_and(|data| data.0.is_string()));
            assert_eq!(expanded(&kept), whole);
        }
        assert_eq!(expanded(&ControllerRevision::default()), ControllerRevision::default());
    }

    fn autoscaler(labels: &Value, target: &Value) -> HorizontalPodAutoscaler {
        let whole = json!({
            "metadata": {"name": "x", "namespace": "shop", "labels": labels, "resourceVersion": "1"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": target},
            "status": {"desiredReplicas": 2, "currentMetrics": [], "conditions": []},
        });
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn an_autoscaler_of_someone_else_concerns_the_app_whose_deployment_it_scales() {
        let cache: Cache<HorizontalPodAutoscaler> = Cache::default();
        let seen = |labels: &Value, target: &Value| {
            let mut autoscaler = autoscaler(labels, target);
            slim_autoscaler(&mut autoscaler);
            cache.take(Event::Apply(autoscaler))
        };
        let deployment = json!({"kind": "Deployment", "name": "web"});
        assert_eq!(seen(&json!({"nodeapp.dev/app": "lie"}), &deployment), HashSet::from([key("web")]));
        let app = json!({"kind": "NodeApp", "name": "web"});
        assert_eq!(seen(&json!({}), &app), HashSet::from([key("web")]), "it lets go of web");
        assert!(cache.of(&key("web")).is_empty());
        let ours = json!({"nodeapp.dev/app": "api", "app.kubernetes.io/managed-by": "nodeapp-operator"});
        assert_eq!(seen(&ours, &deployment), HashSet::from([key("api")]));
        assert!(cache.of(&key("api"))[0].spec.is_some(), "ours is compared with what it should be");
        assert!(cache.of(&key("api"))[0].status.is_none());
    }

    #[test]
    fn a_child_that_changes_hands_concerns_both() {
        let cache: Cache<Service> = Cache::default();
        cache.take(Event::Apply(service("web", "x", "1")));
        let concerned = cache.take(Event::Apply(service("api", "x", "2")));
        assert_eq!(concerned, HashSet::from([key("web"), key("api")]));
        assert!(names(&cache, "web").is_empty());
        cache.take(Event::Delete(service("api", "x", "3")));
        assert!(names(&cache, "api").is_empty());
    }
}
