//! A real redis-server and a real forwarder, as plain processes on loopback.
#![allow(dead_code, clippy::unwrap_used, reason = "test code, of which each test binary uses a part")]

pub(crate) mod certificates;
pub(crate) mod client;

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use client::Client;

/// Longest wait for anything: the machine may be busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether there is a Redis to test with; without one a laptop skips with a printed reason and CI fails.
pub(crate) fn has_redis() -> bool {
    let found = Command::new("redis-server").arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "no `redis-server` in PATH, and CI must not skip");
        println!("skipped: no `redis-server` in PATH; `cargo xtask deps` installs it");
    }
    found
}

/// A port that nothing uses: outside of what the system gives to clients, since a connection of another test would
/// take it between here and the server's start.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 2_000;
    let free = |port: &u16| TcpListener::bind(("::", *port)).is_ok();
    // Other test processes begin elsewhere.
    let first = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    let mut ports = (0..200).map(|_| {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        u16::try_from(FIRST + nth).unwrap()
    });
    ports.find(free).expect("one of 200 ports is free")
}

/// Waits until `probe` gives something; says what it waited for if it never does.
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal by its name.
fn kill(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A Redis of the test's own, which keeps nothing.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
    _dir: tempfile::TempDir,
}

impl Redis {
    /// Starts one on a port of its own, with more options.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_on(free_port(), options)
    }

    /// Starts one and waits until it takes connections.
    pub(crate) fn start_on(port: u16, options: &[&str]) -> Self {
        let tls = options.contains(&"--tls-port");
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        if !tls {
            command.args(["--port", &port.to_string()]);
        }
        let child = command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(options)
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut redis = Self { child, port, _dir: dir };
        wait_for("redis-server takes connections", || {
            assert!(redis.child.try_wait().unwrap().is_none(), "redis-server has ended at its start");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        redis
    }

    /// A connection around the forwarder.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Stops answering and keeps its connections, as a hang does.
    pub(crate) fn freeze(&self) {
        kill(&self.child, "-STOP");
    }

    /// Goes on after that.
    pub(crate) fn thaw(&self) {
        kill(&self.child, "-CONT");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Files with credentials, as a mounted Secret has them.
pub(crate) struct Secret(tempfile::TempDir);

impl Secret {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let secret = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            secret.write(name, content);
        }
        secret
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let part = self.0.path().join(format!(".{name}"));
        std::fs::write(&part, content).unwrap();
        std::fs::rename(part, self.0.path().join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `--option=path of the file`.
    pub(crate) fn option(&self, option: &str, name: &str) -> String {
        format!("{option}={}", self.path(name).display())
    }
}

/// The binary under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_nodeapp-forwarder"))
}

/// A forwarder, with what it has said.
pub(crate) struct Forwarder {
    child: Child,
    pub(crate) port: u16,
    said: Arc<Mutex<Vec<String>>>,
    /// Files that it reads for each connection, so that they have to stay.
    secret: Option<Secret>,
}

impl Forwarder {
    /// One to a Redis on this machine.
    pub(crate) fn to(redis: u16, options: &[String]) -> Self {
        Self::start(&format!("127.0.0.1:{redis}"), options)
    }

    /// Starts one on any free port and waits until it listens.
    pub(crate) fn start(upstream: &str, options: &[String]) -> Self {
        let mut command = Command::new(program());
        command.args(["run", "--listen-port=0", "--upstream", upstream]).args(options);
        Self::spawn(command)
    }

    /// Starts it with a command of the test's own, which it follows within the same process.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(vec![]));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push(line);
            }
        });
        let mut forwarder = Self { child, port: 0, said, secret: None };
        let line = forwarder.says("listening on 127.0.0.1:");
        let port = line.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
        forwarder.port = port.parse().unwrap();
        forwarder
    }

    /// One to a Redis with this password.
    pub(crate) fn with_password(redis: u16, password: &str) -> Self {
        let secret = Secret::new(&[("password", password)]);
        let mut forwarder = Self::to(redis, &[secret.option("--password-file", "password")]);
        forwarder.secret = Some(secret);
        forwarder
    }

    /// A connection as the app's.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Waits for a line with this part.
    pub(crate) fn says(&self, part: &str) -> String {
        wait_for(&format!("a line with {part:?}"), || {
            self.said.lock().unwrap().iter().find(|line| line.contains(part)).cloned()
        })
    }

    /// All lines so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(&self.child, signal);
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_for("the forwarder's end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("the forwarder said:\n{}", self.said().join("\n"));
        }
    }
}
