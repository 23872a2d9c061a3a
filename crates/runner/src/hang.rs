//! The heartbeat of the app's event loop.
//!
//! Silence counts from the first heartbeat on, so that a long start counts for
//! nothing; a process that never gave one is left to the startup probe.

use std::time::Duration;

use nodeapp_contract::config::{Millis, Preload};

use crate::machine::Now;

/// Heartbeats come this often, or four times within the time of silence.
const SLOWEST: u64 = 1_000;
const QUICKEST: u64 = 25;

/// Time between two heartbeats, which the preload is told.
pub(crate) fn period(preload: &Preload) -> Millis {
    Millis(preload.hang_timeout.map_or(SLOWEST, |timeout| (timeout.0 / 4).clamp(QUICKEST, SLOWEST)))
}

/// Whether the main process has been silent for too long.
#[derive(Debug)]
pub(crate) struct HangWatch {
    timeout: Duration,
    step: Duration,
    looked: Now,
    /// Whose heartbeat is listened to, and its last one.
    heard: Option<(u64, Now)>,
}

impl HangWatch {
    /// A watch, if there is a time after which silence counts.
    pub(crate) fn new(preload: &Preload) -> Option<Self> {
        let timeout = Duration::from(preload.hang_timeout.filter(|timeout| timeout.0 > 0)?);
        Some(Self { timeout, step: period(preload).into(), looked: Now::ZERO, heard: None })
    }

    /// The time of silence that was set.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A heartbeat of a process, known by its connection. The first one to give
    /// any is the main process.
    pub(crate) fn beat(&mut self, now: Now, peer: u64) {
        let (owner, last) = self.heard.get_or_insert((peer, now));
        if *owner == peer {
            *last = now;
        }
    }

    /// A connection has ended: without it there is no silence to hear.
    pub(crate) fn gone(&mut self, peer: u64) {
        if self.heard.is_some_and(|(owner, _)| owner == peer) {
            self.heard = None;
        }
    }

    /// Another process.
    pub(crate) fn reset(&mut self) {
        self.heard = None;
    }

    /// When to look again.
    pub(crate) fn next(&self) -> Option<Now> {
        self.heard.map(|_| self.looked.saturating_add(self.step))
    }

    /// Looks; the length of the silence if it is too long. Time in which the
    /// runner did not look itself does not count (both were not scheduled), nor
    /// time in which the process is `excused`: stopped by a debugger, or busy
    /// with what the runner has asked for.
    pub(crate) fn look(&mut self, now: Now, excused: impl FnOnce() -> bool) -> Option<Duration> {
        let own = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        let (_, last) = self.heard.as_mut()?;
        if own > 2 * self.step {
            *last = last.saturating_add(own.saturating_sub(self.step)).min(now);
        }
        let silence = now.saturating_sub(*last);
        // A heartbeat is late by its own period at least.
        if silence <= self.step || silence < self.timeout {
            return None;
        }
        if excused() {
            *last = now;
            return None;
        }
        Some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn watch() -> HangWatch {
        HangWatch::new(&Preload { hang_timeout: Some(Millis(2_000)), ..Preload::default() }).unwrap()
    }

    /// Looks every 500 ms up to `until`; when the silence was too long, and how long.
    fn silence(watch: &mut HangWatch, from: u64, until: u64) -> Option<(u64, Duration)> {
        (from..=until).step_by(500).find_map(|at| Some((at, watch.look(ms(at), || false)?)))
    }

    #[test]
    fn heartbeats_come_four_times_within_the_time() {
        let period_of = |timeout| period(&Preload { hang_timeout: timeout, ..Preload::default() }).0;
        assert_eq!(period_of(None), 1_000);
        assert_eq!(period_of(Some(Millis(60_000))), 1_000);
        assert_eq!(period_of(Some(Millis(2_000))), 500);
        assert_eq!(period_of(Some(Millis(1))), 25);
        assert!(HangWatch::new(&Preload::default()).is_none(), "off by default");
    }

    #[test]
    fn silence_counts_from_the_first_heartbeat() {
        let mut watch = watch();
        assert_eq!(silence(&mut watch, 0, 60_000), None, "a long start");
        assert_eq!(watch.next(), None);
        watch.beat(ms(60_100), 1);
        assert_eq!(silence(&mut watch, 60_500, 90_000), Some((62_500, ms(2_400))));
        watch.reset();
        assert_eq!(silence(&mut watch, 90_500, 99_000), None, "another process");
    }

    #[test]
    fn only_the_main_process_counts() {
        let mut watch = watch();
        watch.beat(ms(0), 1);
        watch.beat(ms(1_500), 2);
        assert!(silence(&mut watch, 0, 2_000).is_some(), "the other one's heartbeat does not help");
        watch.gone(2);
        assert!(watch.next().is_some());
        watch.gone(1);
        assert_eq!(watch.next(), None, "what has no connection cannot be heard");
    }

    #[test]
    fn the_runners_own_delay_is_nobodys_silence() {
        let mut watch = watch();
        watch.beat(ms(400), 1);
        assert_eq!(watch.look(ms(500), || false), None);
        assert_eq!(watch.look(ms(9_000), || false), None, "it did not look for 8.5 s");
        assert!(silence(&mut watch, 9_500, 12_000).is_some(), "but a hung one is found then");
    }

    #[test]
    fn what_is_stopped_by_a_debugger_does_not_hang() {
        let mut watch = watch();
        watch.beat(ms(0), 1);
        for at in (0..=30_000).step_by(500) {
            assert_eq!(watch.look(ms(at), || true), None);
        }
        assert_eq!(
            silence(&mut watch, 30_500, 40_000).map(|(at, _)| at),
            Some(32_000),
            "it gets its time again"
        );
    }
}
