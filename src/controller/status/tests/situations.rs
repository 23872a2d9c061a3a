//! What the numbers of a Deployment mean.

use super::*;

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
fn instances_that_never_come_degrade_the_app_when_they_are_late() {
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let short = || deployment(&Pods(4, 4, 4, 2), &[ROLLED]);
    let scaling = carried_out(short(), &NodeAppStatus { observed_generation: Some(6), ..ready }, 60);
    assert_eq!(of(&scaling, ConditionType::Degraded), ("False", "Healthy"));
    let message = &scaling.conditions[3].message;
    assert!(message.contains("4 wanted, 2 available") && !message.contains("nothing is wrong"), "{message}");
    let findings = Findings::Invalid(&Problems::default(), Live::default());
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
    assert_eq!(of(&waits, ConditionType::Degraded), ("False", "Healthy"));
    let dead = carried_out(paused(&Pods(2, 2, 0, 0)), &waits, 70);
    assert_eq!(of(&dead, ConditionType::Degraded), ("True", "InstancesUnavailable"));
    assert_eq!(of(&dead, ConditionType::Ready), ("False", "RolloutPaused"));
    assert_eq!(carried_out(paused(&Pods(2, 2, 0, 0)), &dead, 9_000), dead, "and it stays so");
    let from_birth = carried_out(paused(&Pods(2, 0, 0, 0)), &NodeAppStatus::default(), 0);
    assert_eq!(of(&from_birth, ConditionType::Progressing), ("False", "RolloutPaused"));
    assert_eq!(argo_health(7, &from_birth).0, "Suspended");
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
