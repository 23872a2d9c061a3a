//! Probes, made by the runner.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use nodeapp_contract::ExitReason;
use serde_json::{Value, json};
use support::{Runner, Setup, has_node};

fn probe(check: &Value) -> Value {
    json!({"check": check, "period": 50, "timeout": 1_000, "failureThreshold": 3, "successThreshold": 1})
}

/// Serves `/health` with what the last SIGUSR2 switched it to.
const SWITCHED: &str = "
    let code = 200;
    process.on('SIGUSR2', () => { code = code === 200 ? 500 : 200; });
    require('node:http').createServer((q, r) => {
      r.statusCode = q.url === '/health' && q.headers['x-probe'] === '1' ? code : 200;
      r.end();
    }).listen(Number(process.env.PORT));";

fn health(setup: &Setup) -> Value {
    probe(&json!({"http": {"port": setup.port, "path": "/health", "headers": [["X-Probe", "1"]]}}))
}

#[test]
fn the_readiness_probe_takes_traffic_away_and_gives_it_back() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(SWITCHED);
    let readiness = json!({"probe": health(&setup)});
    let runner = setup.with("readiness", readiness).start().ready();
    Runner::kill(runner.app_pid(), "USR2");
    let (_, text) = runner.wait_for("unready", || runner.page("/ready").filter(|(code, _)| *code == 503));
    assert!(text.contains("the readiness probe does not pass"), "{text}");
    Runner::kill(runner.app_pid(), "USR2");
    runner.wait_ready();
    assert_eq!(runner.status().unwrap().restarts, 0, "nothing is restarted for it");
}

#[test]
fn the_liveness_probe_restarts_the_process_and_says_why() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(SWITCHED);
    let mut liveness = health(&setup);
    // As for the kubelet: without a startup probe it begins at once.
    liveness["initialDelay"] = json!(3_000);
    let runner = setup.with("liveness", liveness).start().ready();
    Runner::kill(runner.app_pid(), "USR2");
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    let exit = status.last_exit.unwrap();
    assert_eq!(exit.reason, ExitReason::ProbeFailed);
    assert!(exit.message.contains("its liveness probe failed 3 times in a row"), "{}", exit.message);
    runner.wait_ready();
}

#[test]
fn a_hung_process_is_restarted_without_waiting_for_its_drain() {
    if !has_node() {
        return;
    }
    let source = "process.on('SIGUSR2', () => { for (;;); });
                  require('node:http').createServer((q, r) => r.end()).listen(Number(process.env.PORT));";
    let setup = Setup::script(source);
    let mut liveness = health(&setup);
    liveness["timeout"] = json!(200);
    liveness["initialDelay"] = json!(3_000);
    let stop = json!({"drainTimeout": 60_000, "killTimeout": 500});
    let runner = setup.with("liveness", liveness).with("stop", stop).start().ready();
    let hung = runner.app_pid();
    Runner::kill(hung, "USR2");
    runner.wait_for("another process", || runner.status()?.pid.filter(|pid| *pid != hung));
}

#[test]
fn the_startup_probe_holds_the_others_back() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(SWITCHED);
    let flag = setup.dir.path().join("started");
    let mut startup = probe(&json!({"exec": {"argv": ["test", "-e", flag]}}));
    startup["failureThreshold"] = json!(1_000_000);
    let liveness = probe(&json!({"exec": {"argv": ["false"]}}));
    let runner = setup.with("startup", startup).with("liveness", liveness).start();
    runner.wait_for("the app", || support::get(runner.setup.port, "/").ok());
    let reason = runner.wait_for("the reason", || {
        runner.status()?.not_ready_reason.filter(|reason| reason.contains("startup"))
    });
    assert_eq!(reason, "the startup probe has not passed yet");
    assert_eq!(runner.status().unwrap().restarts, 0, "liveness has not been asked");
    std::fs::write(&flag, "").unwrap();
    runner.wait_for("the restart by the liveness probe", || {
        runner.status().filter(|status| status.restarts >= 1)
    });
}

#[test]
fn a_program_that_hangs_is_a_failed_check_and_leaves_nothing_behind() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(SWITCHED);
    let mut hanging = probe(&json!({"exec": {"argv": ["sh", "-c", "sleep 604 & sleep 604"]}}));
    hanging["timeout"] = json!(100);
    hanging["failureThreshold"] = json!(1);
    let runner = setup.with("readiness", json!({"probe": hanging})).start();
    runner.wait_for("the verdict", || {
        runner.output("stderr").contains("the readiness probe fails").then_some(())
    });
    assert!(!runner.status().unwrap().ready);
    let children = || {
        let path = format!("/proc/{0}/task/{0}/children", runner.pid());
        std::fs::read_to_string(path).unwrap().split_whitespace().count()
    };
    runner.wait_for("at most the app and one check at a time", || (children() <= 2).then_some(()));
}

#[test]
fn a_tcp_probe_does_not_pass_for_a_socket_that_only_the_runner_holds() {
    if !has_node() {
        return;
    }
    // Its second process forgets to listen, while the kernel takes connections.
    let source = "if (process.env.restart_time === '0') require('node:http').createServer().listen(Number(process.env.PORT));
                  else setInterval(() => {}, 1e6);";
    let setup = Setup::script(source);
    // By then it listens, if it ever does.
    let probe = json!({"check": {"tcp": {"port": setup.port}}, "initialDelay": 3_000, "period": 50, "timeout": 1_000,
                       "failureThreshold": 2, "successThreshold": 1});
    let runner = setup.with("liveness", probe).start().ready();
    Runner::kill(runner.app_pid(), "KILL");
    runner.wait_for("a failed probe", || {
        runner.output("stderr").contains("the liveness probe fails").then_some(())
    });
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", runner.setup.port)).is_ok(),
        "the kernel does take them"
    );
}

#[test]
fn a_grpc_probe_asks_a_real_server_and_tells_what_is_wrong() {
    if !has_node() {
        return;
    }
    let Some(setup) = Setup::npm_app("grpc", "server.cjs") else { return };
    let readiness = probe(&json!({"grpc": {"port": setup.port, "service": "shop.Cart"}}));
    let runner = setup.with("readiness", json!({"probe": readiness})).start().ready();
    Runner::kill(runner.app_pid(), "USR2");
    runner.wait_for("unready", || runner.page("/ready").filter(|(code, _)| *code == 503));
    let told = "the readiness probe fails: the service is NOT_SERVING";
    runner.wait_for("the reason", || runner.output("stderr").contains(told).then_some(()));
    Runner::kill(runner.app_pid(), "USR2");
    runner.wait_ready();
}

#[test]
fn a_grpc_probe_of_a_server_without_health_or_without_grpc_says_so() {
    if !has_node() {
        return;
    }
    let Some(setup) = Setup::npm_app("grpc", "server.cjs") else { return };
    let script = setup.dir.path().join("project/server.cjs");
    let mut whole = probe(&json!({"grpc": {"port": setup.port}}));
    // A probe that fails already tells no other reason.
    whole["initialDelay"] = json!(3_000);
    let mute = json!({"script": {"script": script, "args": ["mute"]}});
    let runner = setup.with("readiness", json!({"probe": whole})).with("launch", mute).start();
    let told = "the readiness probe fails: the server answers with gRPC status 12 (UNIMPLEMENTED)";
    runner.wait_for("the reason", || runner.output("stderr").contains(told).then_some(()));

    let setup = Setup::script(SWITCHED);
    let mut whole = probe(&json!({"grpc": {"port": setup.port}}));
    whole["initialDelay"] = json!(3_000);
    let runner = setup.with("readiness", json!({"probe": whole})).start();
    let told = "the readiness probe fails: the server speaks no HTTP/2";
    runner.wait_for("the reason", || runner.output("stderr").contains(told).then_some(()));
}
