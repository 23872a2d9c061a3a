//! When the app is restarted by the clock, or run by it.

use nodeapp_contract::{Cron, RunnerConfig, Zone};

use super::{Problems, time_zone};
use crate::crd::NodeAppSpec;

/// The zone of schedules where the spec names none.
const UTC: &str = "Etc/UTC";

/// `spec.cronRestart` in `spec.timeZone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The expression as it was written.
    pub expression: String,
    /// Name of its time zone.
    pub time_zone: String,
    cron: Cron,
    zone: Zone,
}

impl Schedule {
    /// The schedule of a `CronJob`.
    pub fn of_kubernetes(expression: &str, time_zone: Option<&str>) -> Option<Self> {
        let time_zone = time_zone.unwrap_or(UTC);
        let zone = Zone::parse(time_zone::posix(time_zone)?).ok()?;
        let cron = Cron::parse(expression).ok()?;
        Some(Self { expression: expression.to_owned(), time_zone: time_zone.to_owned(), cron, zone })
    }

    /// The next time after `after`, both in seconds since the epoch.
    pub fn next(&self, after: i64) -> Option<i64> {
        self.cron.next(after, &self.zone)
    }

    /// The expression as a `CronJob` takes it.
    pub fn for_kubernetes(&self) -> String {
        self.cron.for_kubernetes().unwrap_or_else(|_| self.expression.clone())
    }
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.expression, self.time_zone)
    }
}

/// The schedule, if there is one.
pub(super) fn schedule(
    spec: &NodeAppSpec,
    runner: &RunnerConfig,
    problems: &mut Problems,
) -> Option<Schedule> {
    let expression = spec.cron_restart.as_deref()?.trim();
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    let mut refuse = |why: &str| problems.add("spec.cronRestart", why);
    match fields.as_slice() {
        ["0"] => {
            refuse("to switch it off, leave it out");
            return None;
        }
        [_, rest @ ..] if rest.len() == 5 => {
            refuse(&format!(
                "has six fields, so the first one is the second; replacing all instances takes longer than that, so \
                 write it without, as {}",
                rest.join(" ")
            ));
            return None;
        }
        _ => {}
    }
    let cron = match Cron::parse(expression) {
        Ok(cron) => cron,
        Err(error) => {
            refuse(&format!("must be a cron expression of five fields such as '0 3 * * *', but: {error}"));
            return None;
        }
    };
    // The rule of the zone has been found for the logs, or refused there.
    let zone = Zone::parse(runner.log.time_zone.as_deref().unwrap_or("UTC0")).ok()?;
    // Kubernetes knows a zone by no other spelling than this.
    let time_zone = spec.time_zone.as_deref().map_or(Some(UTC), time_zone::canonical)?.to_owned();
    Some(Schedule { expression: expression.to_owned(), time_zone, cron, zone })
}

/// The longest name of a `CronJob`, whose Jobs have 11 characters more.
const LONGEST_JOB_NAME: usize = 52;

/// What makes no sense for an app that is a job.
pub(super) fn check_job(name: &str, spec: &NodeAppSpec, schedule: &Schedule, problems: &mut Problems) {
    let mut refuse = |field: &str, why: &str| {
        problems.add(
            field,
            &format!(
                "cronRestart with autorestart: false makes a job, {why}; leave it out, or autorestart: false"
            ),
        );
    };
    if spec.port.is_some() {
        refuse("spec.port", "which serves nobody between its runs");
    }
    if spec.instances > 1 {
        refuse("spec.instances", "which runs once at a time");
    }
    if spec.fill_cluster.is_some() {
        refuse("spec.fillCluster", "which runs once at a time");
    }
    if spec.autoscaling.is_some() {
        refuse("spec.autoscaling", "which runs once at a time");
    }
    if spec.instance_index == Some(true) {
        refuse("spec.instanceIndex", "which has no other instances");
    }
    if spec.rollout.is_some() {
        refuse("spec.rollout", "whose next run simply is the new one");
    }
    if let Err(part) = schedule.cron.for_kubernetes() {
        refuse("spec.cronRestart", &format!("whose schedule cannot have {part}"));
    }
    if name.len() > LONGEST_JOB_NAME {
        problems.add(
            "metadata.name",
            &format!(
                "cronRestart with autorestart: false makes a job, whose name has at most {LONGEST_JOB_NAME} \
                 characters; take a shorter one"
            ),
        );
    }
}
