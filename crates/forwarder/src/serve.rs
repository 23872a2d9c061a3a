//! The life of the process: connections, and the end after SIGTERM.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nodeapp_contract::{ExitCode, Forwarder};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::connect::{Target, Upstream};
use crate::listen::Listeners;
use crate::problem::Problem;
use crate::pump::pump;
use crate::say::{self, Kind, Log};
use crate::{refuse, tls};

/// Threads that may wait for the resolver at a time.
const RESOLVERS: usize = 8;
/// Pause after the system has given no connection, such as for want of descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// What all connections share.
struct Shared {
    target: Target,
    log: Log,
    open: AtomicU32,
    /// The last connection has ended.
    last: Notify,
    /// Redis could not be used the last time.
    failing: AtomicBool,
}

/// A connection that counts, as long as this lives.
struct Counted(Arc<Shared>);

/// Runs until SIGTERM and the end of the last connection, and gives the exit code.
pub(crate) fn run(settings: Forwarder) -> u8 {
    raise_descriptors();
    // One thread: it moves bytes, and Redis has one itself.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVERS).build();
    let result = runtime.map_err(|error| (ExitCode::System, format!("cannot start: {error}")));
    let result = result.and_then(|runtime| {
        let result = runtime.block_on(serve(settings));
        // A resolver that hangs holds nothing up.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => 0,
        Err((code, problem)) => {
            say::line(&problem);
            code.code()
        }
    }
}

async fn serve(settings: Forwarder) -> Result<(), (ExitCode, String)> {
    let system = |error: std::io::Error| (ExitCode::System, format!("cannot catch signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let port = settings.listen_port;
    let target = Target::new(settings).map_err(|problem| (ExitCode::Usage, problem))?;
    let listeners = Listeners::bind(port).await.map_err(|problem| (ExitCode::System, problem))?;
    let shared = Arc::new(Shared {
        target,
        log: Log::default(),
        open: AtomicU32::new(0),
        last: Notify::new(),
        failing: AtomicBool::new(false),
    });
    say::line(&format!("listening on {} for Redis at {}", listeners.shown(), shared.target.name));
    tokio::select! {
        () = accept(&listeners, &shared) => {}
        () = drain(&shared, &mut terminate, &mut interrupt) => {}
    }
    Ok(())
}

/// Takes connections for ever, also while they are waited for at the end: an app that says good-bye to Redis may
/// open one for it.
async fn accept(listeners: &Listeners, shared: &Arc<Shared>) {
    loop {
        match listeners.accept().await {
            Ok(app) => {
                if let Some(counted) = Counted::new(shared) {
                    tokio::spawn(carry(app, counted));
                    continue;
                }
                let most = shared.target.settings.max_connections;
                refuse::full(&app, most);
                let text = format!(
                    "{most} connections are open and one more was refused; does the app end the connections it \
                     opens? --max-connections raises the limit"
                );
                shared.log.say(Kind::Full, &text);
            }
            Err(error) => {
                shared.log.say(Kind::System, &format!("cannot take a connection: {error}"));
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Waits for a signal, then for the end of the last connection, for as long as was said. A second signal ends the
/// waiting.
async fn drain(shared: &Shared, terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    let until = Instant::now() + shared.target.settings.drain_timeout;
    let open = shared.open.load(Ordering::Relaxed);
    if open > 0 {
        say::line(&format!("told to end; {open} connections of the app go on until it closes them"));
    }
    tokio::select! {
        () = shared.idle() => say::line("told to end, and no connection is open: good-bye"),
        () = tokio::time::sleep_until(until) => {
            let open = shared.open.load(Ordering::Relaxed);
            say::line(&format!("the time to end is over; {open} connections are cut"));
        }
        _ = terminate.recv() => say::line("told to end at once"),
        _ = interrupt.recv() => say::line("told to end at once"),
    }
}

/// One connection of the app, from its start to its end.
async fn carry(mut app: TcpStream, counted: Counted) {
    let shared = &counted.0;
    let connected = tokio::select! {
        connected = shared.target.connect() => connected,
        () = gone(&app) => return,
    };
    match connected {
        Ok((upstream, first)) => {
            shared.works();
            let error = match upstream {
                Upstream::Plain(mut redis) => pump(&mut app, &mut redis, first).await,
                Upstream::Tls(mut redis) => pump(&mut app, &mut *redis, first).await,
            };
            // By TLS 1.3 a server that wants another certificate says so only now.
            if let Some(error) = error.filter(|error| error.kind() == ErrorKind::InvalidData) {
                shared.log.say(Kind::Tls, &tls::explain_end(&error, &shared.target.name));
            }
            refuse::farewell(app).await;
        }
        Err(Problem { kind, text, reply }) => {
            shared.failing.store(true, Ordering::Relaxed);
            shared.log.say(kind, &text);
            if let Some(error) = reply {
                refuse::answer(app, &error).await;
            }
        }
    }
}

/// Waits until the app has left without a word.
async fn gone(app: &TcpStream) {
    if matches!(app.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

impl Shared {
    async fn idle(&self) {
        while self.open.load(Ordering::Relaxed) > 0 {
            self.last.notified().await;
        }
    }

    /// Says once that Redis can be used again.
    fn works(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            self.log.say(Kind::Back, &format!("Redis at {} can be used again", self.target.name));
        }
    }
}

impl Counted {
    /// None where there are too many already.
    fn new(shared: &Arc<Shared>) -> Option<Self> {
        let open = shared.open.fetch_add(1, Ordering::Relaxed);
        let counted = Self(shared.clone());
        (open < shared.target.settings.max_connections).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.last.notify_one();
        }
    }
}

/// A connection takes two descriptors, and many systems give 1,024 unless asked.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
