//! The heartbeat: what counts as hung, and what does not.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use nodeapp_contract::ExitReason;
use serde_json::json;
use support::{Runner, Setup, has_node};

fn app(source: &str, timeout: u64) -> Setup {
    Setup::script(source).with("preload", json!({"hangTimeout": timeout}))
}

/// Waits until the process has lived for so long that it would have been restarted.
fn lives_on(runner: &Runner, millis: u64) {
    let started = runner.status().unwrap().started_at.unwrap().0;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    runner.wait_for("time to pass", || (now() > u128::from(started + millis)).then_some(()));
    let status = runner.status().unwrap();
    assert_eq!((status.restarts, status.started_at.unwrap().0), (0, started), "{status:?}");
}

const HANGS: &str = "process.on('SIGINT', () => console.log('never'));
    require('node:http').createServer((request, response) => {
      response.end('ok');
      if (request.url === '/hang') setImmediate(() => { for (;;); });
    }).listen(Number(process.env.PORT));";

#[test]
fn a_process_whose_event_loop_hangs_is_restarted_and_the_reason_is_told() {
    if !has_node() {
        return;
    }
    let mut setup = app(HANGS, 2_000);
    // It cannot be drained: nobody waits for that.
    setup.config["stop"]["drainTimeout"] = json!(600_000);
    setup.config["stop"]["killTimeout"] = json!(300);
    let runner = setup.start().ready();
    // Silence counts from the first heartbeat.
    runner.wait_for("a heartbeat", || runner.status()?.event_loop);
    runner.get("/hang");
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    let exit = status.last_exit.unwrap();
    assert_eq!(exit.reason, ExitReason::Hung, "{exit:?}");
    assert!(exit.message.contains("(hangTimeout is 2000 ms)"), "{}", exit.message);
    assert_eq!(status.restarts_by_reason, [(ExitReason::Hung, 1)].into());
    runner.wait_ready();
    assert_eq!(runner.get("/").1, "ok");
    assert!(!runner.output("stdout").contains("never"));
}

#[test]
fn without_a_hang_timeout_nothing_of_the_kind_happens() {
    if !has_node() {
        return;
    }
    let source = "setTimeout(() => { for (const end = Date.now() + 2500; Date.now() < end;); }, 1500);
                  setInterval(() => {}, 1e6);";
    let runner = Setup::script(source).worker().start().ready();
    lives_on(&runner, 4_500);
}

#[test]
fn a_long_start_is_no_hang() {
    if !has_node() {
        return;
    }
    let source = "for (const end = Date.now() + 2500; Date.now() < end;);
                  require('node:http').createServer((q, r) => r.end('ok')).listen(Number(process.env.PORT));";
    let runner = app(source, 500).start().ready();
    assert_eq!(runner.status().unwrap().restarts, 0);
}

#[test]
fn a_process_that_somebody_has_stopped_to_look_at_it_is_no_hang() {
    if !has_node() {
        return;
    }
    let runner = app("setInterval(() => {}, 1e6);", 600).worker().start().ready();
    runner.wait_for("a heartbeat", || runner.status()?.event_loop);
    let pid = runner.app_pid();
    Runner::kill(pid, "STOP");
    lives_on(&runner, 4_000);
    Runner::kill(pid, "CONT");
    lives_on(&runner, 5_000);
}

#[test]
fn children_and_threads_that_are_busy_are_no_hang_of_the_app() {
    if !has_node() {
        return;
    }
    let source = "const busy = () => { for (;;); };
                  if (process.argv[2]) setTimeout(busy, 1500);
                  else {
                    const child = require('node:child_process').fork(__filename, ['child']);
                    const { Worker } = require('node:worker_threads');
                    new Worker('for (;;);', { eval: true });
                    setInterval(() => {}, 1e6);
                  }";
    let runner = app(source, 600).worker().start().ready();
    lives_on(&runner, 4_000);
}

#[test]
fn a_heap_snapshot_takes_its_time_and_is_no_hang() {
    if !has_node() {
        return;
    }
    let source = "global.big = Array.from({length: 1e6}, (_, n) => ({ n })); setInterval(() => {}, 1e6);";
    let runner = app(source, 300).worker().start().ready();
    runner.wait_for("a heartbeat", || runner.status()?.event_loop);
    let output = runner.command("ctl heap-snapshot").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(runner.status().unwrap().restarts, 0);
}
