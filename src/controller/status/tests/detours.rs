//! Something else runs than the spec asks for.

use super::*;

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
fn instances_that_are_lost_during_a_detour_degrade_the_app() {
    for detour in
        [Detour::ByHand, Detour::Before(Stage::Runs { job: "j".into() }), Detour::Before(Stage::Paused)]
    {
        let course =
            || Course { running: Some("cart-1".into()), detour: Some(detour.clone()), ..Course::default() };
        let all = NodeAppStatus {
            observed_generation: Some(7),
            ..on_course(course(), deployment(&Pods(2, 2, 2, 2), &[ROLLED]))
        };
        assert_eq!(of(&all, ConditionType::Degraded), ("False", "Healthy"));
        let lost = on_course_after(course(), deployment(&Pods(2, 2, 2, 0), &[ROLLED]), &all);
        assert_eq!(of(&lost, ConditionType::Degraded), ("True", "InstancesUnavailable"), "{detour:?}");
        let again = on_course_after(course(), deployment(&Pods(2, 2, 2, 0), &[ROLLED]), &lost);
        assert_eq!(again, lost, "and it stays so, without a write");
    }
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
