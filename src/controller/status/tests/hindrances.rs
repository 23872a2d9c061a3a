//! What keeps a spec from being carried out, and what is true beside it.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::*;

#[test]
fn an_autoscaler_of_someone_else_is_told_with_the_way_out() {
    let children = |rollout: &[(&str, &str, &str)]| {
        let revision =
            serde_json::from_value(json!({"metadata": {"name": "cart-1"}, "revision": 1})).unwrap();
        let deployment = deployment(&Pods(2, 2, 2, 2 - i32::from(rollout == [STUCK])), rollout);
        let course = Course { running: Some("cart-1".to_owned()), ..Course::default() };
        let pods = Workload { deployment: Some(deployment), ..Workload::default() };
        let restarts = Restarts::default();
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
fn an_invalid_spec_says_what_is_wrong_and_that_what_runs_still_serves() {
    let mut problems = Problems::default();
    problems.add("spec.port", "must be a port");
    let running = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    let previous = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let status = compute(&app(8), &previous, Findings::Invalid(&problems, live(&running)), at(9));
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

#[test]
fn beside_an_invalid_spec_it_is_told_what_the_pods_really_do() {
    let mut problems = Problems::default();
    problems.add("spec.port", "must be a port");
    let beside = |pods: &Pods, conditions: &[(&str, &str, &str)], previous: &NodeAppStatus| {
        let running = deployment(pods, conditions);
        compute(&app(8), previous, Findings::Invalid(&problems, live(&running)), at(9))
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
    let nothing =
        compute(&app(1), &NodeAppStatus::default(), Findings::Invalid(&problems, Live::default()), at(9));
    assert_eq!(of(&nothing, ConditionType::Progressing), ("False", "InvalidSpec"));
    assert_eq!(message(&nothing, ConditionType::Available), "there is no Deployment");
}

#[test]
fn an_api_server_that_fails_again_and_again_degrades_the_app() {
    let findings = Findings::Failing { message: "cannot apply Deployment cart: etcd", live: Live::default() };
    let status = compute(&app(7), &NodeAppStatus::default(), findings, at(0));
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "ApplyFailing"));
    assert_eq!(of(&status, ConditionType::Valid), ("True", "Accepted"));
    assert!(message(&status, ConditionType::Ready).contains("etcd"));
}

#[test]
fn a_taken_name_is_named_with_the_way_out() {
    let taken = [Taken { kind: "Service", name: "cart".into(), holder: "belongs to Ingress legacy".into() }];
    let status = compute(&app(1), &NodeAppStatus::default(), Findings::Taken(&taken, Live::default()), at(0));
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
        let findings = Findings::Refused { message, spec_is_to_blame, live: Live::default() };
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
    let paused = compute(&app(8), &ready, Findings::Paused(live(&fewer)), at(200));
    assert_eq!(paused.observed_generation, Some(7), "whoever waits for generation 8 goes on waiting");
    assert_eq!(of(&paused, ConditionType::Progressing), ("False", "Paused"));
    assert_eq!(of(&paused, ConditionType::Valid), of(&ready, ConditionType::Valid));
    assert_eq!((paused.available_replicas, &paused.revision), (1, &ready.revision));
    assert_eq!(of(&paused, ConditionType::Ready), ("False", "InstancesUnavailable"));
    assert_eq!(of(&paused, ConditionType::Degraded), ("True", "InstancesUnavailable"));
    assert_eq!(of(&paused, ConditionType::Available), ("True", "InstancesAvailable"));
    let dead = deployment(&Pods(2, 2, 2, 0), &[ROLLED]);
    let dead = compute(&app(8), &paused, Findings::Paused(live(&dead)), at(300));
    assert_eq!(of(&dead, ConditionType::Available), ("False", "NoInstanceAvailable"));
    let all = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    let back = compute(&app(8), &dead, Findings::Paused(live(&all)), at(400));
    assert_eq!(of(&back, ConditionType::Ready), ("True", "AllInstancesReady"));
    assert_eq!(of(&back, ConditionType::Degraded), ("False", "Healthy"));
    assert_eq!(back.observed_generation, Some(7));

    let from_birth = compute(&app(1), &NodeAppStatus::default(), Findings::Paused(Live::default()), at(200));
    assert_eq!(of(&from_birth, ConditionType::Ready), ("False", "Paused"));
}

#[test]
fn a_pause_does_not_take_back_what_is_wrong_with_the_spec() {
    let mut problems = Problems::default();
    problems.add("spec.port", "must be a port");
    let all = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let invalid = compute(&app(8), &ready, Findings::Invalid(&problems, live(&all)), at(10));
    let paused = compute(&app(8), &invalid, Findings::Paused(live(&all)), at(20));
    assert_eq!(of(&paused, ConditionType::Ready), ("False", "InvalidSpec"));
    assert_eq!(of(&paused, ConditionType::Valid), ("False", "InvalidSpec"));
    let waits = before(Stage::Runs { job: "j".into() });
    let none = deployment(&Pods(0, 0, 0, 0), &[ROLLED]);
    let course =
        Course { detour: Some(Detour::Before(Stage::Runs { job: "j".into() })), ..Course::default() };
    let first = on_course(course, none.clone());
    let paused = compute(&app(7), &first, Findings::Paused(live(&none)), at(20));
    assert_eq!(of(&paused, ConditionType::Available), ("False", "NoInstanceAvailable"), "not stopped");
    let paused = compute(&app(7), &waits, Findings::Paused(live(&all)), at(20));
    assert_eq!(of(&paused, ConditionType::Ready), ("False", "BeforeRollout"));
}

#[test]
fn an_instance_lost_beside_an_invalid_spec_is_no_instance_still_to_come() {
    let mut problems = Problems::default();
    problems.add("spec.port", "must be a port");
    let beside = |pods: &Pods, previous: &NodeAppStatus, now| {
        let running = deployment(pods, &[ROLLED]);
        compute(&app(8), previous, Findings::Invalid(&problems, live(&running)), at(now))
    };
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let invalid = beside(&Pods(2, 2, 2, 2), &ready, 10);
    let lost = beside(&Pods(2, 2, 2, 1), &invalid, 20);
    assert_eq!(of(&lost, ConditionType::Degraded), ("True", "InstancesUnavailable"));
    assert_eq!(of(&lost, ConditionType::Progressing), ("False", "InvalidSpec"));
    assert_eq!(beside(&Pods(2, 2, 2, 1), &lost, 9_000), lost, "and it stays so, without a write");
}

#[test]
fn an_instance_lost_while_the_api_server_refuses_something_is_told_when_it_does_not_any_more() {
    let refused = |pods: &Pods, previous: &NodeAppStatus, now| {
        let running = deployment(pods, &[ROLLED]);
        let live = live(&running);
        let findings = Findings::Refused { message: "quota", spec_is_to_blame: false, live };
        compute(&app(7), previous, findings, at(now))
    };
    let ready = fresh(&Pods(2, 2, 2, 2), &[ROLLED]);
    let lost = refused(&Pods(2, 2, 2, 1), &ready, 10);
    assert_eq!(of(&lost, ConditionType::Degraded), ("True", "ApplyRefused"), "what is worse comes first");
    assert_eq!(refused(&Pods(2, 2, 2, 1), &lost, 9_000), lost, "and it stays so, without a write");
    let after = carried_out(deployment(&Pods(2, 2, 2, 1), &[ROLLED]), &lost, 9_001);
    assert_eq!(of(&after, ConditionType::Degraded), ("True", "InstancesUnavailable"));
    let more = refused(&Pods(4, 4, 4, 2), &ready, 10);
    assert_eq!(of(&more, ConditionType::Progressing), ("True", "Scaling"));
    let more = refused(&Pods(4, 4, 4, 3), &more, 20);
    assert_eq!(of(&more, ConditionType::Progressing), ("True", "Scaling"), "still to come");
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
    let paused = compute(&app(8), &ready, Findings::Paused(Live::default()), at(400));
    assert_eq!(health(8, &paused), "Suspended");
    let problems = crate::controller::validate::validate(&app(7)).unwrap_err();
    let invalid = compute(&app(7), &ready, Findings::Invalid(&problems, Live::default()), at(400));
    let (status, message) = argo_health(7, &invalid);
    assert_eq!(status, "Degraded");
    assert!(message.contains("What runs is left as it is"), "{message}");
}

#[test]
fn tools_that_know_kstatus_are_told_when_waiting_is_of_no_use_and_only_then() {
    let stalled = |status: &NodeAppStatus| {
        let found = status.conditions.iter().find(|condition| condition.type_ == "Stalled");
        found.map(|condition| (condition.reason.clone(), condition.last_transition_time.clone()))
    };
    let rolling = fresh(&Pods(2, 3, 1, 2), &[ROLLING]);
    assert_eq!(stalled(&rolling), None);
    let stuck = carried_out(deployment(&Pods(2, 3, 1, 2), &[STUCK]), &rolling, 10);
    let since_10 = Some(("RolloutStuck".to_owned(), "1970-01-01T00:00:10Z".to_owned()));
    assert_eq!(stalled(&stuck), since_10);
    let later = carried_out(deployment(&Pods(2, 3, 1, 2), &[STUCK]), &stuck, 99);
    assert_eq!(later, stuck, "it stays so, without a write");
    let still = deployment(&Pods(2, 3, 1, 2), &[STUCK]);
    let paused = compute(&app(7), &stuck, Findings::Paused(live(&still)), at(100));
    assert_eq!(stalled(&paused), since_10, "a pause changes nothing of it");
    let healed = carried_out(deployment(&Pods(2, 2, 2, 2), &[ROLLED]), &later, 100);
    assert_eq!(stalled(&healed), None);
    let lost = carried_out(deployment(&Pods(2, 2, 2, 1), &[ROLLED]), &healed, 110);
    assert_eq!(stalled(&lost), None, "Kubernetes brings it back");
    let healed_in_pause = deployment(&Pods(2, 2, 2, 2), &[ROLLED]);
    let paused = compute(&app(7), &stuck, Findings::Paused(live(&healed_in_pause)), at(110));
    assert_eq!(stalled(&paused), None);
}
