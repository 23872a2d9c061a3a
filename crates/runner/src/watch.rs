//! What the supervisor looks at after every wait, and when it wants to be woken.

use std::time::Duration;

use nodeapp_contract::config::Millis;
use nodeapp_contract::status::{Heap, ProcessState};
use nodeapp_contract::{LastExit, RunnerStatus};
use rustix::process::{Pid, WaitOptions};

use crate::check::Outcome;
use crate::machine::{Cause, End, Event, Now, Phase};
use crate::pages::View;
use crate::probe::Role;
use crate::procfs::{self, Process, Reach};
use crate::say::say;
use crate::supervisor::Supervisor;
use crate::telemetry::Vitals;

/// A starting app's port is looked for this often, and less often the longer it takes.
const PORT_CHECK: Duration = Duration::from_millis(100);
const PORT_CHECK_SLOWEST: Duration = Duration::from_secs(2);
/// While the rest of a process tree is awaited it is looked at this often.
const TREE_CHECK: Duration = Duration::from_millis(20);

impl Supervisor {
    pub(crate) fn look_around(&mut self) {
        let now = self.now();
        self.endpoint.expire(now);
        if self.machine.awaits_tree() && self.tree().is_empty() {
            self.feed(Event::TreeGone);
        }
        if let Some((in_flight, open)) = self.side.settled(now, self.machine.gives_up()) {
            if self.machine.turns_away() {
                self.refuse();
            }
            self.feed(Event::Load { in_flight, open });
        }
        self.probes.deaf(self.deaf_port());
        for (role, passed) in self.probes.tick(now) {
            self.probed(role, passed);
        }
        if let Some(logs) = &mut self.logs {
            logs.tick();
        }
        self.look_at_memory(now);
        self.look_at_heartbeat(now);
        self.look_at_orders(now);
        self.look_at_readiness(now);
        if self.machine.deadline().is_some_and(|at| at <= now) {
            self.feed(Event::Tick);
        }
    }

    /// The app's port while only the runner's own socket listens on it.
    fn deaf_port(&self) -> Option<u16> {
        let nobody = |port: &u16| self.side.listening(*port).0 == Reach::Nobody;
        self.config.port.filter(nobody).filter(|_| self.readiness.held())
    }

    /// A look for listeners proves nothing once the runner's own socket listens.
    fn looks_for_port(&self) -> bool {
        self.machine.phase() == Phase::Running && self.readiness.wants_port() && !self.readiness.held()
    }

    fn look_at_readiness(&mut self, now: Now) {
        let phase = self.machine.phase();
        if self.looks_for_port()
            && self.port_look <= now
            && let Some(port) = self.config.port
        {
            self.port_look = next_look(now, self.uptime(now));
            self.readiness.listening(procfs::reach(port), false);
        }
        if self.readiness.update(now, phase) {
            self.feed(Event::Ready);
            say!("the app is ready after {} ms", self.uptime(now).as_millis());
        }
        if self.readiness.overdue(now, phase) {
            let reason = self.readiness.reason(now, phase).unwrap_or_default();
            let limit = self.config.readiness.listen_timeout.0;
            say!("the app is not ready after listenTimeout ({limit} ms): {reason}; it gets more time");
        }
    }

    fn look_at_memory(&mut self, now: Now) {
        let running = self.machine.phase() == Phase::Running;
        let due = self.memory.as_ref().is_some_and(|memory| memory.next() <= now);
        if !running || !due {
            return;
        }
        if self.snapshot_before_restart() {
            return;
        }
        let rss = procfs::resident(&self.tree());
        let limit = self.cgroup.limit();
        if let Some(why) = self.memory.as_mut().and_then(|memory| memory.measured(now, rss, limit)) {
            self.over_memory(why);
        }
    }

    fn look_at_heartbeat(&mut self, now: Now) {
        let running = self.machine.phase() == Phase::Running;
        let pid = self.child.as_ref().map(|child| child.pid.as_raw_nonzero().get());
        let busy = self.writes_snapshot();
        let Some(hang) = &mut self.hang else { return };
        if hang.next().is_none_or(|at| at > now) {
            return;
        }
        let timeout = hang.timeout().as_millis();
        let excused = || !running || busy || pid.is_none_or(procfs::is_stopped);
        if let Some(silence) = hang.look(now, excused) {
            let why = format!(
                "its event loop has been silent for {} ms (hangTimeout is {timeout} ms)",
                silence.as_millis()
            );
            say!("restarting the app: {why}");
            self.why = Some(why);
            self.feed(Event::Restart(Cause::Hung));
        }
    }

    /// A probe has come to another verdict.
    pub(crate) fn probed(&mut self, role: Role, outcome: Outcome) {
        let now = self.now();
        let passed = outcome.is_ok();
        let wrong = outcome.err().unwrap_or_default();
        if passed {
            say!("the {} probe passes", role.name());
        } else {
            say!("the {} probe fails: {wrong}", role.name());
        }
        match (role, passed) {
            (Role::Readiness, _) => self.readiness.probe(passed),
            (Role::Startup, true) => {
                self.readiness.startup(true);
                self.probes.startup_passed(now);
            }
            (Role::Liveness, true) => {}
            // It cannot answer; the probe begins anew afterwards.
            (Role::Liveness, false) if self.writes_snapshot() => self.probes.startup_passed(now),
            (Role::Startup | Role::Liveness, false) => {
                let times = self.probes.threshold(role);
                self.why = Some(format!("its {} probe failed {times} times in a row: {wrong}", role.name()));
                self.feed(Event::Restart(Cause::ProbeFailed));
            }
        }
    }

    /// When the loop has to wake up at the latest.
    pub(crate) fn deadline(&self) -> Option<Now> {
        let now = self.now();
        let phase = self.machine.phase();
        let running = phase == Phase::Running;
        [
            self.machine.deadline(),
            self.readiness.overdue_at(phase),
            self.endpoint.deadline(),
            self.orders_deadline(),
            self.hang.as_ref().and_then(crate::hang::HangWatch::next),
            self.probes.deadline(),
            self.memory.as_ref().filter(|_| running).map(crate::memory::MemoryWatch::next),
            self.logs.as_ref().and_then(|logs| logs.deadline(now)),
            self.looks_for_port().then_some(self.port_look),
            self.machine.awaits_tree().then(|| now + TREE_CHECK),
            self.side.deadline().filter(|at| *at > now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Takes every ended child off the kernel's hands.
    pub(crate) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if self.child.as_ref().is_some_and(|child| child.pid == pid) {
                let end = status
                    .exit_status()
                    .map_or_else(|| End::Signal(status.terminating_signal().unwrap_or_default()), End::Code);
                self.side.reset();
                self.forget_orders();
                if let Some(hang) = &mut self.hang {
                    hang.reset();
                }
                self.oom_kill = self.cgroup.killed();
                let tree_left = !self.tree().is_empty();
                self.feed(Event::Exited { end, tree_left });
                if self.machine.awaits_tree() {
                    self.ask_the_rest();
                }
            } else if let Some((role, passed)) =
                self.probes.reaped(pid.as_raw_nonzero().get(), program(status))
            {
                self.probed(role, passed);
            }
        }
    }

    /// The app's processes.
    pub(crate) fn tree(&self) -> Vec<Process> {
        procfs::tree(&self.probes.pids())
    }

    /// How long the current process has run.
    pub(crate) fn uptime(&self, now: Now) -> Duration {
        self.child.as_ref().map_or(Duration::ZERO, |child| now.saturating_sub(child.started))
    }

    /// Why the pod may not get traffic.
    pub(crate) fn not_ready(&self) -> Option<String> {
        self.readiness.reason(self.now(), self.machine.phase())
    }

    /// The state for `/status` and `/metrics`.
    pub(crate) fn view(&self) -> View<'_> {
        let child = self.child.as_ref();
        let tree = child.map_or_else(Vec::new, |_| self.tree());
        let pid = child.map(|child| child.pid.as_raw_nonzero().get());
        let cpu = procfs::ended_cpu_seconds() + procfs::cpu_seconds(&tree);
        self.cpu_seconds.set(self.cpu_seconds.get().max(cpu));
        View {
            name: self.config.name.clone(),
            status: self.runner_status(&tree),
            cpu_seconds: self.cpu_seconds.get(),
            uptime_seconds: self.uptime(self.now()).as_secs_f64(),
            open_files: pid.and_then(procfs::open_files),
            vitals: self.side.vitals(),
            http: self.side.http(),
            registry: child.map(|child| &child.registry),
            traffic: self.asked.traffic,
        }
    }

    fn runner_status(&self, tree: &[Process]) -> RunnerStatus {
        let child = self.child.as_ref();
        let reason = self.not_ready();
        let vitals = self.side.vitals();
        let id = |pid: Pid| u32::try_from(pid.as_raw_nonzero().get()).ok();
        let status = RunnerStatus {
            state: self.machine.process_state(),
            ready: reason.is_none(),
            not_ready_reason: reason,
            pid: child.and_then(|child| id(child.pid)),
            restarts: self.record.restarts,
            started_at: child.map(|child| Millis(child.started_at)),
            rss: child.map(|_| procfs::resident(tree)),
            in_flight: self.side.in_flight(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node_version: self.side.node().map(str::to_owned),
            restarts_by_reason: self.record.reasons.clone(),
            event_loop: vitals.map(crate::orders::event_loop),
            heap: vitals.map(|Vitals { heap, .. }| Heap {
                used: heap.used,
                total: heap.total,
                limit: heap.limit,
            }),
            actions: child.map(|child| child.registry.names()).unwrap_or_default(),
            // Everyone may read this page.
            last_exit: self.record.last_exit.clone().map(|exit| LastExit { log_tail: vec![], ..exit }),
        };
        debug_assert!(status.state != ProcessState::Online || status.pid.is_some());
        status
    }
}

/// When to look for the port again, by the age of the process: the tables of the
/// kernel are long in a busy pod, and some apps never listen.
pub(crate) fn next_look(now: Now, age: Duration) -> Now {
    now.saturating_add((age / 20).clamp(PORT_CHECK, PORT_CHECK_SLOWEST))
}

/// What the end of a probe's program says.
fn program(status: rustix::process::WaitStatus) -> Outcome {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("its program ended with exit code {code}")),
        (None, Some(signal)) => Err(format!("its program was killed by signal {signal}")),
        (None, None) => Err("its program ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_looked_for_soon_at_first_and_seldom_in_the_end() {
        let wait =
            |age| next_look(Duration::from_secs(1_000), Duration::from_millis(age)).as_millis() - 1_000_000;
        assert_eq!(wait(0), 100);
        assert_eq!(wait(2_000), 100);
        assert_eq!(wait(10_000), 500, "late by a twentieth at most");
        assert_eq!(wait(3_600_000), 2_000);
    }
}
