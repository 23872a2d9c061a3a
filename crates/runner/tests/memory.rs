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

#[test]
fn a_heap_snapshot_is_written_before_the_restart_if_that_is_wanted() {
    if !has_node() {
        return;
    }
    // Garbage that is found later: the runner has to know the heap first.
    let source =
        "class Leaked { constructor(n) { this.text = `leaked ${n}`; this.more = new Array(100).fill(n); } }
                  const all = [];
                  setTimeout(() => { for (let n = 0; n < 5e4; n += 1) all.push(new Leaked(n)); }, 2500);
                  setInterval(() => {}, 1e6);";
    let policy = json!({"maxRss": 90 << 20, "confirm": 300, "heapSnapshot": true});
    let runner = Setup::script(source).worker().with("memory", policy).start().ready();
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    assert_eq!(status.last_exit.unwrap().reason, ExitReason::MemoryLimit);
    let log = runner.output("stderr");
    let told = log.lines().find_map(|line| line.split_once(" bytes: ")).expect(&log).1;
    let snapshot = std::fs::read_to_string(told).unwrap();
    assert!(snapshot.contains("\"Leaked\""), "{told}");
    let order = ["writing a heap snapshot before the restart", "heap snapshot of", "restarting the app"];
    let found: Vec<_> = order.iter().map(|part| log.find(part).expect(&log)).collect();
    assert!(found.is_sorted(), "{log}");
}

#[test]
fn without_a_snapshot_the_restart_comes_all_the_same_and_the_reason_is_told() {
    if !has_node() {
        return;
    }
    let policy = json!({"maxRss": 100 << 20, "confirm": 300, "heapSnapshot": true});
    let source = "global.big = Buffer.alloc(150e6, 1); setInterval(() => {}, 1e6);";
    // Without the preload nobody could write one.
    let setup = Setup::command(&["sh", "-c", "unset NODE_OPTIONS; exec node app.js"]).worker();
    std::fs::write(setup.dir.path().join("app.js"), source).unwrap();
    let dir = setup.dir.path().to_str().unwrap().to_owned();
    let runner = setup.with("cwd", json!(dir)).with("memory", policy).start().ready();
    let status = runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == 1));
    assert_eq!(status.last_exit.unwrap().reason, ExitReason::MemoryLimit);
    let log = runner.output("stderr");
    assert!(log.contains("no heap snapshot before the restart: the app's process has told nothing"), "{log}");
}
