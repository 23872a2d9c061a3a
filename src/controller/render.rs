//! What the operator would write for an app, without a cluster: the same steps on
//! a snapshot instead of the watches.

use std::collections::BTreeMap;
use std::mem::discriminant;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cache::{AppKey, Cache, Form};
use super::capacity::Known;
use super::desired::{self, Children, NetworkChildren, Prepared, RedisChildren, Settings, SharedChildren};
use super::names;
use super::observe::{self, Caches, Owner};
use super::references::{Content, Contents};
use super::validate::{Problems, Reference, Referent, check_volume, validate};
use crate::crd::NodeApp;

/// Stands for the UID of an app that no snapshot knows.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// What a cluster has, as `kubectl get -o json` tells it.
#[derive(Debug, Default)]
pub struct Snapshot {
    caches: Caches,
    apps: Vec<NodeApp>,
    contents: BTreeMap<(String, Referent), Content>,
}

impl Snapshot {
    /// Takes in an object or a list of them. What the operator does not look at is left out.
    ///
    /// # Errors
    /// When an object is not what its kind says.
    pub fn add(&mut self, object: Value) -> Result<(), String> {
        if let Some(Value::Array(items)) = object.get("items").cloned() {
            return items.into_iter().try_for_each(|item| self.add(item));
        }
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let caches = &self.caches;
        match kind.as_str() {
            "NodeApp" => self.apps.push(parsed(object, &kind)?),
            "ServiceAccount" => keep(&caches.service_accounts, object, &kind)?,
            "ControllerRevision" => keep(&caches.revisions, object, &kind)?,
            "Service" => keep(&caches.services, object, &kind)?,
            "PodDisruptionBudget" => keep(&caches.disruption_budgets, object, &kind)?,
            "Job" => keep(&caches.jobs, object, &kind)?,
            "Deployment" => keep(&caches.deployments, object, &kind)?,
            "StatefulSet" => keep(&caches.stateful_sets, object, &kind)?,
            "PersistentVolumeClaim" => keep(&caches.claims, object, &kind)?,
            "CronJob" => keep(&caches.cron_jobs, object, &kind)?,
            "HorizontalPodAutoscaler" => keep(&caches.autoscalers, object, &kind)?,
            "Ingress" => keep(&caches.ingresses, object, &kind)?,
            "HTTPRoute" => keep(&caches.routes, object, &kind)?,
            "NetworkPolicy" => keep(&caches.network_policies, object, &kind)?,
            "Pod" => keep(&caches.pods, object, &kind)?,
            "ConfigMap" => {
                let found: ConfigMap = parsed(object, &kind)?;
                let content = Content::of_config_map(&found);
                self.contents.insert(place(&found.metadata, Referent::ConfigMap), content);
            }
            "Secret" => {
                // Of its values nothing is kept.
                let found: PartialObjectMeta<Secret> = parsed(object, &kind)?;
                let content = Content::of_secret(&found.metadata);
                self.contents.insert(place(&found.metadata, Referent::Secret), content);
            }
            _ => {}
        }
        Ok(())
    }

    fn app(&self, key: &AppKey) -> Option<&NodeApp> {
        self.apps
            .iter()
            .find(|app| app.namespace().as_ref() == Some(&key.namespace) && app.name_any() == key.name)
    }

    /// The runner that an app has now.
    pub fn runner_image(&self, app: &AppKey) -> Option<&str> {
        self.app(app)?.status.as_ref()?.runner_image.as_deref()
    }

    /// What is in the objects that an app refers to. One that is not there is missing
    /// only if others of its kind are there: else nobody has asked for them.
    fn contents(&self, namespace: &str, references: &[Reference]) -> Contents {
        let known = |referent: &Referent| {
            let found = self.contents.get(&(namespace.to_owned(), referent.clone()));
            let same = |other: &Referent| discriminant(other) == discriminant(referent);
            let asked = self.contents.keys().any(|(place, other)| place == namespace && same(other));
            found.cloned().unwrap_or(if asked { Content::Missing } else { Content::Unknown })
        };
        references.iter().map(|it| (it.referent.clone(), known(&it.referent))).collect()
    }
}

fn place(meta: &ObjectMeta, referent: fn(String) -> Referent) -> (String, Referent) {
    (meta.namespace.clone().unwrap_or_default(), referent(meta.name.clone().unwrap_or_default()))
}

/// The annotation that `kubectl apply` keeps what it has applied in.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Gives an app the annotations that its live object keeps when it is applied: those
/// that were not applied before.
fn take_over(app: &mut NodeApp, known: &NodeApp) {
    let applied: Value = known
        .annotations()
        .get(LAST_APPLIED)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    for (name, value) in known.annotations() {
        let goes = applied["metadata"]["annotations"].get(name).is_some();
        if !goes && !app.annotations().contains_key(name) {
            app.annotations_mut().insert(name.clone(), value.clone());
        }
    }
}

fn parsed<K: DeserializeOwned>(object: Value, kind: &str) -> Result<K, String> {
    serde_json::from_value(object)
        .map_err(|error| format!("a {kind} of the snapshot cannot be read: {error}"))
}

fn keep<K, F>(cache: &Cache<K, F>, object: Value, kind: &str) -> Result<(), String>
where
    K: DeserializeOwned + kube::Resource + ResourceExt,
    F: Form<K>,
{
    cache.take(Event::Apply(parsed(object, kind)?));
    Ok(())
}

/// The objects that the operator would write for an app, in its order.
///
/// An app that the snapshot does not know has no UID yet, so that its children
/// come without owner: a wrong one would have them deleted.
///
/// # Errors
/// Everything that is wrong with the app, and names of its children that are taken.
pub fn render(app: &NodeApp, snapshot: &Snapshot, settings: &Settings) -> Result<Vec<Value>, String> {
    let mut app = app.clone();
    let namespace = app.metadata.namespace.get_or_insert_with(|| "default".to_owned()).clone();
    let key = AppKey { namespace, name: app.name_any() };
    let known = snapshot.app(&key);
    if let Some(known) = known {
        if known.metadata.deletion_timestamp.is_some() {
            return Ok(Vec::new());
        }
        take_over(&mut app, known);
    }
    if names::is_paused(&app.metadata) {
        return Ok(Vec::new());
    }
    let uid = known.and_then(ResourceExt::uid);
    app.metadata.uid = Some(uid.clone().unwrap_or_else(|| NO_UID.to_owned()));
    let told = |problems: Problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
        format!("NodeApp {}: {}", key.name, lines.join("; "))
    };
    let valid = validate(&app).map_err(told)?;
    let status = known.and_then(|known| known.status.clone()).unwrap_or_default();
    let owner = Owner { key: &key, uid: uid.as_deref().unwrap_or(NO_UID) };
    let same_spec = known.is_some_and(|known| {
        known.spec == app.spec && status.observed_generation == known.metadata.generation
    });
    // How many instances fill the cluster is what the status says; nodes are in no snapshot.
    let mut observed = observe::cached(&snapshot.caches, owner, &status).among(Known::NotYet, same_spec);
    check_volume(&valid, observed.redis.claim.as_deref()).map_err(told)?;
    observed.contents = snapshot.contents(&key.namespace, &valid.references(settings.watch_secrets));
    let children = desired::desired(&valid, &observed, settings);
    observed.taken.retain(|taken| children.include(taken.kind, &taken.name));
    if !observed.taken.is_empty() {
        let lines: Vec<String> = observed.taken.iter().map(ToString::to_string).collect();
        return Err(format!("NodeApp {}: {}", key.name, lines.join("; ")));
    }
    Ok(objects(children, uid.is_some()))
}

fn objects(children: Children<Prepared>, owned: bool) -> Vec<Value> {
    let Children {
        service_account,
        revision,
        course: _,
        job,
        obsolete_jobs: _,
        service,
        disruption_budget,
        deployment,
        cron_job,
        runs: _,
        restarts: _,
        filling: _,
        autoscaler,
        rivals: _,
        held_up: _,
        unnumbered: _,
        redis,
        network,
        waiting: _,
        untried: _,
        contested: _,
        volume_refused: _,
        stage: _,
    } = children;
    let NetworkChildren { headless, ingress, route, route_waits: _, policy, redis_policy } = network;
    let redis = match redis {
        RedisChildren::Wanted(children) => of_redis(*children, owned),
        RedisChildren::Unwanted | RedisChildren::StillUsed | RedisChildren::Missing => Vec::new(),
    };
    let all = [
        Some(value(service_account, owned)),
        Some(value(revision, owned)),
        service.map(|service| value(service, owned)),
        policy.map(|policy| value(policy, owned)),
        redis_policy.map(|policy| value(policy, owned)),
        headless.map(|service| value(service, owned)),
        disruption_budget.map(|budget| value(budget, owned)),
        job.map(|job| value(job, owned)),
    ];
    let pods = [
        cron_job.map(|cron_job| value(cron_job, owned)),
        deployment.map(|deployment| value(deployment, owned)),
        autoscaler.map(|autoscaler| value(autoscaler, owned)),
        ingress.map(|ingress| value(ingress, owned)),
        route.map(|route| value(route, owned)),
    ];
    all.into_iter().flatten().chain(redis).chain(pods.into_iter().flatten()).collect()
}

/// Its Secret is shown without the password, which is made up when it is written.
fn of_redis(children: SharedChildren, owned: bool) -> Vec<Value> {
    let SharedChildren { claim, secret, service, stateful_set } = children;
    let first = [Some(value(claim, owned)), secret.map(|secret| value(secret, owned))];
    let rest = [value(service, owned), value(stateful_set, owned)];
    first.into_iter().flatten().chain(rest).collect()
}

fn value<K>(mut object: K, owned: bool) -> Value
where
    K: k8s_openapi::Metadata<Ty = ObjectMeta> + Serialize,
{
    if !owned {
        object.metadata_mut().owner_references = None;
    }
    serde_json::to_value(object).expect("a Kubernetes object is JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(annotations: &Value) -> NodeApp {
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
            "spec": {"image": "a:1", "script": "a.js", "port": 3000},
        });
        serde_json::from_value(app).unwrap()
    }

    /// A snapshot with the live app, changed in some way, and with other objects.
    fn snapshot(metadata: &Value, others: &[Value]) -> Snapshot {
        let mut live = serde_json::to_value(app(&json!({}))).unwrap();
        live["metadata"]["uid"] = json!("u1");
        for (field, value) in metadata.as_object().unwrap() {
            live["metadata"][field] = value.clone();
        }
        live["status"] = json!({"runnerImage": "runner:shop"});
        let mut snapshot = Snapshot::default();
        snapshot.add(live).unwrap();
        for other in others {
            snapshot.add(other.clone()).unwrap();
        }
        snapshot
    }

    fn rendered(app: &NodeApp, snapshot: &Snapshot) -> Result<usize, String> {
        let settings = Settings { runner_image: "runner:1".to_owned(), ..Settings::default() };
        render(app, snapshot, &settings).map(|objects| objects.len())
    }

    #[test]
    fn an_annotation_of_the_live_app_counts_unless_the_file_takes_it_out() {
        let paused = json!({"annotations": {names::PAUSED_ANNOTATION: "true"}});
        assert_eq!(rendered(&app(&json!({})), &snapshot(&paused, &[])), Ok(0));
        let resumed = app(&json!({names::PAUSED_ANNOTATION: "false"}));
        assert_eq!(rendered(&resumed, &snapshot(&paused, &[])), Ok(4), "the file says otherwise");
        let applied = json!({"metadata": {"annotations": {names::PAUSED_ANNOTATION: "true"}}}).to_string();
        let taken_out = json!({"annotations": {names::PAUSED_ANNOTATION: "true", LAST_APPLIED: applied}});
        assert_eq!(rendered(&app(&json!({})), &snapshot(&taken_out, &[])), Ok(4), "apply removes it");
    }

    #[test]
    fn nothing_is_written_for_an_app_that_is_being_deleted() {
        let deleted = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(rendered(&app(&json!({})), &snapshot(&deleted, &[])), Ok(0));
    }

    #[test]
    fn a_name_that_is_taken_is_an_error_and_not_an_object() {
        let service = json!({"kind": "Service", "apiVersion": "v1", "metadata": {
            "name": "web", "namespace": "shop", "labels": {"nodeapp.dev/app": "web", "app.kubernetes.io/managed-by": "Helm"}}});
        let snapshot = snapshot(&json!({}), &[service]);
        let error = rendered(&app(&json!({})), &snapshot).unwrap_err();
        assert!(error.contains("Service web exists and is managed by Helm"), "{error}");
        let mut worker = app(&json!({}));
        worker.spec.port = None;
        assert_eq!(rendered(&worker, &snapshot), Ok(3), "a worker has no use for the name");
    }

    #[test]
    fn a_volume_that_would_have_to_shrink_is_an_error_as_it_is_for_the_operator() {
        let claim = json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1",
            "metadata": {"name": "web-redis", "namespace": "shop",
                "labels": {"nodeapp.dev/app": "web", names::MANAGED_BY_LABEL: names::MANAGER},
                "ownerReferences": [{"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "name": "web", "uid": "u1", "controller": true}]},
            "spec": {"volumeName": "pv", "resources": {"requests": {"storage": "2Gi"}}}});
        let of_size = |size: &str| {
            let mut app = serde_json::to_value(app(&json!({}))).unwrap();
            app["spec"]["redis"] = json!({"mode": "Shared", "storage": {"size": size}});
            rendered(
                &serde_json::from_value(app).unwrap(),
                &snapshot(&json!({}), std::slice::from_ref(&claim)),
            )
        };
        assert!(of_size("2Gi").is_ok(), "{:?}", of_size("2Gi"));
        let error = of_size("1Gi").unwrap_err();
        assert!(error.contains("spec.redis.storage.size") && error.contains("cannot shrink"), "{error}");
    }

    #[test]
    fn the_runner_is_that_of_the_app_in_its_own_namespace() {
        let snapshot = snapshot(&json!({}), &[]);
        let key = |namespace: &str| AppKey { namespace: namespace.to_owned(), name: "web".to_owned() };
        assert_eq!(snapshot.runner_image(&key("shop")), Some("runner:shop"));
        assert_eq!(snapshot.runner_image(&key("dev")), None);
    }

    #[test]
    fn what_nobody_has_asked_for_is_unknown_and_not_missing() {
        let map = |name: &str| json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {"a": "1"}});
        let references = [Referent::ConfigMap("c".into()), Referent::Secret("s".into())]
            .map(|referent| Reference { referent, all: true, keys: BTreeMap::new(), optional: false });
        let contents = |others: &[Value]| {
            let found = snapshot(&json!({}), others).contents("shop", &references);
            found.into_values().collect::<Vec<_>>()
        };
        assert_eq!(contents(&[]), [Content::Unknown, Content::Unknown]);
        assert_eq!(contents(&[map("other")]), [Content::Missing, Content::Unknown]);
        assert!(matches!(contents(&[map("c")]).as_slice(), [Content::Values(_), Content::Unknown]));
        let secret = json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "shop", "uid": "u", "resourceVersion": "7"}});
        assert!(matches!(contents(&[secret]).as_slice(), [Content::Unknown, Content::Version(_)]));
    }
}
