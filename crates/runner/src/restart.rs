//! PM2's restart policy: when the next process starts, and when it is enough.

use std::collections::VecDeque;
use std::time::Duration;

use nodeapp_contract::config::RestartPolicy;

use crate::machine::{End, Rest};

/// The growing delay is not longer than this (PM2).
const BACKOFF_CAP: Duration = Duration::from_secs(15);

/// What follows an end that nobody ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Start again after this wait.
    After(Duration),
    /// It ended too often.
    Errored,
    /// It is not to be started again.
    Rest(Rest),
}

/// The ends that still count.
#[derive(Debug)]
pub(crate) struct History {
    policy: RestartPolicy,
    /// How long processes have run in total. Waits between two lives do not
    /// move the window, otherwise a restart delay would defeat the limit.
    ran: Duration,
    unstable: VecDeque<Duration>,
    backoff: Duration,
}

impl History {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Self { policy, ran: Duration::ZERO, unstable: VecDeque::new(), backoff: Duration::ZERO }
    }

    /// Unstable ends inside the window.
    pub(crate) fn unstable(&self) -> usize {
        self.unstable.len()
    }

    /// A person asked for a new start: what was does not count any more.
    pub(crate) fn forget(&mut self) {
        self.unstable.clear();
        self.backoff = Duration::ZERO;
    }

    /// How long an errored app waits for its next chance; `None` is for ever.
    pub(crate) fn errored_retry(&self) -> Option<Duration> {
        Some(Duration::from(self.policy.errored_retry)).filter(|wait| !wait.is_zero())
    }

    /// A process ended by itself after `uptime`.
    pub(crate) fn ended(&mut self, uptime: Duration, end: End) -> Verdict {
        if let Some(rest) = self.rest(end) {
            return Verdict::Rest(rest);
        }
        if self.count(uptime) {
            return Verdict::Errored;
        }
        let Some(base) = self.policy.exp_backoff_restart_delay else {
            return Verdict::After(self.policy.restart_delay.into());
        };
        if uptime >= Duration::from(self.policy.exp_backoff_reset) {
            self.backoff = Duration::ZERO;
        }
        self.backoff = if self.backoff.is_zero() { base.into() } else { grow(self.backoff, base.into()) };
        Verdict::After(self.backoff)
    }

    /// The runner restarted the process for its own good (memory, probe): no
    /// delay, but a process that gets there at once each time is unstable too.
    /// One that has lived long enough has not ended by itself, so that it goes on
    /// even where no restart is allowed.
    pub(crate) fn restarted(&mut self, uptime: Duration) -> Verdict {
        let stable = uptime >= Duration::from(self.policy.min_uptime);
        if self.count(uptime) && !stable { Verdict::Errored } else { Verdict::After(Duration::ZERO) }
    }

    /// Whether this end is one after which nothing follows. A signal is no exit
    /// code: what the kernel killed has not said that it is done.
    fn rest(&self, end: End) -> Option<Rest> {
        match end {
            End::Code(code) if self.policy.stop_exit_codes.contains(&code) => Some(Rest::StopExitCode(code)),
            _ if !self.policy.autorestart => Some(Rest::NoAutorestart),
            _ => None,
        }
    }

    /// Notes an end; true if it was one too many.
    fn count(&mut self, uptime: Duration) -> bool {
        self.ran = self.ran.saturating_add(uptime);
        let limit = self.policy.max_restarts as usize;
        if limit == 0 {
            return true;
        }
        let min_uptime = Duration::from(self.policy.min_uptime);
        let window = min_uptime.saturating_mul(self.policy.max_restarts);
        let unstable = uptime < min_uptime;
        if unstable {
            self.unstable.push_back(self.ran);
        }
        while self.unstable.front().is_some_and(|at| self.ran.saturating_sub(*at) >= window) {
            self.unstable.pop_front();
        }
        while self.unstable.len() > limit {
            self.unstable.pop_front();
        }
        unstable && self.unstable.len() >= limit
    }
}

/// PM2 multiplies by 1.5 and cuts off to whole milliseconds. A first delay above
/// the cap stays, instead of shrinking to it.
fn grow(delay: Duration, base: Duration) -> Duration {
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_mul(3) / 2).min(BACKOFF_CAP.max(base))
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::config::Millis;
    use proptest::prelude::*;

    use super::*;

    const CRASH: End = End::Code(1);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn history(change: impl FnOnce(&mut RestartPolicy)) -> History {
        let mut policy = RestartPolicy::default();
        change(&mut policy);
        History::new(policy)
    }

    #[test]
    fn sixteen_fast_ends_lead_to_errored_as_in_pm2() {
        let mut history = history(|_| {});
        for _ in 0..15 {
            assert_eq!(history.ended(ms(10), CRASH), Verdict::After(Duration::ZERO));
        }
        assert_eq!(history.ended(ms(10), CRASH), Verdict::Errored);
    }

    #[test]
    fn a_life_longer_than_min_uptime_is_stable() {
        let mut history = history(|_| {});
        for _ in 0..100 {
            assert_eq!(history.ended(ms(1_000), CRASH), Verdict::After(Duration::ZERO));
        }
    }

    #[test]
    fn a_crash_loop_late_in_life_is_caught_which_pm2_does_not() {
        let mut history = history(|policy| policy.max_restarts = 3);
        assert_eq!(history.ended(ms(3_600_000), CRASH), Verdict::After(Duration::ZERO));
        assert_eq!(history.ended(ms(1), CRASH), Verdict::After(Duration::ZERO));
        assert_eq!(history.ended(ms(1), CRASH), Verdict::After(Duration::ZERO));
        assert_eq!(history.ended(ms(1), CRASH), Verdict::Errored);
    }

    #[test]
    fn the_window_slides() {
        let mut history = history(|policy| policy.max_restarts = 3);
        history.ended(ms(1), CRASH);
        history.ended(ms(1), CRASH);
        assert_eq!(history.ended(ms(5_000), CRASH), Verdict::After(Duration::ZERO));
        assert_eq!(history.unstable(), 0);
        assert_eq!(history.ended(ms(1), CRASH), Verdict::After(Duration::ZERO));
    }

    #[test]
    fn an_errored_app_is_errored_again_at_the_next_fast_end() {
        let mut history = history(|policy| policy.max_restarts = 2);
        history.ended(ms(1), CRASH);
        assert_eq!(history.ended(ms(1), CRASH), Verdict::Errored);
        assert_eq!(history.ended(ms(1), CRASH), Verdict::Errored);
        assert_eq!(history.ended(ms(60_000), CRASH), Verdict::After(Duration::ZERO));
    }

    #[test]
    fn no_restarts_allowed_means_errored_at_the_first_end() {
        assert_eq!(history(|policy| policy.max_restarts = 0).ended(ms(60_000), CRASH), Verdict::Errored);
    }

    #[test]
    fn a_memory_restart_after_a_long_life_is_no_restart_too_many() {
        let mut history = history(|policy| policy.max_restarts = 0);
        assert_eq!(history.restarted(ms(3_600_000)), Verdict::After(Duration::ZERO));
        assert_eq!(history.restarted(ms(10)), Verdict::Errored);
    }

    #[test]
    fn the_growing_delay_is_that_of_pm2() {
        let mut history = history(|policy| {
            policy.exp_backoff_restart_delay = Some(Millis(100));
            policy.restart_delay = Millis(9_999);
        });
        let expected =
            [100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3829, 5743, 8614, 12921, 15000, 15000, 15000];
        for delay in expected {
            assert_eq!(history.ended(ms(2_000), CRASH), Verdict::After(ms(delay)));
        }
        assert_eq!(history.ended(ms(30_000), CRASH), Verdict::After(ms(100)));
    }

    #[test]
    fn a_process_that_passes_its_memory_line_at_once_each_time_is_errored_in_the_end() {
        let mut history = history(|policy| policy.max_restarts = 2);
        assert_eq!(history.restarted(ms(10)), Verdict::After(Duration::ZERO));
        assert_eq!(history.restarted(ms(10)), Verdict::Errored);
    }

    #[test]
    fn a_restart_by_hand_starts_the_count_anew() {
        let mut history = history(|policy| policy.max_restarts = 2);
        history.ended(ms(1), CRASH);
        history.forget();
        assert_eq!(history.ended(ms(1), CRASH), Verdict::After(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn never_more_than_max_restarts_fast_ends_in_a_row(
            max in 1_u32..40, delay in 0_u64..20_000, lives in prop::collection::vec(0_u64..1_000, 1..80),
        ) {
            let mut history = history(|policy| {
                policy.max_restarts = max;
                policy.restart_delay = Millis(delay);
            });
            let errored = lives.iter().position(|life| history.ended(ms(*life), CRASH) == Verdict::Errored);
            let expected = (lives.len() >= max as usize).then_some(max as usize - 1);
            prop_assert_eq!(errored, expected);
        }

        #[test]
        fn the_delay_stays_within_its_cap(base in 1_u64..15_000, lives in prop::collection::vec(0_u64..40_000, 1..60)) {
            let mut history = history(|policy| {
                policy.exp_backoff_restart_delay = Some(Millis(base));
                policy.max_restarts = 10_000;
            });
            for life in lives {
                match history.ended(ms(life), CRASH) {
                    Verdict::After(delay) => prop_assert!(delay >= ms(base) && delay <= BACKOFF_CAP),
                    verdict => prop_assert!(false, "limit not reached: {verdict:?}"),
                }
            }
        }
    }
}
