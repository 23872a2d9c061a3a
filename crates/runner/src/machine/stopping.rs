//! The order of a stop: drain delay, drain, signal, kill.

use std::time::Duration;

use crate::restart::Verdict;

use super::{Action, Cause, End, Ended, Machine, Next, Now, State};

/// Connections that no request comes on are closed after this part of a drain,
/// so that as many as possible end by `Connection: close` before.
pub(super) const IDLE_WAIT: Duration = Duration::from_secs(1);
/// At least this long, also where they have had the drain delay already: one may
/// have come only just now.
const LEAST_IDLE_WAIT: Duration = Duration::from_millis(100);
/// How long a process may take to vanish after SIGKILL.
pub(super) const KILL_WAIT: Duration = Duration::from_secs(2);
/// Exit code of a runner that had to kill its app: 128 + SIGKILL.
const KILLED: u8 = 137;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Leave,
    Hold,
    Restart(Cause),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Serves on, with `Connection: close`.
    Delay { until: Now },
    /// Serves on, but has crashed: another process follows, since connections
    /// come until the end of the delay.
    Respawn { at: Now, until: Now },
    /// Accepts no more, answers what is in flight.
    Settle { idle_at: Option<Now>, until: Now },
    /// Drained; the signal comes when the kubelet says so.
    Held,
    /// Has the signal.
    Signalled { until: Now },
    /// Has SIGKILL.
    Killed { until: Now },
}

impl Machine {
    /// How long a process that may get traffic serves on.
    fn delay(&self) -> Duration {
        if self.served { self.stop.drain_delay.into() } else { Duration::ZERO }
    }

    /// First step of a stop.
    pub(super) fn begin(&mut self, now: Now, since: Now, goal: Goal) -> Vec<Action> {
        let delay = match goal {
            Goal::Restart(_) => Duration::ZERO,
            Goal::Leave | Goal::Hold => self.delay(),
        };
        self.state = State::Stopping {
            since,
            step: Step::Delay { until: now.saturating_add(delay) },
            goal,
            end: None,
        };
        let mut actions = vec![Action::Announce];
        if delay.is_zero() {
            actions.extend(self.settle(now));
        }
        actions
    }

    /// The process has crashed while the cluster still sends traffic here: the
    /// policy holds, as long as the next process comes before the delay is over.
    pub(super) fn crashed_in_delay(
        &mut self,
        now: Now,
        until: Now,
        uptime: Duration,
        end: End,
    ) -> Vec<Action> {
        let Verdict::After(wait) = self.history.ended(uptime, end) else { return self.finish(now, end) };
        let at = now.saturating_add(wait);
        if at >= until {
            return self.finish(now, end);
        }
        if let State::Stopping { step, .. } = &mut self.state {
            *step = Step::Respawn { at, until };
        }
        vec![Action::Record { end, ended: Ended::ByItself, next: Next::Start(wait) }]
    }

    pub(super) fn respawn(&mut self, now: Now, until: Now) -> Vec<Action> {
        if let State::Stopping { since, step, .. } = &mut self.state {
            *since = now;
            *step = Step::Delay { until };
        }
        vec![Action::Start, Action::Announce]
    }

    pub(super) fn settle(&mut self, now: Now) -> Vec<Action> {
        let delay = Duration::from(self.stop.drain_delay);
        let timeout = Duration::from(self.stop.drain_timeout);
        let State::Stopping { step, goal, .. } = &mut self.state else { return vec![] };
        // What is still idle after a drain delay has had its time already.
        let waited = if matches!(goal, Goal::Restart(_)) { Duration::ZERO } else { delay };
        let idle = IDLE_WAIT.saturating_sub(waited).max(LEAST_IDLE_WAIT);
        *step = Step::Settle {
            idle_at: Some(now.saturating_add(idle.min(timeout))),
            until: now.saturating_add(timeout),
        };
        vec![Action::Close]
    }

    /// The drain is over: on to the signal, or wait for the kubelet to order it.
    pub(super) fn drained(&mut self, now: Now) -> Vec<Action> {
        let kill_timeout = Duration::from(self.stop.kill_timeout);
        let State::Stopping { step, goal, .. } = &mut self.state else { return vec![] };
        if *goal == Goal::Hold {
            *step = Step::Held;
            return vec![Action::Drained];
        }
        *step = Step::Signalled { until: now.saturating_add(kill_timeout) };
        vec![Action::Signal]
    }

    pub(super) fn load(&mut self, now: Now, in_flight: u64, open: u64) -> Vec<Action> {
        let State::Stopping { step: Step::Settle { idle_at, .. }, .. } = &self.state else { return vec![] };
        if in_flight == 0 && (open == 0 || idle_at.is_none()) { self.drained(now) } else { vec![] }
    }

    pub(super) fn stop(&mut self, now: Now) -> Vec<Action> {
        match &mut self.state {
            State::Waiting { .. } | State::Errored { .. } | State::Resting(_) => self.leave(0),
            State::Stopped { code } => {
                let code = *code;
                self.leave(code)
            }
            State::Running { since, .. } => {
                let since = *since;
                self.begin(now, since, Goal::Leave)
            }
            State::Stopping { step, goal, .. } => {
                let again = *goal == Goal::Leave;
                *goal = Goal::Leave;
                match step {
                    Step::Held => self.drained(now),
                    Step::Respawn { .. } if again => self.leave(0),
                    // Told twice: whoever asks does not want to wait.
                    Step::Delay { .. } | Step::Settle { .. } if again => self.drained(now),
                    _ => vec![],
                }
            }
            State::Left => vec![],
        }
    }

    pub(super) fn drain(&mut self, now: Now) -> Vec<Action> {
        let delays = !self.delay().is_zero();
        match &mut self.state {
            // It is due, and connections wait for it.
            State::Waiting { until } if delays && *until <= now => {
                self.drain_next = true;
                self.start(now)
            }
            State::Waiting { .. } | State::Errored { .. } | State::Resting(_) => {
                self.state = State::Stopped { code: 0 };
                vec![Action::Drained]
            }
            State::Running { since, .. } => {
                let since = *since;
                self.begin(now, since, Goal::Hold)
            }
            State::Stopping { step: Step::Held, .. } | State::Stopped { .. } => vec![Action::Drained],
            State::Stopping { goal: Goal::Restart(_), .. } if delays => {
                self.drain_next = true;
                vec![]
            }
            State::Stopping { goal, .. } => {
                if matches!(goal, Goal::Restart(_)) {
                    *goal = Goal::Hold;
                }
                vec![]
            }
            State::Left => vec![],
        }
    }

    /// The process that was to stop is gone, and all of its own with it.
    pub(super) fn finish(&mut self, now: Now, end: End) -> Vec<Action> {
        let State::Stopping { since, step, goal, .. } = &self.state else { return vec![] };
        let uptime = now.saturating_sub(*since);
        let code = self.exit_code(end, *step);
        match goal.clone() {
            Goal::Leave => {
                let mut actions = vec![Action::Record { end, ended: Ended::Stop, next: Next::Nothing }];
                actions.extend(self.leave(code));
                actions
            }
            Goal::Hold => {
                self.state = State::Stopped { code };
                vec![Action::Record { end, ended: Ended::Stop, next: Next::Nothing }, Action::Drained]
            }
            Goal::Restart(cause) => {
                let verdict = if cause == Cause::Ordered {
                    self.history.forget();
                    Verdict::After(Duration::ZERO)
                } else {
                    self.history.restarted(uptime)
                };
                let mut actions = self.next(now, end, Ended::Restart(cause), verdict);
                if matches!(self.state, State::Errored { .. } | State::Resting(_))
                    && std::mem::take(&mut self.drain_next)
                {
                    actions.extend(self.drain(now));
                }
                actions
            }
        }
    }

    /// SIGKILL did not help within its time: nothing more can be done.
    pub(super) fn unkillable(&mut self, now: Now) -> Vec<Action> {
        match &mut self.state {
            State::Stopping { goal: Goal::Restart(_), step, .. } => {
                *step = Step::Killed { until: now + KILL_WAIT };
                vec![Action::KillTree]
            }
            _ => self.leave(KILLED),
        }
    }

    pub(super) fn leave(&mut self, code: u8) -> Vec<Action> {
        self.state = State::Left;
        vec![Action::Leave(code)]
    }

    fn exit_code(&self, end: End, step: Step) -> u8 {
        match end {
            End::Signal(signal) if signal == self.kill_signal && !matches!(step, Step::Killed { .. }) => 0,
            end => end.exit_code(),
        }
    }
}

/// What a process leaves behind does not outlive it.
pub(super) fn kill_if(tree_left: bool) -> Vec<Action> {
    if tree_left { vec![Action::KillTree] } else { vec![] }
}
