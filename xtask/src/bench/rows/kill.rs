//! The process is killed by SIGKILL while new connections come.

use std::time::Duration;

use anyhow::Result;
use nodeapp_load::Report;
use nodeapp_load::report::Failure;
use rustix::process::Signal;
use serde_json::json;

use crate::bench::load::{Kind, Load, failures};
use crate::bench::ours::Setup;
use crate::bench::pm2::Pm2;
use crate::bench::rig::Rig;
use crate::bench::stat::{count, float, ratio, time};
use crate::bench::table::Line;
use crate::bench::{proc, rig};
use crate::sh::Step;

pub(super) const HOW: &str = "One request on each connection, `kill -9` of the app's process every 1.5 s. With two \
instances of PM2 one of them is killed in turn. Both are asked on the port itself; what a Service adds is measured by \
the tests in the cluster. The slowest answer shows what a connection waited for the next process.";

const LOAD: Kind = Kind { keep_alive: 0, rate: None, new: 500.0 };
const BETWEEN: Duration = Duration::from_millis(1_500);

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let kills = rig.times(5, 1);
    let ours = ours(rig, kills)?;
    step.note(&format!("ours: {}", words(&ours)));
    let mut lines = vec![];
    for instances in [1, 2] {
        let theirs = pm2(rig, kills, instances)?;
        step.note(&format!("PM2, {instances} in cluster mode: {}", words(&theirs)));
        let refused = refused(&ours);
        let line = Line::new(format!("{kills} × `kill -9`, PM2 with {instances} in cluster mode"))
            .ours(words(&ours))
            .beside(words(&theirs))
            .ratio(ratio(float(ours.failed()), float(theirs.failed())));
        lines.push(line.goal("0 refused", (refused > 0).then(|| count(refused))));
    }
    Ok(lines)
}

fn refused(report: &Report) -> u64 {
    failures(report, |kind| kind == Failure::Refused)
}

fn words(report: &Report) -> String {
    let other = report.failed() - refused(report) - failures(report, Failure::is_reset);
    let other = if other > 0 { format!(", {other} failed otherwise") } else { String::new() };
    let latency = &report.new_connection.latency;
    format!(
        "{} refused, {} reset{other} of {}; p99 {}, slowest {}",
        count(refused(report)),
        count(failures(report, Failure::is_reset)),
        count(report.requests()),
        time(latency.p99_ms / 1e3),
        time(latency.max_ms / 1e3)
    )
}

/// Kills what `victim` names, and waits until another process is there.
fn kill_all(kills: usize, victim: impl Fn(usize) -> Result<u32>) -> Result<()> {
    for turn in 0..kills {
        std::thread::sleep(BETWEEN);
        let old = victim(turn)?;
        proc::signal(old, Signal::KILL)?;
        rig::wait_for("another process after the kill", Duration::from_secs(30), || {
            victim(turn).ok().filter(|new| *new != old)
        })?;
    }
    std::thread::sleep(BETWEEN);
    Ok(())
}

fn ours(rig: &Rig, kills: usize) -> Result<Report> {
    let port = Rig::port()?;
    let runner = Setup::new(rig, &Rig::app("hello.js"), Some(port))?.start_ready()?;
    let load = Load::start(port, LOAD)?;
    kill_all(kills, |_| runner.app())?;
    load.finish()
}

fn pm2(rig: &Rig, kills: usize, instances: usize) -> Result<Report> {
    let port = Rig::port()?;
    let pm2 = Pm2::new(rig)?;
    pm2.start(&json!([{
        "name": "bench", "script": Rig::app("hello.js"), "instances": instances, "exec_mode": "cluster",
        "wait_ready": true, "env": {"PORT": port},
    }]))?;
    let load = Load::start(port, LOAD)?;
    kill_all(kills, |turn| pm2.app("bench", turn % instances))?;
    load.finish()
}
