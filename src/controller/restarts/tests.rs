//! Restarts by the clock as stories, and as properties of long lives.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentSpec, DeploymentStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::controller::validate::validate;

fn app(fields: &Value) -> ValidatedApp {
    let mut app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "shop", "uid": "u1"},
        "spec": {"image": "a:1", "script": "a.js"},
    });
    for (field, value) in fields.as_object().unwrap() {
        match field.as_str() {
            "annotations" => app["metadata"]["annotations"] = value.clone(),
            field => app["spec"][field] = value.clone(),
        }
    }
    validate(&serde_json::from_value(app).unwrap()).unwrap()
}

fn every(expression: &str) -> ValidatedApp {
    app(&json!({"cronRestart": expression}))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A Deployment whose pods are all there, made from this template.
fn settled(template: PodTemplateSpec) -> Deployment {
    Deployment {
        spec: Some(DeploymentSpec { replicas: Some(1), template, ..DeploymentSpec::default() }),
        status: Some(DeploymentStatus {
            replicas: Some(1),
            updated_replicas: Some(1),
            available_replicas: Some(1),
            ..DeploymentStatus::default()
        }),
        ..Deployment::default()
    }
}

/// An app, its Deployment and its status, over time.
struct Life {
    app: ValidatedApp,
    deployment: Deployment,
    status: Option<CronRestartStatus>,
    restarts: Vec<Timestamp>,
    skipped: usize,
}

impl Life {
    fn new(app: ValidatedApp) -> Self {
        let deployment = settled(PodTemplateSpec::default());
        Self { app, deployment, status: None, restarts: vec![], skipped: 0 }
    }

    /// A reconcile that is killed before it has written its status.
    fn cut(&mut self, now: Timestamp) -> Restarts {
        let restarts = decide(&self.app, self.status.as_ref(), Some(&self.deployment), now);
        let before = self.deployment.spec.as_ref().unwrap().template.clone();
        let after = restarts.stamped(before.clone());
        if after != before && annotation(&after) != annotation(&before) {
            self.restarts.push(now);
        }
        self.deployment.spec.as_mut().unwrap().template = after;
        self.skipped += usize::from(matches!(restarts.news, Some(News::Skipped(_))));
        restarts
    }

    fn look(&mut self, now: Timestamp) {
        let restarts = self.cut(now);
        self.status = restarts.status;
    }

    fn next(&self) -> Option<Timestamp> {
        self.status.as_ref()?.next.as_ref().map(|text| at(text))
    }
}

fn annotation(template: &PodTemplateSpec) -> Option<&String> {
    template.metadata.as_ref()?.annotations.as_ref()?.get(SCHEDULED_ANNOTATION)
}

fn nominal(times: &[Timestamp], uid: &str) -> Vec<String> {
    times.iter().map(|time| (*time - offset(uid)).to_string()).collect()
}

#[test]
fn it_restarts_at_its_times_and_not_when_the_schedule_is_set() {
    let mut life = Life::new(every("0 3 * * *"));
    life.look(at("2026-11-23T12:00:00Z"));
    assert!(life.restarts.is_empty());
    for _ in 0..3 {
        life.look(life.next().unwrap());
    }
    let expected = ["2026-11-24T03:00:00Z", "2026-11-25T03:00:00Z", "2026-11-26T03:00:00Z"];
    assert_eq!(nominal(&life.restarts, "u1"), expected);
    assert_eq!(life.status.as_ref().unwrap().last, Some(seconds(*life.restarts.last().unwrap())));
}

#[test]
fn an_operator_that_was_away_makes_up_for_one_time_and_does_so_soon() {
    let mut life = Life::new(every("0 * * * *"));
    life.look(at("2026-11-23T00:30:00Z"));
    let back = at("2026-11-23T09:30:00Z");
    life.look(back);
    assert!(life.restarts.is_empty(), "a whole fleet would be restarted at once");
    let soon = life.next().unwrap();
    assert!(soon > back && soon <= back + SignedDuration::from_secs(21), "{soon}");
    life.look(soon);
    assert_eq!(life.restarts.len(), 1);
    assert_eq!(nominal(&[life.next().unwrap()], "u1"), ["2026-11-23T10:00:00Z"]);
}

#[test]
fn an_operator_killed_between_its_writes_restarts_nothing_twice() {
    let mut life = Life::new(every("0 * * * *"));
    life.look(at("2026-11-23T00:30:00Z"));
    let due = life.next().unwrap();
    life.cut(due);
    assert_eq!(life.restarts.len(), 1);
    for minutes in [0, 1, 20] {
        life.cut(due + SignedDuration::from_mins(minutes));
    }
    life.look(due + SignedDuration::from_mins(30));
    assert_eq!(life.restarts.len(), 1);
    assert_eq!(life.status.as_ref().unwrap().last, Some(seconds(due)));
    assert_eq!(nominal(&[life.next().unwrap()], "u1"), ["2026-11-23T02:00:00Z"]);
}

#[test]
fn what_is_missed_while_stopped_is_not_made_up_for() {
    let mut life = Life::new(every("0 * * * *"));
    life.look(at("2026-11-23T00:30:00Z"));
    life.app = app(&json!({"cronRestart": "0 * * * *", "stopped": true}));
    life.look(at("2026-11-23T00:45:00Z"));
    assert_eq!(life.next(), None, "a stopped app stays stopped");
    life.look(at("2026-11-23T01:01:00Z"));
    life.app = every("0 * * * *");
    life.look(at("2026-11-23T02:30:00Z"));
    assert!(life.restarts.is_empty());
    assert_eq!(nominal(&[life.next().unwrap()], "u1"), ["2026-11-23T03:00:00Z"]);
}

#[test]
fn another_schedule_begins_anew_and_none_takes_nothing_back() {
    let mut life = Life::new(every("0 * * * *"));
    life.look(at("2026-11-23T00:30:00Z"));
    life.look(life.next().unwrap());
    // Its first time has passed long before it was set.
    life.app = every("0 1 * * *");
    life.look(at("2026-11-23T05:00:00Z"));
    life.app = app(&json!({"cronRestart": "0 1 * * *", "timeZone": "Asia/Tokyo"}));
    life.look(at("2026-11-23T17:00:00Z"));
    assert_eq!(nominal(&[life.next().unwrap()], "u1"), ["2026-11-24T16:00:00Z"]);
    life.app = app(&json!({}));
    life.look(at("2026-11-25T00:00:00Z"));
    assert_eq!((life.restarts.len(), &life.status), (1, &None));
    assert!(
        annotation(&life.deployment.spec.unwrap().template).is_some(),
        "taking it out would be a restart"
    );
}

#[test]
fn no_restart_meets_a_rollout_nor_a_failed_one_nor_a_paused_one() {
    let condition = |status: &str, reason: &str| {
        vec![DeploymentCondition {
            type_: "Progressing".into(),
            status: status.into(),
            reason: Some(reason.into()),
            ..DeploymentCondition::default()
        }]
    };
    for (paused, conditions, expected) in [
        (false, condition("True", "ReplicaSetUpdated"), "instances are being replaced already"),
        (false, condition("False", "ProgressDeadlineExceeded"), "the last rollout has failed"),
        (true, vec![], "rollout.paused is true"),
    ] {
        let mut life = Life::new(every("0 * * * *"));
        life.look(at("2026-11-23T00:30:00Z"));
        let spec = life.deployment.spec.as_mut().unwrap();
        spec.paused = Some(paused);
        let status = life.deployment.status.as_mut().unwrap();
        (status.updated_replicas, status.replicas) = (Some(1), Some(2));
        status.conditions = Some(conditions);
        let due = life.next().unwrap();
        let told = decide(&life.app, life.status.as_ref(), Some(&life.deployment), due).news;
        assert!(matches!(&told, Some(News::Skipped(why)) if why.starts_with(expected)), "{told:?}");
        life.look(due);
        assert!(life.restarts.is_empty(), "{expected}");
        assert!(life.next().unwrap() > due, "and the next time is another chance");
    }
}

#[test]
fn an_app_that_has_lost_instances_is_restarted_all_the_same() {
    let mut life = Life::new(every("0 * * * *"));
    life.look(at("2026-11-23T00:30:00Z"));
    let status = life.deployment.status.as_mut().unwrap();
    status.available_replicas = Some(0);
    status.conditions = Some(vec![DeploymentCondition {
        type_: "Progressing".into(),
        status: "True".into(),
        reason: Some("NewReplicaSetAvailable".into()),
        ..DeploymentCondition::default()
    }]);
    life.look(life.next().unwrap());
    assert_eq!(life.restarts.len(), 1, "it may help");
}

#[test]
fn a_clock_that_was_wrong_by_years_does_not_silence_the_schedule() {
    let mut life = Life::new(every("0 3 * * *"));
    life.look(at("2046-01-01T00:00:00Z"));
    life.look(at("2026-11-23T12:00:00Z"));
    assert_eq!(nominal(&[life.next().unwrap()], "u1"), ["2026-11-24T03:00:00Z"]);
    assert!(life.restarts.is_empty());
}

#[test]
fn a_clock_that_ran_ahead_and_restarted_something_does_not_silence_the_schedule() {
    let mut life = Life::new(every("0 3 * * *"));
    life.look(at("2026-11-23T12:00:00Z"));
    // Three days ahead: a time seems to have been missed, and is made up for.
    life.look(at("2026-11-26T12:00:00Z"));
    life.look(life.next().unwrap());
    assert_eq!(life.restarts.len(), 1);
    life.look(at("2026-11-23T12:10:00Z"));
    let due = life.next().unwrap();
    assert_eq!(nominal(&[due], "u1"), ["2026-11-24T03:00:00Z"]);
    let stale = life.deployment.clone();
    life.look(due);
    assert_eq!(life.restarts.len(), 2, "what the status tells has happened");
    // The watch has not brought it yet.
    let stamped = annotation(&life.deployment.spec.as_ref().unwrap().template).cloned();
    life.deployment = stale;
    life.look(due + SignedDuration::from_secs(1));
    let again = annotation(&life.deployment.spec.as_ref().unwrap().template).cloned();
    assert_eq!(again, stamped, "it is not taken back");
}

#[test]
fn a_clock_that_steps_back_a_little_restarts_nothing_twice() {
    let mut life = Life::new(every("0 3 * * *"));
    life.look(at("2026-11-23T12:00:00Z"));
    let due = life.next().unwrap();
    life.look(due);
    let next = life.next();
    life.look(due - SignedDuration::from_secs(2));
    assert_eq!(life.next(), next);
    life.look(due + SignedDuration::from_secs(1));
    assert_eq!(life.restarts.len(), 1);
}

#[test]
fn hours_that_clocks_leave_out_or_repeat_restart_once() {
    let mut life = Life::new(app(&json!({"cronRestart": "30 2 * * *", "timeZone": "Europe/Berlin"})));
    for (from, to) in
        [("2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"), ("2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z")]
    {
        life.status = None;
        life.restarts.clear();
        life.look(at(from));
        while life.next().unwrap() < at(to) {
            life.look(life.next().unwrap());
        }
        assert_eq!(life.restarts.len(), 1, "{from}");
    }
}

#[test]
fn a_request_is_one_restart_and_silence_takes_none_back() {
    let mut life = Life::new(app(&json!({})));
    let now = at("2026-11-23T12:00:00Z");
    life.look(now);
    assert_eq!(
        life.deployment.spec.as_ref().unwrap().template.metadata.clone().unwrap().annotations.unwrap().len(),
        0
    );
    life.app = app(&json!({"annotations": {RESTARTED_ANNOTATION: "now"}}));
    assert_eq!(life.cut(now).news, Some(News::Requested));
    let asked = life.deployment.clone();
    assert_eq!(life.cut(now).news, None, "once");
    life.app = app(&json!({}));
    assert_eq!(life.cut(now).news, None);
    assert_eq!(life.deployment, asked, "no pod is replaced because the annotation went");
}

#[test]
fn who_asks_a_job_for_a_restart_is_told_once_that_there_is_nothing_to_restart() {
    let fields = json!({"autorestart": false, "cronRestart": "0 3 * * *", "annotations": {RESTARTED_ANNOTATION: "now"}});
    let job = app(&fields);
    assert_eq!(of_job(&job, None).news, None, "a new one");
    let cron_job = |template: PodTemplateSpec| -> CronJob {
        let spec = json!({"schedule": "", "jobTemplate": {"spec": {"template": template}}});
        serde_json::from_value(json!({"spec": spec})).unwrap()
    };
    let before = cron_job(PodTemplateSpec::default());
    let asked = of_job(&job, Some(&before));
    assert_eq!(asked.news, Some(News::RequestedOfJob("cart".to_owned())));
    let after = cron_job(asked.stamped(PodTemplateSpec::default()));
    assert_eq!(of_job(&job, Some(&after)).news, None, "once");
    let silent = app(&json!({"autorestart": false, "cronRestart": "0 3 * * *"}));
    let restarts = of_job(&silent, Some(&after));
    assert_eq!(restarts.news, None);
    assert_eq!(cron_job(restarts.stamped(PodTemplateSpec::default())), after, "silence changes nothing");
}

#[test]
fn a_new_deployment_is_no_restart() {
    let wants = app(&json!({"annotations": {RESTARTED_ANNOTATION: "now"}, "cronRestart": "0 3 * * *"}));
    assert_eq!(decide(&wants, None, None, at("2026-11-23T12:00:00Z")).news, None);
}

#[test]
fn apps_with_the_same_schedule_are_spread() {
    let offsets: std::collections::BTreeSet<_> =
        (0..200).map(|number| offset(&format!("uid-{number}")).as_secs()).collect();
    assert_eq!(offsets, (0..20).collect());
}

proptest! {
    /// Looked at when told to and at any other time, by operators that die at any
    /// moment: each time of the schedule is one restart, in order, and no other.
    #[test]
    fn every_time_is_one_restart(
        expression in prop_oneof![Just("* * * * *"), Just("*/7 * * * *"), Just("0 3 * * *"), Just("5 4 * * 1")],
        start in 1_700_000_000_i64..1_900_000_000,
        steps in proptest::collection::vec((0_i64..40, any::<bool>()), 1..60),
    ) {
        let mut life = Life::new(every(expression));
        let mut now = Timestamp::from_second(start).unwrap();
        life.look(now);
        for (early, dies) in steps {
            let next = life.next().unwrap();
            prop_assert!(next > now);
            // Something else makes it look before.
            let other = now + SignedDuration::from_secs(early);
            now = if early > 0 && other < next { other } else { next };
            if dies {
                life.cut(now);
            }
            life.look(now);
        }
        let times = Times { schedule: life.app.schedule.as_ref().unwrap(), offset: offset("u1") };
        let first = Timestamp::from_second(start).unwrap();
        let expected: Vec<Timestamp> =
            std::iter::successors(times.after(first), |time| times.after(*time)).take_while(|time| *time <= now).collect();
        prop_assert_eq!(&life.restarts, &expected);
    }

    /// However the clock jumps and whenever the operator is away: never more than
    /// one restart per look, and the next time is never far away.
    #[test]
    fn no_clock_brings_it_down(
        jumps in proptest::collection::vec(-100_000_i64..100_000, 1..40),
    ) {
        let mut life = Life::new(every("*/10 * * * *"));
        let mut now = at("2026-11-23T12:00:00Z");
        for jump in jumps {
            now += SignedDuration::from_secs(jump);
            life.look(now);
            let next = life.next().unwrap();
            prop_assert!(next > now && next <= now + SignedDuration::from_mins(20), "{} {}", now, next);
        }
    }
}
