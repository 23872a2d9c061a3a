//! A real runner with a real Node.js app, as plain processes on loopback.
#![allow(dead_code, clippy::unwrap_used, reason = "test code, of which each test binary uses a part")]

pub(crate) mod kinds;
pub(crate) mod load;
pub(crate) mod npm;
pub(crate) mod prometheus;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nodeapp_contract::{LastExit, RunnerStatus, env};
use serde_json::{Value, json};

/// Longest wait for anything: the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether there is a Node.js to test with; without one a laptop skips with a
/// printed reason and CI fails.
pub(crate) fn has_node() -> bool {
    let found = node_command().arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "no `node` in PATH, and CI must not skip");
        println!("skipped: no `node` in PATH (or NODEAPP_TEST_NODE, a directory with one)");
    }
    found
}

pub(crate) fn node_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::var("NODEAPP_TEST_NODE").map_or(path.clone(), |dir| format!("{dir}:{path}"))
}

/// The `node` that the apps run on.
pub(crate) fn node_command() -> Command {
    let mut command = Command::new("node");
    command.env("PATH", node_path());
    command
}

/// A port that nothing uses: outside of what the system gives to clients, since a
/// connection of another test would take it between here and the app's start.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 16_000;
    let free = |port: &u16| TcpListener::bind(("::", *port)).is_ok();
    // Other test processes begin elsewhere.
    let first = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    let mut ports = (0..200).map(|_| {
        let nth = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        u16::try_from(FIRST + nth).unwrap()
    });
    ports.find(free).expect("one of 200 ports is free")
}

/// Waits until `what` holds; says what it waited for if it never does.
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

/// What a test sets; the rest is the smallest config that runs.
pub(crate) struct Setup {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) config: Value,
    pub(crate) vars: Vec<(String, String)>,
}

impl Setup {
    /// An app whose script is `source`.
    pub(crate) fn script(source: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("app.js");
        std::fs::write(&script, source).unwrap();
        let port = free_port();
        let config = json!({
            "name": "web",
            "port": port,
            "launch": {"script": {"script": script}},
            "stop": {"killSignal": "SIGINT", "drainDelay": 200, "drainTimeout": 5_000, "killTimeout": 2_000},
        });
        Self { dir, port, config, vars: vec![] }
    }

    /// An app from `tests/apps`.
    pub(crate) fn app(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps").join(name);
        let mut setup = Self::script("");
        setup.config["launch"] = json!({"script": {"script": path}});
        setup
    }

    /// A program instead of a script.
    pub(crate) fn command(argv: &[&str]) -> Self {
        let mut setup = Self::script("");
        setup.config["launch"] = json!({"command": {"argv": argv}});
        setup
    }

    /// Sets a field of the config.
    #[must_use]
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// No port: a worker.
    #[must_use]
    pub(crate) fn worker(mut self) -> Self {
        self.config.as_object_mut().unwrap().remove("port");
        self
    }

    /// Sets a variable of the container.
    #[must_use]
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// Starts the runner with an output of the test's own.
    pub(crate) fn start_with_stdout(self, stdout: Stdio) -> Runner {
        let mut runner = self.prepare();
        runner.launch_with(stdout);
        runner
    }

    /// Starts the runner.
    pub(crate) fn start(self) -> Runner {
        let mut runner = self.prepare();
        runner.launch();
        runner
    }

    fn prepare(self) -> Runner {
        let bin = self.dir.path().join("bin");
        let installed = Command::new(env!("CARGO_BIN_EXE_nodeapp-runner")).arg("install").arg(&bin).status();
        assert!(installed.unwrap().success());
        Runner { endpoint: free_port(), setup: self, process: None, bin }
    }
}

/// A runner that runs.
pub(crate) struct Runner {
    pub(crate) setup: Setup,
    pub(crate) endpoint: u16,
    process: Option<Child>,
    bin: PathBuf,
}

impl Runner {
    /// Starts the runner, again if it has ended: as the kubelet does with a container.
    pub(crate) fn launch(&mut self) {
        self.launch_with(self.log("stdout"));
    }

    fn log(&self, name: &str) -> Stdio {
        std::fs::OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap().into()
    }

    fn launch_with(&mut self, stdout: Stdio) {
        let mut command = self.command("run");
        command.stdout(stdout).stderr(self.log("stderr")).stdin(Stdio::null());
        self.process = Some(command.spawn().unwrap());
    }

    /// A call of the runner's executable in this container's environment.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(self.bin.join("nodeapp-runner"));
        command
            .args(verb.split(' '))
            .env("PATH", node_path())
            .env(env::CONFIG, self.setup.config.to_string())
            .env(env::RUN_DIR, self.setup.dir.path().join("run"))
            .env(env::LISTEN, format!("127.0.0.1:{}", self.endpoint))
            .env(env::TERMINATION_LOG, self.path("termination-log"))
            .envs(self.setup.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A file of this runner's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.setup.dir.path().join(name)
    }

    /// What it has written.
    pub(crate) fn output(&self, stream: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(stream)).unwrap_or_default()).into_owned()
    }

    /// Id of the runner's process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Waits until the pod may get traffic.
    pub(crate) fn ready(self) -> Self {
        self.wait_ready();
        self
    }

    /// Waits until the pod may get traffic, and for a process that is online.
    pub(crate) fn wait_ready(&self) {
        self.wait_for("ready", || {
            self.status().filter(|status| {
                status.ready && status.state == nodeapp_contract::status::ProcessState::Online
            })
        });
    }

    /// Waits; shows the runner's log and state if it waits in vain.
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_for(what, probe)));
        result.unwrap_or_else(|panic| {
            println!("state: {:?}", self.status());
            std::panic::resume_unwind(panic)
        })
    }

    /// `GET` of the runner's endpoint: status code and body.
    pub(crate) fn page(&self, path: &str) -> Option<(u16, String)> {
        get(self.endpoint, path).ok()
    }

    /// `/status`.
    pub(crate) fn status(&self) -> Option<RunnerStatus> {
        serde_json::from_str(&self.page("/status")?.1).ok()
    }

    /// Id of the app's process.
    pub(crate) fn app_pid(&self) -> u32 {
        self.wait_for("a process of the app", || self.status()?.pid)
    }

    /// `GET` of the app.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(self.setup.port, path)
            .unwrap_or_else(|error| panic!("GET {path} failed: {error}\nstderr:\n{}", self.output("stderr")))
    }

    /// Log line of what the preload did about the app's port.
    pub(crate) fn told(&self) -> String {
        self.wait_for("the line about listening", || {
            self.output("stderr").lines().find(|line| line.contains("the app listens on")).map(str::to_owned)
        })
    }

    /// Kills the app's process and waits for the next one.
    pub(crate) fn crash(&self) {
        let before = self.status().unwrap().restarts;
        Self::kill(self.app_pid(), "KILL");
        self.wait_for("the restart", || self.status().filter(|status| status.restarts > before));
        self.wait_ready();
    }

    /// Sends a signal to a process.
    pub(crate) fn kill(pid: u32, signal: &str) {
        let done = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
        assert!(done.unwrap().success(), "kill -{signal} {pid}");
    }

    /// SIGTERM to the runner, and its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        Self::kill(self.pid(), "TERM");
        self.wait_end()
    }

    /// The runner's end.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        self.wait_for("the end of the runner", || process.try_wait().unwrap())
    }

    /// The termination message.
    pub(crate) fn termination(&self) -> LastExit {
        let text = std::fs::read_to_string(self.path("termination-log")).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            if std::thread::panicking() {
                let text = self.output("stderr");
                let lines: Vec<&str> = text.lines().collect();
                println!("last lines of stderr:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
            // Twice: no drain. What ignores that is killed by its kill timeout.
            let pid = process.id().to_string();
            for _ in 0..2 {
                let _ = Command::new("kill").args(["-TERM", &pid]).status();
            }
            let until = Instant::now() + Duration::from_secs(8);
            while Instant::now() < until {
                if process.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let invalid = || std::io::Error::other(format!("no answer: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(invalid)?;
    Ok((status, body.to_owned()))
}
