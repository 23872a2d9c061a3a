//! What supervision costs the app: memory, requests a second, latency.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::bench::load::{Kind, Load, get};
use crate::bench::ours::Setup;
use crate::bench::plain::Plain;
use crate::bench::pm2::Pm2;
use crate::bench::proc;
use crate::bench::rig::{Rig, wait_for};
use crate::bench::stat::{float, median, megabytes, time};
use crate::bench::table::Line;
use crate::sh::Step;

pub(super) const HOW: &str = "The hello server bare, under the runner with its preload, and under PM2 in fork mode with \
its library, all alive at the same time. Requests: 16 kept connections that ask as soon as they are answered, one \
server after the other in slices of one second, medians over the slices; the ratios are medians of the ratios within a \
round, to bare node. Memory: the median of several processes of each kind, idle for 5 s, before the first request of \
the load. The load shares the processors with the server.";

const LOAD: Kind = Kind { keep_alive: 16, rate: None, new: 0.0 };
const SLICE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);
const COLUMNS: usize = 3;

/// One figure of each column: bare, ours, PM2.
type Samples = [Vec<f64>; COLUMNS];

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let rss = memory(rig, rig.times(8, 3))?;
    let mut lines = vec![memory_line(&rss)];
    step.note(&format!("memory: {} / {}", lines[0].ours, lines[0].beside));
    let (rates, p99) = requests(rig, rig.times(20, 4))?;
    for (what, samples, show) in [
        ("requests a second", &rates, (|rate| format!("{rate:.0}")) as fn(f64) -> String),
        ("p99 of a request", &p99, time),
    ] {
        lines.push(ratio_line(what, samples, show));
        let line = &lines[lines.len() - 1];
        step.note(&format!("{what}: {} / {}", line.ours, line.beside));
    }
    Ok(lines)
}

fn memory_line(rss: &Samples) -> Line {
    let [bare, ours, pm2] = rss.each_ref().map(|samples| median(samples));
    let column = |value: f64| format!("{} (+{})", megabytes(value), megabytes(value - bare));
    Line::new(format!("RSS of the app, bare {}", megabytes(bare)))
        .ours(column(ours))
        .beside(column(pm2))
        .ratio(crate::bench::stat::ratio(ours - bare, pm2 - bare) + " of the addition")
}

fn ratio_line(what: &str, samples: &Samples, show: fn(f64) -> String) -> Line {
    let [bare, ours, pm2] = samples;
    let column = |values: &[f64]| {
        let ratios: Vec<f64> = values.iter().zip(bare).map(|(value, bare)| value / bare).collect();
        format!("{} ({:.3}× bare)", show(median(values)), median(&ratios))
    };
    let ratios: Vec<f64> = ours.iter().zip(pm2).map(|(ours, pm2)| ours / pm2).collect();
    Line::new(format!("{what}, bare {}", show(median(bare))))
        .ours(column(ours))
        .beside(column(pm2))
        .ratio(format!("{:.2}×", median(&ratios)))
}

fn answered(port: u16) -> Result<()> {
    wait_for("an answer", Duration::from_secs(30), || get(port, "/", Duration::from_secs(5))).map(drop)
}

fn memory(rig: &Rig, processes: usize) -> Result<Samples> {
    let app = Rig::app("hello.js");
    let ports: Vec<u16> = (0..COLUMNS * processes).map(|_| Rig::port()).collect::<Result<_>>()?;
    let (for_bare, rest) = ports.split_at(processes);
    let (for_ours, for_pm2) = rest.split_at(processes);
    let mut bare = vec![];
    let mut ours = vec![];
    for (bare_port, our_port) in for_bare.iter().zip(for_ours) {
        bare.push(Plain::start(rig, &app, &[("PORT", bare_port.to_string())])?);
        ours.push(Setup::new(rig, &app, Some(*our_port))?.start()?);
    }
    let pm2 = Pm2::new(rig)?;
    let apps = for_pm2.iter().enumerate().map(|(index, port)| {
        json!({"name": format!("bench{index}"), "script": app, "exec_mode": "fork", "env": {"PORT": port}})
    });
    pm2.start(&apps.collect())?;
    for port in &ports {
        answered(*port)?;
    }
    std::thread::sleep(IDLE);
    let rss = |pid: u32| proc::rss(pid).map(float);
    let under_pm2 = pm2.apps()?;
    Ok([
        bare.iter().map(|app| rss(app.pid())).collect::<Result<_>>()?,
        ours.iter().map(|runner| rss(runner.app()?)).collect::<Result<_>>()?,
        under_pm2.into_iter().map(rss).collect::<Result<_>>()?,
    ])
}

fn requests(rig: &Rig, rounds: usize) -> Result<(Samples, Samples)> {
    let app = Rig::app("hello.js");
    let ports = [Rig::port()?, Rig::port()?, Rig::port()?];
    let _bare = Plain::start(rig, &app, &[("PORT", ports[0].to_string())])?;
    let _ours = Setup::new(rig, &app, Some(ports[1]))?.start()?;
    let pm2 = Pm2::new(rig)?;
    pm2.start(&json!([{"name": "bench", "script": app, "exec_mode": "fork", "env": {"PORT": ports[2]}}]))?;
    for port in ports {
        answered(port)?;
        // What the engine compiles while it is warm does not belong to the first slice.
        slice(port)?;
    }
    let (mut rates, mut p99) = (Samples::default(), Samples::default());
    for round in 0..rounds {
        for turn in 0..COLUMNS {
            // Whoever comes first in one round comes last in another.
            let column = (turn + round) % COLUMNS;
            let (rate, slow) = slice(ports[column])?;
            rates[column].push(rate);
            p99[column].push(slow);
        }
    }
    Ok((rates, p99))
}

/// Requests a second, and the p99 in seconds.
fn slice(port: u16) -> Result<(f64, f64)> {
    let load = Load::start(port, LOAD)?;
    std::thread::sleep(SLICE);
    let report = load.finish()?;
    anyhow::ensure!(
        report.failed() == 0,
        "{} requests failed without any reason: {:?}",
        report.failed(),
        report.samples
    );
    Ok((float(report.ok()) / (float(report.elapsed_ms) / 1e3), report.keep_alive.latency.p99_ms / 1e3))
}
