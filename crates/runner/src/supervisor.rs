//! The main loop: waits, reads, feeds the machine, carries its actions out.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use nodeapp_contract::{ExitCode, ExitReason, LastExit, RunnerConfig, config::Millis};
use rustix::process::{Pid, Signal};

use crate::cgroup::Cgroup;
use crate::control::Control;
use crate::custom::Registry;
use crate::hang::HangWatch;
use crate::held::Held;
use crate::http::Endpoint;
use crate::ipc::Ipc;
use crate::launch::{self, LaunchError};
use crate::logs::Logs;
use crate::machine::{Event, Machine, Now};
use crate::memory::MemoryWatch;
use crate::orders::Asked;
use crate::pages;
use crate::probes::Probes;
use crate::readiness::Readiness;
use crate::record::{Record, epoch_millis, termination_message};
use crate::say::say;
use crate::settings::{self, Env, Settings};
use crate::side::{Message, SideChannel};
use crate::signals::{self, Pipes};
use crate::wait::{Interest, Token};

/// The process that runs.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) ipc: Ipc,
    /// What it has registered over that channel.
    pub(crate) registry: Registry,
    /// A message may reach somebody: it is a JavaScript runtime.
    pub(crate) hears: bool,
    /// It was asked to end by a message instead of the signal.
    pub(crate) asked: bool,
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
    /// What was last told about the app's port: whether on the held socket.
    pub(crate) port_told: Option<bool>,
    /// When the port is looked for next, while it is.
    pub(crate) port_look: Now,
    pub(crate) logs: Option<Logs>,
    pub(crate) memory: Option<MemoryWatch>,
    pub(crate) hang: Option<HangWatch>,
    pub(crate) cgroup: Cgroup,
    /// The kernel has killed something of this container since the last end.
    pub(crate) oom_kill: bool,
    pub(crate) probes: Probes,
    pub(crate) asked: Asked,
    /// Greatest figure so far: what has just ended is not in any table for a moment.
    pub(crate) cpu_seconds: Cell<f64>,
    /// Why the runner is restarting the process.
    pub(crate) why: Option<String>,
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
        log_tail: vec![],
    };
    termination_message(&settings.termination_log, &exit);
    say!("{}", error.message);
    error.code.code()
}

impl Supervisor {
    fn new(settings: Settings, config: RunnerConfig, env: Env) -> Result<Self, String> {
        let about = |what: String| move |error: io::Error| format!("{what}: {error}");
        // First of all: PID 1 loses a signal that it has no handler for yet.
        let signals = Pipes::new().map_err(about("cannot catch signals".into()))?;
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
        // Orphans of the app come to the runner also where it is not PID 1.
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own))
            .map_err(|error| format!("cannot become a subreaper: {error}"))?;
        let held =
            config.port.filter(|_| config.preload.enabled && config.preload.hold_socket).and_then(|port| {
                match Held::bind(port) {
                    Ok(held) => Some(held),
                    Err(error) => {
                        say!("port {port} cannot be held over restarts ({error}); the app listens by itself");
                        None
                    }
                }
            });
        let logs = Logs::open(&config, &settings::pod_name(&env));
        Ok(Self {
            logs,
            memory: config.memory.clone().map(MemoryWatch::new),
            hang: HangWatch::new(&config.preload),
            cgroup: Cgroup::find(),
            oom_kill: false,
            probes: Probes::new(&config, launch::probe_env(&env)),
            asked: Asked::default(),
            cpu_seconds: Cell::default(),
            why: None,
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
            port_told: None,
            port_look: Now::ZERO,
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
        if let Some(logs) = &mut self.logs {
            logs.finish();
        }
        self.leave.unwrap_or_default()
    }

    fn interest(&self) -> Interest<'_> {
        let mut all = Interest::default();
        all.read(Token::Stop, self.signals.stop.as_fd());
        all.read(Token::Child, self.signals.child.as_fd());
        all.read(Token::Reopen, self.signals.reopen.as_fd());
        if let Some((stream, writes)) = self.child.as_ref().and_then(|child| child.ipc.stream()) {
            all.both(Token::Ipc, stream.as_fd(), writes);
        }
        all.read(Token::SideListener, self.side.listener().as_fd());
        for (id, stream) in self.side.streams() {
            all.read(Token::Side(id), stream.as_fd());
        }
        all.read(Token::ControlListener, self.control.listener().as_fd());
        for (id, stream, writes) in self.control.streams() {
            all.both(Token::Control(id), stream.as_fd(), writes);
        }
        all.read(Token::EndpointListener, self.endpoint.listener().as_fd());
        for (id, stream, writes) in self.endpoint.streams() {
            all.either(Token::Endpoint(id), stream.as_fd(), writes);
        }
        for (role, socket, writes) in self.probes.sockets() {
            all.either(Token::Probe(role), socket, writes);
        }
        if let Some(logs) = &self.logs {
            for (kind, pipe) in logs.readable(self.now()) {
                all.read(Token::Log(kind), pipe.as_fd());
            }
            for (kind, target) in logs.waiting() {
                all.write(Token::LogCopy(kind), target);
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
            Token::Reopen => {
                signals::take(&self.signals.reopen);
                if let Err(problem) = self.reopen_logs() {
                    say!("{problem}");
                }
            }
            Token::Ipc => self.hear(),
            Token::SideListener => self.side.accept(),
            Token::Side(id) => self.listen_to(id),
            Token::ControlListener => self.control.accept(self.now()),
            Token::Control(id) => {
                if let Some(command) = self.control.advance(self.now(), id) {
                    self.command(id, command);
                }
            }
            Token::EndpointListener => self.endpoint.accept(self.now()),
            Token::Endpoint(id) => {
                if let Some(path) = self.endpoint.advance(id) {
                    let key = self.config.log_tail.as_ref().map(|tail| tail.key.as_str());
                    let answer = pages::last_exit(&path, key, self.record.last_exit.as_ref())
                        .unwrap_or_else(|| pages::page(&path, self.not_ready().as_deref(), || self.view()));
                    self.endpoint.answer(id, &answer);
                }
            }
            Token::Probe(role) => {
                if let Some((role, passed)) = self.probes.advance(role) {
                    self.probed(role, passed);
                }
            }
            Token::Log(kind) => {
                let now = self.now();
                if let Some(logs) = &mut self.logs {
                    logs.read(now, kind);
                }
            }
            Token::LogCopy(kind) => {
                if let Some(logs) = &mut self.logs {
                    logs.write(kind);
                }
            }
        }
    }

    /// Closes and opens the log files; the error says what to do.
    pub(crate) fn reopen_logs(&mut self) -> Result<(), String> {
        let result = self.logs.as_mut().map_or(Ok(()), Logs::reopen);
        result
            .map_err(|error| format!("log files cannot be opened again: {error}; kubectl logs has the lines"))
    }

    /// The app wants to listen by itself: the held socket ends listening, unless
    /// a server of the app uses it.
    fn let_go(&mut self, peer: u64) {
        if self.config.port.is_some_and(|port| !self.side.listening(port).1) {
            self.refuse();
        }
        self.side.released(peer);
    }

    fn listen_to(&mut self, peer: u64) {
        let now = self.now();
        let port = self.config.port;
        let holds = self.config.preload.hold_socket;
        let (mut profiled, mut deaf, mut release) = (None, false, false);
        let Self { side, port_told, hang, .. } = self;
        let changed = side.read(peer, |message| match message {
            Message::Listening { adopted, .. } if *port_told != Some(*adopted) => {
                if let Some(line) = port.and_then(|port| message.told(port, holds)) {
                    *port_told = Some(*adopted);
                    say!("{line}");
                }
            }
            Message::Beat {} | Message::Vitals(_) => {
                if let Some(hang) = hang {
                    hang.beat(now, peer);
                }
            }
            Message::Profiled { path, error } => profiled = Some((path.clone(), error.clone())),
            Message::Deaf {} => deaf = true,
            Message::Release {} => release = true,
            _ => {}
        });
        if let Some(hang) = &mut self.hang
            && !self.side.has(peer)
        {
            hang.gone(peer);
        }
        if let Some((path, error)) = profiled {
            self.profiled(&path, error);
        }
        if deaf {
            self.nobody_listens();
        }
        if release {
            self.let_go(peer);
        }
        if let Some(port) = port.filter(|_| changed) {
            let (reach, adopted) = self.side.listening(port);
            self.readiness.listening(reach, adopted);
        }
    }
}
