//! All probes of the app: schedules and the checks that are going on.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nodeapp_contract::RunnerConfig;
use nodeapp_contract::config::Check;

use crate::check::{Outcome, Running};
use crate::machine::Now;
use crate::probe::{Role, Schedule};
use crate::settings::Env;

#[derive(Debug)]
struct Entry {
    role: Role,
    schedule: Schedule,
    running: Option<Running>,
}

/// Startup, readiness and liveness, those that are configured.
#[derive(Debug)]
pub(crate) struct Probes {
    entries: Vec<Entry>,
    env: Env,
    cwd: Option<PathBuf>,
    deaf: Option<u16>,
}

/// What a probe has found out: passed, or what was wrong with the last check.
pub(crate) type Verdict = (Role, Outcome);

impl Probes {
    pub(crate) fn new(config: &RunnerConfig, env: Env) -> Self {
        let configured = [
            (Role::Startup, &config.startup),
            (Role::Readiness, &config.readiness.probe),
            (Role::Liveness, &config.liveness),
        ];
        let entries = configured
            .into_iter()
            .filter_map(|(role, probe)| {
                Some(Entry { role, schedule: Schedule::new(probe.clone()?), running: None })
            })
            .collect();
        Self { entries, env, cwd: config.cwd.as_ref().map(PathBuf::from), deaf: None }
    }

    /// A process has started: the startup probe begins, the others wait for it.
    pub(crate) fn process_started(&mut self, now: Now) {
        let has_startup = self.entries.iter().any(|entry| entry.role == Role::Startup);
        self.arm(now, |role| (role == Role::Startup) == has_startup);
    }

    /// The startup probe has passed: it is over, and the others begin.
    pub(crate) fn startup_passed(&mut self, now: Now) {
        for entry in self.entries.iter_mut().filter(|entry| entry.role == Role::Startup) {
            entry.schedule.disarm();
        }
        self.arm(now, |role| role != Role::Startup);
    }

    fn arm(&mut self, now: Now, which: impl Fn(Role) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| which(entry.role)) {
            entry.schedule.arm(now);
        }
    }

    /// The process is being stopped: nothing is asked of it any more.
    pub(crate) fn stop(&mut self) {
        for entry in &mut self.entries {
            entry.schedule.disarm();
            if let Some(running) = entry.running.take() {
                running.cancel();
            }
        }
    }

    /// A port on which the kernel takes connections for the runner's socket while
    /// no process of the app does: that is not what a tcp probe asks for.
    pub(crate) fn deaf(&mut self, port: Option<u16>) {
        self.deaf = port;
    }

    /// Failures in a row that a role needs.
    pub(crate) fn threshold(&self, role: Role) -> u32 {
        let entry = self.entries.iter().find(|entry| entry.role == role);
        entry.map_or(0, |entry| entry.schedule.probe().failure_threshold)
    }

    /// Sockets to wait on, and whether for room to write.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (Role, BorrowedFd<'_>, bool)> {
        self.entries.iter().filter_map(|entry| {
            let (socket, write) = entry.running.as_ref()?.socket()?;
            Some((entry.role, socket.as_fd(), write))
        })
    }

    /// Programs of probes: no part of the app.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let pid = |entry: &Entry| Some(entry.running.as_ref()?.pid()?.as_raw_nonzero().get());
        self.entries.iter().filter_map(pid).collect()
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Option<Now> {
        let due = |entry: &Entry| match &entry.running {
            Some(running) => Some(running.deadline),
            None => entry.schedule.next(),
        };
        self.entries.iter().filter_map(due).min()
    }

    /// Goes on with a check.
    pub(crate) fn advance(&mut self, role: Role) -> Option<Verdict> {
        let entry = self.entries.iter_mut().find(|entry| entry.role == role)?;
        let outcome = entry.running.as_mut()?.advance()?;
        let proves_nothing =
            matches!(entry.schedule.probe().check, Check::Tcp { port } if self.deaf == Some(port));
        let deaf = || Err("no process of the app listens on its port".to_owned());
        entry.finish(if proves_nothing { outcome.and_then(|()| deaf()) } else { outcome })
    }

    /// A child has ended; if it was a probe's program, its check has.
    pub(crate) fn reaped(&mut self, pid: i32, outcome: Outcome) -> Option<Verdict> {
        let is_it = |entry: &&mut Entry| {
            entry.running.as_ref().and_then(Running::pid).is_some_and(|own| own.as_raw_nonzero().get() == pid)
        };
        self.entries.iter_mut().find(is_it)?.finish(outcome)
    }

    /// Starts what is due and ends what has had its time.
    pub(crate) fn tick(&mut self, now: Now) -> Vec<Verdict> {
        let mut verdicts = vec![];
        for entry in &mut self.entries {
            if let Some(running) = entry.running.as_ref().filter(|running| running.deadline <= now) {
                running.cancel();
                let timeout = entry.schedule.probe().timeout.0;
                verdicts.extend(entry.finish(Err(format!("it gave no answer within {timeout} ms"))));
            }
            if entry.running.is_none() && entry.schedule.next().is_some_and(|at| at <= now) {
                let deadline = entry.schedule.begin(now);
                let check = &entry.schedule.probe().check;
                match Running::start(check, deadline, &self.env, self.cwd.as_deref()) {
                    Ok(running) => entry.running = Some(running),
                    Err(error) => verdicts.extend(entry.finish(Err(error.to_string()))),
                }
            }
        }
        verdicts
    }
}

impl Entry {
    fn finish(&mut self, outcome: Outcome) -> Option<Verdict> {
        self.running = None;
        self.schedule.result(outcome.is_ok())?;
        Some((self.role, outcome))
    }
}
