//! Memory of the supervisor itself.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::bench::load::get;
use crate::bench::ours::{Runner, Setup};
use crate::bench::pm2::Pm2;
use crate::bench::proc;
use crate::bench::rig::{Rig, wait_for};
use crate::bench::stat::{float, megabytes, ratio};
use crate::bench::table::{Line, above};
use crate::sh::Step;

pub(super) const HOW: &str = "RSS, and PSS in parentheses, 5 s after the last app is ready, without requests. A runner \
is there once per process; PM2's daemon once per host, so that its share is given for each number of processes (cluster \
mode).";

const IDLE: Duration = Duration::from_secs(5);
const GOAL: f64 = 2e6;

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let size = float(std::fs::metadata(rig.runner())?.len());
    let goal = |value: f64| above(value, GOAL, megabytes);
    let pm2_size = float(folder_size(&rig.module(""))?);
    let mut lines = vec![
        Line::new("size of the program; of PM2, all it installs, without Node.js")
            .ours(megabytes(size))
            .beside(megabytes(pm2_size))
            .ratio(ratio(size, pm2_size))
            .goal("≤ 2 MB", goal(size)),
    ];
    let (rss, pss, after) = ours(rig)?;
    step.note(&format!("the runner idle: {}", megabytes(rss)));
    for processes in [1_u32, 4, 16] {
        let (daemon, daemon_pss) = pm2(rig, processes)?;
        step.note(&format!("PM2's daemon with {processes} processes: {}", megabytes(daemon)));
        let share = daemon / f64::from(processes);
        lines.push(
            Line::new(format!("per process, {processes} on the host"))
                .ours(format!("{} ({})", megabytes(rss), megabytes(pss)))
                .beside(format!(
                    "{} of {} ({} of {})",
                    megabytes(share),
                    megabytes(daemon),
                    megabytes(daemon_pss / f64::from(processes)),
                    megabytes(daemon_pss)
                ))
                .ratio(ratio(rss, share))
                .goal("≤ 2 MB RSS", goal(rss)),
        );
    }
    lines.push(Line::new("after 1,000 requests of `/metrics` and `/status`").ours(megabytes(after)));
    Ok(lines)
}

/// RSS and PSS idle, and RSS after requests to its endpoint.
fn ours(rig: &Rig) -> Result<(f64, f64, f64)> {
    let port = Rig::port()?;
    let runner = Setup::new(rig, &Rig::app("hello.js"), Some(port))?.start_ready()?;
    std::thread::sleep(IDLE);
    let (rss, pss) = (float(proc::rss(runner.pid())?), float(proc::pss(runner.pid())?));
    ask(&runner, 500);
    Ok((rss, pss, float(proc::rss(runner.pid())?)))
}

fn ask(runner: &Runner<'_>, times: usize) {
    for _ in 0..times {
        let _ = runner.status();
        let _ = runner.page("/metrics");
    }
}

fn pm2(rig: &Rig, processes: u32) -> Result<(f64, f64)> {
    let port = Rig::port()?;
    let pm2 = Pm2::new(rig)?;
    pm2.start(&json!([{
        "name": "bench", "script": Rig::app("hello.js"), "instances": processes, "exec_mode": "cluster",
        "env": {"PORT": port},
    }]))?;
    wait_for("the app under PM2", Duration::from_mins(1), || get(port, "/", Duration::from_secs(5)))?;
    std::thread::sleep(IDLE);
    let daemon = pm2.daemon()?;
    Ok((float(proc::rss(daemon)?), float(proc::pss(daemon)?)))
}

fn folder_size(dir: &std::path::Path) -> Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            size += folder_size(&entry.path())?;
        } else if kind.is_file() {
            size += entry.metadata()?.len();
        }
    }
    Ok(size)
}
