//! The life of the app's process as a pure function of events and time.
//!
//! No clock, no syscall, no I/O: the supervisor feeds events in and carries the
//! actions out. Times are since the start of the runner.

use std::time::Duration;

use nodeapp_contract::RunnerConfig;
use nodeapp_contract::config::StopPolicy;
use nodeapp_contract::status::ProcessState;

use crate::restart::{History, Verdict};

use stopping::{Goal, KILL_WAIT, Step, kill_if};

#[cfg(test)]
mod pm2;
#[cfg(test)]
mod policy;
mod stopping;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use words::{Action, Cause, End, Ended, Event, Next, Phase, Rest};

/// Time since the start of the runner.
pub(crate) type Now = Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Now },
    Running { since: Now, ready: bool },
    Stopping { since: Now, step: Step, goal: Goal, end: Option<End> },
    Errored { retry: Option<Now> },
    Resting(Rest),
    Stopped { code: u8 },
    Left,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    stop: StopPolicy,
    kill_signal: i32,
    /// A job: nothing lasts beyond its process.
    exit_when_done: bool,
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
            exit_when_done: config.restart.exit_when_done,
            history: History::new(config.restart.clone()),
            served: false,
            drain_next: false,
            state: State::Waiting { until: Duration::ZERO },
        }
    }

    /// When the machine wants its next tick.
    pub(crate) fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Errored { retry } => *retry,
            State::Stopping { step, .. } => match *step {
                Step::Respawn { at: until, .. }
                | Step::Delay { until }
                | Step::Signalled { until }
                | Step::Killed { until } => Some(until),
                Step::Settle { idle_at, until } => Some(idle_at.map_or(until, |at| at.min(until))),
                Step::Held => None,
            },
            State::Running { .. } | State::Resting(_) | State::Stopped { .. } | State::Left => None,
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
            State::Resting(_) | State::Stopped { .. } | State::Left => ProcessState::Stopped,
        }
    }

    /// The state as far as readiness is concerned.
    pub(crate) fn phase(&self) -> Phase {
        match &self.state {
            State::Waiting { .. } => Phase::Waiting,
            State::Running { .. } => Phase::Running,
            State::Stopping { step: Step::Delay { .. } | Step::Respawn { .. }, goal: Goal::Hold, .. } => {
                Phase::Lingering
            }
            State::Stopping { goal: Goal::Restart(_), .. } => Phase::Restarting,
            State::Stopping { .. } => Phase::Stopping,
            State::Errored { .. } => Phase::Errored,
            State::Resting(rest) => Phase::Resting(*rest),
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
                !matches!(step, Step::Delay { .. } | Step::Respawn { .. })
                    && !matches!(goal, Goal::Restart(_))
            }
            State::Errored { .. } | State::Resting(_) | State::Stopped { .. } | State::Left => true,
            _ => false,
        }
    }

    /// Whether a process that does not react has had its time, or is stopped for
    /// just that; else it may be busy with a request.
    pub(crate) fn gives_up(&self) -> bool {
        match &self.state {
            State::Stopping { step: Step::Delay { .. } | Step::Settle { .. }, goal, .. } => {
                matches!(goal, Goal::Restart(Cause::ProbeFailed | Cause::Hung))
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
            State::Waiting { until } if *until <= now => self.start(now),
            State::Errored { retry: Some(at) } if *at <= now => self.start(now),
            State::Stopping { step, .. } => match *step {
                Step::Respawn { at, until } if at <= now => self.respawn(now, until),
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

    fn restart(&mut self, now: Now, cause: Cause) -> Vec<Action> {
        let ordered = cause == Cause::Ordered;
        match &mut self.state {
            State::Running { since, .. } => {
                let since = *since;
                self.begin(now, since, Goal::Restart(cause))
            }
            State::Waiting { .. } | State::Errored { .. } | State::Resting(_) | State::Stopped { .. }
                if ordered =>
            {
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
                let verdict = self.history.ended(now.saturating_sub(*since), end);
                let mut actions = kill_if(tree_left);
                actions.extend(self.next(now, end, Ended::ByItself, verdict));
                actions
            }
            State::Stopping { step: Step::Signalled { .. } | Step::Killed { .. }, end: last, .. }
                if tree_left =>
            {
                *last = Some(end);
                vec![]
            }
            State::Stopping { since, step: Step::Delay { until }, .. } => {
                let (uptime, until) = (now.saturating_sub(*since), *until);
                let mut actions = kill_if(tree_left);
                actions.extend(self.crashed_in_delay(now, until, uptime, end));
                actions
            }
            State::Stopping { .. } => {
                let mut actions = kill_if(tree_left);
                actions.extend(self.finish(now, end));
                actions
            }
            _ => vec![],
        }
    }

    fn next(&mut self, now: Now, end: End, ended: Ended, verdict: Verdict) -> Vec<Action> {
        if self.exit_when_done && !matches!(verdict, Verdict::After(_)) {
            let mut actions = vec![Action::Record { end, ended, next: Next::Nothing }];
            actions.extend(self.leave(end.exit_code()));
            return actions;
        }
        let next = match verdict {
            Verdict::After(delay) => {
                self.state = State::Waiting { until: now.saturating_add(delay) };
                Next::Start(delay)
            }
            Verdict::Errored => {
                let wait = self.history.errored_retry();
                self.state = State::Errored { retry: wait.map(|wait| now.saturating_add(wait)) };
                Next::Errored(wait)
            }
            Verdict::Rest(rest) => {
                self.state = State::Resting(rest);
                Next::Rest(rest)
            }
        };
        vec![Action::Record { end, ended, next }]
    }
}
