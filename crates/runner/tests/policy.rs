//! The restart policy with real processes: lasting states and what clients see of them.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::io::ErrorKind;

use nodeapp_contract::ExitReason;
use nodeapp_contract::status::ProcessState;
use serde_json::json;
use support::{Runner, Setup, get, has_node};

/// `/exit/N` ends the process with that code.
const SERVER: &str = "require('node:http').createServer((q, r) => {
    const code = /exit.(\\d+)/.exec(q.url);
    if (code) process.exit(Number(code[1]));
    r.end(String(process.pid));
  }).listen(process.env.PORT)";

fn in_state(runner: &Runner, state: ProcessState) -> nodeapp_contract::RunnerStatus {
    runner.wait_for("the state", || runner.status().filter(|status| status.state == state))
}

#[test]
fn without_autorestart_an_end_is_the_end_and_the_reason_is_told() {
    if !has_node() {
        return;
    }
    let mut runner = Setup::script(SERVER).with("restart", json!({"autorestart": false})).start().ready();
    let _ = get(runner.setup.port, "/exit/3");
    let status = in_state(&runner, ProcessState::Stopped);
    assert_eq!((status.ready, status.restarts, status.pid), (false, 0, None));
    assert!(status.not_ready_reason.unwrap().contains("autorestart is false"));
    assert_eq!(status.last_exit.unwrap().code, Some(3));
    let (code, text) = runner.page("/ready").unwrap();
    assert!(code == 503 && text.contains("stays stopped"), "{code} {text}");
    let refused = get(runner.setup.port, "/").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "nobody waits for a process that never comes");
    assert!(runner.command("ctl restart").status().unwrap().success());
    runner.wait_ready();
    assert_eq!(runner.get("/").0, 200, "and the socket is held again");
    assert!(runner.stop().success());
}

#[test]
fn a_stop_exit_code_ends_it_and_a_signal_has_no_exit_code() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(SERVER).with("restart", json!({"stopExitCodes": [0, 4]}));
    let runner = setup.start().ready();
    Runner::kill(runner.app_pid(), "KILL");
    runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    runner.wait_ready();
    let _ = get(runner.setup.port, "/exit/0");
    let status = in_state(&runner, ProcessState::Stopped);
    let exit = status.last_exit.unwrap();
    assert_eq!((exit.reason, exit.code, status.restarts), (ExitReason::Completed, Some(0), 1));
    assert!(exit.message.ends_with("not started again: exit code 0 is one of stopExitCodes"), "{exit:?}");
}

#[test]
fn clients_of_an_errored_app_are_refused_until_its_next_try() {
    if !has_node() {
        return;
    }
    let policy = json!({"maxRestarts": 1, "minUptime": 60_000, "erroredRetry": 0});
    let runner = Setup::script(SERVER).with("restart", policy).start().ready();
    let _ = get(runner.setup.port, "/exit/1");
    let status = in_state(&runner, ProcessState::Errored);
    assert!(status.not_ready_reason.unwrap().contains("erroredRetryDelay is 0"));
    let refused = get(runner.setup.port, "/").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(runner.command("ctl restart").status().unwrap().success());
    runner.wait_ready();
    assert_eq!(runner.get("/").0, 200);
}

#[test]
fn an_errored_app_comes_back_by_itself_when_its_trouble_is_over() {
    if !has_node() {
        return;
    }
    let source = format!(
        "if (!require('node:fs').existsSync(process.env.TROUBLE_IS_OVER)) process.exit(1);\n{SERVER}"
    );
    let setup = Setup::script(&source)
        .with("restart", json!({"maxRestarts": 2, "minUptime": 60_000, "erroredRetry": 200}));
    let flag = setup.dir.path().join("over");
    let runner = setup.var("TROUBLE_IS_OVER", flag.to_str().unwrap()).start();
    runner.wait_for("errored", || {
        runner.output("stderr").contains("is errored: tried again in 200 ms").then_some(())
    });
    std::fs::write(&flag, "").unwrap();
    runner.wait_ready();
}

#[test]
fn a_crash_during_the_drain_delay_refuses_no_connection() {
    if !has_node() {
        return;
    }
    let stop =
        json!({"killSignal": "SIGINT", "drainDelay": 8_000, "drainTimeout": 5_000, "killTimeout": 5_000});
    let mut runner = Setup::script(SERVER).with("stop", stop).start().ready();
    let first = runner.get("/").1;
    let mut hook = runner.command("drain").spawn().unwrap();
    runner.wait_for("the drain", || runner.output("stderr").contains("draining").then_some(()));
    Runner::kill(runner.app_pid(), "KILL");
    // The cluster still sends traffic here: it waits for the next process.
    let second = runner.wait_for("the next process", || {
        let answer = get(runner.setup.port, "/");
        let refused = matches!(&answer, Err(error) if error.kind() == ErrorKind::ConnectionRefused);
        assert!(!refused, "refused during the delay");
        answer.ok().map(|answer| answer.1).filter(|pid| *pid != first)
    });
    assert_ne!(first, second);
    assert!(hook.wait().unwrap().success());
    assert!(runner.stop().success());
}

#[test]
fn a_job_ends_with_the_exit_code_of_its_process_and_leaves_nothing() {
    if !has_node() {
        return;
    }
    for (script, code) in [
        ("setTimeout(() => process.exit(3), 50)", 3),
        ("setTimeout(() => {}, 50)", 0),
        ("setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50)", 137),
    ] {
        let policy = json!({"autorestart": false, "exitWhenDone": true});
        let mut runner = Setup::script(script).with("restart", policy).start();
        assert_eq!(runner.wait_end().code(), Some(code), "{script}");
    }
}
