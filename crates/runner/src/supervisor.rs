//! The main loop: waits, reads, feeds the machine, carries its actions out.

use std::io;
use std::time::{Duration, Instant};

use nodeapp_contract::{ExitCode, ExitReason, LastExit, RunnerConfig, RunnerStatus, config::Millis};
use rustix::process::{Pid, Signal, WaitOptions};

use crate::control::{Command, Control};
use crate::ends;
use crate::held::Held;
use crate::http::Endpoint;
use crate::ipc::Ipc;
use crate::launch::LaunchError;
use crate::machine::{End, Event, Machine, Now, Phase};
use crate::pages::{self, View};
use crate::procfs;
use crate::readiness::Readiness;
use crate::record::{Record, epoch_millis, termination_message};
use crate::say::say;
use crate::settings::{self, Env, Settings};
use crate::side::{Message, SideChannel};
use crate::signals::{self, Pipes};
use crate::wait::{Interest, Token};

/// While the app is starting its port is looked for this often.
const PORT_CHECK: Duration = Duration::from_millis(100);
/// While the rest of a process tree is awaited it is looked at this often.
const TREE_CHECK: Duration = Duration::from_millis(20);

/// The process that runs.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) ipc: Ipc,
    pub(crate) started: Now,
    pub(crate) started_at: u64,
}

/// Everything the runner holds.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) settings: Settings,
    pub(crate) config: RunnerConfig,
    pub(crate) env: Env,
    pub(crate) kill_signal: Signal,
    pub(crate) epoch: Instant,
    pub(crate) machine: Machine,
    pub(crate) readiness: Readiness,
    pub(crate) record: Record,
    pub(crate) child: Option<Child>,
    pub(crate) launched: bool,
    pub(crate) held: Option<Held>,
    pub(crate) side: SideChannel,
    pub(crate) control: Control,
    pub(crate) draining: Vec<u64>,
    pub(crate) endpoint: Endpoint,
    pub(crate) signals: Pipes,
    pub(crate) port_told: bool,
    /// Set when the runner is to end.
    pub(crate) leave: Option<u8>,
}

/// `nodeapp-runner run`; the exit code.
pub(crate) fn run(env: Env) -> u8 {
    let settings = match Settings::new(&env) {
        Ok(settings) => settings,
        Err(problem) => {
            say!("{problem}");
            return ExitCode::Config.code();
        }
    };
    let config = match settings::config(&env) {
        Ok(config) => config,
        Err(message) => {
            let error = LaunchError { code: ExitCode::Config, reason: ExitReason::BadConfig, message };
            return give_up(&settings, &error);
        }
    };
    match Supervisor::new(settings.clone(), config, env) {
        Ok(supervisor) => supervisor.run(),
        Err(message) => {
            give_up(&settings, &LaunchError { code: ExitCode::System, reason: ExitReason::System, message })
        }
    }
}

/// Says why the app never ran, where a person and the operator look for it.
pub(crate) fn give_up(settings: &Settings, error: &LaunchError) -> u8 {
    let exit = LastExit {
        code: Some(error.code.code().into()),
        signal: None,
        reason: error.reason,
        message: error.message.clone(),
        at: Millis(epoch_millis()),
    };
    termination_message(&settings.termination_log, &exit);
    say!("{}", error.message);
    error.code.code()
}

impl Supervisor {
    fn new(settings: Settings, config: RunnerConfig, env: Env) -> Result<Self, String> {
        let about = |what: String| move |error: io::Error| format!("{what}: {error}");
        let dir = &settings.run_dir;
        std::fs::create_dir_all(dir).map_err(about(format!("cannot create {}", dir.display())))?;
        let kill_signal = signals::by_name(&config.stop.kill_signal).unwrap_or(Signal::INT);
        let endpoint = Endpoint::bind(settings.listen, settings.port()).map_err(about(format!(
            "port {} of the runner is taken; the app must not listen on it",
            settings.port()
        )))?;
        let in_dir = format!("cannot make a socket in {}; it must be writable", dir.display());
        let side = SideChannel::bind(&settings.channel_socket()).map_err(about(in_dir.clone()))?;
        let control = Control::bind(&settings.control_socket()).map_err(about(in_dir))?;
        let signals = Pipes::new().map_err(about("cannot catch signals".into()))?;
        // Orphans of the app come to the runner also where it is not PID 1.
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own))
            .map_err(|error| format!("cannot become a subreaper: {error}"))?;
        let held = config.port.and_then(|port| match Held::bind(port) {
            Ok(held) => Some(held),
            Err(error) => {
                say!("port {port} cannot be held over restarts ({error}); the app listens by itself");
                None
            }
        });
        Ok(Self {
            machine: Machine::new(&config, kill_signal.as_raw()),
            readiness: Readiness::new(&config),
            record: Record::load(&settings.state_file()),
            settings,
            config,
            env,
            kill_signal,
            epoch: Instant::now(),
            child: None,
            launched: false,
            held,
            side,
            control,
            draining: vec![],
            endpoint,
            signals,
            port_told: false,
            leave: None,
        })
    }

    /// Time since the start of the runner.
    pub(crate) fn now(&self) -> Now {
        self.epoch.elapsed()
    }

    fn run(mut self) -> u8 {
        self.feed(Event::Tick);
        while self.leave.is_none() {
            let timeout = self.deadline().map(|at| at.saturating_sub(self.now()));
            for token in self.interest().wait(timeout) {
                self.handle(token);
            }
            self.look_around();
        }
        self.leave.unwrap_or_default()
    }

    fn interest(&self) -> Interest<'_> {
        let mut all = Interest::default();
        all.read(Token::Stop, &self.signals.stop);
        all.read(Token::Child, &self.signals.child);
        if let Some(stream) = self.child.as_ref().and_then(|child| child.ipc.stream()) {
            all.read(Token::Ipc, stream);
        }
        all.read(Token::SideListener, self.side.listener());
        for (id, stream) in self.side.streams() {
            all.read(Token::Side(id), stream);
        }
        all.read(Token::ControlListener, self.control.listener());
        for (id, stream) in self.control.streams() {
            all.read(Token::Control(id), stream);
        }
        all.read(Token::EndpointListener, self.endpoint.listener());
        for (id, stream, writes) in self.endpoint.streams() {
            if writes {
                all.write(Token::Endpoint(id), stream);
            } else {
                all.read(Token::Endpoint(id), stream);
            }
        }
        all
    }

    fn handle(&mut self, token: Token) {
        match token {
            Token::Stop => {
                for _ in 0..signals::take(&self.signals.stop) {
                    self.feed(Event::Stop);
                }
            }
            Token::Child => {
                signals::take(&self.signals.child);
                self.reap();
            }
            Token::Ipc => {
                if self.child.as_mut().is_some_and(|child| child.ipc.read()) {
                    self.readiness.message();
                }
            }
            Token::SideListener => self.side.accept(),
            Token::Side(id) => {
                let mut messages = vec![];
                self.side.read(id, |message| messages.push(message));
                for message in messages {
                    self.told(message);
                }
            }
            Token::ControlListener => self.control.accept(),
            Token::Control(id) => {
                for command in self.control.read(id) {
                    self.command(id, command);
                }
            }
            Token::EndpointListener => self.endpoint.accept(self.now()),
            Token::Endpoint(id) => {
                let view = self.view();
                self.endpoint.serve(id, |path| pages::page(path, &view));
            }
        }
    }

    /// What has to be looked at after every wait.
    fn look_around(&mut self) {
        let now = self.now();
        self.endpoint.expire(now);
        if self.machine.awaits_tree() && procfs::tree(&[]).is_empty() {
            self.feed(Event::TreeGone);
        }
        if let Some((in_flight, open)) = self.side.settled(now) {
            self.feed(Event::Load { in_flight, open });
        }
        let running = self.machine.phase() == Phase::Running;
        if running
            && self.readiness.wants_port()
            && self.held_port_is_free()
            && self.config.port.is_some_and(procfs::listens)
        {
            self.readiness.listening(true, false);
        }
        if self.readiness.update(now, self.machine.phase()) {
            self.feed(Event::Ready);
            say!("the app is ready after {} ms", self.uptime(now).as_millis());
        }
        if self.readiness.overdue(now, self.machine.phase()) {
            let reason = self.readiness.reason(now, self.machine.phase()).unwrap_or_default();
            let limit = self.config.readiness.listen_timeout.0;
            say!("the app is not ready after listenTimeout ({limit} ms): {reason}; it keeps its time");
        }
        if self.machine.deadline().is_some_and(|at| at <= now) {
            self.feed(Event::Tick);
        }
    }

    /// A look for listeners proves nothing while the runner's own socket listens.
    fn held_port_is_free(&self) -> bool {
        !self.readiness.held()
    }

    fn deadline(&self) -> Option<Now> {
        let now = self.now();
        let phase = self.machine.phase();
        let port = (phase == Phase::Running && self.readiness.wants_port()).then(|| now + PORT_CHECK);
        let tree = self.machine.awaits_tree().then(|| now + TREE_CHECK);
        let side = self.side.deadline().filter(|at| *at > now);
        [
            self.machine.deadline(),
            self.readiness.overdue_at(phase),
            self.endpoint.deadline(),
            port,
            tree,
            side,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn told(&mut self, message: Message) {
        match message {
            Message::Listening { port, host, adopted, why } if Some(port) == self.config.port => {
                self.readiness.listening(true, adopted);
                if !self.port_told {
                    self.port_told = true;
                    match why {
                        _ if adopted => say!("the app listens on {host} port {port}, held over restarts"),
                        Some(why) => say!("the app listens on {host} port {port} by itself: {why}"),
                        None => say!("the app listens on {host} port {port} by itself"),
                    }
                }
            }
            Message::Closed { port, adopted } if Some(port) == self.config.port => {
                self.readiness.listening(false, adopted);
                if self.machine.phase() == Phase::Stopping && self.machine.signalled() {
                    self.refuse();
                }
            }
            Message::Hello {} | Message::Load { .. } | Message::Listening { .. } | Message::Closed { .. } => {}
        }
    }

    fn command(&mut self, id: u64, command: Command) {
        match command {
            Command::Drain => {
                self.draining.push(id);
                self.feed(Event::Drain);
            }
            Command::Restart => {
                self.control.answer(id, "ok: restarting in place");
                self.feed(Event::Restart(crate::machine::Cause::Ordered));
            }
            Command::Status => {
                let line = serde_json::to_string(&self.view().status).unwrap_or_default();
                self.control.answer(id, &line);
            }
        }
    }

    /// Takes every ended child off the kernel's hands.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if self.child.as_ref().is_none_or(|child| child.pid != pid) {
                continue;
            }
            let end = status.exit_status().map_or_else(
                || End::Signal(status.terminating_signal().unwrap_or_default()),
                End::Code,
            );
            let tree_left = !procfs::tree(&[]).is_empty();
            // What it said last still counts, and `ready` may be in there.
            self.side.reset();
            self.feed(Event::Exited { end, tree_left });
        }
    }

    /// How long the current process has run.
    pub(crate) fn uptime(&self, now: Now) -> Duration {
        self.child.as_ref().map_or(Duration::ZERO, |child| now.saturating_sub(child.started))
    }

    fn view(&self) -> View {
        let now = self.now();
        let reason = self.readiness.reason(now, self.machine.phase());
        let tree = if self.child.is_some() { procfs::tree(&[]) } else { vec![] };
        let status = RunnerStatus {
            state: self.machine.process_state(),
            ready: reason.is_none(),
            not_ready_reason: reason,
            pid: self.child.as_ref().and_then(|child| child.pid.as_raw_nonzero().get().try_into().ok()),
            restarts: self.record.restarts,
            started_at: self.child.as_ref().map(|child| Millis(child.started_at)),
            rss: self.child.as_ref().map(|_| procfs::resident(&tree)),
            in_flight: self.side.in_flight(),
            last_exit: self.record.last_exit.clone(),
        };
        View {
            name: self.config.name.clone(),
            status,
            cpu_seconds: procfs::cpu_seconds(&tree),
            uptime_seconds: self.uptime(now).as_secs_f64(),
        }
    }

    /// Context for the words about an end.
    pub(crate) fn context(&self) -> ends::Context {
        ends::Context { oom_kill: false, why: None, at: epoch_millis() }
    }
}
