//! The operator as a process: how it starts without a cluster, what it says, how
//! it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

struct Operator {
    child: Child,
    log: BufReader<ChildStdout>,
    _directory: tempfile::TempDir,
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Operator {
    /// Starts one whose cluster is a port that nobody listens on.
    fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(
            &kubeconfig,
            "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
             users: [{name: u, user: {}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n\
             current-context: x\n",
        )?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_nodeapp-operator"))
            .args(["run", "--listen", "127.0.0.1:0", "--log-format", "json", "--runner-image", "runner:1"])
            .env("KUBECONFIG", &kubeconfig)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, log, _directory: directory })
    }

    fn next_line(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.log.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("no JSON: {line}"))
    }

    fn terminate(&mut self) -> Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "kill failed");
        Ok(())
    }
}

fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn without_an_api_server_it_says_so_once_is_alive_and_not_ready_and_ends_at_once() -> Result<()> {
    let mut operator = Operator::start()?;
    let start = operator.next_line()?;
    assert_eq!(start["message"], "the operator starts");
    let address = start["listen"].as_str().context("no address")?.to_owned();
    let waiting = operator.next_line()?;
    assert_eq!(
        (&waiting["level"], &waiting["message"]),
        (&"WARN".into(), &"cannot work yet; looking again until it is there".into())
    );
    assert!(waiting["missing"].as_str().unwrap_or_default().starts_with("the API server: "), "{waiting}");

    assert!(get(&address, "/livez")?.starts_with("HTTP/1.1 200"));
    let ready = get(&address, "/readyz")?;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(
        ready.contains("missing: the API server: ") && ready.contains("missing: first list of Deployment"),
        "{ready}"
    );
    // It looks again with every request counted, and says nothing more.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !get(&address, "/metrics")?.lines().any(|line| {
        let count = line.strip_prefix("rest_client_requests_total{code=\"<error>\",method=\"GET\"} ");
        count.is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count >= 3))
    }) {
        ensure!(Instant::now() < deadline, "it does not look again: {}", get(&address, "/metrics")?);
        std::thread::sleep(Duration::from_millis(50));
    }

    let ordered = Instant::now();
    operator.terminate()?;
    let status = operator.child.wait()?;
    assert!(status.success(), "{status}");
    assert!(ordered.elapsed() < Duration::from_secs(2), "took {:?}", ordered.elapsed());
    let mut rest = String::new();
    operator.log.read_to_string(&mut rest)?;
    let messages: Vec<Value> = rest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).map(|line| line["message"].clone()))
        .collect::<Result<_, _>>()?;
    assert_eq!(messages, ["told to end", "the operator ends; applications keep running"]);
    Ok(())
}

#[test]
fn a_wrong_command_line_says_what_is_right() -> Result<()> {
    let operator = env!("CARGO_BIN_EXE_nodeapp-operator");
    let output = Command::new(operator).arg("run").env_remove("NODEAPP_RUNNER_IMAGE").output()?;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--runner-image"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let output =
        Command::new(operator).args(["run", "--runner-image", "r:1", "--listen", &address]).output()?;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("cannot listen on {address}")) && text.contains("--listen"), "{text}");
    Ok(())
}

#[test]
fn what_is_logged_can_be_changed_while_it_runs() -> Result<()> {
    let mut operator = Operator::start()?;
    let start = operator.next_line()?;
    let address = start["listen"].as_str().context("no address")?.to_owned();
    let log_level = |filter: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodeapp-operator"));
        command.args(["log-level", "--address", &address]).args(filter).output()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = text(&log_level(&[])?.stdout);
    assert!(shown.contains("info") && shown.contains("kube_client=off"), "{shown}");
    let set = log_level(&["debug,hyper_util=off"])?;
    assert!(set.status.success() && text(&set.stdout).contains("debug"), "{set:?}");
    assert_eq!(text(&log_level(&[])?.stdout), text(&set.stdout));
    let refused = log_level(&["nodeapp_operator=loud"])?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("a filter looks like"), "{refused:?}");
    assert_eq!(text(&log_level(&[""])?.stdout), shown, "back to the one of the start");
    operator.terminate()?;
    operator.child.wait()?;
    let refused = log_level(&[])?;
    assert!(text(&refused.stderr).contains("no operator answers at"), "{refused:?}");
    Ok(())
}

/// Answers one request after the other, each with the next of these, and then with the last for ever.
fn answering(answers: &'static [&'static str]) -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            // A request ends with an empty line; whatever else it says does not matter here.
            let mut request = BufReader::new(&stream);
            while request.read_line(&mut line).is_ok_and(|read| read > 2) {}
            let path = if line.starts_with("GET /readyz ") { number } else { usize::MAX };
            let answer = answers.get(path).or(answers.last()).unwrap_or(&"");
            let _ = write!(stream, "HTTP/1.1 {answer}");
        }
    });
    Ok(address)
}

#[test]
fn whoever_waits_for_an_operator_is_told_when_it_is_ready_and_otherwise_what_it_waits_for() -> Result<()> {
    let ready = |address: &str, timeout: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodeapp-operator"));
        command.args(["ready", "--address", address, "--timeout", timeout]).output()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let soon = answering(&["503 x\r\n\r\nmissing: the API", "200 OK\r\n\r\nok\n"])?;
    let output = ready(&soon, "20")?;
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "ok\n"), "{output:?}");

    let never = answering(&["503 x\r\n\r\nmissing: the right to list pods\n"])?;
    let output = ready(&never, "1")?;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("is not ready: missing: the right to list pods"), "{said}");

    let output = ready("127.0.0.1:1", "0")?;
    assert!(text(&output.stderr).contains("no operator answers at 127.0.0.1:1"), "{output:?}");
    Ok(())
}
