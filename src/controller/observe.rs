//! First step, and the only one that reads: what exists for an app.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache::{AppKey, Cache};
use super::capacity::Known;
use super::desired::{History, NetworkChildren, revision_of};
use super::error::{Action, Class, Error};
use super::gateway::HttpRoute;
use super::names::{self, APP_LABEL, MANAGED_BY_LABEL, MANAGER, REVISION_ANNOTATION, annotation};
use super::pods::AppPod;
use super::references::Contents;
use super::runners::Runners;
use super::runs;
use super::status::Instance;
use crate::crd::instance::FillStatus;
use crate::crd::{CronRestartStatus, NodeAppStatus, RollbackByHand};

/// What the watches have seen, kind by kind.
#[derive(Debug, Default)]
pub struct Caches {
    /// Accounts.
    pub service_accounts: Cache<ServiceAccount>,
    /// Revisions.
    pub revisions: Cache<ControllerRevision>,
    /// Services.
    pub services: Cache<Service>,
    /// Disruption budgets.
    pub disruption_budgets: Cache<PodDisruptionBudget>,
    /// Jobs before rollouts, and the runs of apps that are jobs, which are their
    /// `CronJob`s' children.
    pub jobs: Cache<Job>,
    /// Deployments.
    pub deployments: Cache<Deployment>,
    /// What runs jobs.
    pub cron_jobs: Cache<CronJob>,
    /// Pods, which are the Deployment's children and not ours.
    pub pods: Cache<AppPod, Arc<AppPod>>,
    /// Pods of shared Redises are run by these.
    pub stateful_sets: Cache<StatefulSet>,
    /// Their data.
    pub claims: Cache<PersistentVolumeClaim>,
    /// Autoscalers, those of others too: by the Deployment that they scale.
    pub autoscalers: Cache<HorizontalPodAutoscaler>,
    /// What leads to apps by an ingress controller.
    pub ingresses: Cache<Ingress>,
    /// What leads to apps by a Gateway, where there is such an API.
    pub routes: Cache<HttpRoute>,
    /// Who may reach pods.
    pub network_policies: Cache<NetworkPolicy>,
    /// What the runners in them have told.
    pub runners: Runners,
}

impl Caches {
    /// Instances that an app's Deployment is to have.
    pub fn wanted(&self, app: &AppKey) -> u32 {
        let deployment = self.deployments.named(app, &app.name);
        let replicas = deployment.and_then(|deployment| deployment.spec.as_ref()?.replicas);
        u32::try_from(replicas.unwrap_or(0)).unwrap_or(0)
    }
}

/// The objects that have the names of an app's children.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Account.
    pub service_account: Option<Arc<ServiceAccount>>,
    /// Revisions that are the app's own, with their data as the cache keeps it.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// Service.
    pub service: Option<Arc<Service>>,
    /// Disruption budget.
    pub disruption_budget: Option<Arc<PodDisruptionBudget>>,
    /// Deployment.
    pub deployment: Option<Arc<Deployment>>,
    /// What runs it if it is a job.
    pub cron_job: Option<Arc<CronJob>>,
    /// Its runs then, by name.
    pub runs: Vec<Arc<Job>>,
    /// Pods, by name.
    pub pods: Vec<Arc<AppPod>>,
    /// Jobs before rollouts.
    pub jobs: Vec<Arc<Job>>,
    /// Name of the revision that the Deployment's pods are made from.
    pub running: Option<String>,
    /// The rollback by hand that is known of.
    pub rollback: Option<RollbackByHand>,
    /// A Redis that all instances share.
    pub redis: ObservedRedis,
    /// What leads to the app beside its Service, and what keeps others away.
    pub network: ObservedNetwork,
    /// Autoscaler.
    pub autoscaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// Names of autoscalers of others that scale the Deployment.
    pub rivals: Vec<String>,
    /// Instances that were wanted last.
    pub wanted_before: i32,
    /// What the app refers to, and what is in it.
    pub contents: Contents,
    /// How rollouts went.
    pub history: History,
    /// When this was.
    pub now: Timestamp,
    /// What came of the schedule so far.
    pub schedule: Option<CronRestartStatus>,
    /// How much room the nodes have.
    pub nodes: Known,
    /// How an app that fills the cluster was told to be.
    pub filled: Option<FillStatus>,
    /// Whether the status is about the spec as it is now.
    pub same_spec: bool,
    /// Why pods are not given the numbers that they wait for.
    pub unnumbered: Option<(Class, String)>,
    /// Objects that belong to someone else.
    pub taken: Vec<Taken>,
}

/// What there is of a shared Redis. Its Secret is never looked at.
#[derive(Clone, Debug, Default)]
pub struct ObservedRedis {
    /// Its pod.
    pub stateful_set: Option<Arc<StatefulSet>>,
    /// Its address.
    pub service: Option<Arc<Service>>,
    /// Its data.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
}

/// What leads to an app beside its Service, and what keeps others away.
#[derive(Clone, Debug, Default)]
pub struct ObservedNetwork {
    /// A Service that stands for the addresses of the pods.
    pub headless: Option<Arc<Service>>,
    /// For an ingress controller.
    pub ingress: Option<Arc<Ingress>>,
    /// For a Gateway.
    pub route: Option<Arc<HttpRoute>>,
    /// Whether the status knows of a route: then one that is not there has been deleted.
    pub had_route: bool,
    /// The cluster does not have the Gateway API.
    pub lacks_gateway_api: bool,
    /// Of the app's pods.
    pub policy: Option<Arc<NetworkPolicy>>,
    /// Of its Redis.
    pub redis_policy: Option<Arc<NetworkPolicy>>,
}

/// An object that has the name of a child but belongs to someone else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// To whom it belongs.
    pub holder: String,
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, name, holder } = self;
        let field = match *kind {
            <Ingress as k8s_openapi::Resource>::KIND => ", take spec.ingress out",
            <HttpRoute as k8s_openapi::Resource>::KIND => ", take spec.httpRoute out",
            <NetworkPolicy as k8s_openapi::Resource>::KIND => ", take spec.networkPolicy out",
            _ => "",
        };
        write!(
            f,
            "{kind} {name} exists and {holder}; delete or rename it{field}, or give this NodeApp another name"
        )
    }
}

/// The owner that the children must have.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Namespace and name of the app.
    pub key: &'a AppKey,
    /// UID of the app.
    pub uid: &'a str,
}

/// What the watches know.
pub fn cached(caches: &Caches, owner: Owner<'_>, status: &NodeAppStatus) -> Observed {
    let mut taken = Vec::new();
    let redis = names::redis(&owner.key.name);
    let revisions = caches.revisions.of(owner.key);
    let deployment = sort_out(named(&caches.deployments, owner), owner, &mut taken);
    let is_ours = |job: &Arc<Job>| holder(job.meta(), owner).is_none() && revision_of(job).is_some();
    Observed {
        service_account: sort_out(named(&caches.service_accounts, owner), owner, &mut taken),
        revisions: revisions
            .into_iter()
            .filter(|revision| holder(revision.meta(), owner).is_none())
            .collect(),
        service: sort_out(named(&caches.services, owner), owner, &mut taken),
        disruption_budget: sort_out(named(&caches.disruption_budgets, owner), owner, &mut taken),
        cron_job: sort_out(named(&caches.cron_jobs, owner), owner, &mut taken),
        runs: caches
            .jobs
            .of(owner.key)
            .into_iter()
            .filter(|job| runs::is_run(job, &owner.key.name))
            .collect(),
        pods: caches.pods.of(owner.key),
        jobs: caches.jobs.of(owner.key).into_iter().filter(is_ours).collect(),
        running: running(deployment.as_deref(), status),
        deployment,
        rollback: status.rollback.clone(),
        redis: ObservedRedis {
            stateful_set: sort_out(caches.stateful_sets.named(owner.key, &redis), owner, &mut taken),
            service: sort_out(caches.services.named(owner.key, &redis), owner, &mut taken),
            claim: sort_out(caches.claims.named(owner.key, &redis), owner, &mut taken),
        },
        network: network(caches, owner, status, &mut taken),
        autoscaler: sort_out(named(&caches.autoscalers, owner), owner, &mut taken),
        rivals: rivals(caches, owner),
        wanted_before: status.desired_replicas,
        contents: Contents::new(),
        history: History::of(status),
        now: Timestamp::now(),
        schedule: status.cron_restart.clone(),
        filled: status.fill_cluster.clone(),
        taken,
        ..Observed::default()
    }
}

fn network(
    caches: &Caches,
    owner: Owner<'_>,
    status: &NodeAppStatus,
    taken: &mut Vec<Taken>,
) -> ObservedNetwork {
    let Owner { key, .. } = owner;
    let headless = caches.services.named(key, &names::headless(&key.name));
    let redis_policy = caches.network_policies.named(key, &names::redis(&key.name));
    ObservedNetwork {
        headless: sort_out(headless, owner, taken),
        ingress: sort_out(named(&caches.ingresses, owner), owner, taken),
        route: sort_out(named(&caches.routes, owner), owner, taken),
        had_route: status.http_route.as_ref().is_some_and(|route| route.exists),
        lacks_gateway_api: false,
        policy: sort_out(named(&caches.network_policies, owner), owner, taken),
        redis_policy: sort_out(redis_policy, owner, taken),
    }
}

impl Observed {
    /// The same with what decides how many instances fill the cluster.
    #[must_use]
    pub fn among(self, nodes: Known, same_spec: bool) -> Self {
        Self { nodes, same_spec, ..self }
    }
}

/// What a Deployment says of itself; before it did, the status knew.
fn running(deployment: Option<&Deployment>, status: &NodeAppStatus) -> Option<String> {
    let said = deployment.and_then(|deployment| annotation(&deployment.metadata, REVISION_ANNOTATION));
    said.or(status.revision.as_deref()).map(str::to_owned)
}

/// The pods of an app with what their runners have told.
pub fn instances(caches: &Caches, app: &AppKey) -> Vec<Instance> {
    let pods = caches.pods.of(app).into_iter();
    pods.map(|pod| (pod.clone(), caches.runners.of(&pod))).collect()
}

/// Names of children that are not called as the app is.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The revision.
    pub revision: &'a str,
    /// The job before a rollout, if there is to be one.
    pub job: Option<&'a str>,
    /// What belongs to a shared Redis, if there is to be one.
    pub redis: Option<&'a str>,
    /// What there is to be beside the Service.
    pub network: Wanted,
}

/// What there is to be beside the Service: the rest need not be asked for.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // One for each child.
pub struct Wanted {
    headless: bool,
    ingress: bool,
    route: bool,
    policy: bool,
    redis_policy: bool,
}

impl Wanted {
    /// Of these children.
    pub const fn of(children: &NetworkChildren) -> Self {
        Self {
            headless: children.headless.is_some(),
            ingress: children.ingress.is_some(),
            route: children.route.is_some(),
            policy: children.policy.is_some(),
            redis_policy: children.redis_policy.is_some(),
        }
    }
}

/// What the API server knows: asked when a name was found taken, since objects
/// of others, and ours without their labels, are not watched.
pub async fn live(
    client: &Client,
    owner: Owner<'_>,
    Names { revision, job, redis, network }: Names<'_>,
    mut known: Observed,
) -> Result<Observed, Error> {
    let mut taken = Vec::new();
    let name = &owner.key.name;
    known.service_account = sort_out(get(client, owner, name).await?, owner, &mut taken);
    known.service = sort_out(get(client, owner, name).await?, owner, &mut taken);
    known.disruption_budget = sort_out(get(client, owner, name).await?, owner, &mut taken);
    known.deployment = sort_out(get(client, owner, name).await?, owner, &mut taken);
    known.cron_job = sort_out(get(client, owner, name).await?, owner, &mut taken);
    known.autoscaler = sort_out(get(client, owner, name).await?, owner, &mut taken);
    if let Some(name) = redis {
        known.redis = ObservedRedis {
            stateful_set: sort_out(get(client, owner, name).await?, owner, &mut taken),
            service: sort_out(get(client, owner, name).await?, owner, &mut taken),
            claim: sort_out(get(client, owner, name).await?, owner, &mut taken),
        };
    }
    live_network(client, owner, network, &mut known.network, &mut taken).await?;
    let revision = sort_out(get::<ControllerRevision>(client, owner, revision).await?, owner, &mut taken);
    if let Some(revision) = revision {
        known.revisions.retain(|known| known.metadata.name != revision.metadata.name);
        known.revisions.push(revision);
    }
    if let Some(job) = job {
        let job = sort_out(get::<Job>(client, owner, job).await?, owner, &mut taken);
        known.jobs.retain(|known| job.as_ref().is_none_or(|job| job.metadata.name != known.metadata.name));
        known.jobs.extend(job);
    }
    known.taken = taken;
    Ok(known)
}

async fn live_network(
    client: &Client,
    owner: Owner<'_>,
    wanted: Wanted,
    known: &mut ObservedNetwork,
    taken: &mut Vec<Taken>,
) -> Result<(), Error> {
    let name = &owner.key.name;
    if wanted.headless {
        known.headless = sort_out(get(client, owner, &names::headless(name)).await?, owner, taken);
    }
    if wanted.ingress {
        known.ingress = sort_out(get(client, owner, name).await?, owner, taken);
    }
    if wanted.route {
        known.route = sort_out(get(client, owner, name).await?, owner, taken);
    }
    if wanted.policy {
        known.policy = sort_out(get(client, owner, name).await?, owner, taken);
    }
    if wanted.redis_policy {
        known.redis_policy = sort_out(get(client, owner, &names::redis(name)).await?, owner, taken);
    }
    Ok(())
}

fn rivals(caches: &Caches, owner: Owner<'_>) -> Vec<String> {
    let autoscalers = caches.autoscalers.of(owner.key);
    let others = autoscalers.iter().filter(|autoscaler| holder(autoscaler.meta(), owner).is_some());
    others.filter_map(|autoscaler| autoscaler.meta().name.clone()).collect()
}

fn named<K>(cache: &Cache<K>, owner: Owner<'_>) -> Option<Arc<K>>
where
    K: Resource + Serialize + DeserializeOwned + Default,
{
    cache.named(owner.key, &owner.key.name)
}

async fn get<K>(client: &Client, owner: Owner<'_>, name: &str) -> Result<Option<Arc<K>>, Error>
where
    K: k8s_openapi::Resource<Scope = NamespaceResourceScope>
        + Metadata<Ty = ObjectMeta>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client.clone(), &owner.key.namespace);
    let found = api.get_opt(name).await.map_err(|source| Error {
        action: Action::Read,
        kind: <K as k8s_openapi::Resource>::KIND,
        name: name.to_owned(),
        source,
    })?;
    Ok(found.map(Arc::new))
}

fn sort_out<K>(found: Option<Arc<K>>, owner: Owner<'_>, taken: &mut Vec<Taken>) -> Option<Arc<K>>
where
    K: k8s_openapi::Resource + Metadata<Ty = ObjectMeta>,
{
    let found = found?;
    match holder(found.metadata(), owner) {
        None => Some(found),
        Some(holder) => {
            let kind = <K as k8s_openapi::Resource>::KIND;
            taken.push(Taken { kind, name: found.metadata().name.clone().unwrap_or_default(), holder });
            None
        }
    }
}

/// To whom an object belongs, if not to the app. One that nobody owns but that
/// has our labels was left behind by the app's namesake, or restored from a
/// backup: it is taken in again.
fn holder(meta: &ObjectMeta, owner: Owner<'_>) -> Option<String> {
    let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    match controller {
        Some(controller) if controller.uid == owner.uid => None,
        Some(controller) => Some(format!("belongs to {} {}", controller.kind, controller.name)),
        None if label(MANAGED_BY_LABEL) == Some(MANAGER) && label(APP_LABEL) == Some(&owner.key.name) => None,
        None => Some(match label(MANAGED_BY_LABEL) {
            Some(other) => format!("is managed by {other}"),
            None => "was not made by the operator".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;
    use crate::controller::names;

    fn holder_of(labels: bool, controller: Option<&str>) -> Option<String> {
        let key = AppKey { namespace: "shop".into(), name: "web".into() };
        let meta = ObjectMeta {
            labels: labels.then(|| names::labels("web")),
            owner_references: controller.map(|uid| {
                vec![OwnerReference {
                    controller: Some(true),
                    kind: "NodeApp".into(),
                    name: "other".into(),
                    uid: uid.into(),
                    ..OwnerReference::default()
                }]
            }),
            ..ObjectMeta::default()
        };
        holder(&meta, Owner { key: &key, uid: "u1" })
    }

    #[test]
    fn what_the_app_owns_is_its_own_whatever_the_labels_say() {
        assert_eq!(holder_of(true, Some("u1")), None);
        assert_eq!(holder_of(false, Some("u1")), None);
    }

    #[test]
    fn what_another_owns_is_not_taken_over_whatever_the_labels_say() {
        assert_eq!(holder_of(true, Some("u2")).as_deref(), Some("belongs to NodeApp other"));
        assert_eq!(holder_of(false, None).as_deref(), Some("was not made by the operator"));
    }

    #[test]
    fn what_an_orphaning_deletion_left_behind_is_taken_in_again() {
        assert_eq!(holder_of(true, None), None);
    }
}
