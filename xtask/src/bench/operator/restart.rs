//! The operator starts anew over a fleet in which nothing is to be done.

use anyhow::Result;

use super::Bench;
use super::plane::{number, run as counted};
use crate::bench::stat::{count, time};
use crate::bench::table::{Line, Topic};
use crate::sh::Step;

pub(super) const TOPIC: Topic = Topic {
    name: "restart",
    title: "The operator started anew over a settled fleet",
    how: "SIGTERM, its end, a new process, until it has looked at every app and is at rest. Writes are what the API \
server counts of creates, updates, patches and deletions of apps, children and Events; the Lease is not among them. The \
goal's anchor: an operator in Go sends 4,000 requests over 1,000 apps.",
};

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let apps: u64 = bench.rig.times(1_000, 50);
    let told = counted(bench, "restart", apps, None)?;
    let writes = number(&told, "writes")? + number(&told, "writes_told")?;
    let [requests, seconds, cpu] =
        ["requests", "settled_seconds", "cpu_seconds"].map(|field| number(&told, field));
    let words = format!(
        "{writes:.0} writes; {:.0} requests in all, at rest after {}, {:.2} s of CPU time",
        requests?,
        time(seconds?),
        cpu?
    );
    step.note(&words);
    let missed = (writes > 0.0).then(|| format!("{writes:.0}"));
    Ok(vec![Line::new(format!("{} apps", count(apps))).ours(words).goal("no write but the Lease", missed)])
}
