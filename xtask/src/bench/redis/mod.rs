//! `cargo xtask bench redis`: a redis-server through the forwarder, beside the same one directly.

mod memory;
mod server;
mod speed;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use self::server::Security;
use super::table::{Line, Subject, Topic};
use crate::sh::Step;
use crate::{deps, image, sh};

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Only these rows; the table goes to the terminal alone
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Row>,
    /// Fewer and shorter repetitions, to see that every row works
    #[arg(long)]
    quick: bool,
}

/// A thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Commands over plain TCP
    Plain,
    /// Commands over TLS
    Tls,
    /// Size and memory
    Memory,
}

/// The program, and how much is asked of it.
pub(crate) struct Bench {
    forwarder: PathBuf,
    quick: bool,
}

impl Row {
    const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Memory];

    fn topic(self) -> Topic {
        match self {
            Self::Plain => speed::PLAIN,
            Self::Tls => speed::TLS,
            Self::Memory => memory::TOPIC,
        }
    }

    fn run(self, bench: &Bench, step: &Step) -> Result<Vec<Line>> {
        match self {
            Self::Plain => speed::run(bench, Security::Plain, step),
            Self::Tls => speed::run(bench, Security::Tls, step),
            Self::Memory => memory::run(bench, step),
        }
    }
}

pub(crate) fn main(args: &Args) -> Result<()> {
    deps::require(deps::BENCH_REDIS)?;
    let bench = Bench { forwarder: image::program("nodeapp-forwarder")?, quick: args.quick };
    let version = |program: &str| sh::output(Command::new(program).arg("--version"));
    let server = version("redis-server")?;
    let server = server.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?");
    let programs = format!(
        "redis-server {server} and {} from Debian in both columns.",
        version("redis-benchmark")?.trim()
    );
    let subject = Subject { command: "redis", ours: "through the forwarder", beside: "direct" };
    let size = if args.quick { super::Size::Quick } else { super::Size::Usual };
    super::run(subject, programs, &args.only, &Row::ALL, size, |row| {
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
