//! What came of the runs of a job. A plain function of what was observed.

use std::cmp::Reverse;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};

use super::observe::Observed;
use super::validate::{Schedule, ValidatedApp};
use crate::crd::CronRestartStatus;

/// The runs of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// What the status says of the schedule.
    pub status: CronRestartStatus,
    /// Runs under way.
    pub active: i32,
    /// Whether none is begun for now.
    pub suspended: bool,
    /// Why the last one that has ended has failed, if it has.
    pub failure: Option<String>,
}

/// Looks at the runs of an app, if it is a job.
pub fn look(app: &ValidatedApp, observed: &Observed) -> Option<Runs> {
    let schedule = app.job()?;
    Some(runs(observed, schedule.to_string(), Some(schedule), app.instances == 0))
}

/// Looks at the runs of a job whose spec is not carried out now: Kubernetes goes on
/// with what its `CronJob` says.
pub fn still(observed: &Observed) -> Option<Runs> {
    let cron_job = observed.cron_job.as_ref().filter(|_| observed.deployment.is_none())?;
    let spec = cron_job.spec.as_ref()?;
    let schedule = Schedule::of_kubernetes(&spec.schedule, spec.time_zone.as_deref());
    let known = observed.schedule.as_ref().map(|known| known.schedule.clone());
    let text = known.or_else(|| schedule.as_ref().map(ToString::to_string)).unwrap_or_default();
    Some(runs(observed, text, schedule.as_ref(), spec.suspend == Some(true)))
}

fn runs(observed: &Observed, text: String, schedule: Option<&Schedule>, suspended: bool) -> Runs {
    let status = observed.cron_job.as_ref().and_then(|job| job.status.as_ref());
    let schedule = schedule.filter(|_| !suspended);
    let next = schedule.and_then(|schedule| schedule.next(observed.now.as_second()));
    let next = next.and_then(|next| Timestamp::from_second(next).ok());
    let last = status.and_then(|status| status.last_schedule_time.as_ref()).map(|time| time.0);
    let seconds = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Runs {
        status: CronRestartStatus { schedule: text, last: last.map(seconds), next: next.map(seconds) },
        active: status
            .and_then(|status| status.active.as_ref())
            .map_or(0, |active| i32::try_from(active.len()).unwrap_or(i32::MAX)),
        suspended,
        failure: failure(observed),
    }
}

fn failure(observed: &Observed) -> Option<String> {
    let ended = observed.runs.iter().filter_map(|job| Some((job, end(job)?)));
    let (job, end) = ended.min_by_key(|(job, _)| {
        Reverse(job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0))
    })?;
    if end.type_ == "Complete" {
        return None;
    }
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let told = end.message.as_deref().unwrap_or_default();
    let how = exit_code(told).map_or_else(|| format!(": {told}"), |code| format!(" with exit code {code}"));
    Some(format!(
        "the last run, {name}, has failed{how}. See kubectl logs job/{name}; it is not tried again before its next time"
    ))
}

/// Whether a Job is a run of the app, by its schedule or by hand.
pub fn is_run(job: &Job, app: &str) -> bool {
    job.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "CronJob" && owner.name == app)
}

/// How a run has ended, if it has.
fn end(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| {
        condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed")
    })
}

/// The exit code in what the Job controller says about its policy.
fn exit_code(message: &str) -> Option<u8> {
    let (_, rest) = message.split_once("failed with exit code ")?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus};
    use k8s_openapi::api::core::v1::ObjectReference;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::validate::validate;

    const FAILED: &str =
        "Container app for pod shop/report-1-x failed with exit code 3 matching FailJob rule at index 0";

    fn job(fields: &Value) -> ValidatedApp {
        let mut app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "report", "namespace": "shop", "uid": "u"},
            "spec": {"image": "a:1", "script": "a.js", "autorestart": false, "cronRestart": "0 6 * * *"},
        });
        for (field, value) in fields.as_object().unwrap() {
            app["spec"][field] = value.clone();
        }
        validate(&serde_json::from_value(app).unwrap()).unwrap()
    }

    fn run(name: &str, hour: i64, condition: Option<(&str, &str)>) -> Arc<Job> {
        let conditions = condition
            .map(|(type_, message)| vec![json!({"type": type_, "status": "True", "message": message})]);
        let start = Timestamp::from_second(1_700_000_000 + hour * 3_600).unwrap().to_string();
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {
                    "name": name,
                    "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "report", "uid": "c"}],
                },
                "status": {"startTime": start, "conditions": conditions},
            }))
            .unwrap(),
        )
    }

    fn observed(runs: Vec<Arc<Job>>) -> Observed {
        let mut cron_job = CronJob::default();
        cron_job.metadata.name = Some("report".into());
        cron_job.status = Some(CronJobStatus {
            active: Some(vec![ObjectReference::default()]),
            last_schedule_time: Some(Time("2026-11-23T06:00:00Z".parse().unwrap())),
            last_successful_time: None,
        });
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        Observed { cron_job: Some(Arc::new(cron_job)), runs, now, ..Observed::default() }
    }

    #[test]
    fn last_and_next_run_are_told_and_a_stopped_job_has_no_next() {
        let runs = look(&job(&json!({})), &observed(vec![])).unwrap();
        assert_eq!(runs.status.last.as_deref(), Some("2026-11-23T06:00:00Z"));
        assert_eq!(runs.status.next.as_deref(), Some("2026-11-24T06:00:00Z"));
        assert_eq!((runs.active, runs.failure), (1, None));
        let stopped = look(&job(&json!({"stopped": true})), &observed(vec![])).unwrap();
        assert_eq!((stopped.suspended, stopped.status.next), (true, None));
        assert_eq!(look(&job(&json!({"autorestart": true})), &observed(vec![])), None);
    }

    #[test]
    fn the_last_run_that_has_ended_counts_and_its_exit_code_is_told() {
        let failure = |jobs| look(&job(&json!({})), &observed(jobs)).unwrap().failure;
        let failed = run("report-2", 2, Some(("Failed", FAILED)));
        let told = failure(vec![run("report-1", 1, Some(("Complete", ""))), failed.clone()]).unwrap();
        assert!(told.contains("report-2, has failed with exit code 3"), "{told}");
        assert_eq!(failure(vec![failed.clone(), run("report-3", 3, None)]).unwrap(), told, "a new one runs");
        assert_eq!(failure(vec![failed, run("report-3", 3, Some(("Complete", "")))]), None);
        let evicted =
            failure(vec![run("report-1", 1, Some(("Failed", "Job has reached its limit")))]).unwrap();
        assert!(evicted.contains("failed: Job has reached its limit"), "{evicted}");
    }

    #[test]
    fn jobs_of_others_are_no_runs() {
        let run = run("report-1", 1, None);
        assert!(is_run(&run, "report") && !is_run(&run, "other"));
        let mut before = Arc::unwrap_or_clone(run);
        before.metadata.owner_references = None;
        assert!(!is_run(&before, "report"), "one before a rollout");
    }
}
