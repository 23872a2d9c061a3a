//! Restarts in place under load: nothing fails.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::time::Duration;

use support::load::{Client, Load};
use support::{Runner, Setup, has_node};

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
