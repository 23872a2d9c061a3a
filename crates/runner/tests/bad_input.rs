//! Apps and configurations that nobody would write on purpose.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use nodeapp_contract::config::StopPolicy;
use nodeapp_contract::{ExitCode, ExitReason, env};
use serde_json::json;
use support::{Runner, Setup, has_node};

/// What the runner may ever have had in memory while an app does everything at
/// once, in KiB: all its bounds together on top of what a build for tests takes.
const MOST_MEMORY: u64 = 16 * 1024;

fn peak_memory(runner: &Runner) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processes of this machine whose command line holds `part`.
fn processes(part: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(part)).count()
}

/// Another title for itself and hundreds of processes that ignore every signal; then
/// 20 MB in one line, and messages that are too long, garbage or both.
const ALL_AT_ONCE: &str = r#"
    process.title = ') Z 1 (\n' + 't'.repeat(100e3);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
    const { spawn } = require('node:child_process');
    const script = `trap '' INT TERM HUP; for i in $(seq 300); do sleep ${process.env.NAP} & done; echo up; wait`;
    const children = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const chunk = 'x"\\'.repeat(100e3);
    let left = 66;
    const next = () => {
      if (left-- === 0) return process.send('ready');
      process.send({ type: 'axm:monitor', data: { [`${left}`.repeat(1e3)]: { value: chunk } } });
      if (left % 8 === 0) process.send('y'.repeat(2 << 20));
      process.stdout.write(chunk, next);
    };
    children.stdout.once('data', next);
    setInterval(() => {}, 1e6);"#;

#[test]
fn an_app_that_does_all_of_it_at_once_leaves_the_runner_small_and_ends_in_time() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(ALL_AT_ONCE).worker();
    // A number that no other test sleeps for.
    let nap = format!("614.{}{}", std::process::id(), setup.port);
    let logs = setup.dir.path().join("logs");
    let mut runner = setup
        .var("NAP", &nap)
        .with("readiness", json!({"waitReady": true}))
        .with("memory", json!({"maxRss": 1_u64 << 40, "confirm": 1_000}))
        .with("log", json!({"format": "json"}))
        .with("logFiles", json!({"dir": logs, "maxSize": 1_000_000, "retain": 2, "compress": true}))
        .with("stop", json!({"drainDelay": 0, "drainTimeout": 0, "killTimeout": 300}))
        .start()
        .ready();
    assert!(processes(&nap) >= 300, "they do not run");
    assert_eq!(runner.page("/ready").unwrap().0, 200);
    let status = runner.status().unwrap();
    assert!(status.restarts == 0 && status.rss > Some(150 << 20), "the whole tree counts: {status:?}");
    assert!(runner.command("ctl status").output().unwrap().status.success());
    let peak = peak_memory(&runner);
    println!("the runner needed {peak} KiB");
    assert!(peak < MOST_MEMORY);
    assert_eq!(runner.stop().code(), Some(137));
    assert_eq!(processes(&nap), 0, "some live on");
}

#[test]
fn a_process_that_calls_itself_something_else_counts_and_is_stopped() {
    if !has_node() {
        return;
    }
    let source = "process.title = ') Z 1 (';
                  process.on('SIGINT', () => process.exit(process.argv[2] ? 0 : 6));
                  if (process.argv[2]) global.big = Buffer.alloc(150e6, 1);
                  else if (process.env.restart_time === '0') require('node:child_process').fork(__filename, ['big']);
                  if (!process.argv[2]) console.log(`armed ${process.env.restart_time}`);
                  setInterval(() => {}, 1e6);";
    let stop = json!({"drainDelay": 0, "drainTimeout": 0, "killTimeout": 20_000});
    let mut runner = Setup::script(source)
        .worker()
        .with("memory", json!({"maxRss": 170 << 20, "confirm": 300}))
        .with("stop", stop)
        .start()
        .ready();
    let status =
        runner.wait_for("the restart for memory", || runner.status().filter(|status| status.restarts == 1));
    assert_eq!(status.last_exit.unwrap().reason, ExitReason::MemoryLimit);
    runner.wait_for("the handler", || runner.output("stdout").contains("armed 1").then_some(()));
    let name = std::fs::read_to_string(format!("/proc/{}/comm", runner.app_pid())).unwrap();
    assert!(name.contains(") Z 1 ("), "{name}");
    assert_eq!(runner.stop().code(), Some(6), "its own handler");
}

#[test]
fn a_config_of_a_newer_operator_starts_with_one_warning_that_names_what_is_unknown() {
    let setup =
        Setup::command(&["sh", "-c", "trap 'exit 9' INT; echo up; while :; do sleep 0.05; done"]).worker();
    let stop = json!({"vote": {"by": "all"}, "killSignal": "SIGINT"});
    let mut runner =
        setup.with("teleport", json!([1])).with("tele\nport", json!(1)).with("stop", stop).start();
    runner.wait_for("the app", || runner.output("stdout").contains("up").then_some(()));
    let log = runner.output("stderr");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("newer operator")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for name in ["teleport", "tele port", "stop.vote"] {
        assert!(warnings[0].contains(name), "{name}: {warnings:?}");
    }
    assert!(log.lines().all(|line| line.starts_with("nodeapp-runner: ")), "{log}");
    assert_eq!(runner.stop().code(), Some(9));
}

#[test]
fn a_config_of_an_older_operator_gets_defaults_for_what_is_missing() {
    let setup = Setup::command(&["sh", "-c", "trap 'exit 9' INT; echo up; while :; do sleep 0.05; done"]);
    let mut config = setup.config.clone();
    let fields = config.as_object_mut().unwrap();
    fields.retain(|name, _| ["name", "launch"].contains(&name.as_str()));
    let mut runner = setup.var(env::CONFIG, &config.to_string()).start().ready();
    runner.wait_for("the app", || runner.output("stdout").contains("up").then_some(()));
    assert_eq!(StopPolicy::default().kill_signal, "SIGINT");
    assert_eq!(runner.stop().code(), Some(9), "asked by the default signal");
    assert!(!runner.output("stderr").contains("newer operator"));
}

#[test]
fn a_config_that_is_garbage_ends_the_container_with_one_clear_line() {
    let long =
        format!(r#"{{"name":"{}/","launch":{{"command":{{"argv":["true"]}}}}}}"#, r#"\""#.repeat(50_000));
    let deep = "[".repeat(100_000);
    let lines = "{\"name\":\"w\",\n\"launch\":{\"script\":{\"script\":\"a.js\"}},\"port\":\"a\\nb\"}";
    let garbage: [&[u8]; 8] =
        [b"", b"null", b"{", b"[1, 2]", b"\xff\xfe{}", lines.as_bytes(), long.as_bytes(), deep.as_bytes()];
    // Only for its directory and addresses.
    let mut runner = Setup::command(&["true"]).worker().var("PATH", "/nowhere").start();
    runner.wait_end();
    for text in garbage {
        let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        let output = runner.command("run").env(env::CONFIG, OsStr::from_bytes(text)).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(ExitCode::Config.code().into()), "{shown}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{shown}: {stderr}");
        assert!(stderr.starts_with("nodeapp-runner: NODEAPP_RUNNER_CONFIG"), "{shown}: {stderr}");
        assert!(stderr.len() <= 4_096, "{shown}: {} bytes", stderr.len());
        let exit = runner.termination();
        assert_eq!(exit.reason, ExitReason::BadConfig, "{shown}");
        assert!(exit.message.contains(env::CONFIG), "{shown}: {}", exit.message);
    }
}
