//! The life of the app's process as a pure function of events and time.
//!
//! No clock, no syscall, no I/O: the supervisor feeds events in and carries the
//! actions out. Times are since the start of the runner.

use std::time::Duration;

use nodeapp_contract::RunnerConfig;
use nodeapp_contract::config::StopPolicy;
use nodeapp_contract::status::ProcessState;

use crate::restart::{History, Verdict};

#[cfg(test)]
mod tests;
mod words;

pub(crate) use words::{Action, Cause, End, Ended, Event, Next, Phase};

/// Connections that no request comes on are closed after this part of a drain,
/// so that as many as possible end by `Connection: close` before.
pub(crate) const IDLE_WAIT: Duration = Duration::from_secs(1);
/// At least this long, also where they have had the drain delay already: one may
/// have come only just now.
const LEAST_IDLE_WAIT: Duration = Duration::from_millis(100);
/// An errored app gets another chance after this time.
pub(crate) const ERRORED_RETRY: Duration = Duration::from_mins(5);
/// How long a process may take to vanish after SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(2);
/// Exit code of a runner that had to kill its app: 128 + SIGKILL.
const KILLED: u8 = 137;

/// Time since the start of the runner.
pub(crate) type Now = Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    Leave,
    Hold,
    Restart(Cause),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Serves on, with `Connection: close`.
    Delay { until: Now },
    /// Accepts no more, answers what is in flight.
    Settle { idle_at: Option<Now>, until: Now },
    /// Drained; the signal comes when the kubelet says so.
    Held,
    /// Has the signal.
    Signalled { until: Now },
    /// Has SIGKILL.
    Killed { until: Now },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Now },
    Running { since: Now, ready: bool },
    Stopping { since: Now, step: Step, goal: Goal, end: Option<End> },
    Errored { retry: Now },
    Stopped { code: u8 },
    Left,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    stop: StopPolicy,
    kill_signal: i32,
    history: History,
    /// Ready at least once: something may be routed here.
    served: bool,
    /// The preStop hook came during a restart in place: the drain begins with the
    /// next process, because connections wait for that one already.
    drain_next: bool,
    state: State,
}

impl Machine {
    /// A machine that starts the app at its first tick.
    pub(crate) fn new(config: &RunnerConfig, kill_signal: i32) -> Self {
        let mut stop = config.stop.clone();
        if config.port.is_none() {
            // No Service routes to a worker: nothing has to learn of its end.
            stop.drain_delay = nodeapp_contract::config::Millis(0);
        }
        Self {
            stop,
            kill_signal,
            history: History::new(config.restart.clone()),
            served: false,
            drain_next: false,
            state: State::Waiting { until: Duration::ZERO },
        }
    }

    /// When the machine wants its next tick.
    pub(crate) fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Waiting { until } | State::Errored { retry: until } => Some(*until),
            State::Stopping { step, .. } => match *step {
                Step::Delay { until } | Step::Signalled { until } | Step::Killed { until } => Some(until),
                Step::Settle { idle_at, until } => Some(idle_at.map_or(until, |at| at.min(until))),
                Step::Held => None,
            },
            State::Running { .. } | State::Stopped { .. } | State::Left => None,
        }
    }

    /// The state in PM2's words.
    pub(crate) fn process_state(&self) -> ProcessState {
        match self.state {
            State::Waiting { .. } => ProcessState::WaitingRestart,
            State::Running { ready: false, .. } => ProcessState::Launching,
            State::Running { ready: true, .. } => ProcessState::Online,
            State::Stopping { .. } => ProcessState::Stopping,
            State::Errored { .. } => ProcessState::Errored,
            State::Stopped { .. } | State::Left => ProcessState::Stopped,
        }
    }

    /// The state as far as readiness is concerned.
    pub(crate) fn phase(&self) -> Phase {
        match &self.state {
            State::Waiting { .. } => Phase::Waiting,
            State::Running { .. } => Phase::Running,
            State::Stopping { step: Step::Delay { .. }, goal: Goal::Hold, .. } => Phase::Lingering,
            State::Stopping { goal: Goal::Restart(_), .. } => Phase::Restarting,
            State::Stopping { .. } => Phase::Stopping,
            State::Errored { .. } => Phase::Errored,
            State::Stopped { .. } | State::Left => Phase::Stopped,
        }
    }

    /// Whether the signal is out, so that only the end of the tree is awaited.
    pub(crate) fn awaits_tree(&self) -> bool {
        matches!(&self.state, State::Stopping { end: Some(_), .. })
    }

    /// Whether no connection is taken any more, and no process follows that would.
    pub(crate) fn turns_away(&self) -> bool {
        match &self.state {
            State::Stopping { step, goal, .. } => {
                !matches!(step, Step::Delay { .. }) && !matches!(goal, Goal::Restart(_))
            }
            State::Stopped { .. } | State::Left => true,
            _ => false,
        }
    }

    /// Whether a process that does not react has had its time, or is stopped for
    /// just that; else it may be busy with a request.
    pub(crate) fn gives_up(&self) -> bool {
        match &self.state {
            State::Stopping { step: Step::Delay { .. } | Step::Settle { .. }, goal, .. } => {
                *goal == Goal::Restart(Cause::ProbeFailed)
            }
            _ => true,
        }
    }

    /// Unstable ends that count.
    pub(crate) fn unstable(&self) -> usize {
        self.history.unstable()
    }

    /// Takes an event in and says what to do.
    pub(crate) fn on(&mut self, now: Now, event: Event) -> Vec<Action> {
        match event {
            Event::Tick => self.tick(now),
            Event::Ready => {
                if let State::Running { ready, .. } = &mut self.state {
                    *ready = true;
                    self.served = true;
                }
                vec![]
            }
            Event::Exited { end, tree_left } => self.exited(now, end, tree_left),
            Event::TreeGone => match self.state {
                State::Stopping { end: Some(end), .. } => self.finish(now, end),
                _ => vec![],
            },
            Event::Stop => self.stop(now),
            Event::Drain => self.drain(now),
            Event::Restart(cause) => self.restart(now, cause),
            Event::Load { in_flight, open } => self.load(now, in_flight, open),
        }
    }

    fn tick(&mut self, now: Now) -> Vec<Action> {
        match &mut self.state {
            State::Waiting { until } | State::Errored { retry: until } if *until <= now => self.start(now),
            State::Stopping { step, .. } => match *step {
                Step::Delay { until } if until <= now => self.settle(now),
                Step::Settle { until, .. } if until <= now => self.drained(now),
                Step::Settle { idle_at: Some(at), until } if at <= now => {
                    *step = Step::Settle { idle_at: None, until };
                    vec![Action::CloseIdle]
                }
                Step::Signalled { until } if until <= now => {
                    *step = Step::Killed { until: now + KILL_WAIT };
                    vec![Action::KillTree]
                }
                Step::Killed { until } if until <= now => self.unkillable(now),
                _ => vec![],
            },
            _ => vec![],
        }
    }

    fn start(&mut self, now: Now) -> Vec<Action> {
        self.state = State::Running { since: now, ready: false };
        let mut actions = vec![Action::Start];
        if std::mem::take(&mut self.drain_next) {
            actions.extend(self.begin(now, now, Goal::Hold));
        }
        actions
    }

    /// How long a process that may get traffic serves on.
    fn delay(&self) -> Duration {
        if self.served { self.stop.drain_delay.into() } else { Duration::ZERO }
    }

    /// First step of a stop.
    fn begin(&mut self, now: Now, since: Now, goal: Goal) -> Vec<Action> {
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

    fn settle(&mut self, now: Now) -> Vec<Action> {
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
    fn drained(&mut self, now: Now) -> Vec<Action> {
        let kill_timeout = Duration::from(self.stop.kill_timeout);
        let State::Stopping { step, goal, .. } = &mut self.state else { return vec![] };
        if *goal == Goal::Hold {
            *step = Step::Held;
            return vec![Action::Drained];
        }
        *step = Step::Signalled { until: now.saturating_add(kill_timeout) };
        vec![Action::Signal]
    }

    fn load(&mut self, now: Now, in_flight: u64, open: u64) -> Vec<Action> {
        let State::Stopping { step: Step::Settle { idle_at, .. }, .. } = &self.state else { return vec![] };
        if in_flight == 0 && (open == 0 || idle_at.is_none()) { self.drained(now) } else { vec![] }
    }

    fn stop(&mut self, now: Now) -> Vec<Action> {
        match &mut self.state {
            State::Waiting { .. } | State::Errored { .. } => self.leave(0),
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
                    // Told twice: whoever asks does not want to wait.
                    Step::Delay { .. } | Step::Settle { .. } if again => self.drained(now),
                    _ => vec![],
                }
            }
            State::Left => vec![],
        }
    }

    fn drain(&mut self, now: Now) -> Vec<Action> {
        let delays = !self.delay().is_zero();
        match &mut self.state {
            // It is due, and connections wait for it.
            State::Waiting { until } if delays && *until <= now => {
                self.drain_next = true;
                self.start(now)
            }
            State::Waiting { .. } | State::Errored { .. } => {
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

    fn restart(&mut self, now: Now, cause: Cause) -> Vec<Action> {
        let ordered = cause == Cause::Ordered;
        match &mut self.state {
            State::Running { since, .. } => {
                let since = *since;
                self.begin(now, since, Goal::Restart(cause))
            }
            State::Waiting { .. } | State::Errored { .. } | State::Stopped { .. } if ordered => {
                self.history.forget();
                self.start(now)
            }
            State::Stopping { step: Step::Held, goal, .. } if ordered => {
                *goal = Goal::Restart(cause);
                self.drained(now)
            }
            _ => vec![],
        }
    }

    fn exited(&mut self, now: Now, end: End, tree_left: bool) -> Vec<Action> {
        match &mut self.state {
            State::Running { since, .. } => {
                let verdict = self.history.ended(now.saturating_sub(*since));
                let mut actions = kill_if(tree_left);
                actions.push(self.next(now, end, Ended::ByItself, verdict));
                actions
            }
            State::Stopping { step: Step::Signalled { .. } | Step::Killed { .. }, end: last, .. }
                if tree_left =>
            {
                *last = Some(end);
                vec![]
            }
            State::Stopping { .. } => {
                let mut actions = kill_if(tree_left);
                actions.extend(self.finish(now, end));
                actions
            }
            _ => vec![],
        }
    }

    /// The process that was to stop is gone, and all of its own with it.
    fn finish(&mut self, now: Now, end: End) -> Vec<Action> {
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
                let mut actions = vec![self.next(now, end, Ended::Restart(cause), verdict)];
                if matches!(self.state, State::Errored { .. }) && std::mem::take(&mut self.drain_next) {
                    actions.extend(self.drain(now));
                }
                actions
            }
        }
    }

    fn next(&mut self, now: Now, end: End, ended: Ended, verdict: Verdict) -> Action {
        let next = match verdict {
            Verdict::After(delay) => {
                self.state = State::Waiting { until: now.saturating_add(delay) };
                Next::Start(delay)
            }
            Verdict::Errored => {
                self.state = State::Errored { retry: now.saturating_add(ERRORED_RETRY) };
                Next::Errored
            }
        };
        Action::Record { end, ended, next }
    }

    /// SIGKILL did not help within its time: nothing more can be done.
    fn unkillable(&mut self, now: Now) -> Vec<Action> {
        match &mut self.state {
            State::Stopping { goal: Goal::Restart(_), step, .. } => {
                *step = Step::Killed { until: now + KILL_WAIT };
                vec![Action::KillTree]
            }
            _ => self.leave(KILLED),
        }
    }

    fn leave(&mut self, code: u8) -> Vec<Action> {
        self.state = State::Left;
        vec![Action::Leave(code)]
    }

    fn exit_code(&self, end: End, step: Step) -> u8 {
        match end {
            End::Code(code) => u8::try_from(code & 0xff).unwrap_or(1),
            End::Signal(signal) if signal == self.kill_signal && !matches!(step, Step::Killed { .. }) => 0,
            End::Signal(signal) => u8::try_from(128 + (signal & 0x7f)).unwrap_or(KILLED),
        }
    }
}

fn kill_if(tree_left: bool) -> Vec<Action> {
    if tree_left { vec![Action::KillTree] } else { vec![] }
}
