//! When a probe is due, and what its results mean.

use std::time::Duration;

use nodeapp_contract::config::Probe;

use crate::machine::Now;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Startup,
    Readiness,
    Liveness,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// The schedule of one probe over the life of one process.
#[derive(Debug)]
pub(crate) struct Schedule {
    probe: Probe,
    next: Option<Now>,
    passes: u32,
    failures: u32,
    verdict: Option<bool>,
}

impl Schedule {
    pub(crate) fn new(probe: Probe) -> Self {
        Self { probe, next: None, passes: 0, failures: 0, verdict: None }
    }

    pub(crate) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Begins anew, counted from now.
    pub(crate) fn arm(&mut self, now: Now) {
        *self = Self::new(self.probe.clone());
        self.next = Some(now.saturating_add(self.probe.initial_delay.into()));
    }

    /// No more checks until it is armed again.
    pub(crate) fn disarm(&mut self) {
        self.next = None;
    }

    /// When the next check is due.
    pub(crate) fn next(&self) -> Option<Now> {
        self.next
    }

    /// A check starts; its deadline.
    pub(crate) fn begin(&mut self, now: Now) -> Now {
        let period = Duration::from(self.probe.period).max(Duration::from_millis(10));
        self.next = Some(now.saturating_add(period));
        now.saturating_add(self.probe.timeout.into())
    }

    /// A check has ended; the verdict if this is one: passed or failed.
    pub(crate) fn result(&mut self, passed: bool) -> Option<bool> {
        let (count, threshold) = if passed {
            self.failures = 0;
            (&mut self.passes, self.probe.success_threshold)
        } else {
            self.passes = 0;
            (&mut self.failures, self.probe.failure_threshold)
        };
        *count = count.saturating_add(1);
        if *count < threshold || self.verdict == Some(passed) {
            return None;
        }
        self.verdict = Some(passed);
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::config::{Check, Millis};

    use super::*;

    fn schedule(failures: u32, successes: u32) -> Schedule {
        Schedule::new(Probe {
            check: Check::Tcp { port: 1 },
            initial_delay: Millis(500),
            period: Millis(1_000),
            timeout: Millis(100),
            failure_threshold: failures,
            success_threshold: successes,
        })
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn checks_come_at_their_period_after_the_initial_delay() {
        let mut it = schedule(3, 1);
        assert_eq!(it.next(), None);
        it.arm(ms(100));
        assert_eq!(it.next(), Some(ms(600)));
        assert_eq!(it.begin(ms(600)), ms(700), "its deadline");
        assert_eq!(it.next(), Some(ms(1_600)));
        it.disarm();
        assert_eq!(it.next(), None);
    }

    #[test]
    fn only_results_in_a_row_make_a_verdict_and_only_once() {
        let mut it = schedule(2, 2);
        let verdicts: Vec<_> = [true, false, true, true, true, false, true, false, false, false]
            .into_iter()
            .map(|passed| it.result(passed))
            .collect();
        let mut expected = vec![None; 10];
        expected[3] = Some(true);
        expected[8] = Some(false);
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn a_new_process_is_judged_anew() {
        let mut it = schedule(1, 1);
        assert_eq!(it.result(true), Some(true));
        it.arm(ms(0));
        assert_eq!(it.result(true), Some(true));
    }
}
