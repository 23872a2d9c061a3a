//! What is remembered of an app between two reconciles: how often it failed in a
//! row, and the status written last. Forgotten when the app is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::core::Status;

use super::cache::AppKey;
use super::error::Class;
use crate::crd::NodeAppStatus;

/// The wait before try number `failures + 1`. `spread` from 0 to 1 moves it by up
/// to a fifth either way, so that apps that failed together do not return together.
pub fn delay(class: Class, failures: u32, spread: f64) -> Duration {
    let (first, longest) = class.delays();
    let doubled =
        first.saturating_mul(1u32.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u32::MAX));
    doubled.min(longest).mul_f64(0.8 + 0.4 * spread.clamp(0.0, 1.0))
}

/// How long a refusal stands for what was refused: whatever else wakes the app asks nothing. Rules of
/// admission may change, so it is asked again some time.
const REFUSAL_STANDS: Duration = Duration::from_mins(5);

/// Memory of all apps.
#[derive(Debug, Default)]
pub struct Memory {
    apps: Mutex<HashMap<AppKey, AppMemory>>,
}

#[derive(Debug, Default)]
struct AppMemory {
    generation: Option<i64>,
    failures: u32,
    last_error: String,
    reported: Option<Reported>,
    /// Numbers given to pods, by UID, until the watch brings them back.
    numbers: HashMap<String, u32>,
    refusal: Option<Refusal>,
}

/// What the API server said of a template that was only tried.
#[derive(Debug)]
struct Refusal {
    /// Hash of what it was asked about.
    question: u64,
    said_at: Instant,
    status: Box<Status>,
}

#[derive(Debug)]
struct Reported {
    /// Version of the app that the status was computed from.
    based_on: Option<String>,
    /// Version that came of writing it.
    written: Option<String>,
    status: NodeAppStatus,
}

impl Reported {
    /// Whether the watch has yet to bring it. A version in between is of someone
    /// else's change: it has the status from before.
    fn is_ahead_of(&self, version: Option<&str>) -> bool {
        let number = |version: Option<&str>| version.and_then(|version| version.parse::<u64>().ok());
        match (number(version), number(self.written.as_deref())) {
            (Some(version), Some(written)) => version < written,
            // Versions are numbers; where they are not, only the same is known.
            _ => self.based_on.as_deref() == version,
        }
    }
}

/// What is to be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Wait before the next try.
    pub delay: Duration,
    /// Whether the same was said before.
    pub known: bool,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<AppKey, AppMemory>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a failure. A new generation starts counting anew.
    pub fn failed(
        &self,
        app: AppKey,
        generation: Option<i64>,
        class: Class,
        error: &str,
        spread: f64,
    ) -> Verdict {
        let mut apps = self.lock();
        let memory = apps.entry(app).or_default();
        if memory.generation != generation {
            memory.generation = generation;
            memory.failures = 0;
        }
        memory.failures = memory.failures.saturating_add(1);
        let known = memory.last_error == error;
        error.clone_into(&mut memory.last_error);
        Verdict { delay: delay(class, memory.failures, spread), known }
    }

    /// Forgets failures.
    pub fn succeeded(&self, app: &AppKey) {
        if let Some(memory) = self.lock().get_mut(app) {
            memory.failures = 0;
            memory.last_error.clear();
        }
    }

    /// How often an app failed in a row for this generation.
    pub fn failures(&self, app: &AppKey, generation: Option<i64>) -> u32 {
        let apps = self.lock();
        apps.get(app).filter(|memory| memory.generation == generation).map_or(0, |memory| memory.failures)
    }

    /// Remembers a status until the watch brings it back.
    pub fn reported(
        &self,
        app: AppKey,
        based_on: Option<String>,
        written: Option<String>,
        status: NodeAppStatus,
    ) {
        self.lock().entry(app).or_default().reported = Some(Reported { based_on, written, status });
    }

    /// The status written last, if the watch has not brought it yet.
    pub fn last_report(&self, app: &AppKey, version: Option<&str>) -> Option<NodeAppStatus> {
        let mut apps = self.lock();
        let memory = apps.get_mut(app)?;
        if !memory.reported.as_ref()?.is_ahead_of(version) {
            memory.reported = None;
        }
        memory.reported.as_ref().map(|reported| reported.status.clone())
    }

    /// Remembers the number that a pod was given.
    pub fn numbered(&self, app: &AppKey, pod: String, number: u32) {
        self.lock().entry(app.clone()).or_default().numbers.insert(pod, number);
    }

    /// The numbers given to pods that are not known to have them yet.
    pub fn numbers(&self, app: &AppKey, without: impl Fn(&str) -> bool) -> HashMap<String, u32> {
        let mut apps = self.lock();
        let Some(memory) = apps.get_mut(app) else { return HashMap::new() };
        memory.numbers.retain(|pod, _| without(pod));
        memory.numbers.clone()
    }

    /// Remembers what was refused of an app.
    pub fn refused(&self, app: &AppKey, question: u64, status: Box<Status>, now: Instant) {
        let refusal = Refusal { question, said_at: now, status };
        self.lock().entry(app.clone()).or_default().refusal = Some(refusal);
    }

    /// The answer to this very question, if it was a refusal not long ago.
    pub fn refusal(&self, app: &AppKey, question: u64, now: Instant) -> Option<Box<Status>> {
        let apps = self.lock();
        let refusal = apps.get(app)?.refusal.as_ref()?;
        let stands = now.saturating_duration_since(refusal.said_at) < REFUSAL_STANDS;
        (stands && refusal.question == question).then(|| refusal.status.clone())
    }

    /// Forgets an app.
    pub fn forget(&self, app: &AppKey) {
        self.lock().remove(app);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> AppKey {
        AppKey { namespace: "shop".into(), name: "web".into() }
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest() {
        let waits: Vec<_> = (1..8).map(|n| delay(Class::Unavailable, n, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_new_generation_and_a_success_start_anew() {
        let memory = Memory::default();
        let fail = |generation| memory.failed(key(), Some(generation), Class::Unavailable, "away", 0.5);
        assert_eq!(fail(1), Verdict { delay: Duration::from_secs(1), known: false });
        assert_eq!(fail(1), Verdict { delay: Duration::from_secs(2), known: true });
        assert_eq!(fail(2), Verdict { delay: Duration::from_secs(1), known: true });
        memory.succeeded(&key());
        assert_eq!(fail(2), Verdict { delay: Duration::from_secs(1), known: false });
    }

    #[test]
    fn a_status_is_remembered_only_until_the_watch_moves_on() {
        let memory = Memory::default();
        let status = NodeAppStatus { replicas: 3, ..NodeAppStatus::default() };
        let report = |written: &str| {
            memory.reported(key(), Some("7".into()), Some(written.into()), status.clone());
        };
        report("9");
        assert_eq!(memory.last_report(&key(), Some("7")), Some(status.clone()));
        assert_eq!(memory.last_report(&key(), Some("8")), Some(status.clone()), "a change of the spec");
        assert_eq!(memory.last_report(&key(), Some("9")), None);
        report("9");
        assert_eq!(memory.last_report(&key(), Some("10")), None, "someone has written after us");
        report("9");
        memory.forget(&key());
        assert_eq!(memory.last_report(&key(), Some("7")), None);
        report("new-7");
        assert_eq!(memory.last_report(&key(), Some("7")), Some(status.clone()));
        assert_eq!(memory.last_report(&key(), Some("8")), None, "no order is known");
    }

    #[test]
    fn a_refusal_stands_for_what_was_refused_and_not_for_ever() {
        let (memory, now) = (Memory::default(), Instant::now());
        let later = |minutes| now + Duration::from_mins(minutes);
        assert_eq!(memory.refusal(&key(), 7, now), None);
        let status = Status::failure("no such host name", "Invalid").with_code(422).boxed();
        memory.refused(&key(), 7, status.clone(), now);
        assert_eq!(memory.refusal(&key(), 7, later(4)), Some(status));
        assert_eq!(memory.refusal(&key(), 8, later(4)), None, "that is another template");
        assert_eq!(memory.refusal(&key(), 7, later(6)), None, "rules may have changed");
        memory.forget(&key());
        assert_eq!(memory.refusal(&key(), 7, now), None);
    }

    #[test]
    fn failures_are_counted_for_the_generation_that_failed() {
        let memory = Memory::default();
        for _ in 0..3 {
            memory.failed(key(), Some(1), Class::Unavailable, "away", 0.5);
        }
        assert_eq!((memory.failures(&key(), Some(1)), memory.failures(&key(), Some(2))), (3, 0));
        memory.succeeded(&key());
        assert_eq!(memory.failures(&key(), Some(1)), 0);
    }

    proptest! {
        #[test]
        fn no_wait_passes_the_longest_by_more_than_the_spread(failures: u32, spread in 0.0..=1.0f64) {
            for class in Class::ALL {
                let (first, longest) = class.delays();
                let wait = delay(class, failures, spread);
                prop_assert!(wait <= longest.mul_f64(1.2) && wait >= first.mul_f64(0.8));
            }
        }
    }
}
