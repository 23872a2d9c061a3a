//! What is asked over the control socket, and what the app says about it.

use std::time::Duration;

use nodeapp_contract::config::Millis;

use crate::command::Command;
use crate::custom::{self, Message};
use crate::ipc::Traffic;
use crate::logs::Logs;
use crate::machine::{Cause, Event, Now, Phase};
use crate::profiles::{self, For, Job, Kind};
use crate::record::epoch_millis;
use crate::say::say;
use crate::supervisor::Supervisor;
use crate::telemetry::Vitals;

/// A custom action may take this long to answer.
const REPLY_TIME: Duration = Duration::from_secs(30);

/// A client that waits for a custom action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    client: u64,
    action: String,
    until: Now,
}

/// What has been asked of the app and is not answered yet, and what it says unasked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    calls: Vec<Call>,
    /// The profile that is being written.
    job: Option<Job>,
    /// What came over the IPC channels of all processes.
    pub(crate) traffic: Traffic,
}

impl Supervisor {
    /// Does what a client asks for; it gets exactly one answer.
    pub(crate) fn command(&mut self, id: u64, command: Command) {
        let answer = match command {
            Command::Drain => {
                self.draining.push(id);
                self.feed(Event::Drain);
                return;
            }
            Command::Trigger { action, params } => match self.call(id, action, params.as_deref()) {
                Ok(()) => return,
                Err(problem) => Err(problem),
            },
            Command::HeapSnapshot => return self.profile(Kind::Heap, For::Client(id)),
            Command::CpuProfile(time) => return self.profile(Kind::Processor(time), For::Client(id)),
            Command::Restart => self.ordered_restart(),
            Command::Status => Ok(serde_json::to_string(&self.view().status).unwrap_or_default()),
            Command::Actions => self.registry(custom::Registry::actions_json),
            Command::Metrics => self.registry(custom::Registry::metrics_json),
            Command::Signal(signal) => self.child().and_then(|pid| {
                rustix::process::kill_process(pid, signal)
                    .map(|()| format!("ok: sent to process {}", pid.as_raw_nonzero()))
                    .map_err(|error| format!("the signal cannot be sent: {error}"))
            }),
            Command::ReopenLogs => self.has_logs().and_then(|()| {
                self.reopen_logs()?;
                Ok("ok: log files are opened anew".to_owned())
            }),
            Command::Flush => self.has_logs().and_then(|()| self.flush_logs()),
        };
        let text = answer.unwrap_or_else(|problem| format!("error: {problem}"));
        self.control.answer(self.now(), id, &text);
    }

    fn ordered_restart(&mut self) -> Result<String, String> {
        self.feed(Event::Restart(Cause::Ordered));
        match self.machine.phase() {
            Phase::Stopping => Err("the app is being stopped; nothing is restarted".to_owned()),
            _ => Ok("ok: restarting in place".to_owned()),
        }
    }

    fn child(&self) -> Result<rustix::process::Pid, String> {
        let child = self.child.as_ref().ok_or("no process runs; `ctl status` says why")?;
        Ok(child.pid)
    }

    fn registry(&self, show: impl Fn(&custom::Registry) -> String) -> Result<String, String> {
        self.child()?;
        Ok(self.child.as_ref().map(|child| show(&child.registry)).unwrap_or_default())
    }

    fn has_logs(&self) -> Result<(), String> {
        self.logs.as_ref().is_some_and(Logs::has_files).then_some(()).ok_or_else(|| {
            "there are no log files; set logRotate, or read the output by `kubectl logs`".to_owned()
        })
    }

    fn flush_logs(&mut self) -> Result<String, String> {
        let result = self.logs.as_mut().map_or(Ok(()), Logs::flush);
        result.map_err(|error| format!("log files cannot be emptied: {error}"))?;
        Ok("ok: log files are empty; rotated ones are kept".to_owned())
    }

    fn call(&mut self, client: u64, action: String, params: Option<&str>) -> Result<(), String> {
        let until = self.now().saturating_add(REPLY_TIME);
        self.child()?;
        let Some(child) = &mut self.child else { return Ok(()) };
        if !child.registry.has(&action) {
            let names = child.registry.names();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(format!(
                "the app has registered no action {action:?}; registered are: {known}. Actions come from @pm2/io, \
                 tx2, or process.send({{type: 'axm:action', data: {{action_name}}}})"
            ));
        }
        if !child.ipc.send(&custom::call(&action, params)) {
            return Err("the app does not read its IPC channel; it may be busy, or has closed it".to_owned());
        }
        self.asked.calls.push(Call { client, action, until });
        Ok(())
    }

    /// Reads what the app says over its IPC channel.
    pub(crate) fn hear(&mut self) {
        let mut messages = vec![];
        let Some(child) = &mut self.child else { return };
        let traffic = child.ipc.advance(|message| messages.push(message));
        self.asked.traffic.messages += traffic.messages;
        if self.asked.traffic.dropped == 0 && traffic.dropped > 0 {
            say!("a message of the app on its IPC channel is longer than 1 MiB and was dropped");
        }
        self.asked.traffic.dropped += traffic.dropped;
        for message in messages {
            match message {
                Message::Ready => self.readiness.message(),
                Message::Monitor(metrics) => child.registry.monitor(metrics),
                Message::Action(name, action) => child.registry.action(name, action),
                Message::Reply(action, value) => {
                    // The one that has waited longest, as in PM2: a reply has no number.
                    if let Some(at) = self.asked.calls.iter().position(|call| call.action == action) {
                        let call = self.asked.calls.remove(at);
                        self.control.answer(self.epoch.elapsed(), call.client, &value);
                    }
                }
            }
        }
    }

    /// Ends what has waited for too long.
    pub(crate) fn look_at_orders(&mut self, now: Now) {
        self.control.expire(now);
        let (late, waiting) =
            std::mem::take(&mut self.asked.calls).into_iter().partition(|call| call.until <= now);
        self.asked.calls = waiting;
        self.fail_calls(late, &format!("the action has not answered within {} s", REPLY_TIME.as_secs()));
        if self.asked.job.as_ref().is_some_and(|job| job.until <= now) {
            self.fail_job("the app has not written it in time; its event loop may be busy");
        }
    }

    /// When that is next the case.
    pub(crate) fn orders_deadline(&self) -> Option<Now> {
        let calls = self.asked.calls.iter().map(|call| call.until);
        calls.chain(self.control.deadline()).chain(self.asked.job.as_ref().map(|job| job.until)).min()
    }

    /// The process has ended: nobody will answer any more.
    pub(crate) fn forget_orders(&mut self) {
        let calls = std::mem::take(&mut self.asked.calls);
        self.fail_calls(calls, "the process has ended meanwhile");
        match self.asked.job.take() {
            Some(Job { wanted: For::Restart(_), .. }) => {
                say!("no heap snapshot: the process has ended meanwhile");
            }
            job => {
                self.asked.job = job;
                self.fail_job("the process has ended meanwhile");
            }
        }
    }

    fn fail_calls(&mut self, calls: Vec<Call>, why: &str) {
        for call in calls {
            self.control.answer(self.now(), call.client, &format!("error: {why}"));
        }
    }

    /// Lets the app's process write a profile.
    fn profile(&mut self, kind: Kind, wanted: For) {
        if let Err(problem) = self.begin_profile(kind, wanted.clone()) {
            self.no_profile(wanted, &problem);
        }
    }

    fn begin_profile(&mut self, kind: Kind, wanted: For) -> Result<(), String> {
        self.child()?;
        if self.asked.job.is_some() {
            return Err("another profile is being written; wait for it".to_owned());
        }
        let heap = self.side.vitals().ok_or(
            "the app's process has told nothing of itself yet: it is no Node.js, or pmx is false, or it is busy",
        )?;
        let heap = heap.heap.used;
        let dir = self.settings.profile_dir();
        let (now, name) = (self.now(), &self.config.name);
        let job = Job::prepare(now, &dir, name, epoch_millis(), kind, wanted)
            .map_err(|error| format!("{} cannot be written to: {error}", dir.display()))?;
        if kind == Kind::Heap {
            let used = crate::procfs::resident(&self.tree());
            profiles::room(self.cgroup.limit(), used, profiles::free(&dir), heap)?;
        }
        if !self.side.tell_main(&job.order()) {
            return Err("the app's process does not listen".to_owned());
        }
        self.asked.job = Some(job);
        Ok(())
    }

    fn no_profile(&mut self, wanted: For, problem: &str) {
        match wanted {
            For::Client(id) => self.control.answer(self.now(), id, &format!("error: {problem}")),
            For::Restart(why) => {
                say!("no heap snapshot before the restart: {problem}");
                self.restart_for_memory(why);
            }
        }
    }

    fn fail_job(&mut self, problem: &str) {
        if let Some(job) = self.asked.job.take() {
            job.cancel();
            self.no_profile(job.wanted, problem);
        }
    }

    /// The preload says that a file is written, or why not.
    pub(crate) fn profiled(&mut self, path: &str, error: Option<String>) {
        let Some(job) = self.asked.job.take_if(|job| job.is(path)) else { return };
        let result = match error {
            Some(error) => Err(format!("the app's process cannot write it: {error}")),
            None => job.finish().map_err(|error| format!("the file is not there: {error}")),
        };
        match (result, job.wanted) {
            (Ok((path, bytes)), For::Client(id)) => {
                let answer = serde_json::json!({"path": path, "bytes": bytes}).to_string();
                self.control.answer(self.now(), id, &answer);
            }
            (Ok((path, bytes)), For::Restart(why)) => {
                say!("heap snapshot of {bytes} bytes: {}", path.display());
                self.restart_for_memory(why);
            }
            (Err(problem), wanted) => self.no_profile(wanted, &problem),
        }
    }

    /// The memory line is passed.
    pub(crate) fn over_memory(&mut self, why: String) {
        let wants = self.memory.as_ref().is_some_and(crate::memory::MemoryWatch::wants_snapshot);
        if wants && self.asked.job.is_none() {
            say!("writing a heap snapshot before the restart: {why}");
            self.profile(Kind::Heap, For::Restart(why));
        } else {
            self.restart_for_memory(why);
        }
    }

    fn restart_for_memory(&mut self, why: String) {
        if self.machine.phase() == Phase::Running {
            say!("restarting the app: {why}");
            self.why = Some(why);
            self.feed(Event::Restart(Cause::MemoryLimit));
        }
    }

    /// Whether the event loop is silent because the runner has asked for something
    /// that takes its time.
    pub(crate) fn writes_snapshot(&self) -> bool {
        self.asked.job.as_ref().is_some_and(|job| job.kind == Kind::Heap)
    }

    /// Whether a restart for memory is about to come.
    pub(crate) fn snapshot_before_restart(&self) -> bool {
        self.asked.job.as_ref().is_some_and(|job| matches!(job.wanted, For::Restart(_)))
    }
}

/// The figures of the event loop for `/status`.
pub(crate) fn event_loop(vitals: &Vitals) -> nodeapp_contract::status::EventLoop {
    let millis = |seconds: f64| Millis::from(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    nodeapp_contract::status::EventLoop {
        lag_p50: millis(vitals.lag.p50),
        lag_p99: millis(vitals.lag.p99),
        lag_max: millis(vitals.lag.max),
    }
}
