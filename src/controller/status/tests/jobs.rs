//! Apps that are jobs, also where their spec is not carried out.

use k8s_openapi::api::apps::v1::ControllerRevision;

use super::*;
use crate::controller::runs::Runs;
use crate::crd::CronRestartStatus;
use crate::crd::instance::FillStatus;

fn job(change: &Value) -> NodeApp {
    let mut job = serde_json::to_value(app(7)).unwrap();
    job["spec"]["autorestart"] = false.into();
    job["spec"]["cronRestart"] = "0 6 * * *".into();
    for (field, value) in change.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    serde_json::from_value(job).unwrap()
}

fn runs(failure: Option<&str>) -> Runs {
    let next = Some("2026-11-24T06:00:00Z".to_owned());
    let status = CronRestartStatus { schedule: "0 6 * * * Etc/UTC".into(), last: None, next };
    Runs { status, active: 1, suspended: false, failure: failure.map(str::to_owned) }
}

fn job_carried_out(app: &NodeApp, course: Course, runs: Runs, previous: &NodeAppStatus) -> NodeAppStatus {
    let mut revision = ControllerRevision::default();
    revision.metadata.name = Some("cart-1".into());
    let pods = Workload { runs: Some(runs), ..Workload::default() };
    let account = ServiceAccount::default();
    let children = Children::new(account, revision, course, None, None, pods, Restarts::default());
    compute(app, previous, Findings::Applied(&children), at(0))
}

fn told(app: &NodeApp, runs: Runs) -> NodeAppStatus {
    let course = Course { running: Some("cart-1".into()), ..Course::default() };
    job_carried_out(app, course, runs, &NodeAppStatus::default())
}

#[test]
fn what_is_wrong_with_the_runs_of_a_job_stays_told_beside_whatever_else_is_wrong() {
    let failed = runs(Some("the last run, cart-1, has failed"));
    let before = told(&job(&json!({})), failed.clone());
    assert_eq!(of(&before, ConditionType::Degraded), ("True", "RunFailed"));
    let problems = Problems::default();
    let live = Live { deployment: None, runs: Some(&failed) };
    let findings = [
        Findings::Invalid(&problems, live),
        Findings::Paused(live),
        Findings::Refused { message: "quota", spec_is_to_blame: false, live },
        Findings::Failing { message: "etcd", live },
        Findings::Taken(&[], live),
    ];
    for findings in findings {
        let status = compute(&job(&json!({})), &before, findings, at(9));
        assert_eq!(of(&status, ConditionType::Degraded).0, "True", "{findings:?}");
        assert_eq!(of(&status, ConditionType::Available), ("True", "Scheduled"), "{findings:?}");
        assert_eq!(status.replicas, 1, "a run is under way: {findings:?}");
        assert_eq!(status.cron_restart, before.cron_restart, "{findings:?}");
    }
    let invalid = compute(&job(&json!({})), &before, findings[0], at(9));
    assert_eq!(of(&invalid, ConditionType::Degraded), ("True", "RunFailed"));
    assert_eq!(of(&invalid, ConditionType::Ready), ("False", "InvalidSpec"));
}

#[test]
fn a_paused_job_says_that_its_schedule_goes_on() {
    let runs = runs(None);
    let before = told(&job(&json!({})), runs.clone());
    let paused = Findings::Paused(Live { deployment: None, runs: Some(&runs) });
    let paused = compute(&job(&json!({})), &before, paused, at(9));
    assert_eq!(of(&paused, ConditionType::Ready), ("True", "Scheduled"));
    assert!(message(&paused, ConditionType::Progressing).contains("goes on to begin runs"));
    assert!(paused.cron_restart.unwrap().next.is_some());
}

#[test]
fn a_credential_in_plain_text_is_told_of_a_job_too() {
    let plain = job(&json!({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}));
    let status = told(&plain, runs(None));
    assert_eq!(of(&status, ConditionType::Valid), ("True", "PlainCredentials"));
    assert!(!message(&status, ConditionType::Valid).contains("hunter2"));
}

#[test]
fn a_rollback_of_a_job_is_told_and_so_is_a_revision_that_there_is_not() {
    let rollback = Some(RollbackByHand { to: "cart-0".into(), from: "cart-1".into() });
    let running = Some("cart-0".to_owned());
    let back = Course { running, detour: Some(Detour::ByHand), rollback: rollback.clone(), unknown: None };
    let status = job_carried_out(&job(&json!({})), back, runs(None), &NodeAppStatus::default());
    assert_eq!(of(&status, ConditionType::Ready), ("False", "RolledBackByHand"));
    assert_eq!(of(&status, ConditionType::Available), ("True", "Scheduled"));
    let (running, unknown) = (Some("cart-1".to_owned()), Some(vec!["cart-1".to_owned()]));
    let course = Course { running, detour: None, rollback, unknown };
    let status = job_carried_out(&job(&json!({})), course, runs(None), &NodeAppStatus::default());
    assert_eq!(of(&status, ConditionType::Degraded), ("True", "UnknownRevision"));
}

#[test]
fn an_app_that_filled_the_cluster_and_becomes_a_job_leaves_nothing_due_behind() {
    let since = Some("1970-01-01T00:00:00Z".to_owned());
    let fill = FillStatus { wanted: 2, fits: 3, since, ..FillStatus::default() };
    let before = NodeAppStatus { fill_cluster: Some(fill), ..NodeAppStatus::default() };
    let course = Course { running: Some("cart-1".into()), ..Course::default() };
    let status = job_carried_out(&job(&json!({})), course, runs(None), &before);
    assert_eq!(status.fill_cluster, None, "its time has come, and would be looked at for ever");
}
