//! `cargo xtask bench plugin`: how long the plugin takes over many apps, beside kubectl on the same cluster.

mod list;
mod logs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use super::stat::{median, quantile, ratio, time};
use super::table::{Line, Subject, Topic, above};
use super::{ecosystem, stat};
use crate::sh::Step;
use crate::{cache, cluster, paths, sh};

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Only these rows; the table goes to the terminal alone
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Row>,
    /// Fewer repetitions and fewer apps, to see that every row works; the table goes to the terminal alone
    #[arg(long)]
    quick: bool,
}

/// A thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// From the start of the program to its end
    Start,
    /// The list of 1,000 apps, and the dashboard over 1,000 pods
    Many,
    /// The logs of 20 pods that write 50,000 lines a second
    Logs,
}

/// The programs, and how much is asked of them.
struct Bench {
    plugin: PathBuf,
    quick: bool,
}

impl Row {
    const ALL: [Self; 3] = [Self::Start, Self::Many, Self::Logs];

    fn topic(self) -> Topic {
        match self {
            Self::Start => Topic {
                name: "start",
                title: "Start-up",
                how: "`kubectl-nodeapp version --client` beside `kubectl version --client`, from the spawn to the end, in turns.",
            },
            Self::Many => list::TOPIC,
            Self::Logs => logs::TOPIC,
        }
    }

    fn run(self, bench: &Bench, step: &Step) -> Result<Vec<Line>> {
        match self {
            Self::Start => start(bench),
            Self::Many => list::run(bench, step),
            Self::Logs => logs::run(bench, step),
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let bench = Bench { plugin: ecosystem::plugin()?, quick: args.quick };
    let subject = Subject { command: "plugin", ours: "kubectl-nodeapp", beside: "kubectl" };
    let size = if args.quick { super::Size::Quick } else { super::Size::Usual };
    let mut version = Command::new(kubectl()?);
    version.args(["version", "--client"]);
    let version = sh::output(&mut version)?;
    let version = version.lines().next().unwrap_or_default().replace("Client Version:", "kubectl");
    super::run(
        subject,
        format!("{version}; the plugin is the release build."),
        &args.only,
        &Row::ALL,
        size,
        |row| super::measure(row.topic(), |step| row.run(&bench, step)),
    )
}

fn kubectl() -> Result<PathBuf> {
    Ok(cache::bin_dir()?.join("kubectl"))
}

impl Bench {
    fn times<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// The plugin, asking this cluster.
    fn plugin(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.plugin);
        cluster::talk_to(&mut command, kubeconfig);
        command
    }
}

/// Seconds that each of two commands takes, again and again in turns, after once each to have everything in the page
/// cache.
fn in_turns(often: usize, mut ours: Command, mut beside: Command) -> Result<[Vec<f64>; 2]> {
    let mut times = [vec![], vec![]];
    for turn in 0..=often {
        for place in 0..2 {
            let which = (turn + place) % 2;
            let command = if which == 0 { &mut ours } else { &mut beside };
            let begun = Instant::now();
            sh::output(command)?;
            if turn > 0 {
                times[which].push(begun.elapsed().as_secs_f64());
            }
        }
    }
    Ok(times)
}

/// A line of two sets of times; the goal is for the median of ours.
fn line(what: &str, [ours, beside]: &[Vec<f64>; 2], goal: f64) -> Line {
    let spread = |times: &[f64]| {
        let [low, high] = [0.1, 0.9].map(|share| quantile(times, share));
        format!("{} ({} to {})", time(median(times)), time(low), time(high))
    };
    let middle = median(ours);
    Line::new(format!("{what}, {} times", stat::count(ours.len() as u64)))
        .ours(spread(ours))
        .beside(spread(beside))
        .ratio(ratio(middle, median(beside)))
        .goal(&format!("median ≤ {}", time(goal)), above(middle, goal, time))
}

fn start(bench: &Bench) -> Result<Vec<Line>> {
    let version = |program: &Path| {
        let mut command = Command::new(program);
        command.args(["version", "--client"]);
        command
    };
    let times = in_turns(bench.times(100, 10), version(&bench.plugin), version(&kubectl()?))?;
    Ok(vec![line("`version --client`", &times, 0.02)])
}

/// Fills a cluster with apps, pods, and statuses that say that all is well. How fast does not matter.
fn fill(kubeconfig: &Path, apps: u64, pods: u64) -> Result<()> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(paths::repo()).args(["build", "--package", "nodeapp-bench"]);
    sh::run("build nodeapp-bench", &mut build)?;
    let mut command = Command::new(paths::target().join("debug/nodeapp-bench"));
    cluster::talk_to(&mut command, kubeconfig);
    command.args(["fill", "--apps", &apps.to_string(), "--pods", &pods.to_string()]);
    sh::output(&mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_on_the_page_is_the_one_that_only_takes() {
        for row in Row::ALL {
            assert_eq!(Row::from_str(row.topic().name, false), Ok(row));
        }
        assert_eq!(Row::ALL.as_slice(), Row::value_variants());
    }
}
