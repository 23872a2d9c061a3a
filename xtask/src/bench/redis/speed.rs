//! Commands a second and their latency.

use anyhow::{Context, Result, ensure};

use super::Bench;
use super::server::{Pair, Security};
use crate::bench::stat::{count, median, quantile, time};
use crate::bench::table::{Line, Topic};
use crate::sh::{self, Step};

pub(super) const PLAIN: Topic = Topic {
    name: "plain",
    title: "Commands over plain TCP",
    how: "`redis-benchmark` with values of 100 bytes, once to the forwarder without a password and once to Redis itself \
          with it, one after the other in turns, the order changing. Figures are medians over the turns, ratios medians \
          of the ratios within a turn, with the 10th and 90th percentile. Benchmark, forwarder and Redis share the \
          processors of this machine, so that at full speed the forwarder also takes time from the other two; one \
          connection that waits for each answer shows what a command takes longer.",
};

pub(super) const TLS: Topic = Topic {
    name: "tls",
    title: "Commands over TLS",
    how: "The same with TLS: the forwarder's client speaks plain TCP, the other one TLS by OpenSSL. What TLS costs the \
          client is the forwarder's part in one column and the benchmark's in the other.",
};

/// How the commands are sent.
struct Shape {
    what: &'static str,
    connections: u32,
    pipeline: u32,
    /// Of each command, half a second's worth or so.
    commands: u64,
}

const SHAPES: [Shape; 3] = [
    Shape { what: "1 connection, one command at a time", connections: 1, pipeline: 1, commands: 10_000 },
    Shape {
        what: "50 connections, one command at a time each",
        connections: 50,
        pipeline: 1,
        commands: 40_000,
    },
    Shape { what: "50 connections, pipelines of 16", connections: 50, pipeline: 16, commands: 200_000 },
];
const COMMANDS: [&str; 2] = ["GET", "SET"];

/// What `redis-benchmark` says of one command.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    per_second: f64,
    /// Seconds.
    p50: f64,
    p99: f64,
}

/// Through the forwarder and directly, of one turn.
type Turn = (Figures, Figures);

pub(super) fn run(bench: &Bench, security: Security, step: &Step) -> Result<Vec<Line>> {
    let turns = if bench.quick { 2 } else { 7 };
    let pair = Pair::start(&bench.forwarder, security)?;
    let mut lines = vec![];
    for shape in &SHAPES {
        let mut samples: [Vec<Turn>; 2] = [vec![], vec![]];
        for turn in 0..turns {
            let part = if bench.quick { 10 } else { 1 };
            // Whoever comes second finds a warm machine.
            let first = measure(&pair, turn % 2 == 0, shape, part)?;
            let second = measure(&pair, turn % 2 != 0, shape, part)?;
            let (ours, direct) = if turn % 2 == 0 { (first, second) } else { (second, first) };
            for ((samples, ours), direct) in samples.iter_mut().zip(ours).zip(direct) {
                samples.push((ours, direct));
            }
        }
        for (command, turns) in COMMANDS.iter().zip(&samples) {
            lines.push(line(&format!("{command}, {}", shape.what), turns));
            step.note(&format!("{command}, {}", shape.what));
        }
    }
    Ok(lines)
}

fn measure(pair: &Pair, through: bool, shape: &Shape, part: u64) -> Result<[Figures; 2]> {
    let mut command = pair.benchmark(through);
    command.args(["-t", "get,set", "-d", "100", "-r", "10000"]);
    command.args(["-c", &shape.connections.to_string(), "-P", &shape.pipeline.to_string()]);
    command.args(["-n", &(shape.commands / part).to_string()]);
    let output = sh::output(&mut command)?;
    let [get, set] = COMMANDS.map(|name| read(&output, name));
    Ok([get?, set?])
}

/// The line of a command in `--csv`: name, requests a second, then average, least, p50, p95, p99, most in milliseconds.
fn read(csv: &str, command: &str) -> Result<Figures> {
    let line = csv.lines().find_map(|line| line.strip_prefix(&format!("\"{command}\",")));
    let line = line.with_context(|| format!("redis-benchmark says nothing of {command}: {csv}"))?;
    let fields: Vec<f64> = line.split(',').filter_map(|field| field.trim_matches('"').parse().ok()).collect();
    ensure!(fields.len() == 7, "redis-benchmark has other columns than known: {line}");
    Ok(Figures { per_second: fields[0], p50: fields[3] / 1e3, p99: fields[5] / 1e3 })
}

fn line(what: &str, turns: &[Turn]) -> Line {
    let of = |side: fn(&Turn) -> Figures, figure: fn(Figures) -> f64| {
        median(&turns.iter().map(|turn| figure(side(turn))).collect::<Vec<_>>())
    };
    let show = |side: fn(&Turn) -> Figures| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is a positive number"
        )]
        let rate = of(side, |figures| figures.per_second) as u64;
        let (p50, p99) = (of(side, |figures| figures.p50), of(side, |figures| figures.p99));
        format!("{}/s, p50 {}, p99 {}", count(rate), time(p50), time(p99))
    };
    let ratios = |figure: fn(Figures) -> f64| -> Vec<f64> {
        turns.iter().map(|(ours, direct)| figure(*ours) / figure(*direct)).collect()
    };
    let rate = ratios(|figures| figures.per_second);
    Line::new(what).ours(show(|turn| turn.0)).beside(show(|turn| turn.1)).ratio(format!(
        "{:.2}× ({:.2}–{:.2}) commands/s, {:.2}× p50, {:.2}× p99",
        median(&rate),
        quantile(&rate, 0.1),
        quantile(&rate, 0.9),
        median(&ratios(|figures| figures.p50)),
        median(&ratios(|figures| figures.p99)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_redis_benchmark_are_read() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\
            \"p99_latency_ms\",\"max_latency_ms\"\n\
            \"SET\",\"90000.00\",\"0.3\",\"0.1\",\"0.250\",\"0.5\",\"0.750\",\"2.0\"\n\
            \"GET\",\"100000.00\",\"0.3\",\"0.1\",\"0.125\",\"0.5\",\"0.500\",\"2.0\"\n";
        let get = read(csv, "GET").expect("a line");
        assert_eq!(get, Figures { per_second: 100_000.0, p50: 0.000_125, p99: 0.000_5 });
        assert!(read(csv, "PING").is_err() && read("\"GET\",\"1\"\n", "GET").is_err());
    }

    #[test]
    fn a_line_gives_medians_and_the_ratios_within_turns() {
        let figures = |per_second| Figures { per_second, p50: 0.001, p99: 0.002 };
        let turns = [
            (figures(50.0), figures(100.0)),
            (figures(40.0), figures(50.0)),
            (figures(90.0), figures(100.0)),
        ];
        let line = line("GET", &turns);
        assert_eq!(line.ours, "50/s, p50 1.00 ms, p99 2.00 ms");
        assert_eq!(line.ratio, "0.80× (0.50–0.90) commands/s, 1.00× p50, 1.00× p99");
    }
}
