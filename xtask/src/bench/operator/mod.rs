//! `cargo xtask bench operator`: the operator on a real API server and etcd, without nodes and without any
//! controller but itself, beside a bare client; and its apps on a node beside PM2.

mod edit;
mod fleet;
pub(super) mod plane;
mod restart;
mod service;
mod takeover;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use super::rig::Rig;
use super::table::{Line, Subject, Topic};
use crate::image;
use crate::sh::Step;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Only these rows; the table goes to the terminal alone
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Row>,
    /// Few apps, few repetitions and a quicker build, to see that every row works; the table goes to the terminal alone
    #[arg(long)]
    quick: bool,
    /// Fleets of 10,000 apps too
    #[arg(long, conflicts_with = "quick")]
    all: bool,
}

/// A thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// A fleet that exists before the operator starts
    Fleet,
    /// From the edit of a spec to the Deployment
    Edit,
    /// The operator starts anew over a settled fleet
    Restart,
    /// Another operator takes the lead
    Takeover,
    /// Requests through a Service, beside PM2's cluster mode
    Service,
}

/// The programs, and how much is asked of them.
pub(crate) struct Bench {
    rig: Rig,
    operator: PathBuf,
    client: PathBuf,
    all: bool,
}

impl Row {
    const ALL: [Self; 5] = [Self::Fleet, Self::Edit, Self::Restart, Self::Takeover, Self::Service];

    fn topic(self) -> Topic {
        match self {
            Self::Fleet => fleet::TOPIC,
            Self::Edit => edit::TOPIC,
            Self::Restart => restart::TOPIC,
            Self::Takeover => takeover::TOPIC,
            Self::Service => service::TOPIC,
        }
    }

    fn run(self, bench: &Bench, step: &Step) -> Result<Vec<Line>> {
        match self {
            Self::Fleet => fleet::run(bench, step),
            Self::Edit => edit::run(bench, step),
            Self::Restart => restart::run(bench, step),
            Self::Takeover => takeover::run(bench, step),
            Self::Service => service::run(bench, step),
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let rig = Rig::prepare(args.quick)?;
    let (operator, client) = image::bench_programs(args.quick)?;
    let bench = Bench { rig, operator, client, all: args.all };
    let subject = Subject { command: "operator", ours: "nodeapp-operator", beside: "beside it" };
    let size = match args {
        Args { quick: true, .. } => super::Size::Quick,
        Args { all: true, .. } => super::Size::All,
        _ => super::Size::Usual,
    };
    super::run(subject, bench.rig.programs()?, &args.only, &Row::ALL, size, |row| {
        super::measure(row.topic(), |step| row.run(&bench, step))
    })
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
