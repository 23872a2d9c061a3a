//! Restarts that no change of the spec asks for: by the annotation of the app, and
//! by the clock. Both are an annotation of the pod template, beside what the
//! revision renders, as `kubectl rollout restart` does it. A plain function; the
//! clock is passed in.
//!
//! What was carried out stands in the Deployment itself, so an operator that dies
//! between its writes repeats nothing.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use sha2::{Digest, Sha256};

use super::names::{RESTARTED_ANNOTATION, SCHEDULED_ANNOTATION};
use super::status;
use super::validate::{Schedule, ValidatedApp};
use crate::crd::CronRestartStatus;

/// Apps with the same schedule begin within this many seconds, each at its own.
pub const SPREAD_SECONDS: u64 = 20;
/// A time that is missed by more than this was missed by an operator that was away:
/// what it makes up for is spread again.
const LATE: SignedDuration = SignedDuration::from_mins(1);

/// What is to be done about restarts, and what is to be told of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// Value of the template's annotation for restarts that were asked for.
    requested: Option<String>,
    /// Value of the template's annotation for restarts by the clock.
    scheduled: Option<String>,
    /// What the status says of the schedule.
    pub status: Option<CronRestartStatus>,
    /// What is told by an Event.
    pub news: Option<News>,
}

/// What happened just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Someone has changed the annotation.
    Requested,
    /// The same for a job of this name, which has nothing to restart.
    RequestedOfJob(String),
    /// It was time, by this schedule.
    Scheduled(String),
    /// It was time, but this is in the way.
    Skipped(&'static str),
}

/// Decides about the restarts of an app that is no job. `known` is what the status said last.
pub fn decide(
    app: &ValidatedApp,
    known: Option<&CronRestartStatus>,
    deployment: Option<&Deployment>,
    now: Timestamp,
) -> Restarts {
    let live = |annotation| deployment.and_then(|deployment| annotation_of(deployment, annotation));
    let requested = live(RESTARTED_ANNOTATION);
    let mut restarts = Restarts {
        // Without the annotation, nobody asks for anything: also not to take it back.
        requested: app.restart_request.clone().or_else(|| requested.map(ToOwned::to_owned)),
        scheduled: live(SCHEDULED_ANNOTATION).map(ToOwned::to_owned),
        status: None,
        news: None,
    };
    if deployment.is_some() && restarts.requested.as_deref() != requested && app.instances > 0 {
        restarts.news = Some(News::Requested);
    }
    let Some(schedule) = app.schedule.as_ref() else { return restarts };
    let times = Times { schedule, offset: offset(&app.owner.uid) };
    let carried_out = live(SCHEDULED_ANNOTATION).and_then(|text| text.parse().ok());
    let before = Before::of(known, schedule, carried_out);
    let hindrance = status::hinders_restart(deployment);
    let Decision { last, next, step } = if app.instances == 0 {
        // What is missed while it is stopped is not made up for.
        Decision { last: before.last, next: None, step: Step::Wait }
    } else {
        times.decide(before, hindrance, now)
    };
    match step {
        Step::Wait => {}
        Step::Restart => restarts.news = Some(News::Scheduled(schedule.to_string())),
        Step::Skip(why) => restarts.news = Some(News::Skipped(why)),
    }
    // Not the older of the two: what is observed may be behind what was done. Unless a
    // clock that was ahead wrote it.
    let ahead = carried_out.is_some_and(|done| done > now + LATE);
    if step == Step::Restart || last > carried_out || (ahead && last.is_some()) {
        restarts.scheduled = last.map(seconds);
    }
    restarts.status = Some(CronRestartStatus {
        schedule: schedule.to_string(),
        last: last.map(seconds),
        next: next.map(seconds),
    });
    restarts
}

/// What becomes of a restart that a job is asked for: whoever asks is told once that
/// there is nothing to restart.
pub fn of_job(app: &ValidatedApp, cron_job: Option<&CronJob>) -> Restarts {
    let template =
        cron_job.and_then(|job| job.spec.as_ref()?.job_template.spec.as_ref()).map(|spec| &spec.template);
    let requested = template.and_then(|template| annotation_in(template, RESTARTED_ANNOTATION));
    let asked =
        app.restart_request.as_deref().filter(|asked| cron_job.is_some() && Some(*asked) != requested);
    Restarts {
        news: asked.map(|_| News::RequestedOfJob(app.name.clone())),
        requested: app.restart_request.as_deref().or(requested).map(ToOwned::to_owned),
        ..Restarts::default()
    }
}

impl Restarts {
    /// The template with the annotations of its restarts.
    pub fn stamped(&self, mut template: PodTemplateSpec) -> PodTemplateSpec {
        let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
        for (annotation, value) in
            [(RESTARTED_ANNOTATION, &self.requested), (SCHEDULED_ANNOTATION, &self.scheduled)]
        {
            if let Some(value) = value {
                annotations.insert(annotation.to_owned(), value.clone());
            }
        }
        template
    }
}

/// What is known of a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Before {
    last: Option<Timestamp>,
    /// When it was to be next; none if it was not in force.
    next: Option<Timestamp>,
}

impl Before {
    fn of(known: Option<&CronRestartStatus>, schedule: &Schedule, carried_out: Option<Timestamp>) -> Self {
        let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        // Another schedule begins anew: none of its times has been missed.
        let next = known.filter(|known| known.schedule == schedule.to_string());
        let next = next.and_then(|known| time(&known.next));
        let last = known.and_then(|known| time(&known.last));
        match (carried_out, next) {
            // It was done, only not told.
            (Some(done), Some(next)) if done == next => Self { last: Some(done), next: Some(next) },
            _ => Self { last, next },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    last: Option<Timestamp>,
    next: Option<Timestamp>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Wait,
    Restart,
    Skip(&'static str),
}

/// The times of a schedule for one app.
#[derive(Clone, Copy, Debug)]
struct Times<'a> {
    schedule: &'a Schedule,
    offset: SignedDuration,
}

impl Times<'_> {
    /// The first time after `now`.
    fn after(self, now: Timestamp) -> Option<Timestamp> {
        let nominal = self.schedule.next(now.checked_sub(self.offset).ok()?.as_second())?;
        Timestamp::from_second(nominal).ok()?.checked_add(self.offset).ok()
    }

    fn decide(self, before: Before, hindrance: Option<&'static str>, now: Timestamp) -> Decision {
        let Before { last, next } = before;
        let coming = self.after(now);
        let wait = |next| Decision { last, next, step: Step::Wait };
        let Some(next) = next else { return wait(coming) };
        if last == Some(next) && next <= now {
            return wait(coming);
        }
        if next > now {
            // The clock was set back, unless only by so little that the last time comes again.
            let set_back = coming.is_some_and(|coming| coming < next) && coming != last;
            return wait(if set_back { coming } else { Some(next) });
        }
        if next + LATE < now {
            let soon = now + self.offset + SignedDuration::from_secs(1);
            let soon = Timestamp::from_second(soon.as_second()).unwrap_or(soon);
            return wait(coming.map_or(Some(soon), |coming| Some(coming.min(soon))));
        }
        match hindrance {
            Some(why) => Decision { last, next: coming, step: Step::Skip(why) },
            None => Decision { last: Some(next), next: coming, step: Step::Restart },
        }
    }
}

/// An app's own moment after the time of its schedule.
fn offset(uid: &str) -> SignedDuration {
    let digest = Sha256::digest(uid.as_bytes());
    let number = digest.iter().take(7).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    SignedDuration::from_secs(i64::try_from(number % SPREAD_SECONDS).unwrap_or(0))
}

fn annotation_of<'a>(deployment: &'a Deployment, annotation: &str) -> Option<&'a str> {
    annotation_in(&deployment.spec.as_ref()?.template, annotation)
}

fn annotation_in<'a>(template: &'a PodTemplateSpec, annotation: &str) -> Option<&'a str> {
    template.metadata.as_ref()?.annotations.as_ref()?.get(annotation).map(String::as_str)
}

/// Whole seconds, as all of Kubernetes writes them.
fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
