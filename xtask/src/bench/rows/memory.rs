//! How long a process is above its memory limit before its supervisor acts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nodeapp_load::Report;
use serde_json::json;

use crate::bench::load::{Kind, Load, get, lost};
use crate::bench::ours::{Runner, Setup};
use crate::bench::pm2::Pm2;
use crate::bench::proc;
use crate::bench::rig::{Rig, wait_for};
use crate::bench::stat::{count, median, quantile, ratio, seconds, time};
use crate::bench::table::{Line, above};
use crate::sh::Step;

pub(super) const HOW: &str = "A limit of 160 MiB, crossed at once by one request. The crossing is seen from outside, in \
the RSS of the app's process, every 2 ms; the drain has begun when the supervisor says so in its log. PM2 looks every \
30 s, so that the result depends on when the limit is crossed: one app in cluster mode is started per sample, and their \
crossings are spread over an interval. Four kept connections send 40 requests a second and 20 come anew meanwhile.";

const LIMIT_MIB: u64 = 160;
const GROW_MIB: u64 = 200;
/// PM2's, and the goal is stated against it.
const INTERVAL: Duration = Duration::from_secs(30);
const GOAL: f64 = 1.5;
const LOAD: Kind = Kind { keep_alive: 4, rate: Some(40.0), new: 20.0 };

/// Times from the crossing to the drain, and requests lost of all.
struct Found {
    times: Vec<Duration>,
    lost: u64,
    requests: u64,
}

impl Found {
    fn add(&mut self, report: &Report) {
        self.lost += lost(report);
        self.requests += report.requests();
    }
}

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let ours = ours(rig, rig.times(10, 2))?;
    step.note(&format!("ours: {}", words(&ours)));
    let pm2 = pm2(rig, rig.times(6, 2))?;
    step.note(&format!("PM2: {}", words(&pm2)));
    let (our_times, their_times) = (seconds(&ours.times), seconds(&pm2.times));
    let worst = quantile(&our_times, 1.0);
    let time_line = Line::new("crossing to drain, median and longest")
        .ours(words(&ours))
        .beside(words(&pm2))
        .ratio(ratio(median(&our_times), median(&their_times)))
        .goal("≤ 1.5 s", above(worst, GOAL, time));
    let lost_line = Line::new("requests lost meanwhile")
        .ours(format!("{} of {}", count(ours.lost), count(ours.requests)))
        .beside(format!("{} of {}", count(pm2.lost), count(pm2.requests)))
        .goal("0", (ours.lost > 0).then(|| count(ours.lost)));
    Ok(vec![time_line, lost_line])
}

fn words(found: &Found) -> String {
    let times = seconds(&found.times);
    format!("{}, longest {} ({} times)", time(median(&times)), time(quantile(&times, 1.0)), times.len())
}

/// Orders the growth, and waits until it is seen.
fn cross(port: u16, app: u32) -> Result<Instant> {
    let order = std::thread::spawn(move || get(port, "/grow", Duration::from_secs(10)));
    let until = Instant::now() + Duration::from_secs(10);
    while proc::rss(app)? <= LIMIT_MIB << 20 {
        anyhow::ensure!(Instant::now() < until, "the app does not grow");
        std::thread::sleep(Duration::from_millis(2));
    }
    let crossed = Instant::now();
    // Its answer may be the last of this process, and has to come all the same.
    let _ = order.join();
    Ok(crossed)
}

fn ours(rig: &Rig, times: usize) -> Result<Found> {
    let port = Rig::port()?;
    let runner = Setup::new(rig, &Rig::app("hello.js"), Some(port))?
        // The default of `maxMemoryRestart`'s confirm time, as the operator resolves it.
        .with("memory", json!({"maxRss": LIMIT_MIB << 20, "confirm": 1_000}))
        .env("GROW_MIB", GROW_MIB)
        .start_ready()?;
    let mut found = Found { times: vec![], lost: 0, requests: 0 };
    let load = Load::start(port, LOAD)?;
    for done in 1..=times {
        found.times.push(one_of_ours(&runner, port)?);
        runner.wait_online(done as u64)?;
        std::thread::sleep(Duration::from_millis(500));
    }
    found.add(&load.finish()?);
    Ok(found)
}

fn one_of_ours(runner: &Runner<'_>, port: u16) -> Result<Duration> {
    let told = || {
        let text = std::fs::read_to_string(runner.path("stderr")).unwrap_or_default();
        text.matches("restarting the app").count()
    };
    let (app, before) = (runner.app()?, told());
    let crossed = cross(port, app)?;
    wait_for("the runner to restart the app", INTERVAL, || (told() > before).then_some(()))?;
    Ok(crossed.elapsed())
}

fn pm2(rig: &Rig, samples: usize) -> Result<Found> {
    let pm2 = Pm2::new(rig)?;
    let ports = (0..samples).map(|_| Rig::port()).collect::<Result<Vec<_>>>()?;
    let apps = ports.iter().enumerate().map(|(index, port)| {
        json!({
            "name": format!("bench{index}"), "script": Rig::app("hello.js"), "instances": 1, "exec_mode": "cluster",
            "wait_ready": true, "max_memory_restart": format!("{LIMIT_MIB}M"), "kill_timeout": 5000,
            "env": {"PORT": port, "GROW_MIB": GROW_MIB, "HANDLER": 1},
        })
    });
    pm2.start(&apps.collect())?;
    let loads = ports.iter().map(|port| Load::start(*port, LOAD)).collect::<Result<Vec<_>>>()?;
    let told = |id: usize| {
        let text = std::fs::read_to_string(pm2.path("pm2.log")).unwrap_or_default();
        text.contains(&format!("Process {id} restarted because"))
    };
    let begun = Instant::now();
    let spread = INTERVAL / u32::try_from(samples)?;
    let mut crossings = vec![];
    let mut times = vec![None; samples];
    while times.iter().any(Option::is_none) {
        let next = crossings.len();
        if next < samples && begun.elapsed() >= spread * u32::try_from(next)? {
            let id = pm2_id(&pm2, next)?;
            let app = pm2.app(&format!("bench{next}"), id)?;
            crossings.push((id, cross(ports[next], app)?));
        }
        for ((id, crossed), time) in crossings.iter().zip(&mut times) {
            if time.is_none() && told(*id) {
                *time = Some(crossed.elapsed());
            }
        }
        anyhow::ensure!(begun.elapsed() < INTERVAL * 4, "PM2 has not restarted all of its apps: {times:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The last reload takes its time.
    std::thread::sleep(Duration::from_secs(2));
    let mut found = Found { times: times.into_iter().flatten().collect(), lost: 0, requests: 0 };
    for load in loads {
        found.add(&load.finish()?);
    }
    Ok(found)
}

/// The number of an app: those of a file start two at a time, so that theirs are in no order.
fn pm2_id(pm2: &Pm2<'_>, index: usize) -> Result<usize> {
    let ids = std::fs::read_dir(pm2.path("pids"))?.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.strip_prefix(&format!("bench{index}-"))?.strip_suffix(".pid")?.parse().ok()
    });
    ids.max().with_context(|| format!("PM2 has no app bench{index}"))
}
