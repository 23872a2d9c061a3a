//! Time from the spawn to the first answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bench::ours::Setup;
use crate::bench::plain::Plain;
use crate::bench::pm2::Pm2;
use crate::bench::rig::Rig;
use crate::bench::stat::{median, quantile, time};
use crate::bench::table::{Line, above};
use crate::sh::Step;

pub(super) const HOW: &str = "From the spawn of `node hello.js`, or of `nodeapp-runner run`, to the first answer on its \
port; one after the other, in turns. The ratio is the median of the ratios within a turn, with the 10th and 90th \
percentile. PM2: the command `pm2 start`, with its daemon running already.";

const GOAL: f64 = 1.05;

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let turns = rig.times(120, 10);
    let (mut bare, mut ours, mut without) = (vec![], vec![], vec![]);
    for turn in 0..turns {
        // Nobody is always the first.
        for place in 0..3 {
            match (turn + place) % 3 {
                0 => bare.push(start_bare(rig)?),
                1 => ours.push(start_ours(rig, true)?),
                _ => without.push(start_ours(rig, false)?),
            }
        }
    }
    step.note(&format!("bare {}, ours {}", words(&bare), words(&ours)));
    let pm2 = start_pm2(rig, rig.times(20, 3))?;
    step.note(&format!("PM2 {}", words(&pm2)));
    let line = |what: &str, ours: &[f64]| {
        let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
        let [low, mid, high] = [0.1, 0.5, 0.9].map(|share| quantile(&ratios, share));
        let line = Line::new(format!("{what}, {turns} turns, bare {}", words(&bare)))
            .ours(words(ours))
            .ratio(format!("{mid:.3}× bare ({low:.2}–{high:.2})"));
        (line, mid)
    };
    let (first, ratio) = line("with the preload", &ours);
    let goal = above(ratio, GOAL, |by| format!("{by:.3}×"));
    let first = first.beside(words(&pm2)).goal("median ≤ 1.05× bare", goal);
    Ok(vec![first, line("`pmx: false`, no preload", &without).0])
}

fn words(samples: &[f64]) -> String {
    let [low, high] = [0.1, 0.9].map(|share| time(quantile(samples, share)));
    format!("{} ({low} to {high})", time(median(samples)))
}

fn start_bare(rig: &Rig) -> Result<f64> {
    let port = Rig::port()?;
    let begun = Instant::now();
    let _app = Plain::start(rig, &Rig::app("hello.js"), &[("PORT", port.to_string())])?;
    first_answer(port, begun)
}

fn start_ours(rig: &Rig, preload: bool) -> Result<f64> {
    let port = Rig::port()?;
    let setup = Setup::new(rig, &Rig::app("hello.js"), Some(port))?;
    let setup = if preload { setup } else { setup.with("preload", json!({"enabled": false})) };
    let begun = Instant::now();
    let _runner = setup.start()?;
    first_answer(port, begun)
}

fn start_pm2(rig: &Rig, times: usize) -> Result<Vec<f64>> {
    let pm2 = Pm2::new(rig)?;
    pm2.run(&["ping", "--silent"])?;
    let mut samples = vec![];
    for _ in 0..times {
        let port = Rig::port()?;
        let script = Rig::app("hello.js");
        let mut command = pm2.command(&["start", "--silent", &script.to_string_lossy()]);
        command.env("PORT", port.to_string());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let begun = Instant::now();
        let mut start = command.spawn()?;
        let answered = first_answer(port, begun);
        start.wait()?;
        samples.push(answered?);
        pm2.run(&["delete", "hello", "--silent"])?;
    }
    Ok(samples)
}

/// Asks without a pause worth mentioning until there is an answer; seconds since `begun`.
fn first_answer(port: u16, begun: Instant) -> Result<f64> {
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
            let mut answer = [0_u8; 12];
            stream.read_exact(&mut answer)?;
            ensure!(answer.ends_with(b" 200"), "the app answers {:?}", String::from_utf8_lossy(&answer));
            return Ok(begun.elapsed().as_secs_f64());
        }
        ensure!(begun.elapsed() < Duration::from_secs(30), "nothing listens on port {port}");
        std::thread::sleep(Duration::from_micros(200));
    }
}
