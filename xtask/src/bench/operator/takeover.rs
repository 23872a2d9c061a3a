//! Another operator takes the lead.

use anyhow::Result;

use super::Bench;
use super::plane::{numbers, run as counted};
use crate::bench::stat::{count, median, time};
use crate::bench::table::{Line, Topic};
use crate::sh::Step;

pub(super) const TOPIC: Topic = Topic {
    name: "takeover",
    title: "From the end of the leader to the other one at work",
    how: "Two operators over a settled fleet, one leads. From the moment it is killed, or told to end, until the other \
one has carried out an edit that was made after it. A Lease that is not renewed holds for 15 s, as those of Kubernetes' \
own controllers do; one that is given away is seen within 2 s. Then everything is listed and looked at.",
};

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let (apps, times): (u64, u64) = bench.rig.times((1_000, 3), (50, 1));
    let told = counted(bench, "takeover", apps, Some(times))?;
    let line = |what: &str, field: &str| -> Result<Line> {
        let samples = numbers(&told, field)?;
        let longest = samples.iter().copied().fold(0.0, f64::max);
        let words = format!("{}, longest {}", time(median(&samples)), time(longest));
        step.note(&format!("{what}: {words}"));
        Ok(Line::new(format!("{} apps, {what}, {} times", count(apps), samples.len())).ours(words))
    };
    Ok(vec![
        line("the leader killed by SIGKILL", "after_kill")?,
        line("the leader ended by SIGTERM", "after_terminate")?,
    ])
}
