//! Second step: turn what the user wrote into values that can be carried out,
//! or say everything that is wrong with it. A plain function.

mod autoscaling;
mod before;
mod containers;
mod env;
mod files;
mod instance;
mod launch;
mod logs;
mod memory;
mod network;
mod overlay;
mod pod;
mod policies;
mod probe;
mod problems;
pub(super) mod redis;
mod references;
mod rollout;
mod runner;
mod schedule;
mod time_zone;
mod typed;
mod values;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use nodeapp_contract::RunnerConfig;
use serde_json::{Value, json};

pub use autoscaling::AutoscalingPolicy;
pub use before::BeforeRollout;
pub use instance::{FillPolicy, InstanceIndex};
pub use logs::log_volume_bytes;
pub use network::{IngressPlan, NetworkPlan, PolicyPlan, RoutePlan, RouteTarget, ServicePlan};
pub use pod::PodPlan;
pub use problems::{Problem, Problems};
pub use redis::{ExternalRedis, RedisPlan, RedisServer, SharedRedis};
pub use references::{Reference, Referent};
pub use rollout::RolloutPolicy;
pub use runner::config_text;
pub use schedule::Schedule;
pub use volume::check_volume;

use super::names;
use crate::crd::redis::RedisMode;
use crate::crd::{NodeApp, NodeAppSpec};

/// An app that can be carried out. Only [`validate`] makes one, and only it is
/// accepted by the builders.
#[derive(Clone, Debug)]
pub struct ValidatedApp {
    /// Name of the app and of its children.
    pub name: String,
    /// Namespace of both.
    pub namespace: String,
    /// Owner reference that all children have.
    pub owner: OwnerReference,
    /// Number of instances wanted; 0 for a stopped app. Of no meaning with autoscaling.
    pub instances: i32,
    /// The same of a stopped app, were it not stopped.
    pub unless_stopped: i32,
    /// How many, if they are to fill the cluster.
    pub fill: Option<FillPolicy>,
    /// Whether each gets a number of its own, and by which variables.
    pub index: Option<InstanceIndex>,
    /// Whether there shall be no instance for now.
    pub stopped: bool,
    /// How the number of instances follows the load, if it does.
    pub autoscaling: Option<AutoscalingPolicy>,
    /// How a change of the spec reaches them.
    pub rollout: RolloutPolicy,
    /// When it is restarted by the clock.
    pub schedule: Option<Schedule>,
    /// What was asked for by the annotation: another value is another restart.
    pub restart_request: Option<String>,
    /// The revision that is asked for instead of the spec's, until that changes.
    pub rollback_to: Option<String>,
    /// Why it was changed, in the user's words.
    pub change_cause: Option<String>,
    /// The part of the spec that the pod template comes from, as it was written.
    pub source: Value,
    /// Image of the app.
    pub image: String,
    /// Variables of the app, in the user's order.
    pub env: Vec<EnvVar>,
    /// Whole objects as variables.
    pub env_from: Vec<EnvFromSource>,
    /// Requests and limits of the app's container.
    pub resources: ResourceRequirements,
    /// Its Redis, if it asks for one.
    pub redis: Option<RedisPlan>,
    /// Directories that the app may write to.
    pub writable_paths: Vec<String>,
    /// What the pods have around the app.
    pub pod: Box<PodPlan>,
    /// How it is reached, and by whom.
    pub network: Box<NetworkPlan>,
    /// What the runner is told.
    pub runner: RunnerConfig,
    sealed: Sealed,
}

#[derive(Clone, Copy, Debug)]
struct Sealed;

/// Fields that change no pod: scaling must never roll.
const NOT_IN_TEMPLATE: &[&str] = &[
    "autoscaling",
    "cronRestart",
    "fillCluster",
    "httpRoute",
    "ingress",
    "instances",
    "networkPolicy",
    "rollout",
    "service",
    "stopped",
];

/// What every app needs.
fn basics(name: &str, spec: &NodeAppSpec, problems: &mut Problems) {
    if !names::is_service_name(name) {
        problems.add(
            "metadata.name",
            "must be at most 63 lower-case letters, digits and '-', starting with a letter",
        );
    }
    if name == "default" {
        problems.add(
            "metadata.name",
            "names the ServiceAccount too, and default is the one that every namespace has; take another name",
        );
    }
    if spec.instances < 0 {
        problems.add("spec.instances", "must be 0 or more");
    }
    if spec.image.trim().is_empty() {
        problems.add("spec.image", "must name a container image such as registry.example/acme/api:1.4.2");
    }
}

/// The owner of all children; a foreground deletion waits for them.
fn owner(app: &NodeApp, problems: &mut Problems) -> Option<OwnerReference> {
    let owner = app.controller_owner_ref(&());
    if owner.is_none() {
        problems.add("metadata.uid", "is missing");
    }
    Some(OwnerReference { block_owner_deletion: Some(true), ..owner? })
}

/// An annotation that says something.
fn annotation(app: &NodeApp, name: &str) -> Option<String> {
    names::annotation(&app.metadata, name).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Checks an app.
///
/// # Errors
/// All problems at once.
pub fn validate(app: &NodeApp) -> Result<ValidatedApp, Problems> {
    let mut problems = Problems::default();
    let name = app.metadata.name.clone().unwrap_or_default();
    basics(&name, &app.spec, &mut problems);
    let port = runner::port(&app.spec, &mut problems);
    let env = env::variables(&app.spec, port, &mut problems);
    let index = instance::index(&app.spec, port, &mut problems);
    let env_from = env::sources(&app.spec, &mut problems);
    let memory = memory::plan(&app.spec, &mut problems);
    let redis = redis::plan(&app.spec, port, &mut problems);
    let pod = pod::plan(&name, &app.spec, &mut problems);
    let known = network::Known { name: &name, port, redis: redis.as_ref(), pod: &pod };
    let network = network::plan(&app.spec, known, &mut problems);
    let fill = instance::fill(&app.spec, &memory, redis.as_ref(), &pod, &mut problems);
    let autoscaling = autoscaling::policy(&app.spec, &memory, &mut problems);
    let writable_paths = files::writable_paths(&app.spec, &mut problems);
    let uid = app.metadata.uid.as_deref().unwrap_or_default();
    let mut runner = runner::config(&name, uid, &app.spec, port, &memory, &mut problems);
    let listen_timeout = runner.readiness.listen_timeout.into();
    let rollout = rollout::policy(&app.spec, listen_timeout, &mut problems);
    let schedule = schedule::schedule(&app.spec, &runner, &mut problems);
    if let Some(schedule) = schedule.as_ref().filter(|_| !runner.restart.autorestart) {
        schedule::check_job(&name, &app.spec, schedule, &mut problems);
        runner.restart.exit_when_done = true;
    }
    runner::check_size(&runner, &mut problems);
    let owner = owner(app, &mut problems);
    let stopped = app.spec.stopped.unwrap_or(false);
    match (problems.is_empty(), owner) {
        (true, Some(owner)) => Ok(ValidatedApp {
            name,
            namespace: app.metadata.namespace.clone().unwrap_or_default(),
            owner,
            instances: if stopped { 0 } else { app.spec.instances },
            unless_stopped: app.spec.instances,
            stopped,
            autoscaling,
            fill,
            index,
            rollout,
            schedule,
            restart_request: names::restart_request(&app.metadata).map(ToOwned::to_owned),
            rollback_to: annotation(app, names::ROLLBACK_ANNOTATION),
            change_cause: annotation(app, names::CHANGE_CAUSE_ANNOTATION),
            source: source(&app.spec),
            image: app.spec.image.clone(),
            env,
            env_from,
            resources: memory.resources,
            redis,
            writable_paths,
            pod: Box::new(pod),
            network: Box::new(network),
            runner,
            sealed: Sealed,
        }),
        _ => Err(problems),
    }
}

impl ValidatedApp {
    /// The schedule of an app that is run by it and ends by itself, where others serve
    /// and are restarted by it.
    pub fn job(&self) -> Option<&Schedule> {
        self.schedule.as_ref().filter(|_| self.runner.restart.exit_when_done)
    }

    /// The source as text that is the same for the same source.
    pub fn source_text(&self) -> String {
        let Sealed = self.sealed;
        canonical(&self.source).to_string()
    }
}

/// The part of the spec that concerns the pod template, as it was written: a
/// default that a later operator changes is no change of the spec.
fn source(spec: &NodeAppSpec) -> Value {
    let mut source = serde_json::to_value(spec).expect("a spec is JSON");
    if let Some(fields) = source.as_object_mut() {
        fields.retain(|field, _| !NOT_IN_TEMPLATE.contains(&field.as_str()));
        // Of the profiles, only the one in force reaches a pod.
        let in_force = spec.profile.as_ref();
        if let Some(Value::Object(profiles)) = fields.get_mut("envProfiles") {
            profiles.retain(|name, _| Some(name) == in_force);
        }
        if in_force.is_none() {
            fields.remove("envProfiles");
        }
        // Of a Redis that all instances share, the pods know the address, which is always the same.
        if let Some(redis) = &spec.redis
            && redis.mode == RedisMode::Shared
        {
            fields.insert("redis".to_owned(), json!({"mode": redis.mode}));
        }
        // When it runs is not in the template, that it ends is.
        if spec.cron_restart.is_some() && spec.autorestart == Some(false) {
            fields.insert("job".to_owned(), Value::Bool(true));
        }
    }
    source
}

/// Sorts the keys, whatever order the JSON library of the day keeps.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> =
                map.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        scalar => scalar.clone(),
    }
}

#[cfg(test)]
mod tests;
