//! Memory: a restart in place before the kernel has to act.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::time::Duration;

use nodeapp_contract::ExitReason;
use serde_json::json;
use support::load::{Client, Load};
use support::{Setup, has_node};

#[test]
fn leaking_app_is_restarted_in_place_and_no_request_fails() {
    if !has_node() {
        return;
    }
    let source = "const leak = [];
                  require('node:http').createServer((q, r) => {
                    leak.push(Buffer.alloc(400e3, 1));
                    r.end('ok');
                  }).listen(Number(process.env.PORT));";
    let line: u64 = 160 << 20;
    let runner =
        Setup::script(source).with("memory", json!({"maxRss": line, "confirm": 300})).start().ready();
    let busy = Client { keep_alive: true, pause: Duration::from_millis(8), path: "/" };
    let load = Load::start(runner.setup.port, &[(2, busy), (2, Client { keep_alive: false, ..busy })]);
    let status = runner.wait_for("two restarts", || runner.status().filter(|status| status.restarts >= 2));
    load.more(50);
    let report = load.finish();
    assert!(report.failed.is_empty(), "{report:?}");
    let exit = status.last_exit.unwrap();
    assert_eq!(exit.reason, ExitReason::MemoryLimit, "{exit:?}");
    assert!(exit.message.contains("above maxMemoryRestart (160 MiB)"), "{}", exit.message);
}

#[test]
fn memory_of_children_counts() {
    if !has_node() {
        return;
    }
    let source = "if (process.argv[2]) { global.big = Buffer.alloc(150e6, 1); setInterval(() => {}, 1e6); }
                  else if (process.env.restart_time === '0') require('node:child_process').fork(__filename, ['big']);
                  setInterval(() => {}, 1e6);";
    let runner = Setup::script(source)
        .worker()
        .with("memory", json!({"maxRss": 170 << 20, "confirm": 300}))
        .start()
        .ready();
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    assert_eq!(status.last_exit.unwrap().reason, ExitReason::MemoryLimit);
}
