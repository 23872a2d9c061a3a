//! What the operator would write for an app, without a cluster: the same steps on
//! a snapshot instead of the watches.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cache::{AppKey, Cache};
use super::capacity::Known;
use super::desired::{self, Children, Prepared, Settings};
use super::names;
use super::observe::{self, Caches, Owner};
use super::validate::validate;
use crate::crd::NodeApp;

/// Stands for the UID of an app that no snapshot knows.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// What a cluster has, as `kubectl get -o json` tells it.
#[derive(Debug, Default)]
pub struct Snapshot {
    caches: Caches,
    apps: Vec<NodeApp>,
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
            "CronJob" => keep(&caches.cron_jobs, object, &kind)?,
            "HorizontalPodAutoscaler" => keep(&caches.autoscalers, object, &kind)?,
            "Pod" => keep(&caches.pods, object, &kind)?,
            _ => {}
        }
        Ok(())
    }

    fn app(&self, key: &AppKey) -> Option<&NodeApp> {
        self.apps
            .iter()
            .find(|app| app.namespace().as_ref() == Some(&key.namespace) && app.name_any() == key.name)
    }

    /// The runner that an app of this name has now.
    pub fn runner_image(&self, name: &str) -> Option<&str> {
        let app = self.apps.iter().find(|app| app.name_any() == name)?;
        app.status.as_ref()?.runner_image.as_deref()
    }
}

fn parsed<K: DeserializeOwned>(object: Value, kind: &str) -> Result<K, String> {
    serde_json::from_value(object)
        .map_err(|error| format!("a {kind} of the snapshot cannot be read: {error}"))
}

fn keep<K>(cache: &Cache<K>, object: Value, kind: &str) -> Result<(), String>
where
    K: DeserializeOwned + kube::Resource + ResourceExt + PartialEq,
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
/// Everything that is wrong with the app.
pub fn render(app: &NodeApp, snapshot: &Snapshot, settings: &Settings) -> Result<Vec<Value>, String> {
    let mut app = app.clone();
    let namespace = app.metadata.namespace.get_or_insert_with(|| "default".to_owned()).clone();
    let key = AppKey { namespace, name: app.name_any() };
    let known = snapshot.app(&key);
    let uid = known.and_then(ResourceExt::uid);
    app.metadata.uid = Some(uid.clone().unwrap_or_else(|| NO_UID.to_owned()));
    let valid = validate(&app).map_err(|problems| {
        let lines: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
        format!("NodeApp {}: {}", key.name, lines.join("; "))
    })?;
    let status = known.and_then(|known| known.status.clone()).unwrap_or_default();
    let owner = Owner { key: &key, uid: uid.as_deref().unwrap_or(NO_UID) };
    let same_spec = known.is_some_and(|known| {
        known.spec == app.spec && status.observed_generation == known.metadata.generation
    });
    // How many instances fill the cluster is what the status says; nodes are in no snapshot.
    let observed = observe::cached(&snapshot.caches, owner, &status).among(Known::NotYet, same_spec);
    if names::is_paused(&app.metadata) {
        return Ok(Vec::new());
    }
    let children = desired::desired(&valid, &observed, settings);
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
        stage: _,
    } = children;
    let all = [
        Some(value(service_account, owned)),
        Some(value(revision, owned)),
        service.map(|service| value(service, owned)),
        disruption_budget.map(|budget| value(budget, owned)),
        job.map(|job| value(job, owned)),
        cron_job.map(|cron_job| value(cron_job, owned)),
        deployment.map(|deployment| value(deployment, owned)),
        autoscaler.map(|autoscaler| value(autoscaler, owned)),
    ];
    all.into_iter().flatten().collect()
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
