//! The only process is replaced, again and again, under load.

use std::time::Duration;

use anyhow::Result;
use nodeapp_load::Report;
use serde_json::json;

use crate::bench::load::{Kind, Load, lost};
use crate::bench::ours::Setup;
use crate::bench::pm2::Pm2;
use crate::bench::rig::Rig;
use crate::bench::stat::{count, float, ratio, time};
use crate::bench::table::Line;
use crate::sh::Step;

pub(super) const HOW: &str = "32 connections that are kept, with 500 requests a second each, and 100 new connections a \
second; no request is sent twice, and a connection that is refused is a lost request. `nodeapp-runner ctl restart` against `pm2 reload` and `pm2 restart` of \
one instance in cluster mode, `waitReady` in all of them. The handler is the one of PM2's documentation: on SIGINT, \
close the server, then exit. Lost is each request without a complete answer. Requests that cross the close of an idle \
connection are HTTP/1.1's own race; they are in the sum and also told apart where there are any. The ratio is of the requests lost in one replacement.";

const LOAD: Kind = Kind { keep_alive: 32, rate: Some(16_000.0), new: 100.0 };
/// Load before, between and after the replacements.
const BETWEEN: Duration = Duration::from_millis(300);

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let times = rig.times(20, 3);
    // Each takes it seconds under this load.
    let pm2_times = rig.times(8, 2);
    let mut lines = vec![];
    for handler in [true, false] {
        let with = if handler { "with" } else { "without" };
        let ours = ours(rig, handler, times)?;
        step.note(&format!("ours, {with} handler: {}", words(&ours, times)));
        for verb in ["reload", "restart"] {
            let theirs = pm2(rig, handler, verb, pm2_times)?;
            step.note(&format!("pm2 {verb}, {with} handler: {}", words(&theirs, pm2_times)));
            let failed = ours.failed();
            let line = Line::new(format!(
                "requests lost in so many replacements, PM2 by `pm2 {verb}`, {with} a SIGINT handler"
            ))
            .ours(words(&ours, times))
            .beside(words(&theirs, pm2_times))
            .ratio(ratio(per_one(&ours, times), per_one(&theirs, pm2_times)));
            lines.push(line.goal("0 lost", (failed > 0).then(|| count(failed))));
        }
    }
    Ok(lines)
}

/// Requests lost in one replacement.
fn per_one(report: &Report, times: u64) -> f64 {
    float(lost(report)) / float(times)
}

fn words(report: &Report, times: u64) -> String {
    let slowest = report.keep_alive.latency.max_ms.max(report.new_connection.latency.max_ms);
    let races = match report.idle_close_race() {
        0 => String::new(),
        races => format!(" ({} cut on a kept connection)", count(races)),
    };
    format!(
        "{} of {} in {times}{races}, slowest answer {}",
        count(lost(report)),
        count(report.requests()),
        time(slowest / 1e3)
    )
}

fn ours(rig: &Rig, handler: bool, times: u64) -> Result<Report> {
    let port = Rig::port()?;
    let runner = Setup::new(rig, &Rig::app("hello.js"), Some(port))?
        .with("readiness", json!({"waitReady": true}))
        .env("HANDLER", u8::from(handler))
        .start_ready()?;
    let load = Load::start(port, LOAD)?;
    for done in 1..=times {
        std::thread::sleep(BETWEEN);
        runner.restart()?;
        runner.wait_online(done)?;
    }
    std::thread::sleep(BETWEEN);
    load.finish()
}

fn pm2(rig: &Rig, handler: bool, verb: &str, times: u64) -> Result<Report> {
    let port = Rig::port()?;
    let pm2 = Pm2::new(rig)?;
    pm2.start(&json!([{
        "name": "bench", "script": Rig::app("hello.js"), "instances": 1, "exec_mode": "cluster", "wait_ready": true,
        "kill_timeout": 5000, "listen_timeout": 8000, "env": {"PORT": port, "HANDLER": u8::from(handler)},
    }]))?;
    let load = Load::start(port, LOAD)?;
    for _ in 0..times {
        std::thread::sleep(BETWEEN);
        pm2.run(&[verb, "bench", "--silent"])?;
    }
    std::thread::sleep(BETWEEN);
    load.finish()
}
