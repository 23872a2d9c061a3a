//! Who is asked to end, and how: message or signal, whole tree or main process.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::path::Path;

use nodeapp_contract::ExitReason;
use serde_json::{Value, json};
use support::{Runner, Setup, has_node};

/// No drain; as much time after the signal as a busy machine needs.
fn policy(more: &Value) -> Value {
    let mut policy =
        json!({"killSignal": "SIGINT", "drainDelay": 0, "drainTimeout": 0, "killTimeout": 20_000});
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

fn worker(source: &str, more: &Value) -> Runner {
    let ready = json!({"waitReady": true});
    Setup::script(source).worker().with("readiness", ready).with("stop", policy(more)).start().ready()
}

const BY_MESSAGE: fn() -> Value = || json!({"shutdownWithMessage": true});

#[test]
fn a_shutdown_by_message_comes_instead_of_the_signal() {
    if !has_node() {
        return;
    }
    let source = "process.on('SIGINT', () => process.exit(9));
                  process.on('message', (m) => { if (m === 'shutdown') process.exit(5); });
                  process.send('ready');";
    let mut runner = worker(source, &BY_MESSAGE());
    assert_eq!(runner.stop().code(), Some(5), "{}", runner.output("stderr"));
    assert!(runner.output("stderr").contains("sending the message \"shutdown\""));
    assert!(!runner.output("stderr").contains("sending SIGINT"));
}

#[test]
fn where_nobody_listens_for_the_message_the_signal_follows() {
    if !has_node() {
        return;
    }
    let source = "process.on('SIGINT', () => process.exit(9)); setInterval(() => {}, 1e6);
                  process.send('ready');";
    let mut runner = worker(source, &BY_MESSAGE());
    assert_eq!(runner.stop().code(), Some(9), "{}", runner.output("stderr"));
    assert!(runner.output("stderr").contains("does not listen for messages"));
}

#[test]
fn where_the_channel_is_closed_the_signal_comes_at_once() {
    if !has_node() {
        return;
    }
    let source = "process.on('SIGINT', () => process.exit(9)); setInterval(() => {}, 1e6);
                  process.on('message', () => process.exit(5));
                  process.on('disconnect', () => console.log('closed'));
                  process.send('ready', () => process.disconnect());";
    let mut runner = worker(source, &BY_MESSAGE());
    runner.wait_for("the channel to be closed", || runner.output("stdout").contains("closed").then_some(()));
    assert_eq!(runner.stop().code(), Some(9), "{}", runner.output("stderr"));
    assert!(runner.output("stderr").contains("no IPC channel"), "{}", runner.output("stderr"));
}

#[test]
fn an_app_that_does_nothing_about_the_message_is_killed_in_time() {
    if !has_node() {
        return;
    }
    let source = "process.on('message', () => {}); process.send('ready');";
    let mut runner = worker(source, &json!({"shutdownWithMessage": true, "killTimeout": 300}));
    assert_eq!(runner.stop().code(), Some(137));
    assert_eq!(runner.termination().reason, ExitReason::StopOrdered);
}

#[test]
fn what_an_app_that_ends_by_message_leaves_behind_gets_the_signal() {
    if !has_node() {
        return;
    }
    let source = format!("process.on('message', () => process.exit(5)); {CHILD}");
    let mut runner = worker(&source, &BY_MESSAGE());
    assert_eq!(runner.stop().code(), Some(5), "{}", runner.output("stderr"));
    assert_eq!(said_by_child(&runner), "SIGINT");
}

/// A child in a session of its own that writes down which signal it gets.
const CHILD: &str = r#"
  const { spawn } = require('node:child_process');
  const child = spawn(process.execPath, ['-e', `
      for (const s of ["SIGINT", "SIGTERM"])
        process.on(s, () => { require("node:fs").writeFileSync(process.env.SAID, s); process.exit(); });
      setInterval(() => {}, 1e6);
      console.log("up");`],
    { detached: true, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, SAID: `${__dirname}/said` } });
  child.stdout.once('data', () => process.send('ready'));
"#;

fn said_by_child(runner: &Runner) -> String {
    runner.output("said")
}

#[test]
fn without_treekill_children_do_not_get_the_signal_and_are_left_to_their_parent() {
    if !has_node() {
        return;
    }
    let source = format!(
        "{CHILD} process.on('SIGINT', () => {{ child.once('exit', () => process.exit(6)); child.kill('SIGTERM'); }});"
    );
    let mut runner = worker(&source, &json!({"treekill": false}));
    assert_eq!(runner.stop().code(), Some(6), "{}", runner.output("stderr"));
    assert_eq!(said_by_child(&runner), "SIGTERM", "from its parent, not from the runner");
    assert!(runner.output("stderr").contains("sending SIGINT to the app's main process"));
}

#[test]
fn without_treekill_what_is_left_in_the_end_is_killed_nevertheless() {
    let script = "trap 'exit 3' INT; sleep 611 & echo $! > \"$PIDS\"; wait";
    let setup = Setup::command(&["sh", "-c", script]).worker();
    let file = setup.dir.path().join("pids");
    let stop = policy(&json!({"treekill": false, "killTimeout": 500}));
    let mut runner = setup.var("PIDS", file.to_str().unwrap()).with("stop", stop).start().ready();
    let left = wait_for_pid(&runner, &file);
    assert_eq!(runner.stop().code(), Some(3));
    assert!(is_gone(left), "{left} lives on");
}

fn wait_for_pid(runner: &Runner, file: &Path) -> u32 {
    runner.wait_for("the process id", || std::fs::read_to_string(file).ok()?.trim().parse().ok())
}

fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[test]
fn a_grandchild_that_left_the_group_and_lost_its_parents_gets_the_signal_too() {
    // The usual double fork of a daemon: another session, and parents that are gone. A shell lets what it starts
    // in the background ignore SIGINT, hence SIGTERM.
    let daemon = "trap 'echo TERM > \"$SAID\"; exit' TERM; echo $$ > \"$PIDS\"; while :; do sleep 0.05; done";
    let script = format!("(setsid sh -c '{}' &) ; exec sleep 612", daemon.replace('\'', r"'\''"));
    let setup = Setup::command(&["sh", "-c", &script]).worker();
    let (pids, said) = (setup.dir.path().join("pids"), setup.dir.path().join("said"));
    let mut runner = setup
        .var("PIDS", pids.to_str().unwrap())
        .var("SAID", said.to_str().unwrap())
        .with("stop", policy(&json!({"killSignal": "SIGTERM"})))
        .start()
        .ready();
    let daemon = wait_for_pid(&runner, &pids);
    runner.wait_for("its parents to be gone", || {
        let status = std::fs::read_to_string(format!("/proc/{daemon}/status")).ok()?;
        status.contains(&format!("PPid:\t{}\n", runner.pid())).then_some(())
    });
    assert!(runner.stop().success());
    assert!(is_gone(daemon));
    assert_eq!(runner.output("said"), "TERM\n");
}

#[test]
fn hundreds_of_processes_that_ignore_every_signal_do_not_outlive_the_pod() {
    let script = "trap '' INT TERM HUP; for i in $(seq 300); do sleep 613 & done; touch \"$UP\"; wait; wait";
    let setup = Setup::command(&["sh", "-c", script]).worker();
    let up = setup.dir.path().join("up");
    let stop = policy(&json!({"killTimeout": 300}));
    let mut runner = setup.var("UP", up.to_str().unwrap()).with("stop", stop).start().ready();
    runner.wait_for("all of them", || up.exists().then_some(()));
    let children = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
    };
    let all = children(runner.app_pid());
    assert_eq!(all.len(), 300);
    runner.status().unwrap();
    let resident = rss_kib(runner.pid());
    assert!(resident < 24 << 10, "the runner itself takes {resident} KiB");
    assert_eq!(runner.stop().code(), Some(137));
    assert!(all.iter().all(|pid| is_gone(*pid)), "some live on");
}

fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
