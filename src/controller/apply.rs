//! Fourth step, and the only one that writes children: in order, only what is
//! not as it should be, and never what belongs to someone else.

mod clean;
mod network;
mod redis;
mod try_out;

pub use clean::Brake;

use std::sync::Arc;

use http::Request;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope, Resource as _};
use kube::api::{DeleteParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cache::expanded;
use super::compare;
use super::desired::{Applied, Children, Pods, Prepared, obsolete};
use super::error::{Action, Error};
use super::fights::Contested;
use super::names::{DELETION_COST_ANNOTATION, INSTANCE_GATE, INSTANCE_LABEL, MANAGER};
use super::numbering::{Gift, Misplaced};
use super::observe::Observed;
use super::pods::AppPod;
use super::replicas::{self, Autoscaled, Hold};
use super::ssa::{self, Part};

/// Writes the children of one app.
pub struct Writer<'a> {
    client: &'a Client,
    namespace: &'a str,
    brake: Brake<'a>,
    writes: u32,
    repairs: Vec<Repair>,
    contested: Option<Contested>,
    refused: Option<Error>,
    volume_refused: Option<String>,
}

/// What was found other than it should be, and is as it should be again. Only the
/// caller knows whether the spec had changed, or someone else the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Kind of the child.
    pub kind: &'static str,
    /// Name of the child.
    pub name: String,
    /// Who changed it last, if anyone but Kubernetes itself and us has; none for a
    /// child that was missing.
    pub changed_by: Option<String>,
}

/// A kind of child.
pub trait Child:
    k8s_openapi::Resource<Scope = NamespaceResourceScope>
    + Metadata<Ty = ObjectMeta>
    + Clone
    + Serialize
    + DeserializeOwned
    + std::fmt::Debug
{
}

impl<K> Child for K where
    K: k8s_openapi::Resource<Scope = NamespaceResourceScope>
        + Metadata<Ty = ObjectMeta>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug
{
}

/// Makes a create-only apply: an object that exists never has this version, so
/// the API server answers with a conflict instead of handing it over to us.
const ABSENT: &str = "1";

impl<'a> Writer<'a> {
    /// A writer for an app of a namespace.
    pub const fn new(client: &'a Client, namespace: &'a str, brake: Brake<'a>) -> Self {
        let (contested, refused, volume_refused) = (None, None, None);
        Self { client, namespace, brake, writes: 0, repairs: Vec::new(), contested, refused, volume_refused }
    }

    /// Number of writes so far.
    pub const fn writes(&self) -> u32 {
        self.writes
    }

    /// What was put right so far, and what was refused though all the rest was done.
    pub fn ends(self) -> (Vec<Repair>, Option<Error>) {
        (self.repairs, self.refused)
    }

    /// Brings the children about: what others lean on first, pods last.
    pub async fn apply(
        &mut self,
        children: Children<Prepared>,
        by_load: Option<Autoscaled>,
        observed: &Observed,
    ) -> Result<Children<Applied>, Error> {
        let Children {
            service_account,
            revision,
            course,
            job,
            obsolete_jobs,
            service,
            disruption_budget,
            deployment,
            cron_job,
            runs,
            restarts,
            filling,
            autoscaler,
            rivals,
            held_up,
            unnumbered,
            redis,
            network,
            waiting,
            untried: _,
            contested: _,
            volume_refused: _,
            stage: _,
        } = children;
        let known = observed.revisions.iter().find(|known| known.metadata.name == revision.metadata.name);
        let known = known.map(|known| expanded(known));
        let service_account = self.one(service_account, observed.service_account.as_deref()).await?;
        let revision = self.one(revision, known.as_ref()).await?;
        let service = self.optional(service, observed.service.as_deref()).await?;
        // Before the pods that they are about.
        let network = Box::pin(self.guards(network, observed)).await?;
        let disruption_budget = self.budget(disruption_budget, by_load, observed).await?;
        Box::pin(self.jobs(job, obsolete_jobs)).await?;
        let redis = Box::pin(self.redis(redis, &observed.redis)).await?;
        // One that becomes the other first loses what it was.
        let mut live = observed.deployment.as_deref();
        if let Some(unwanted) = live.take_if(|_| deployment.is_none()) {
            self.delete(unwanted).await?;
        }
        let cron_job = Box::pin(self.optional(cron_job, observed.cron_job.as_deref())).await?;
        // An autoscaler goes before the operator decides the number, and comes after it has
        // let go of it: two would set it in turn.
        if autoscaler.is_none() {
            self.optional(None, observed.autoscaler.as_deref()).await?;
        }
        let deployment = match deployment {
            Some(deployment) => Some(Box::pin(self.deployment(deployment, by_load, observed)).await?),
            None => None,
        };
        let known = observed.autoscaler.as_deref().filter(|_| autoscaler.is_some());
        let autoscaler = self.optional(autoscaler, known).await?;
        let pods = Pods { deployment, cron_job, runs };
        self.forget_history(&revision, course.running.as_deref(), observed).await?;
        // Last, so that what a cluster has to say against them holds nothing else up.
        let network = Box::pin(self.entrances(network, observed)).await?;
        let applied =
            Children::new(service_account, revision, course, service, disruption_budget, pods, restarts);
        let (contested, volume_refused) = (self.contested.take(), self.volume_refused.take());
        let applied = Children { contested, volume_refused, ..applied };
        let applied = Children { filling, autoscaler, rivals, held_up, unnumbered, ..applied };
        Ok(Children { redis, network, waiting, ..applied })
    }

    /// The budget. It comes with the second instance: then nobody has deleted it.
    async fn budget(
        &mut self,
        desired: Option<PodDisruptionBudget>,
        by_load: Option<Autoscaled>,
        observed: &Observed,
    ) -> Result<Option<PodDisruptionBudget>, Error> {
        let was_alone = by_load.is_none() && observed.wanted_before < 2;
        match desired {
            Some(first) if observed.disruption_budget.is_none() && was_alone => {
                self.create(&first).await.map(Some)
            }
            budget => self.optional(budget, observed.disruption_budget.as_deref()).await,
        }
    }

    /// The jobs before rollouts.
    async fn jobs(&mut self, wanted: Option<Job>, obsolete: Vec<Arc<Job>>) -> Result<(), Error> {
        for job in obsolete {
            self.delete(&*job).await?;
        }
        match wanted {
            // A job is never changed, only made, and whoever deletes one asks for another.
            Some(job) => self.create(&job).await.map(drop),
            None => Ok(()),
        }
    }

    /// The Deployment, whoever decides its number.
    async fn deployment(
        &mut self,
        desired: Deployment,
        autoscaled: Option<Autoscaled>,
        observed: &Observed,
    ) -> Result<Deployment, Error> {
        // An app that is held back before its first rollout has no pods, autoscaled or not.
        let number_is_ours = desired.spec.as_ref().is_some_and(|spec| spec.replicas.is_some());
        if let Some(autoscaled) = autoscaled.filter(|_| !number_is_ours) {
            return Box::pin(self.autoscaled(desired, autoscaled, observed)).await;
        }
        let deployment = self.one(desired, observed.deployment.as_deref()).await?;
        // An autoscaled one that waits for its first rollout comes back to its number later.
        match replicas::forget(&deployment).filter(|_| autoscaled.is_none()) {
            Some(hold) => self.hold(hold, &deployment).await,
            None => Ok(deployment),
        }
    }

    /// The Deployment of an app whose number is not ours.
    async fn autoscaled(
        &mut self,
        desired: Deployment,
        autoscaled: Autoscaled,
        observed: &Observed,
    ) -> Result<Deployment, Error> {
        let mut deployment = if let Some(live) = observed.deployment.as_deref() {
            live.clone()
        } else {
            let mut first = desired.clone();
            first.spec.get_or_insert_default().replicas = Some(autoscaled.first(observed.wanted_before));
            self.one(first, None).await?
        };
        if let Some(hold) = replicas::handover(&desired, &deployment) {
            deployment = self.hold(hold, &deployment).await?;
        }
        deployment = self.one(desired, Some(&deployment)).await?;
        if let Some(hold) = autoscaled.hold(&deployment, observed.wanted_before) {
            let managed = deployment.metadata.managed_fields.as_deref().unwrap_or_default();
            let scaled_to = Some(replicas::replicas(&deployment));
            let culprit = compare::changed_since_ours(managed, scaled_to).map(str::to_owned);
            deployment = self.hold(hold, &deployment).await?;
            if culprit.is_some() {
                self.repaired(&deployment, culprit);
            }
        }
        Ok(deployment)
    }

    /// Applies what the second field manager holds.
    async fn hold(&mut self, hold: Hold, live: &Deployment) -> Result<Deployment, Error> {
        self.patch_as(Part::Replicas, live, &hold.body(live), Action::Apply).await
    }

    async fn one<K: Child>(&mut self, desired: K, live: Option<&K>) -> Result<K, Error> {
        let Some(live) = live else {
            let created = self.create(&desired).await?;
            self.repaired(&created, None);
            return Ok(created);
        };
        let mut body = serde_json::to_value(&desired).expect("a Kubernetes object is JSON");
        let as_it_is = serde_json::to_value(live).expect("a Kubernetes object is JSON");
        let managed = live.metadata().managed_fields.as_deref().unwrap_or_default();
        if compare::is_applied(&body, &as_it_is, managed) {
            return Box::pin(self.without_additions(&body, live.clone())).await;
        }
        // Only this very object: not one of the same name made meanwhile.
        body["metadata"]["uid"] = json!(live.metadata().uid);
        let applied = self.patch(&desired, &body, Action::Apply).await?;
        let (number, now) = (&body["spec"]["replicas"], &as_it_is["spec"]["replicas"]);
        let wrong = now.as_i64().filter(|_| !number.is_null() && number != now);
        let scaled_to = wrong.and_then(|number| i32::try_from(number).ok());
        if let Some(culprit) = compare::changed_since_ours(managed, scaled_to) {
            self.repaired(&applied, Some(culprit.to_owned()));
        }
        Box::pin(self.without_additions(&body, applied)).await
    }

    async fn create<K: Child>(&mut self, desired: &K) -> Result<K, Error> {
        let mut body = serde_json::to_value(desired).expect("a Kubernetes object is JSON");
        body["metadata"]["resourceVersion"] = json!(ABSENT);
        self.patch(desired, &body, Action::Create).await
    }

    fn repaired<K: Child>(&mut self, child: &K, changed_by: Option<String>) {
        let name = child.metadata().name.clone().unwrap_or_default();
        if self.repairs.iter().all(|known| known.kind != K::KIND || known.name != name) {
            self.repairs.push(Repair { kind: K::KIND, name, changed_by });
        }
    }

    async fn optional<K: Child>(&mut self, desired: Option<K>, live: Option<&K>) -> Result<Option<K>, Error> {
        match (desired, live) {
            (Some(desired), live) => self.one(desired, live).await.map(Some),
            (None, Some(live)) => self.delete(live).await.map(|()| None),
            (None, None) => Ok(None),
        }
    }

    async fn forget_history(
        &mut self,
        wanted: &ControllerRevision,
        running: Option<&str>,
        observed: &Observed,
    ) -> Result<(), Error> {
        let mut kept: Vec<&str> = running.into_iter().collect();
        kept.extend(wanted.metadata.name.as_deref());
        kept.extend(observed.history.stable.as_deref());
        kept.sort_unstable();
        kept.dedup();
        for revision in obsolete(&observed.revisions, &kept) {
            self.delete(revision).await?;
        }
        Ok(())
    }

    async fn patch<K: Child>(&mut self, desired: &K, body: &Value, action: Action) -> Result<K, Error> {
        self.patch_as(Part::Object, desired, body, action).await
    }

    async fn patch_as<K: Child>(
        &mut self,
        part: Part,
        desired: &K,
        body: &Value,
        action: Action,
    ) -> Result<K, Error> {
        let name = desired.metadata().name.clone().unwrap_or_default();
        let api = Api::<K>::namespaced(self.client.clone(), self.namespace);
        self.writes += 1;
        let applied = ssa::apply(self.client, &api, &name, part, body).await;
        applied.map_err(|source| Error { action, kind: K::KIND, name, source })
    }

    async fn delete<K: Child>(&mut self, live: &K) -> Result<(), Error> {
        let meta = live.metadata();
        let name = meta.name.clone().unwrap_or_default();
        // A job that has started since it was looked at is not the one that is meant.
        let version = meta.resource_version.clone().filter(|_| K::KIND == Job::KIND);
        let this_one = Preconditions { uid: meta.uid.clone(), resource_version: version };
        let api = Api::<K>::namespaced(self.client.clone(), self.namespace);
        self.writes += 1;
        // A job is gone when its pod is, so that no other runs beside it.
        let params =
            if K::KIND == Job::KIND { DeleteParams::foreground() } else { DeleteParams::background() };
        match api.delete(&name, &params.preconditions(this_one)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(source) => Err(Error { action: Action::Delete, kind: K::KIND, name, source }),
        }
    }
}

/// Gives a waiting pod its number and lets it start, in one write: it has both or
/// none. False if the pod is gone, or is not as it was known any more.
pub(super) async fn give(client: &Client, namespace: &str, gift: &Gift) -> Result<bool, Error> {
    let Gift { pod, uid, gate, number } = gift;
    let place = |map: &str, key: &str| format!("/metadata/{map}/{}", key.replace('/', "~1"));
    // The highest number is the cheapest to lose.
    let cost = (-i64::from(*number)).to_string();
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": format!("/spec/schedulingGates/{gate}/name"), "value": INSTANCE_GATE},
        {"op": "add", "path": place("labels", INSTANCE_LABEL), "value": number.to_string()},
        {"op": "add", "path": place("annotations", DELETION_COST_ANNOTATION), "value": cost},
        {"op": "remove", "path": format!("/spec/schedulingGates/{gate}")},
    ]);
    let failed = |source| Error { action: Action::Number, kind: "Pod", name: pod.clone(), source };
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
    match json_patch::<PartialObjectMeta<AppPod>>(client, &path, &body).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {
            tracing::debug!(namespace, pod, number, reason = status.message, "cannot be numbered now");
            Ok(false)
        }
        Err(source) => Err(failed(source)),
    }
}

/// Deletes a pod, so that another with the right number takes its place.
pub(super) async fn replace(client: &Client, namespace: &str, misplaced: &Misplaced) -> Result<(), Error> {
    let Misplaced { pod, uid } = misplaced;
    let this_one = Preconditions { uid: Some(uid.clone()), resource_version: None };
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    match api.delete(pod, &DeleteParams::default().preconditions(this_one)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(Error { action: Action::Delete, kind: "Pod", name: pod.clone(), source }),
    }
}

async fn json_patch<K: DeserializeOwned>(
    client: &Client,
    object: &str,
    patch: &Value,
) -> Result<K, kube::Error> {
    let request = Request::patch(format!("{object}?fieldManager={MANAGER}"))
        .header("content-type", "application/json-patch+json")
        .body(serde_json::to_vec(patch).expect("a patch is JSON"))
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}
