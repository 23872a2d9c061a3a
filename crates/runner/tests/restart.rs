//! Restarts in place under load: nothing fails.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::load::{Client, Load};
use support::{Runner, Setup, get, has_node};

const BUSY: Client = Client { keep_alive: true, pause: Duration::ZERO, path: "/" };
const NEW: Client = Client { keep_alive: false, pause: Duration::from_millis(2), path: "/" };
const SLOW: Client = Client { keep_alive: true, pause: Duration::from_millis(10), path: "/slow" };
const CALM: Client = Client { keep_alive: true, pause: Duration::from_millis(60), path: "/" };

/// `NODEAPP_TEST_RESTARTS` makes it as hard as one likes.
fn restarts_drop_nothing(setup: Setup) {
    let times = std::env::var("NODEAPP_TEST_RESTARTS").map_or(5, |times| times.parse().unwrap());
    let runner = setup.start().ready();
    let load = Load::start(runner.setup.port, &[(4, BUSY), (4, NEW), (2, SLOW), (3, CALM)]);
    for restart in 1..=times {
        load.more(200);
        assert!(runner.command("ctl restart").status().unwrap().success());
        runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == restart));
        runner.wait_ready();
    }
    load.more(200);
    let report = load.finish();
    assert!(report.failed.is_empty(), "{report:?}");
    assert!(report.closed_by_server >= times, "connections end by `Connection: close`: {report:?}");
}

#[test]
fn an_app_without_any_handler_is_restarted_in_place_and_no_request_fails() {
    if has_node() {
        restarts_drop_nothing(Setup::app("plain.js"));
    }
}

#[test]
fn an_app_with_a_handler_is_restarted_in_place_and_no_request_fails() {
    if has_node() {
        restarts_drop_nothing(Setup::app("graceful.mjs"));
    }
}

#[test]
fn a_pod_that_is_deleted_during_a_restart_in_place_serves_on_for_the_delay() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer((q, r) => setTimeout(() => r.end('ok'), q.url === '/slow' ? 1000 : 0))
                  .listen(Number(process.env.PORT));";
    let stop =
        json!({"killSignal": "SIGINT", "drainDelay": 5_000, "drainTimeout": 20_000, "killTimeout": 5_000});
    let runner = Setup::script(source).with("stop", stop).start().ready();
    let port = runner.setup.port;
    let slow = std::thread::spawn(move || get(port, "/slow").unwrap());
    runner.wait_for("the request to be in flight", || runner.status()?.in_flight.filter(|count| *count > 0));
    assert!(runner.command("ctl restart").status().unwrap().success());
    let mut hook = runner.command("drain").spawn().unwrap();
    let told = || runner.output("stderr").matches("draining").count();
    runner.wait_for("both orders", || (told() >= 1).then_some(()));
    // Whether the hook came before or after this one: no connection is lost.
    for _ in 0..20 {
        assert_eq!(runner.get("/").0, 200);
    }
    assert_eq!(slow.join().unwrap().0, 200);
    assert!(hook.wait().unwrap().success());
    assert_eq!(runner.status().unwrap().restarts, 1);
}

#[test]
fn a_crash_refuses_no_connection() {
    if !has_node() {
        return;
    }
    let runner = Setup::app("plain.js").start().ready();
    let load = Load::start(runner.setup.port, &[(8, NEW)]);
    for restart in 1..=3 {
        load.more(100);
        Runner::kill(runner.app_pid(), "KILL");
        runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == restart));
        runner.wait_ready();
    }
    load.more(100);
    let report = load.finish();
    let refused: u64 =
        report.failed.iter().filter(|(what, _)| what.starts_with("connect")).map(|(_, n)| n).sum();
    assert_eq!(refused, 0, "{report:?}");
    assert!(report.failed.values().sum::<u64>() <= 3 * 8, "only what was in flight: {report:?}");
}
