//! The job before a rollout: what the new revision's pods are, with another program
//! and without what serves.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::deployment::seconds_rounded_up;
use super::metadata;
use crate::controller::names;
use crate::controller::validate::{BeforeRollout, ValidatedApp};

/// Name of its container.
const CONTAINER: &str = names::BEFORE_CONTAINER;
/// Volumes of the runner, which has no part in it.
const OF_THE_RUNNER: [&str; 2] = ["nodeapp-bin", "nodeapp-run"];

/// The job of a revision with this pod template.
pub(super) fn build(
    app: &ValidatedApp,
    before: &BeforeRollout,
    revision: &str,
    template: &core::PodTemplateSpec,
) -> Option<batch::Job> {
    let mut metadata = metadata(app, names::before_job(&app.name, revision, &before.text));
    metadata.annotations = Some([(names::REVISION_ANNOTATION.to_owned(), revision.to_owned())].into());
    Some(batch::Job {
        metadata,
        spec: Some(batch::JobSpec {
            backoff_limit: Some(before.retries),
            active_deadline_seconds: Some(
                i64::try_from(seconds_rounded_up(before.timeout)).unwrap_or(i64::MAX),
            ),
            // Never two at once, not even while a lost node is given up.
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: (before.retries == 0).then(any_exit_code_is_the_end),
            template: pod(app, before, template)?,
            ..batch::JobSpec::default()
        }),
        status: None,
    })
}

/// Ends the job as no retries would, but tells the exit code.
fn any_exit_code_is_the_end() -> batch::PodFailurePolicy {
    batch::PodFailurePolicy {
        rules: vec![batch::PodFailurePolicyRule {
            action: "FailJob".to_owned(),
            on_exit_codes: Some(batch::PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(CONTAINER.to_owned()),
                operator: "NotIn".to_owned(),
                values: vec![0],
            }),
            on_pod_conditions: None,
        }],
    }
}

fn pod(
    app: &ValidatedApp,
    before: &BeforeRollout,
    template: &core::PodTemplateSpec,
) -> Option<core::PodTemplateSpec> {
    let mut pod = template.spec.clone()?;
    let index = pod.containers.iter().position(|container| container.name == names::APP_CONTAINER)?;
    let container = pod.containers.swap_remove(index);
    pod.containers = vec![of_the_app(app, before, container)];
    // Those around the app are there too: it may need its Redis, or the proxy to its database.
    pod.init_containers
        .iter_mut()
        .for_each(|init| init.retain(|container| container.name != names::INSTALL_CONTAINER));
    pod.init_containers.take_if(|init| init.is_empty());
    // It is none of the instances that are spread.
    pod.topology_spread_constraints = None;
    // Nobody numbers it.
    pod.scheduling_gates = None;
    pod.volumes.iter_mut().for_each(|volumes| volumes.retain(|volume| !is_the_runners(&volume.name)));
    pod.restart_policy = Some("Never".to_owned());
    Some(core::PodTemplateSpec {
        // Not the app's own labels: its Service would send requests here.
        metadata: Some(ObjectMeta { labels: Some(names::job_labels(&app.name)), ..ObjectMeta::default() }),
        spec: Some(pod),
    })
}

fn is_the_runners(volume: &str) -> bool {
    OF_THE_RUNNER.contains(&volume)
}

fn of_the_app(app: &ValidatedApp, before: &BeforeRollout, container: core::Container) -> core::Container {
    let mut env = container.env.unwrap_or_default();
    env.retain(|variable| !variable.name.starts_with("NODEAPP_"));
    if env.iter().all(|variable| variable.name != "HOME") {
        // As the runner does it: the root file system is read-only.
        let value = Some("/tmp".to_owned());
        env.push(core::EnvVar { name: "HOME".to_owned(), value, value_from: None });
    }
    let mut mounts = container.volume_mounts.unwrap_or_default();
    mounts.retain(|mount| !is_the_runners(&mount.name));
    core::Container {
        name: CONTAINER.to_owned(),
        image: container.image,
        image_pull_policy: container.image_pull_policy,
        command: Some(before.argv.clone()),
        working_dir: app.runner.cwd.clone(),
        env: Some(env),
        env_from: container.env_from,
        resources: container.resources,
        security_context: container.security_context,
        volume_mounts: Some(mounts),
        ..core::Container::default()
    }
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its pod runs, or is to run.
    Active {
        /// Whether a pod of it has started.
        started: bool,
    },
    /// It came to a good end.
    Succeeded,
    /// It will not.
    Failed {
        /// Why, in Kubernetes' words.
        message: String,
    },
}

/// How a job stands; one that is being deleted still does.
pub(super) fn state(job: &batch::Job) -> State {
    let status = job.status.as_ref();
    let holds = |type_: &str| {
        let conditions = status.and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().find(|known| known.type_ == type_ && known.status == "True")
    };
    if holds("Complete").is_some() {
        return State::Succeeded;
    }
    if let Some(failed) = holds("Failed") {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let reason = text(&failed.reason);
        let message = match reason.as_str() {
            "DeadlineExceeded" => "it took longer than rollout.before.timeout".to_owned(),
            "PodFailurePolicy" => exit_code(&text(&failed.message)),
            _ => format!("{reason}: {}", text(&failed.message)),
        };
        return State::Failed { message };
    }
    let some = |number: Option<i32>| number.unwrap_or(0) > 0;
    State::Active {
        started: status.is_some_and(|status| {
            some(status.ready) || some(status.terminating) || some(status.failed) || some(status.succeeded)
        }),
    }
}

/// Whether a job was begun longer ago than this.
pub(super) fn is_older_than(job: &batch::Job, age: SignedDuration, now: Timestamp) -> bool {
    let begun = job.status.as_ref().and_then(|status| status.start_time.as_ref());
    begun.is_some_and(|Time(begun)| now.duration_since(*begun) > age)
}

/// The exit code out of Kubernetes' sentence, or all of the sentence.
fn exit_code(sentence: &str) -> String {
    let code = sentence.split_once("exit code ").map(|(_, rest)| rest);
    let code = code.and_then(|rest| rest.split(' ').next()).and_then(|code| code.parse::<i32>().ok());
    code.map_or_else(|| sentence.to_owned(), |code| format!("it ended with exit code {code}"))
}

/// The revision that a job is about, if it is one before a rollout.
pub(in crate::controller) fn revision_of(job: &batch::Job) -> Option<&str> {
    job.metadata.annotations.as_ref()?.get(names::REVISION_ANNOTATION).map(String::as_str)
}
