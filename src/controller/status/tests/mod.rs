//! Statuses as stories: what was said before, what is found, what is said then.

mod detours;
mod failures;
mod held_up;
mod hindrances;
mod jobs;
mod limits;
mod situations;

use k8s_openapi::api::core::v1::ServiceAccount;
use mlua::LuaSerdeExt;
use serde_json::{Value, json};

use super::*;
use crate::controller::desired::Pods as Workload;
use crate::controller::desired::{Course, Detour, Stage};
use crate::controller::restarts::Restarts;
use crate::crd::RollbackByHand;

fn app(generation: i64) -> NodeApp {
    serde_json::from_value(json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "generation": generation},
        "spec": {"image": "a:1", "script": "a.js"},
    }))
    .unwrap()
}

/// Numbers: wanted, existing, updated, available.
struct Pods(i32, i32, i32, i32);

const ROLLED: (&str, &str, &str) = ("Progressing", "True", "NewReplicaSetAvailable");
const ROLLING: (&str, &str, &str) = ("Progressing", "True", "ReplicaSetUpdated");
const STUCK: (&str, &str, &str) = ("Progressing", "False", "ProgressDeadlineExceeded");

fn deployment(pods: &Pods, conditions: &[(&str, &str, &str)]) -> Deployment {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(type_, status, reason)| json!({"type": type_, "status": status, "reason": reason, "message": "quota"}))
        .collect();
    let Pods(wanted, existing, updated, available) = pods;
    serde_json::from_value(json!({
        "metadata": {"generation": 3},
        "spec": {"replicas": wanted, "selector": {}, "template": template("runner:1")},
        "status": {
            "observedGeneration": 3, "replicas": existing, "updatedReplicas": updated,
            "readyReplicas": available, "availableReplicas": available, "conditions": conditions,
        },
    }))
    .unwrap()
}

/// A pod template with this runner.
fn template(runner: &str) -> Value {
    let install = json!({"name": "install-runner", "image": runner});
    json!({"spec": {"containers": [], "initContainers": [{"name": "first", "image": "other:1"}, install]}})
}

/// What runs an app that serves.
fn live(deployment: &Deployment) -> Live<'_> {
    Live { deployment: Some(deployment), runs: None }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn carried_out(deployment: Deployment, previous: &NodeAppStatus, now: i64) -> NodeAppStatus {
    running("cart-1", deployment, previous, now)
}

/// The same while the template of this revision runs.
fn running(running: &str, deployment: Deployment, previous: &NodeAppStatus, now: i64) -> NodeAppStatus {
    running_for(&app(7), running, deployment, previous, now)
}

fn running_for(
    app: &NodeApp,
    running: &str,
    deployment: Deployment,
    previous: &NodeAppStatus,
    now: i64,
) -> NodeAppStatus {
    let revision = serde_json::from_value(json!({
        "metadata": {"name": "cart-1"},
        "revision": 1,
        "data": {"template": template("runner:1")},
    }))
    .unwrap();
    let detour = (running != "cart-1").then_some(Detour::Failed);
    let course = Course { running: Some(running.to_owned()), detour, ..Course::default() };
    let children = Children::new(
        ServiceAccount::default(),
        revision,
        course,
        None,
        None,
        Workload { deployment: Some(deployment), ..Workload::default() },
        Restarts::default(),
    );
    compute(app, previous, Findings::Applied(&children), at(now))
}

fn of(status: &NodeAppStatus, type_: ConditionType) -> (&str, &str) {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_.name()).unwrap();
    (&condition.status, &condition.reason)
}

fn summary(status: &NodeAppStatus) -> [(&str, &str); 4] {
    [ConditionType::Ready, ConditionType::Available, ConditionType::Progressing, ConditionType::Degraded]
        .map(|type_| of(status, type_))
}

fn fresh(pods: &Pods, conditions: &[(&str, &str, &str)]) -> NodeAppStatus {
    carried_out(deployment(pods, conditions), &NodeAppStatus::default(), 0)
}

fn message(status: &NodeAppStatus, type_: ConditionType) -> &str {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_.name());
    condition.unwrap().message.as_str()
}

/// Status and message that the shipped health check gives, run as Argo CD runs it.
fn argo_health(generation: i64, status: &NodeAppStatus) -> (String, String) {
    let lua = mlua::Lua::new();
    let mut app = app(generation);
    app.status = (!status.conditions.is_empty()).then(|| status.clone());
    lua.globals().set("obj", lua.to_value(&app).unwrap()).unwrap();
    let health: mlua::Table =
        lua.load(include_str!("../../../../manifests/argocd/health.lua")).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

fn with_rollback(app: NodeApp) -> NodeApp {
    let mut app = app;
    app.spec.rollout = serde_json::from_value(json!({"autoRollback": true})).unwrap();
    app
}

fn on_course(course: Course, deployment: Deployment) -> NodeAppStatus {
    on_course_after(course, deployment, &NodeAppStatus::default())
}

/// The same after this status.
fn on_course_after(course: Course, deployment: Deployment, previous: &NodeAppStatus) -> NodeAppStatus {
    let revision = serde_json::from_value(json!({"metadata": {"name": "cart-2"}, "revision": 2})).unwrap();
    let restarts = Restarts::default();
    let pods = Workload { deployment: Some(deployment), ..Workload::default() };
    let children = Children::new(ServiceAccount::default(), revision, course, None, None, pods, restarts);
    compute(&app(7), previous, Findings::Applied(&children), at(0))
}

fn before(stage: Stage) -> NodeAppStatus {
    let detour = Some(Detour::Before(stage));
    let course = Course { running: Some("cart-1".into()), detour, ..Course::default() };
    on_course(course, deployment(&Pods(2, 2, 2, 2), &[ROLLED]))
}
