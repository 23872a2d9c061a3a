//! Start, readiness, crashes, and what cannot be started at all.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::process::Command;

use nodeapp_contract::status::ProcessState;
use nodeapp_contract::{ExitCode, ExitReason};
use serde_json::{Value, json};
use support::{Runner, Setup, has_node, node_command};

const SERVER: &str = "require('node:http').createServer((q, r) => r.end('hi')).listen(process.env.PORT);";

#[test]
fn an_app_is_ready_once_it_listens_and_the_pages_show_it() {
    if !has_node() {
        return;
    }
    let late = format!("setTimeout(() => {{ {SERVER} }}, 300); console.log('starting');");
    let runner = Setup::script(&late).start();
    let (code, text) = runner.wait_for("the endpoint", || runner.page("/ready"));
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("does not listen on port"), "{text}");
    runner.wait_ready();
    assert_eq!(runner.page("/ready").unwrap(), (200, "ready\n".into()));
    assert_eq!(runner.page("/live").unwrap().0, 200);
    assert_eq!(runner.get("/"), (200, "hi".into()));
    let metrics = runner.page("/metrics").unwrap().1;
    assert!(metrics.contains("pm2_process_status{name=\"web\",instance=\"0\"} 1"), "{metrics}");
    let status = runner.status().unwrap();
    assert!(status.rss.unwrap() > 10 << 20, "{status:?}");
    assert_eq!(runner.output("stdout"), "starting\n");
    assert!(runner.output("stderr").contains("held over restarts"), "{}", runner.output("stderr"));
}

#[test]
fn never_ready_app_stays_unready_and_is_not_killed_for_it() {
    if !has_node() {
        return;
    }
    let runner =
        Setup::script(SERVER).with("readiness", json!({"waitReady": true, "listenTimeout": 300})).start();
    runner.wait_for("the time-out to be told", || {
        runner.output("stderr").contains("not ready after listenTimeout (300 ms)").then_some(())
    });
    runner.wait_for("an answer: it serves, but never said that it is ready", || {
        support::get(runner.setup.port, "/").ok()
    });
    let status = runner.status().unwrap();
    assert!(!status.ready && status.state == ProcessState::Launching && status.restarts == 0, "{status:?}");
    assert!(status.not_ready_reason.unwrap().contains("process.send('ready')"));
}

#[test]
fn wait_ready_app_is_ready_when_it_says_so() {
    if !has_node() {
        return;
    }
    let source = format!(
        "{SERVER} process.send({{type: 'axm:monitor', data: {{}}}}); process.send('x'.repeat(1e6)); process.send(null);
         process.on('SIGUSR2', () => process.send('ready'));"
    );
    let runner = Setup::script(&source).with("readiness", json!({"waitReady": true})).start();
    runner.wait_for("an answer", || support::get(runner.setup.port, "/").ok());
    assert!(!runner.status().unwrap().ready);
    Runner::kill(runner.app_pid(), "USR2");
    runner.wait_ready();
}

#[test]
fn the_app_sees_what_pm2_apps_read_and_nothing_of_the_runner() {
    if !has_node() {
        return;
    }
    let source =
        "console.log(JSON.stringify({env: process.env, argv: process.argv, main: require.main === module, \
                  send: typeof process.send}));
                  process.on('message', (m) => console.log(m));";
    let runner = Setup::script(source).worker().var("NODE_OPTIONS", "--no-warnings").start().ready();
    let line = runner
        .wait_for("the app's line", || Some(runner.output("stdout")).filter(|text| text.ends_with('\n')));
    let seen: Value = serde_json::from_str(&line).unwrap();
    let env = &seen["env"];
    for (name, value) in
        [("name", "web"), ("NODE_APP_INSTANCE", "0"), ("pm_id", "0"), ("exec_mode", "fork_mode")]
    {
        assert_eq!(env[name], value, "{name}");
    }
    let options = env["NODE_OPTIONS"].as_str().unwrap();
    assert!(options.starts_with("--require ") && options.ends_with(" --no-warnings"), "{options}");
    assert_eq!((&seen["main"], &seen["send"]), (&json!(true), &json!("function")));
    assert!(seen["argv"][1].as_str().unwrap().ends_with("app.js"), "argv[1] is the script");
    for name in ["NODEAPP_RUNNER_CONFIG", "NODEAPP_RUN_DIR", "NODEAPP_RUNNER_LISTEN", "NODEAPP_LISTEN_FDS"] {
        assert_eq!(env[name], Value::Null, "{name}");
    }
}

#[test]
fn an_app_under_nodes_permission_model_starts() {
    if !has_node() {
        return;
    }
    let accepted = |flag: &&str| node_command().args([flag, "-e", "0"]).output().unwrap().status.success();
    let Some(flag) = ["--permission", "--experimental-permission"].into_iter().find(accepted) else {
        println!("skipped: this Node.js has no permission model");
        return;
    };
    let mut setup = Setup::script("console.log('it runs'); setInterval(() => {}, 1e6);").worker();
    let allowed = format!("--allow-fs-read={}", setup.dir.path().join("app.js").display());
    setup.config["launch"]["script"]["nodeArgs"] = json!([flag, allowed]);
    let runner = setup.start();
    runner.wait_for("the app's line", || runner.output("stdout").contains("it runs").then_some(()));
}

#[test]
fn a_crash_is_counted_explained_and_survives_a_restart_of_the_container() {
    if !has_node() {
        return;
    }
    let source = format!("{SERVER} process.on('SIGUSR2', () => process.exit(3));");
    let mut runner = Setup::script(&source).start().ready();
    Runner::kill(runner.app_pid(), "USR2");
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    let exit = status.last_exit.unwrap();
    assert_eq!((exit.code, exit.signal, exit.reason), (Some(3), None, ExitReason::Crash));
    runner.wait_ready();
    Runner::kill(runner.app_pid(), "SEGV");
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 2));
    let exit = status.last_exit.unwrap();
    assert_eq!((exit.code, exit.signal.as_deref()), (None, Some("SIGSEGV")));
    assert_eq!(runner.termination().reason, ExitReason::Crash);
    runner.wait_ready();

    assert!(runner.stop().success());
    runner.launch();
    runner.wait_ready();
    assert_eq!(runner.status().unwrap().restarts, 2);
}

#[test]
fn a_crash_loop_ends_in_errored_and_the_runner_lives_on() {
    if !has_node() {
        return;
    }
    let runner = Setup::script("process.exit(1)")
        .with("restart", json!({"maxRestarts": 3, "minUptime": 20_000}))
        .start();
    let status =
        runner.wait_for("errored", || runner.status().filter(|status| status.state == ProcessState::Errored));
    assert_eq!((status.restarts, status.ready, status.pid), (2, false, None));
    let (code, text) = runner.page("/ready").unwrap();
    assert!(code == 503 && text.contains("errored"), "{text}");
    assert!(runner.page("/metrics").unwrap().1.contains("pm2_process_status{name=\"web\",instance=\"0\"} 2"));
    std::fs::write(runner.path("app.js"), SERVER).unwrap();
    assert!(runner.command("ctl restart").status().unwrap().success());
    runner.wait_ready();
}

#[test]
fn restart_delay_is_kept() {
    if !has_node() {
        return;
    }
    let source = "setTimeout(() => process.exit(0), 50)";
    let runner = Setup::script(source).worker().with("restart", json!({"restartDelay": 60_000})).start();
    let status = runner.wait_for("the wait", || {
        runner.status().filter(|status| status.state == ProcessState::WaitingRestart)
    });
    assert_eq!(status.last_exit.unwrap().reason, ExitReason::Completed);
    assert!(!status.ready);
}

/// What cannot be started: exit code, reason, and a part of the last line.
fn refused(setup: Setup, code: ExitCode, reason: ExitReason, part: &str) {
    let mut runner = setup.start();
    let status = runner.wait_end();
    let stderr = runner.output("stderr");
    assert_eq!(status.code(), Some(code.code().into()), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains(part), "{stderr}");
    let exit = runner.termination();
    assert_eq!(exit.reason, reason);
    assert!(exit.message.contains(part), "{}", exit.message);
}

#[test]
fn a_missing_script_is_said_clearly() {
    if has_node() {
        let setup = Setup::script("").with("launch", json!({"script": {"script": "/app/no-such.js"}}));
        refused(setup, ExitCode::ScriptMissing, ExitReason::ScriptMissing, "/app/no-such.js does not exist");
    }
}

#[test]
fn an_image_without_node_is_said_clearly() {
    let setup = Setup::script("").var("PATH", "/nowhere");
    refused(setup, ExitCode::ProgramMissing, ExitReason::ProgramMissing, "Node.js is not in the image");
}

#[test]
fn a_missing_program_is_said_clearly() {
    refused(Setup::command(&["no-such"]), ExitCode::ProgramMissing, ExitReason::ProgramMissing, "`no-such`");
}

#[test]
fn a_broken_config_is_said_clearly() {
    let setup = Setup::script("").with("port", json!("http"));
    refused(setup, ExitCode::Config, ExitReason::BadConfig, "NODEAPP_RUNNER_CONFIG cannot be read");
}

#[test]
fn a_wrong_command_line_shows_the_right_one() {
    let output = Command::new(env!("CARGO_BIN_EXE_nodeapp-runner")).arg("dance").output().unwrap();
    assert_eq!(output.status.code(), Some(ExitCode::Usage.code().into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage: nodeapp-runner install DIR"));
}

#[test]
fn orphans_are_reaped() {
    // Each `sh` leaves a child behind that the runner inherits.
    let script = "for i in 1 2 3 4 5; do sh -c 'sleep 0.05 &'; done; exec sleep 600";
    let runner = Setup::command(&["sh", "-c", script]).worker().start().ready();
    let children = || {
        let path = format!("/proc/{0}/task/{0}/children", runner.pid());
        std::fs::read_to_string(path).unwrap().split_whitespace().count()
    };
    runner.wait_for("all but the app to be gone", || (children() == 1).then_some(()));
}

#[test]
fn an_app_that_listens_without_the_preload_is_found() {
    if !has_node() {
        return;
    }
    let mut setup = Setup::script(SERVER);
    let script = setup.dir.path().join("app.js");
    setup.config["launch"] = json!({"command": {"argv": ["env", "-u", "NODE_OPTIONS", "node", script]}});
    let runner = setup.start().ready();
    assert_eq!(runner.get("/").0, 200);
    assert_eq!(runner.status().unwrap().in_flight, None);
}
