//! A fleet that is there before the operator is.

use anyhow::Result;
use serde_json::Value;

use super::Bench;
use super::plane::{by_verb, number, run as counted};
use crate::bench::stat::{count, float, median, megabytes, ratio, time};
use crate::bench::table::{Line, Topic, above};
use crate::sh::Step;

pub(super) const TOPIC: Topic = Topic {
    name: "fleet",
    title: "A fleet created with the operator stopped, then started",
    how: "API server and etcd, no node and no controller manager, so that nobody else writes; a new control plane for \
each measurement. Each app has an account, a revision, a Service, a budget and a Deployment. Ours: from the start of \
the operator's process (release build, all namespaces, with its Lease) until the last Deployment, which is written \
last, is seen by a watch; its lists and watches are in it. Beside it a bare client in the same language, with the same \
library: no watch, nothing to decide, the objects made beforehand, the same writes (each child, then the status) for as \
many apps at a time; its clock runs to the same sight. In turns; medians. Requests are the API server's own count until \
all is at rest; CPU time and the peak of RSS too, the steady RSS 10 s later. Requests of apps are all but lists, watches, \
the Lease and what the start asks once, which are told as `besides`.",
};

const CHILDREN: f64 = 5.0;
const TIME_GOAL: f64 = 1.3;
const MEMORY_GOAL: f64 = 40e6;
/// The size that the goal of memory is about.
const MEMORY_AT: u64 = 1_000;

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let mut sizes: Vec<(u64, usize)> = bench.rig.times(vec![(100, 3), (1_000, 3), (5_000, 1)], vec![(50, 1)]);
    if bench.all {
        sizes.push((10_000, 1));
    }
    let mut lines = vec![];
    for (apps, rounds) in sizes {
        let (mut bare, mut ours) = (vec![], vec![]);
        for round in 0..rounds {
            // Nobody is always the first.
            for place in 0..2 {
                if (round + place) % 2 == 0 {
                    bare.push(counted(bench, "bare", apps, None)?);
                } else {
                    ours.push(counted(bench, "start", apps, None)?);
                }
            }
        }
        step.note(&format!("{} apps: {} s beside {} s", count(apps), all(&ours), all(&bare)));
        lines.extend(lines_of(apps, &ours, &bare)?);
    }
    Ok(lines)
}

fn all(runs: &[Value]) -> String {
    let seconds = runs.iter().filter_map(|run| run["seconds"].as_f64());
    seconds.map(|seconds| format!("{seconds:.2}")).collect::<Vec<_>>().join("/")
}

fn lines_of(apps: u64, ours: &[Value], bare: &[Value]) -> Result<Vec<Line>> {
    let of = |runs: &[Value], field: &str| -> Result<f64> {
        let values: Vec<f64> = runs.iter().map(|run| number(run, field)).collect::<Result<_>>()?;
        Ok(median(&values))
    };
    let (seconds, beside) = (of(ours, "seconds")?, of(bare, "seconds")?);
    let name = count(apps);
    let children = Line::new(format!("{name} apps: all children exist, median of {}", ours.len()))
        .ours(time(seconds))
        .beside(format!("bare client {}", time(beside)))
        .ratio(ratio(seconds, beside))
        .goal("≤ 1.3×", above(seconds / beside, TIME_GOAL, |by| format!("{by:.2}×")));
    let number_of_apps = float(apps);
    let requests = of(ours, "requests_of_apps")?;
    let per_app = requests / number_of_apps;
    let besides = of(ours, "requests")? - requests;
    let requests = Line::new(format!("{name} apps: API requests per app"))
        .ours(format!(
            "{per_app:.2}, and {besides:.0} besides for all ({})",
            by_verb(&ours[0], number_of_apps)
        ))
        .beside(format!("bare client {:.2}", CHILDREN + 1.0))
        .ratio(ratio(per_app, CHILDREN + 1.0))
        .goal("≤ children + 1", above(per_app, CHILDREN + 1.0, |by| format!("{by:.2}")));
    let cpu = Line::new(format!("{name} apps: CPU time until all is at rest")).ours(format!(
        "{:.2} s, at rest after {}",
        of(ours, "cpu_seconds")?,
        time(of(ours, "settled_seconds")?)
    ));
    let (steady, peak) = (of(ours, "rss_steady")?, of(ours, "rss_peak")?);
    let memory = Line::new(format!("{name} apps: RSS steady, and at its peak")).ours(format!(
        "{}, {}",
        megabytes(steady),
        megabytes(peak)
    ));
    let memory = if apps == MEMORY_AT {
        memory.goal("≤ 40 MB steady", above(steady, MEMORY_GOAL, megabytes))
    } else {
        memory
    };
    Ok(vec![children, requests, cpu, memory])
}
