//! From the edit of a spec to the Deployment.

use anyhow::Result;

use super::Bench;
use super::plane::{numbers, run as counted};
use crate::bench::stat::{count, quantile, time};
use crate::bench::table::{Line, Topic, above};
use crate::sh::Step;

pub(super) const TOPIC: Topic = Topic {
    name: "edit",
    title: "From the edit of a spec to the Deployment patched",
    how: "A settled fleet; one app after the other gets another variable, which makes a new revision and a new pod \
template: two writes. From the moment that the edit is sent, and from its acknowledgement, until a watch sees the \
Deployment changed.",
};

const GOAL: f64 = 0.05;

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let (apps, times): (u64, u64) = bench.rig.times((1_000, 500), (50, 20));
    let edits = counted(bench, "edit", apps, Some(times))?;
    let line = |what: &str, field: &str| -> Result<(Line, f64)> {
        let samples = numbers(&edits, field)?;
        let [middle, p99, slowest] = [0.5, 0.99, 1.0].map(|share| quantile(&samples, share));
        let words = format!("p50 {}, p99 {}, slowest {}", time(middle), time(p99), time(slowest));
        step.note(&format!("{what}: {words}"));
        let samples = samples.len() as u64;
        let line = Line::new(format!("{} apps, {} edits, {what}", count(apps), count(samples))).ours(words);
        Ok((line, p99))
    };
    let (sent, p99) = line("from the edit sent", "from_sent")?;
    let (acknowledged, _) = line("from the edit acknowledged", "from_acknowledged")?;
    Ok(vec![sent.goal("p99 ≤ 50 ms", above(p99, GOAL, time)), acknowledged])
}
