//! Runs an app that is a job: one run at a time, each a pod that ends with the
//! exit code of its process.

use k8s_openapi::api::batch::v1::{
    CronJob, CronJobSpec, JobSpec, JobTemplateSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::applied::marked;
use super::metadata;
use crate::controller::names;
use crate::controller::validate::{Schedule, ValidatedApp};

/// A run that could not begin for so long is left out, so that a job that is
/// resumed, or whose schedule is changed, makes up for nothing old.
const STARTING_DEADLINE_SECONDS: i64 = 120;
/// Runs that are kept with their logs.
const SUCCESSFUL_KEPT: i32 = 3;
const FAILED_KEPT: i32 = 1;

/// The `CronJob` of a job with the given pod template.
pub(super) fn build(app: &ValidatedApp, schedule: &Schedule, template: PodTemplateSpec) -> CronJob {
    marked(CronJob {
        metadata: metadata(app, app.name.clone()),
        spec: Some(CronJobSpec {
            schedule: schedule.for_kubernetes(),
            time_zone: Some(schedule.time_zone.clone()),
            // PM2 would kill what still runs.
            concurrency_policy: Some("Forbid".to_owned()),
            suspend: (app.instances == 0).then_some(true),
            starting_deadline_seconds: Some(STARTING_DEADLINE_SECONDS),
            successful_jobs_history_limit: Some(SUCCESSFUL_KEPT),
            failed_jobs_history_limit: Some(FAILED_KEPT),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(names::labels(&app.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(JobSpec {
                    // autorestart is false.
                    backoff_limit: Some(0),
                    pod_failure_policy: Some(tells_exit_code()),
                    template,
                    ..JobSpec::default()
                }),
            },
        }),
        status: None,
    })
}

/// It changes nothing about what happens, but the Job then says the exit code.
fn tells_exit_code() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "FailJob".to_owned(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(names::APP_CONTAINER.to_owned()),
                operator: "NotIn".to_owned(),
                values: vec![0],
            }),
            on_pod_conditions: None,
        }],
    }
}
