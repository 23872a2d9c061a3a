//! `cargo xtask bench`: what is promised in numbers, measured beside PM2, or beside a client that does nothing
//! else, on the same machine in the same run.
//!
//! A measurement never fails a build: a number that is missed is said in the table, and a row that cannot be
//! measured says why.

mod ecosystem;
mod load;
mod machine;
mod operator;
mod ours;
mod plain;
mod plugin;
mod pm2;
mod proc;
mod redis;
mod rig;
mod rows;
mod stat;
mod table;

use std::time::Instant;

use anyhow::{Context, Result};
use clap::Subcommand;

use self::machine::Machine;
use self::rig::Rig;
use self::rows::Row;
use self::table::{Line, Measured, Subject, Topic};
use crate::sh::Step;
use crate::{paths, sh};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Command {
    /// The runner beside PM2: requests lost, memory, logs, start; a whole run writes docs/benchmarks.md
    Runner(Args),
    /// The operator beside a bare client, and its apps beside PM2; a whole run writes docs/benchmarks.md
    Operator(operator::Args),
    /// The forwarder beside a direct connection to Redis; a whole run writes docs/benchmarks.md
    Redis(redis::Args),
    /// The plugin without a cluster: audit, import and start-up; a whole run writes docs/benchmarks.md
    Ecosystem(ecosystem::Args),
    /// The plugin beside kubectl: 1,000 apps, 1,000 pods, 50,000 lines a second; a whole run writes docs/benchmarks.md
    Plugin(plugin::Args),
}

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Only these rows; the table goes to the terminal alone
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Row>,
    /// Fewer repetitions, to see that every row works
    #[arg(long)]
    quick: bool,
}

pub(crate) fn main(command: &Command) -> Result<()> {
    match command {
        Command::Runner(args) => runner(args),
        Command::Operator(args) => operator::main(args),
        Command::Redis(args) => redis::main(args),
        Command::Ecosystem(args) => ecosystem::main(args),
        Command::Plugin(args) => plugin::main(args),
    }
}

fn runner(args: &Args) -> Result<()> {
    let rig = Rig::prepare(args.quick)?;
    let subject = Subject { command: "runner", ours: "nodeapp-runner", beside: "PM2" };
    let size = if args.quick { Size::Quick } else { Size::Usual };
    run(subject, rig.programs()?, &args.only, &Row::ALL, size, |row| {
        measure(row.topic(), |step| row.run(&rig, step))
    })
}

/// How much is asked of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Quick,
    Usual,
    All,
}

impl Size {
    /// As it was asked for on the command line.
    const fn option(self) -> &'static str {
        match self {
            Self::Quick => " --quick",
            Self::Usual => "",
            Self::All => " --all",
        }
    }
}

/// Measures the rows that are asked for, or `all`, and tells of them.
fn run<Row: Copy>(
    subject: Subject,
    programs: String,
    only: &[Row],
    all: &[Row],
    size: Size,
    measure: impl Fn(Row) -> Measured,
) -> Result<()> {
    let machine = Machine::look(programs)?;
    let begun = Instant::now();
    let rows = if only.is_empty() { all } else { only };
    let measured: Vec<Measured> = rows.iter().map(|row| measure(*row)).collect();
    tell(subject, &machine, &measured, size.option(), begun, only.is_empty() && size != Size::Quick)
}

/// Prints the table, keeps the figures, and puts the table of a whole run into the page.
fn tell(
    subject: Subject,
    machine: &Machine,
    measured: &[Measured],
    options: &str,
    begun: Instant,
    whole: bool,
) -> Result<()> {
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let json = paths::output().join(format!("bench-{}.json", subject.command));
    let all = serde_json::json!({"machine": machine, "minutes": minutes, "rows": measured});
    std::fs::write(&json, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    let text = table::render(subject, machine, measured, options, minutes);
    println!("{text}");
    if whole {
        table::put_into_docs(subject, &text)?;
        sh::say("✓ written to docs/benchmarks.md");
    }
    sh::say(&format!("✓ all figures in {}", json.display()));
    Ok(())
}

/// One row; its failure is its result.
fn measure(topic: Topic, run: impl FnOnce(&Step) -> Result<Vec<Line>>) -> Measured {
    let step = Step::start(format!("measure {}: {}", topic.name, topic.title));
    let result = run(&step);
    match &result {
        Ok(lines) => step.done_with(&format!("{} lines", lines.len())),
        Err(error) => step.done_with(&format!("not measured: {error:#}")),
    }
    Measured::new(topic, result)
}
