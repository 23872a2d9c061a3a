//! Rollouts that fail, and the way back.

use super::*;

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
    let exited = LastExit {
        time: "1970-01-01T00:00:15Z".into(),
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
fn an_exit_of_long_ago_is_not_blamed_for_what_is_wrong_today() {
    let exited = LastExit {
        time: "1970-01-01T00:00:00Z".into(),
        message: "the app crashed (exit code 7)".into(),
        ..LastExit::default()
    };
    let days = 10 * 86_400;
    let ready = NodeAppStatus { last_exit: Some(exited), ..fresh(&Pods(2, 2, 2, 2), &[ROLLED]) };
    for (pods, condition) in [(Pods(2, 3, 1, 2), STUCK), (Pods(2, 2, 2, 1), ROLLED)] {
        let told = carried_out(deployment(&pods, &[condition]), &ready, days);
        assert_eq!(of(&told, ConditionType::Degraded).0, "True");
        for said in [message(&told, ConditionType::Degraded), told.failed_reason.as_deref().unwrap_or("")] {
            assert!(!said.contains("exit code 7"), "{said}");
        }
        let soon = carried_out(deployment(&pods, &[condition]), &ready, 60);
        assert!(message(&soon, ConditionType::Degraded).contains("exit code 7"), "that one is of today");
        let later = carried_out(deployment(&pods, &[condition]), &soon, days);
        assert_eq!(later, soon, "and it stays so, without a write");
    }
}

#[test]
fn the_runner_that_is_told_is_the_one_of_what_runs() {
    let mut old = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    old.spec.as_mut().unwrap().template = serde_json::from_value(template("runner:0")).unwrap();
    let back = running("cart-0", old, &NodeAppStatus::default(), 0);
    assert_eq!(back.runner_image.as_deref(), Some("runner:0"));
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
    for findings in [
        Findings::Invalid(&Problems::default(), Live::default()),
        Findings::Paused(Live::default()),
        Findings::Taken(&[], Live::default()),
    ] {
        assert_eq!(good_for(&asks, &stuck, findings, at(21)), None, "{findings:?}");
    }
}

#[test]
fn there_is_no_way_back_for_the_first_rollout() {
    let stuck = fresh(&Pods(2, 2, 2, 0), &[STUCK]);
    assert!(!rollback::is_due(&with_rollback(app(7)), &stuck));
    assert_eq!(of(&stuck, ConditionType::Degraded), ("True", "RolloutStuck"));
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
