use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::ServiceAccount;
use mlua::LuaSerdeExt;
use serde_json::json;

use super::*;
use crate::controller::desired::Pods as Workload;
use crate::controller::desired::{Course, Detour, Stage};
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
        "spec": {"replicas": wanted, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 3, "replicas": existing, "updatedReplicas": updated,
            "readyReplicas": available, "availableReplicas": available, "conditions": conditions,
        },
    }))
    .unwrap()
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
        "data": {"template": {"spec": {"initContainers": [{"image": "runner:1"}]}}},
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
        crate::controller::desired::Pods { deployment: Some(deployment), ..Default::default() },
        crate::controller::restarts::Restarts::default(),
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

#[test]
fn a_new_app_is_rolling_out() {
    let status = fresh(&Pods(2, 2, 2, 0), &[ROLLING]);
    assert_eq!(
        summary(&status),
        [
            ("False", "RollingOut"),
            ("False", "NoInstanceAvailable"),
            ("True", "RollingOut"),
            ("False", "Healthy")
        ]
    );
    assert_eq!(status.observed_generation, Some(7));
    assert_eq!(status.selector.as_deref(), Some("nodeapp.dev/app=cart"));
    assert_eq!(status.runner_image.as_deref(), Some("runner:1"));
}

#[test]
fn an_app_is_ready_when_all_its_instances_are_of_the_current_spec_and_available() {
    let status = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    assert_eq!(
        summary(&status),
        [
            ("True", "AllInstancesReady"),
            ("True", "InstancesAvailable"),
            ("False", "Settled"),
            ("False", "Healthy")
        ]
    );
}

#[test]
fn an_old_instance_that_still_runs_is_a_rollout_under_way() {
    let status = fresh(&Pods(2, 3, 2, 2), &[ROLLED]);
    assert_eq!(of(&status, ConditionType::Ready), ("False", "RollingOut"));
    assert_eq!(of(&status, ConditionType::Available), ("True", "InstancesAvailable"));
}

#[test]
fn numbers_about_an_older_template_make_nobody_ready() {
    let mut old = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    old.metadata.generation = Some(4);
    let status = carried_out(old, &NodeAppStatus::default(), 0);
    assert_eq!(of(&status, ConditionType::Ready), ("False", "RollingOut"));
}

#[test]
fn a_build_that_never_gets_ready_degrades_the_app_while_old_pods_serve() {
    let status = fresh(&Pods(2, 3, 1, 2), &[STUCK]);
    assert_eq!(
        summary(&status),
        [
            ("False", "RolloutStuck"),
            ("True", "InstancesAvailable"),
            ("False", "RolloutStuck"),
            ("True", "RolloutStuck")
        ]
    );
}

#[test]
fn a_used_up_quota_is_told_in_the_words_of_the_api_server() {
    let status = fresh(&Pods(3, 1, 1, 1), &[ROLLING, ("ReplicaFailure", "True", "FailedCreate")]);
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "PodsRefused"));
    assert!(status.conditions.iter().any(|condition| condition.message.contains("quota")));
}

#[test]
fn a_rollout_that_a_quota_blocks_for_too_long_has_failed() {
    let refused = ("ReplicaFailure", "True", "FailedCreate");
    let blocked = fresh(&Pods(3, 3, 0, 3), &[ROLLING, refused]);
    assert_eq!(blocked.failed_revision, None, "it may still come");
    let overdue = carried_out(deployment(&Pods(3, 3, 0, 3), &[STUCK, refused]), &blocked, 60);
    assert_eq!(of(&overdue, ConditionType::Degraded), ("True", "PodsRefused"), "the cause is told");
    assert_eq!(overdue.failed_revision.as_deref(), Some("cart-1"));
    let scaling = fresh(&Pods(3, 1, 1, 1), &[ROLLED, refused]);
    assert_eq!(scaling.failed_revision, None, "more instances are no rollout");
}

#[test]
fn an_instance_lost_after_the_rollout_is_no_rollout() {
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let lost = carried_out(deployment(&Pods(2, 2, 2, 1), &[ROLLED]), &ready, 60);
    assert_eq!(of(&lost, ConditionType::Degraded), ("True", "InstancesUnavailable"));
    assert_eq!(of(&lost, ConditionType::Progressing), ("False", "Settled"));
    let again = carried_out(deployment(&Pods(2, 2, 2, 1), &[ROLLED]), &lost, 120);
    assert_eq!(again, lost, "and it stays so, without a write");
}

#[test]
fn more_instances_are_scaling_and_no_rollout() {
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let scaling = carried_out(deployment(&Pods(4, 4, 4, 2), &[ROLLED]), &NodeAppStatus::default(), 60);
    assert_eq!(of(&scaling, ConditionType::Progressing), ("True", "Scaling"));
    assert_eq!(of(&ready, ConditionType::Progressing), ("False", "Settled"));
}

#[test]
fn instances_that_an_autoscaler_asks_for_are_still_to_come_and_not_lost() {
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let scaling = carried_out(deployment(&Pods(4, 4, 4, 2), &[ROLLED]), &ready, 60);
    assert_eq!(scaling.desired_replicas, 4);
    assert_eq!(of(&scaling, ConditionType::Progressing), ("True", "Scaling"));
    assert_eq!(of(&scaling, ConditionType::Degraded), ("False", "Healthy"));
    let halfway = carried_out(deployment(&Pods(4, 4, 4, 3), &[ROLLED]), &scaling, 70);
    assert_eq!(of(&halfway, ConditionType::Progressing), ("True", "Scaling"));
    let there = carried_out(deployment(&Pods(4, 4, 4, 4), &[ROLLED]), &halfway, 80);
    assert_eq!(of(&there, ConditionType::Ready), ("True", "AllInstancesReady"));
    let lost = carried_out(deployment(&Pods(4, 4, 4, 3), &[ROLLED]), &there, 90);
    assert_eq!(of(&lost, ConditionType::Degraded), ("True", "InstancesUnavailable"));
}

#[test]
fn an_autoscaler_of_someone_else_is_told_with_the_way_out() {
    let children = |rollout: &[(&str, &str, &str)]| {
        let revision =
            serde_json::from_value(json!({"metadata": {"name": "cart-1"}, "revision": 1})).unwrap();
        let deployment = deployment(&Pods(2, 2, 2, 2 - i32::from(rollout == [STUCK])), rollout);
        let course = Course { running: Some("cart-1".to_owned()), ..Course::default() };
        let pods = Workload { deployment: Some(deployment), ..Workload::default() };
        let restarts = crate::controller::restarts::Restarts::default();
        let children = Children::new(ServiceAccount::default(), revision, course, None, None, pods, restarts);
        Children { rivals: vec!["of-a-user".to_owned()], ..children }
    };
    let told = |children: &Children<Applied>| {
        compute(&app(7), &NodeAppStatus::default(), Findings::Applied(children), at(0))
    };
    let status = told(&children(&[ROLLED]));
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "ForeignAutoscaler"));
    assert_eq!(of(&status, ConditionType::Ready), ("True", "AllInstancesReady"));
    let message = &status.conditions[3].message;
    assert!(message.contains("of-a-user") && message.contains("kind: NodeApp"), "{message}");
    let both = Children { autoscaler: Some(HorizontalPodAutoscaler::default()), ..children(&[ROLLED]) };
    let message = &told(&both).conditions[3].message;
    assert!(message.contains("take spec.autoscaling out"), "{message}");
    let stuck = told(&children(&[STUCK]));
    assert_eq!(of(&stuck, ConditionType::Degraded), ("True", "RolloutStuck"), "what is worse comes first");
}

#[test]
fn instances_that_never_come_degrade_the_app_when_they_are_late() {
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let short = || deployment(&Pods(4, 4, 4, 2), &[ROLLED]);
    let scaling = carried_out(short(), &NodeAppStatus { observed_generation: Some(6), ..ready }, 60);
    assert_eq!(of(&scaling, ConditionType::Degraded), ("False", "Healthy"));
    let message = &scaling.conditions[3].message;
    assert!(message.contains("4 wanted, 2 available") && !message.contains("nothing is wrong"), "{message}");
    let findings = Findings::Invalid(&Problems::default(), None);
    assert_eq!(good_for(&app(7), &scaling, findings, at(60)), Some(Duration::from_mins(10)));
    assert_eq!(carried_out(short(), &scaling, 659), scaling);
    let late = carried_out(short(), &scaling, 660);
    assert_eq!(
        summary(&late),
        [
            ("False", "InstancesUnavailable"),
            ("True", "InstancesAvailable"),
            ("False", "Settled"),
            ("True", "InstancesUnavailable")
        ]
    );
    assert_eq!(good_for(&app(7), &late, findings, at(660)), None);
    assert_eq!(carried_out(short(), &late, 900), late, "and it stays so, without a write");
    let all = carried_out(deployment(&Pods(4, 4, 4, 4), &[ROLLED]), &late, 999);
    assert_eq!(of(&all, ConditionType::Degraded), ("False", "Healthy"));
}

#[test]
fn a_stopped_app_is_ready_and_says_so() {
    let status = fresh(&Pods(0, 0, 0, 0), &[ROLLED]);
    assert_eq!(of(&status, ConditionType::Ready), ("True", "Stopped"));
    assert_eq!(of(&status, ConditionType::Available), ("True", "Stopped"));
}

#[test]
fn times_move_only_when_a_condition_flips() {
    let first = fresh(&Pods(2, 2, 2, 1), &[ROLLING]);
    let second = carried_out(deployment(&Pods(2, 2, 2, 1), &[ROLLING]), &first, 60);
    assert_eq!(first, second);
    let third = carried_out(deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &second, 120);
    let times: Vec<_> =
        third.conditions.iter().map(|condition| condition.last_transition_time.as_str()).collect();
    let (start, flip) = ("1970-01-01T00:00:00Z", "1970-01-01T00:02:00Z");
    assert_eq!(times, [flip, start, flip, start, start], "Ready and Progressing flipped");
}

#[test]
fn an_invalid_spec_says_what_is_wrong_and_that_what_runs_still_serves() {
    let mut problems = Problems::default();
    problems.add("spec.port", "must be a port");
    let running = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    let previous = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let status = compute(&app(8), &previous, Findings::Invalid(&problems, Some(&running)), at(9));
    assert_eq!(of(&status, ConditionType::Valid), ("False", "InvalidSpec"));
    assert_eq!(of(&status, ConditionType::Ready), ("False", "InvalidSpec"));
    assert_eq!(of(&status, ConditionType::Available), ("True", "InstancesAvailable"));
    assert_eq!(of(&status, ConditionType::Degraded), ("False", "Healthy"));
    assert_eq!((status.observed_generation, status.ready_replicas), (Some(8), 2));
    let message = |type_: ConditionType| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == type_.name());
        condition.unwrap().message.as_str()
    };
    assert_eq!(message(ConditionType::Progressing), message(ConditionType::Valid), "the reason's message");
    assert_eq!(status.revision, previous.revision, "that is what runs");
}

fn message(status: &NodeAppStatus, type_: ConditionType) -> &str {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_.name());
    condition.unwrap().message.as_str()
}

#[test]
fn beside_an_invalid_spec_it_is_told_what_the_pods_really_do() {
    let mut problems = Problems::default();
    problems.add("spec.port", "must be a port");
    let beside = |pods: &Pods, conditions: &[(&str, &str, &str)], previous: &NodeAppStatus| {
        let running = deployment(pods, conditions);
        compute(&app(8), previous, Findings::Invalid(&problems, Some(&running)), at(9))
    };
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let rolling = beside(&Pods(2, 3, 1, 2), &[ROLLING], &ready);
    assert_eq!(of(&rolling, ConditionType::Progressing), ("True", "RollingOut"), "the rollout from before");
    assert!(message(&rolling, ConditionType::Progressing).starts_with("rolling out"));
    let lost = beside(&Pods(2, 2, 2, 1), &[ROLLED], &ready);
    assert_eq!(
        of(&lost, ConditionType::Degraded),
        ("True", "InstancesUnavailable"),
        "nothing is still to come"
    );
    let nothing = compute(&app(1), &NodeAppStatus::default(), Findings::Invalid(&problems, None), at(9));
    assert_eq!(of(&nothing, ConditionType::Progressing), ("False", "InvalidSpec"));
    assert_eq!(message(&nothing, ConditionType::Available), "there is no Deployment");
}

#[test]
fn an_api_server_that_fails_again_and_again_degrades_the_app() {
    let findings = Findings::Failing { message: "cannot apply Deployment cart: etcd", deployment: None };
    let status = compute(&app(7), &NodeAppStatus::default(), findings, at(0));
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "ApplyFailing"));
    assert_eq!(of(&status, ConditionType::Valid), ("True", "Accepted"));
    assert!(message(&status, ConditionType::Ready).contains("etcd"));
}

#[test]
fn a_taken_name_is_named_with_the_way_out() {
    let taken = [Taken { kind: "Service", name: "cart".into(), holder: "belongs to Ingress legacy".into() }];
    let status = compute(&app(1), &NodeAppStatus::default(), Findings::Taken(&taken, None), at(0));
    assert_eq!(of(&status, ConditionType::Valid), ("False", "NameTaken"));
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "NameTaken"));
    assert!(
        status.conditions[0].message.contains("Service cart exists and belongs to Ingress legacy; delete")
    );
}

#[test]
fn a_refused_object_degrades_an_app_whose_spec_is_valid() {
    let refused = |spec_is_to_blame| {
        let message = "cannot apply Deployment cart: exceeded quota";
        let findings = Findings::Refused { message, spec_is_to_blame, deployment: None };
        compute(&app(1), &NodeAppStatus::default(), findings, at(0))
    };
    assert_eq!(of(&refused(true), ConditionType::Valid), ("False", "ApplyRefused"));
    let status = refused(false);
    assert_eq!(of(&status, ConditionType::Valid), ("True", "Accepted"));
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "ApplyRefused"));
    assert_eq!(of(&status, ConditionType::Ready), ("False", "ApplyRefused"));
}

#[test]
fn an_app_that_is_left_alone_says_so_and_does_not_claim_to_have_seen_a_new_spec() {
    let ready = carried_out(deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &NodeAppStatus::default(), 100);
    let fewer = deployment(&Pods(2, 2, 2, 1), &[ROLLED]);
    let paused = compute(&app(8), &ready, Findings::Paused(Some(&fewer)), at(200));
    assert_eq!(paused.observed_generation, Some(7), "whoever waits for generation 8 goes on waiting");
    assert_eq!(of(&paused, ConditionType::Progressing), ("False", "Paused"));
    assert_eq!(of(&paused, ConditionType::Valid), of(&ready, ConditionType::Valid));
    assert_eq!((paused.available_replicas, &paused.revision), (1, &ready.revision));

    let from_birth = compute(&app(1), &NodeAppStatus::default(), Findings::Paused(None), at(200));
    assert_eq!(of(&from_birth, ConditionType::Ready), ("False", "Paused"));
}

/// Status and message that the shipped health check gives, run as Argo CD runs it.
fn argo_health(generation: i64, status: &NodeAppStatus) -> (String, String) {
    let lua = mlua::Lua::new();
    let mut app = app(generation);
    app.status = (!status.conditions.is_empty()).then(|| status.clone());
    lua.globals().set("obj", lua.to_value(&app).unwrap()).unwrap();
    let health: mlua::Table = lua.load(include_str!("../../../manifests/argocd/health.lua")).eval().unwrap();
    (health.get("status").unwrap(), health.get("message").unwrap())
}

#[test]
fn argo_cd_is_told_the_truth_at_every_stage() {
    let new = NodeAppStatus::default();
    let health = |generation, status: &NodeAppStatus| argo_health(generation, status).0;
    assert_eq!(health(7, &new), "Progressing");
    let rolling = carried_out(deployment(&Pods(2, 3, 1, 2), &[ROLLING]), &new, 100);
    assert_eq!(health(7, &rolling), "Progressing");
    let ready = carried_out(deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &rolling, 200);
    assert_eq!(health(7, &ready), "Healthy");
    assert_eq!(health(8, &ready), "Progressing", "a newer spec has not been looked at");
    let stopped = carried_out(deployment(&Pods(0, 0, 0, 0), &[ROLLED]), &ready, 300);
    assert_eq!(health(7, &stopped), "Suspended");
    let stuck = carried_out(deployment(&Pods(2, 3, 1, 2), &[STUCK]), &ready, 300);
    let (status, message) = argo_health(7, &stuck);
    assert_eq!(status, "Degraded");
    assert!(message.contains("new pods do not get ready"), "{message}");
    let paused = compute(&app(8), &ready, Findings::Paused(None), at(400));
    assert_eq!(health(8, &paused), "Suspended");
    let problems = crate::controller::validate::validate(&app(7)).unwrap_err();
    let invalid = compute(&app(7), &ready, Findings::Invalid(&problems, None), at(400));
    let (status, message) = argo_health(7, &invalid);
    assert_eq!(status, "Degraded");
    assert!(message.contains("What runs is left as it is"), "{message}");
}

fn with_rollback(app: NodeApp) -> NodeApp {
    let mut app = app;
    app.spec.rollout = serde_json::from_value(json!({"autoRollback": true})).unwrap();
    app
}

/// The revision that the spec asks for is always cart-1 here.
#[test]
fn a_failed_rollout_is_taken_back_and_stays_back_and_says_so() {
    let asks = with_rollback(app(7));
    let good = NodeAppStatus { stable_revision: Some("cart-0".into()), ..NodeAppStatus::default() };
    let rolling = running("cart-1", deployment(&Pods(2, 3, 1, 2), &[ROLLING]), &good, 10);
    assert!(!rollback::is_due(&asks, &rolling));
    let stuck = running("cart-1", deployment(&Pods(2, 3, 1, 2), &[STUCK]), &rolling, 20);
    assert_eq!(stuck.failed_revision.as_deref(), Some("cart-1"));
    assert!(rollback::is_due(&asks, &stuck) && !rollback::is_due(&app(7), &stuck));

    let going_back = running("cart-0", deployment(&Pods(2, 3, 1, 2), &[ROLLING]), &stuck, 21);
    let back = running("cart-0", deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &going_back, 30);
    assert!(!rollback::is_due(&asks, &back), "once is enough");
    assert_eq!(of(&back, ConditionType::Ready), ("False", "RolledBack"));
    assert_eq!(of(&back, ConditionType::Degraded), ("True", "RolledBack"));
    assert_eq!(of(&back, ConditionType::Available), ("True", "InstancesAvailable"));
    assert_eq!(back.revision.as_deref(), Some("cart-0"));
    assert_eq!(
        (back.stable_revision.as_deref(), back.failed_revision.as_deref()),
        (Some("cart-0"), Some("cart-1"))
    );
}

#[test]
fn a_rollout_that_fails_is_told_with_the_last_exit_and_so_is_the_way_back() {
    let exited = crate::crd::status::LastExit {
        pod: "cart-7d-x".into(),
        message: "the app crashed (exit code 7)".into(),
        log_tail: vec!["Error: no database".into()],
        ..Default::default()
    };
    let good = NodeAppStatus {
        stable_revision: Some("cart-0".into()),
        last_exit: Some(exited),
        ..NodeAppStatus::default()
    };
    let rolling = running("cart-1", deployment(&Pods(2, 3, 1, 2), &[ROLLING]), &good, 10);
    assert!(!message(&rolling, ConditionType::Progressing).contains("exit code 7"), "it may yet come");
    let stuck = running("cart-1", deployment(&Pods(2, 3, 1, 2), &[STUCK]), &rolling, 20);
    let said = message(&stuck, ConditionType::Degraded);
    assert!(said.contains("exit code 7") && said.contains("Error: no database"), "{said}");
    let later = NodeAppStatus { last_exit: None, ..stuck };
    let back = running("cart-0", deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &later, 30);
    let said = message(&back, ConditionType::Degraded);
    assert!(said.contains("cart-0 runs again") && said.contains("Error: no database"), "{said}");
    let other = NodeAppStatus { failed_revision: Some("cart-9".into()), ..back };
    let cleared = running("cart-1", deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &other, 40);
    assert_eq!((cleared.failed_revision, cleared.failed_reason), (None, None));
}

#[test]
fn a_rollout_that_comes_after_all_has_not_failed() {
    let stuck = fresh(&Pods(2, 3, 1, 2), &[STUCK]);
    assert_eq!(stuck.failed_revision.as_deref(), Some("cart-1"));
    let late = carried_out(deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &stuck, 60);
    assert_eq!((late.stable_revision.as_deref(), late.failed_revision), (Some("cart-1"), None));
}

#[test]
fn a_stopped_app_is_no_proof_that_its_template_is_good() {
    let stopped = fresh(&Pods(0, 0, 0, 0), &[ROLLED]);
    assert_eq!(stopped.stable_revision, None);
}

#[test]
fn a_way_back_that_is_gone_is_not_tried_for_ever() {
    let asks = with_rollback(app(7));
    let good = NodeAppStatus { stable_revision: Some("cart-0".into()), ..NodeAppStatus::default() };
    let stuck = |previous: &NodeAppStatus, now| {
        let pods = deployment(&Pods(2, 3, 1, 2), &[STUCK]);
        running_for(&asks, "cart-1", pods, previous, now)
    };
    let failed = stuck(&good, 20);
    assert!(rollback::is_due(&asks, &failed), "now it is to be taken back");
    // The revision was deleted, so that the failed template runs on.
    let left = stuck(&failed, 21);
    assert_eq!((left.stable_revision.as_deref(), left.failed_revision.as_deref()), (None, Some("cart-1")));
    assert!(!rollback::is_due(&asks, &left));
    assert_eq!(stuck(&left, 22), left, "and it stays so, without a write");
}

#[test]
fn nothing_is_taken_back_while_nothing_is_carried_out() {
    let asks = with_rollback(app(7));
    let good = NodeAppStatus { stable_revision: Some("cart-0".into()), ..NodeAppStatus::default() };
    let stuck = running("cart-1", deployment(&Pods(2, 3, 1, 2), &[STUCK]), &good, 20);
    for findings in
        [Findings::Invalid(&Problems::default(), None), Findings::Paused(None), Findings::Taken(&[], None)]
    {
        assert_eq!(good_for(&asks, &stuck, findings, at(21)), None, "{findings:?}");
    }
}

#[test]
fn a_pause_that_holds_nothing_back_hides_no_lost_instance() {
    let paused = |pods: &Pods| {
        let mut paused = deployment(pods, &[("Progressing", "Unknown", "DeploymentPaused")]);
        paused.spec.as_mut().unwrap().paused = Some(true);
        paused
    };
    let ready = carried_out(paused(&Pods(2, 2, 2, 2)), &NodeAppStatus::default(), 0);
    assert_eq!(of(&ready, ConditionType::Ready), ("True", "AllInstancesReady"));
    let lost = carried_out(paused(&Pods(2, 2, 2, 1)), &ready, 60);
    assert_eq!(of(&lost, ConditionType::Degraded), ("True", "InstancesUnavailable"));
    let more = NodeAppStatus { observed_generation: Some(6), ..ready.clone() };
    let more = carried_out(paused(&Pods(4, 4, 4, 2)), &more, 60);
    assert_eq!(of(&more, ConditionType::Progressing), ("True", "Scaling"));
    let waits = carried_out(paused(&Pods(2, 2, 0, 2)), &ready, 60);
    assert_eq!(of(&waits, ConditionType::Ready), ("False", "RolloutPaused"));
    let from_birth = carried_out(paused(&Pods(2, 0, 0, 0)), &NodeAppStatus::default(), 0);
    assert_eq!(of(&from_birth, ConditionType::Progressing), ("False", "RolloutPaused"));
    assert_eq!(argo_health(7, &from_birth).0, "Suspended");
}

#[test]
fn there_is_no_way_back_for_the_first_rollout() {
    let stuck = fresh(&Pods(2, 2, 2, 0), &[STUCK]);
    assert!(!rollback::is_due(&with_rollback(app(7)), &stuck));
    assert_eq!(of(&stuck, ConditionType::Degraded), ("True", "RolloutStuck"));
}

fn on_course(course: Course, deployment: Deployment) -> NodeAppStatus {
    let revision = serde_json::from_value(json!({"metadata": {"name": "cart-2"}, "revision": 2})).unwrap();
    let restarts = crate::controller::restarts::Restarts::default();
    let pods = Workload { deployment: Some(deployment), ..Workload::default() };
    let children = Children::new(ServiceAccount::default(), revision, course, None, None, pods, restarts);
    compute(&app(7), &NodeAppStatus::default(), Findings::Applied(&children), at(0))
}

fn before(stage: Stage) -> NodeAppStatus {
    let detour = Some(Detour::Before(stage));
    let course = Course { running: Some("cart-1".into()), detour, ..Course::default() };
    on_course(course, deployment(&Pods(2, 2, 2, 2), &[ROLLED]))
}

#[test]
fn the_job_before_a_rollout_is_progress_and_its_failure_is_none() {
    let runs = before(Stage::Runs { job: "cart-before-x".into() });
    assert_eq!(
        summary(&runs),
        [
            ("False", "BeforeRollout"),
            ("True", "InstancesAvailable"),
            ("True", "BeforeRollout"),
            ("False", "Healthy")
        ]
    );
    assert_eq!(runs.revision.as_deref(), Some("cart-1"));
    let message = "it ended with exit code 3".to_owned();
    let failed = before(Stage::Failed { job: "cart-before-x".into(), message });
    assert_eq!(
        summary(&failed),
        [
            ("False", "BeforeRolloutFailed"),
            ("True", "InstancesAvailable"),
            ("False", "BeforeRolloutFailed"),
            ("True", "BeforeRolloutFailed")
        ]
    );
    let told = &failed.conditions[0].message;
    for part in ["exit code 3", "job/cart-before-x", "cart-1 runs on", "cart-2"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(failed.failed_revision, None, "it was never rolled out");
    assert_eq!(argo_health(7, &failed).0, "Degraded");
    assert_eq!(argo_health(7, &runs).0, "Progressing");
    assert_eq!(argo_health(7, &before(Stage::Paused)).0, "Suspended");
    let course =
        Course { detour: Some(Detour::Before(Stage::Runs { job: "j".into() })), ..Course::default() };
    let first = on_course(course, deployment(&Pods(0, 0, 0, 0), &[ROLLED]));
    assert_eq!(of(&first, ConditionType::Available), ("False", "NoInstanceAvailable"), "not stopped");
    assert_eq!((first.revision, first.stable_revision), (None, None));
    let waits = before(Stage::Waits { other: "cart-before-old".into() });
    assert!(waits.conditions[0].message.contains("--cascade=foreground"));
}

#[test]
fn a_stopped_app_with_a_job_to_come_is_stopped() {
    let detour = Some(Detour::Before(Stage::Stopped));
    let course = Course { running: Some("cart-1".into()), detour, ..Course::default() };
    let status = on_course(course, deployment(&Pods(0, 0, 0, 0), &[ROLLED]));
    assert_eq!(of(&status, ConditionType::Ready), ("True", "Stopped"));
}

#[test]
fn a_rollback_by_hand_is_no_fault_and_says_how_to_end_it() {
    let rollback = Some(RollbackByHand { to: "cart-1".into(), from: "cart-2".into() });
    let running = Some("cart-1".to_owned());
    let course = Course { running, detour: Some(Detour::ByHand), rollback: rollback.clone(), unknown: None };
    let status = on_course(course, deployment(&Pods(2, 2, 2, 2), &[ROLLED]));
    assert_eq!(of(&status, ConditionType::Ready), ("False", "RolledBackByHand"));
    assert_eq!(of(&status, ConditionType::Degraded), ("False", "Healthy"));
    assert!(status.conditions[0].message.contains("Remove the annotation"));
    assert_eq!(status.rollback, rollback);
    assert_eq!(status.stable_revision.as_deref(), Some("cart-1"));
    assert_eq!(argo_health(7, &status).0, "Suspended");
}

#[test]
fn an_unknown_revision_degrades_an_app_that_is_ready() {
    let rollback = Some(RollbackByHand { to: "cart-9".into(), from: "cart-2".into() });
    let unknown = Some(vec!["cart-2".to_owned(), "cart-1".to_owned()]);
    let course = Course { running: Some("cart-2".into()), detour: None, rollback, unknown };
    let status = on_course(course, deployment(&Pods(2, 2, 2, 2), &[ROLLED]));
    assert_eq!(of(&status, ConditionType::Ready), ("True", "AllInstancesReady"));
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "UnknownRevision"));
    assert!(status.conditions[3].message.contains("there are: cart-2, cart-1"));
}

#[test]
fn a_clock_that_jumps_changes_no_status_of_an_app_at_rest() {
    let now = 1_800_000_000;
    for (pods, conditions) in
        [(Pods(2, 2, 2, 2), ROLLED), (Pods(0, 0, 0, 0), ROLLED), (Pods(2, 3, 1, 2), STUCK)]
    {
        let before = carried_out(deployment(&pods, &[conditions]), &NodeAppStatus::default(), now);
        for jump in [-1_700_000_000, -3_600, 3_600, 1_700_000_000] {
            let after = carried_out(deployment(&pods, &[conditions]), &before, now + jump);
            assert_eq!(after, before, "{jump} s");
        }
    }
}

#[test]
fn a_stuck_rollout_that_a_config_map_has_caused_names_it() {
    let mut stuck = deployment(&Pods(2, 3, 1, 2), &[STUCK]);
    stuck.metadata.annotations =
        Some([("nodeapp.dev/config-changed".into(), "ConfigMap/settings".into())].into());
    let message = |previous: &NodeAppStatus| {
        let status = carried_out(stuck.clone(), previous, 0);
        assert_eq!(of(&status, ConditionType::Degraded), ("True", "RolloutStuck"));
        status.conditions[3].message.clone()
    };
    let rolled_out = NodeAppStatus { stable_revision: Some("cart-1".into()), ..NodeAppStatus::default() };
    let told = message(&rolled_out);
    assert!(told.contains("correct ConfigMap/settings") && told.contains("2 wanted, 2 available"), "{told}");
    let another = NodeAppStatus { stable_revision: Some("cart-0".into()), ..NodeAppStatus::default() };
    assert!(message(&another).contains("correct the spec"), "the spec is new as well");
}
