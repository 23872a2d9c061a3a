//! Third step: what must exist for an app. Plain functions, one file per kind;
//! the same app and the same revisions always give the same objects.

mod applied;
mod around;
mod autoscaler;
mod config;
mod course;
mod cron_job;
mod deployment;
mod disruption_budget;
mod fill;
mod job;
mod network;
mod pod;
pub(super) mod redis;
mod revision;
mod service;
mod service_account;
mod waiting;

use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::Resource as _;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PodTemplateSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use course::{Course, Detour, Stage};
pub use fill::{Filling, changes_at};
pub(super) use job::revision_of;
pub use network::NetworkChildren;
pub use redis::{RedisChildren, SharedChildren};
pub use revision::{HISTORY_LIMIT, History, obsolete};
pub use waiting::Waiting;

use super::error::Class;
use super::fights::Contested;
use super::gateway::HttpRoute;
use super::names;
use super::observe::Observed;
use super::pods;
use super::restarts::{self, Restarts};
use super::runs::{self, Runs};
use super::validate::ValidatedApp;

/// What an installation decides for all apps.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Image with the runner.
    pub runner_image: String,
    /// Image with the forwarder, which brings Redis to an app's `localhost`.
    pub forwarder_image: String,
    /// Image with a Redis, for apps that name none.
    pub redis_image: String,
    /// Whether the operator may look after Secrets that apps refer to.
    pub watch_secrets: bool,
    /// Names of Secrets with which all pods pull their images, beside those of their app.
    pub image_pull_secrets: Vec<String>,
    /// The operator's own namespace, if it is known.
    pub namespace: Option<String>,
}

/// The Redis of an installation that names none. Valkey, under the licence that Redis had
/// up to version 7.2: BSD-3-Clause.
pub const DEFAULT_REDIS_IMAGE: &str = "docker.io/valkey/valkey:8.1";

/// Children as they should be.
#[derive(Clone, Copy, Debug)]
pub struct Prepared;

/// Children as the API server has them.
#[derive(Clone, Copy, Debug)]
pub struct Applied;

/// The children of an app, one field per kind. Taken apart without `..`, so that
/// a new kind does not compile before someone has decided its place.
#[derive(Clone, Debug)]
pub struct Children<Stage> {
    /// Account of the pods, without a token.
    pub service_account: ServiceAccount,
    /// The pod template that the spec asks for.
    pub revision: ControllerRevision,
    /// Which revision's template runs, and why.
    pub course: Course,
    /// The job before the rollout, if it is to be started now.
    pub job: Option<Job>,
    /// Jobs before rollouts that nobody needs any more.
    pub obsolete_jobs: Vec<Arc<Job>>,
    /// Address of the app; none for a worker.
    pub service: Option<Service>,
    /// Keeps instances through voluntary disruptions; none for a single one.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// Runs the pods, unless it is a job.
    pub deployment: Option<Deployment>,
    /// Runs the pods of a job.
    pub cron_job: Option<CronJob>,
    /// What came of the runs of a job.
    pub runs: Option<Runs>,
    /// What its template has of restarts, and what is told of them.
    pub restarts: Restarts,
    /// How many instances fill the cluster, for an app that wants that.
    pub filling: Option<Filling>,
    /// Decides their number; none unless it follows the load.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// Names of autoscalers of others that decide it too.
    pub rivals: Vec<String>,
    /// Why a container of a pod cannot be started.
    pub held_up: Option<String>,
    /// Why pods are not given the numbers that they wait for.
    pub unnumbered: Option<(Class, String)>,
    /// A Redis that all instances share.
    pub redis: RedisChildren,
    /// What leads to the app beside its Service, and what keeps others away.
    pub network: NetworkChildren,
    /// Why pods wait for a node, if any do.
    pub waiting: Waiting,
    /// The template that the spec asks for, if it is new and the API server is to be asked about it
    /// first.
    pub untried: Option<PodTemplateSpec>,
    /// What others put into children again and again, and is left there.
    pub contested: Option<Contested>,
    /// Why the volume of the Redis is not as the spec asks, though all the rest is.
    pub volume_refused: Option<String>,
    /// Only here so that the stage is part of the type.
    pub(super) stage: PhantomData<Stage>,
}

/// What runs the pods: one of both, and what is known of its runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Pods {
    /// Of an app that serves.
    pub deployment: Option<Deployment>,
    /// Of a job.
    pub cron_job: Option<CronJob>,
    /// Of a job.
    pub runs: Option<Runs>,
}

impl<Stage> Children<Stage> {
    /// Puts children together.
    pub(super) fn new(
        service_account: ServiceAccount,
        revision: ControllerRevision,
        course: Course,
        service: Option<Service>,
        disruption_budget: Option<PodDisruptionBudget>,
        pods: Pods,
        restarts: Restarts,
    ) -> Self {
        Self {
            service_account,
            revision,
            course,
            job: None,
            obsolete_jobs: Vec::new(),
            service,
            disruption_budget,
            deployment: pods.deployment,
            cron_job: pods.cron_job,
            runs: pods.runs,
            restarts,
            filling: None,
            autoscaler: None,
            rivals: Vec::new(),
            held_up: None,
            unnumbered: None,
            redis: RedisChildren::default(),
            waiting: Waiting::default(),
            network: NetworkChildren::default(),
            untried: None,
            contested: None,
            volume_refused: None,
            stage: PhantomData,
        }
    }

    /// The template of the pods, of whatever runs them.
    pub fn template(&self) -> Option<&PodTemplateSpec> {
        let deployment = self.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref());
        let cron_job = self.cron_job.as_ref().and_then(|job| job.spec.as_ref()?.job_template.spec.as_ref());
        deployment.map(|spec| &spec.template).or_else(|| cron_job.map(|spec| &spec.template))
    }

    fn image_of(&self, container: &str) -> Option<String> {
        let spec = self.template()?.spec.as_ref()?;
        let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
        all.find(|known| known.name == container)?.image.clone()
    }

    /// Whether an object of this kind and name is among them.
    pub(super) fn include(&self, kind: &str, name: &str) -> bool {
        let is_named = |object: &ObjectMeta| object.name.as_deref() == Some(name);
        let redis = self.redis.wanted().is_some_and(|redis| is_named(&redis.stateful_set.metadata));
        match kind {
            StatefulSet::KIND | PersistentVolumeClaim::KIND => redis,
            Service::KIND => {
                let services = [&self.service, &self.network.headless];
                redis || services.into_iter().flatten().any(|service| is_named(&service.metadata))
            }
            NetworkPolicy::KIND => {
                let policies = [&self.network.policy, &self.network.redis_policy];
                policies.into_iter().flatten().any(|policy| is_named(&policy.metadata))
            }
            Ingress::KIND => self.network.ingress.is_some(),
            HttpRoute::KIND => self.network.route.is_some(),
            PodDisruptionBudget::KIND => self.disruption_budget.is_some(),
            Deployment::KIND => self.deployment.is_some(),
            CronJob::KIND => self.cron_job.is_some(),
            HorizontalPodAutoscaler::KIND => self.autoscaler.is_some(),
            _ => true,
        }
    }
}

/// The children that an app should have.
///
/// A template that was rendered for the same spec before, and is `observed` among
/// the revisions, is used again as it is, whatever this version would render.
pub fn desired(app: &ValidatedApp, observed: &Observed, settings: &Settings) -> Children<Prepared> {
    let filling = fill::decide(app, observed);
    let filled = filling.as_ref().map(|filling| {
        let mut filled = app.clone();
        filled.unless_stopped = filling.wanted;
        // A stopped app stays stopped.
        filled.instances = if app.instances > 0 { filling.wanted } else { 0 };
        filled
    });
    let app = filled.as_ref().unwrap_or(app);
    let wanted = revision::build(app, observed, settings);
    let untried = (wanted.is_new && app.pod.is_users()).then(|| wanted.template.clone());
    let obsolete_jobs = course::obsolete_jobs(app, &wanted, observed);
    let course::Chosen { course, template, no_pods, job } = course::choose(app, &wanted, observed);
    let redis = redis::decide(app, &course, &template, observed, settings);
    let live = observed.deployment.as_deref();
    let restarts = match app.job() {
        Some(_) => restarts::of_job(app, observed.cron_job.as_deref()),
        None => restarts::decide(app, observed.schedule.as_ref(), live, observed.now),
    };
    // Before what restarts stamp on it, which refers to nothing.
    let config = config::config(app, &template, observed, settings.watch_secrets);
    let template = restarts.stamped(template);
    let workload = if let Some(schedule) = app.job() {
        Pods {
            deployment: None,
            cron_job: Some(cron_job::build(app, schedule, template)),
            runs: runs::look(app, observed),
        }
    } else {
        let mut deployment = deployment::build(app, template, course.running.as_deref(), config);
        if let Some(spec) = deployment.spec.as_mut().filter(|_| no_pods) {
            spec.replicas = Some(0);
        }
        Pods { deployment: Some(deployment), ..Pods::default() }
    };
    let children = Children::new(
        service_account::build(app),
        wanted.revision,
        course,
        service::build(app),
        disruption_budget::build(app),
        workload,
        restarts,
    );
    let (autoscaler, rivals) = (autoscaler::build(app), observed.rivals.clone());
    let held_up = pods::held_up(&observed.pods, |container| children.image_of(container));
    let unnumbered = observed.unnumbered.clone();
    let waiting = waiting::look(&observed.pods, observed.now);
    let network = network::build(app, &redis, observed, settings);
    let all = Children { job, obsolete_jobs, filling, autoscaler, rivals, ..children };
    Children { held_up, unnumbered, redis, network, waiting, untried, ..all }
}

/// The template of the pods that there are, where it is another than the spec's.
pub(super) fn earlier_template(app: &ValidatedApp, observed: &Observed) -> Option<PodTemplateSpec> {
    let running = observed.running.as_ref()?;
    let wanted = names::revision(&app.name, &app.source_text());
    let revision =
        observed.revisions.iter().find(|revision| revision.metadata.name.as_ref() == Some(running));
    revision::template_of(revision.filter(|_| *running != wanted)?)
}

/// Metadata of a child.
fn metadata(app: &ValidatedApp, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(app.namespace.clone()),
        labels: Some(names::labels(&app.name)),
        owner_references: Some(vec![app.owner.clone()]),
        ..ObjectMeta::default()
    }
}
