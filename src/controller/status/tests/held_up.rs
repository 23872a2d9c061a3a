//! What holds instances up that is neither the spec nor an exit.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::*;
use crate::controller::error::Class;

#[test]
fn an_autoscaler_without_figures_is_told_once_it_has_lasted_and_not_of_a_stopped_app() {
    let look = |reason: &str, now| {
        let condition = json!({
            "type": "ScalingActive", "status": "False", "reason": reason, "message": "no metrics returned",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        });
        let mut autoscaler: HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": {"name": "cart", "labels": {"app.kubernetes.io/managed-by": "nodeapp-operator"}},
            "status": {"desiredReplicas": 2, "conditions": [condition]},
        }))
        .unwrap();
        crate::controller::cache::slim_autoscaler(&mut autoscaler);
        let revision =
            serde_json::from_value(json!({"metadata": {"name": "cart-1"}, "revision": 1})).unwrap();
        let course = Course { running: Some("cart-1".to_owned()), ..Course::default() };
        let pods =
            Workload { deployment: Some(deployment(&Pods(2, 2, 2, 2), &[ROLLED])), ..Workload::default() };
        let restarts = Restarts::default();
        let children = Children::new(ServiceAccount::default(), revision, course, None, None, pods, restarts);
        let children = Children { autoscaler: Some(autoscaler), ..children };
        let findings = Findings::Applied(&children);
        let status = compute(&app(7), &NodeAppStatus::default(), findings, at(now));
        let next = good_for(&app(7), &status, findings, at(now));
        (status, next)
    };
    let (young, next) = look("FailedGetResourceMetric", 60);
    assert_eq!(of(&young, ConditionType::Degraded), ("False", "Healthy"), "the first figures take a while");
    assert_eq!(next, Some(Duration::from_mins(2)));
    let (lasting, next) = look("FailedGetResourceMetric", 180);
    assert_eq!((of(&lasting, ConditionType::Degraded), next), (("True", "AutoscalerInactive"), None));
    let told = message(&lasting, ConditionType::Degraded);
    assert!(told.contains("no metrics returned") && told.contains("metrics-server"), "{told}");
    assert_eq!(of(&lasting, ConditionType::Ready), ("True", "AllInstancesReady"));
    assert_eq!(of(&look("ScalingDisabled", 999).0, ConditionType::Degraded), ("False", "Healthy"));
}

#[test]
fn what_keeps_a_pod_from_starting_is_told_instead_of_how_another_ended() {
    let look = |pods: &Pods, conditions: &[(&str, &str, &str)]| {
        let revision =
            serde_json::from_value(json!({"metadata": {"name": "cart-1"}, "revision": 1})).unwrap();
        let course = Course { running: Some("cart-1".to_owned()), ..Course::default() };
        let pods = Workload { deployment: Some(deployment(pods, conditions)), ..Workload::default() };
        let restarts = Restarts::default();
        let children = Children::new(ServiceAccount::default(), revision, course, None, None, pods, restarts);
        let held_up = Some("In cart-x, the image a:2 cannot be pulled".to_owned());
        let children = Children { held_up, ..children };
        let last_exit =
            Some(crate::crd::status::LastExit { message: "it crashed".into(), ..Default::default() });
        let previous = NodeAppStatus { last_exit, ..NodeAppStatus::default() };
        compute(&app(7), &previous, Findings::Applied(&children), at(0))
    };
    for (pods, conditions) in [(Pods(2, 3, 1, 2), ROLLING), (Pods(2, 3, 1, 2), STUCK)] {
        let told = look(&pods, &[conditions]);
        let told = message(&told, ConditionType::Ready);
        assert!(told.contains("the image a:2 cannot be pulled") && !told.contains("crashed"), "{told}");
    }
    let fine = look(&Pods(2, 2, 2, 2), &[ROLLED]);
    assert!(!message(&fine, ConditionType::Ready).contains("a:2"));
}

#[test]
fn pods_that_wait_for_numbers_that_cannot_be_given_make_no_rollout_fail() {
    let look = |unnumbered| {
        let revision =
            serde_json::from_value(json!({"metadata": {"name": "cart-1"}, "revision": 1})).unwrap();
        let course = Course { running: Some("cart-1".to_owned()), ..Course::default() };
        let pods =
            Workload { deployment: Some(deployment(&Pods(2, 3, 1, 2), &[STUCK])), ..Workload::default() };
        let restarts = Restarts::default();
        let children = Children::new(ServiceAccount::default(), revision, course, None, None, pods, restarts);
        let children = Children { unnumbered, ..children };
        compute(&app(7), &NodeAppStatus::default(), Findings::Applied(&children), at(0))
    };
    let error = "cannot number Pod cart-x: pods is forbidden".to_owned();
    let held = look(Some((Class::Forbidden, error)));
    assert_eq!(of(&held, ConditionType::Degraded), ("True", "ApplyRefused"));
    assert_eq!(of(&held, ConditionType::Valid), ("True", "Accepted"));
    assert!(message(&held, ConditionType::Ready).contains("pods is forbidden"));
    assert_eq!((held.failed_revision, held.revision.as_deref()), (None, Some("cart-1")));
    assert_eq!(look(None).failed_revision.as_deref(), Some("cart-1"));
}

#[test]
fn a_way_back_that_a_pause_holds_up_is_told_with_the_pause() {
    for detour in [Detour::ByHand, Detour::Failed] {
        let back = |paused: bool, updated| {
            let mut deployment = deployment(&Pods(2, 2, updated, 2), &[ROLLED]);
            deployment.spec.as_mut().unwrap().paused = paused.then_some(true);
            let (running, detour) = (Some("cart-1".to_owned()), Some(detour.clone()));
            on_course(Course { running, detour, ..Course::default() }, deployment)
        };
        let held = back(true, 0);
        for type_ in [ConditionType::Ready, ConditionType::Progressing] {
            let told = message(&held, type_);
            assert!(told.contains("nothing is replaced until rollout.paused is false"), "{told}");
        }
        for done in [back(true, 2), back(false, 0)] {
            assert!(!message(&done, ConditionType::Ready).contains("paused"));
        }
    }
}

#[test]
fn while_a_job_runs_that_nothing_waits_for_no_instance_is_said_to_run() {
    let failed = Stage::Failed { job: "j".into(), message: "m".into() };
    let course =
        Course { running: Some("cart-1".into()), detour: Some(Detour::Before(failed)), ..Course::default() };
    let none = on_course(course, deployment(&Pods(0, 0, 0, 0), &[ROLLED]));
    let told = message(&none, ConditionType::Ready);
    assert!(told.contains("no instance runs.") && !told.contains("runs on"), "{told}");
}
