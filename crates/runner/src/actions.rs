//! Carries out what the machine decides.

use nodeapp_contract::{ExitCode, ExitReason, LastExit};

use crate::custom::Registry;
use crate::ends;
use crate::ipc::{self, Ipc};
use crate::launch::{self, Facts, LaunchError};
use crate::logs::tail;
use crate::machine::{Action, End, Ended, Event, Next};
use crate::record::{epoch_millis, termination_message};
use crate::say::say;
use crate::side::Order;
use crate::spawn::{self, Output};
use crate::supervisor::{Child, Supervisor, give_up};
use crate::watch::next_look;

impl Supervisor {
    /// Feeds an event to the machine and does what it says.
    pub(crate) fn feed(&mut self, event: Event) {
        let now = self.now();
        for action in self.machine.on(now, event) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Start => self.start(),
            Action::Announce => {
                say!("draining: answers carry `Connection: close`");
                self.probes.stop();
                self.side.order(now, Order::Drain);
            }
            Action::Close => self.side.order(now, Order::Close),
            Action::CloseIdle => self.side.order(now, Order::Idle),
            Action::Signal => self.ask_to_end(),
            Action::KillTree => self.kill_tree(),
            Action::Drained => {
                say!("drained");
                if self.machine.turns_away() {
                    self.refuse();
                }
                for id in std::mem::take(&mut self.draining) {
                    self.control.answer(now, id, "ok: drained");
                }
            }
            Action::Record { end, ended, next } => self.record_end(end, &ended, next),
            Action::Leave(code) => {
                self.leave = Some(code);
            }
        }
    }

    fn start(&mut self) {
        if let Err(error) = self.try_start() {
            self.leave = Some(give_up(&self.settings, &error));
        }
    }

    fn try_start(&mut self) -> Result<(), LaunchError> {
        if self.launched {
            self.record.restarted();
            self.save();
        }
        let system = |what: &str, error: &std::io::Error| LaunchError {
            code: ExitCode::System,
            reason: ExitReason::System,
            message: format!("{what}: {error}"),
        };
        let (ipc, app_end) = Ipc::pair().map_err(|error| system("no IPC channel", &error))?;
        let started_at = epoch_millis();
        let facts = Facts {
            restarts: self.record.restarts,
            unstable: self.machine.unstable(),
            exit_code: self.record.last_exit.as_ref().and_then(|exit| exit.code),
            started_at,
            created_at: self.record.created_at,
            ipc_fd: ipc::number(&app_end),
            channel: self.settings.channel_socket(),
            preload: self.settings.preload.clone(),
            listen_fds: self.held.as_ref().map(crate::held::Held::describe),
        };
        let plan = launch::plan(&self.config, &self.env, &facts)?;
        let output = match &mut self.logs {
            Some(logs) => logs.pipes().map_err(|error| system("no pipes for the output", &error))?,
            None => Output::Inherited,
        };
        let pid = spawn::spawn(&plan, &app_end, self.held.as_ref(), output).map_err(|error| {
            let program = plan.program.display();
            match error.raw_os_error() {
                // The file is there, what should run it is not.
                Some(2 | 8) => LaunchError::program(format!(
                    "{program} cannot be executed ({error}); is it made for this machine and this libc?"
                )),
                _ => system(&format!("cannot start {program}"), &error),
            }
        })?;
        say!("started {} as process {} ({})", plan.program.display(), pid.as_raw_nonzero(), plan.why);
        if let Some(note) = &plan.note {
            say!("{note}");
        }
        if let Some(logs) = &mut self.logs {
            logs.written_by(pid.as_raw_nonzero().get().unsigned_abs());
        }
        let started = self.now();
        self.launched = true;
        // Nothing listens yet, and the process needs the processor now.
        self.port_look = next_look(started, std::time::Duration::ZERO);
        self.readiness.process_started(started);
        self.probes.process_started(started);
        if let Some(memory) = &mut self.memory {
            memory.reset(started);
        }
        let registry = Registry::default();
        self.child = Some(Child { pid, ipc, registry, hears: plan.hears, asked: false, started, started_at });
        Ok(())
    }

    /// No process will come any more: clients are refused instead of waiting.
    pub(crate) fn refuse(&mut self) {
        if let Some(held) = &self.held {
            held.refuse();
            self.readiness.refused();
        }
    }

    fn record_end(&mut self, end: End, ended: &Ended, next: Next) {
        self.probes.stop();
        let mut log_tail = vec![];
        if let Some(logs) = &mut self.logs {
            logs.drain();
            if let Some(policy) = &self.config.log_tail {
                log_tail = logs.tail(&tail::secrets(policy, &self.env));
            }
        }
        let context = ends::Context { oom_kill: self.oom_kill, why: self.why.take(), at: epoch_millis() };
        let exit = LastExit { log_tail, ..ends::describe(end, ended, next, &context) };
        say!("{}", exit.message);
        termination_message(&self.settings.termination_log, &exit);
        self.record.last_exit = Some(exit);
        self.child = None;
        self.save();
        if self.machine.turns_away() {
            self.refuse();
        }
    }

    fn save(&self) {
        if let Err(error) = self.record.save(&self.settings.state_file()) {
            say!("counters cannot be saved: {error}");
        }
    }
}
