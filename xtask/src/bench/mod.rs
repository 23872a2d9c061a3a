//! `cargo xtask bench`: what is promised in numbers, measured beside PM2 on the same machine in the same run.
//!
//! A measurement never fails a build: a number that is missed is said in the table, and a row that cannot be
//! measured says why.

mod load;
mod machine;
mod ours;
mod plain;
mod pm2;
mod proc;
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
use self::table::Measured;
use crate::{paths, sh};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Command {
    /// The runner beside PM2: requests lost, memory, logs, start; a whole run writes docs/benchmarks.md
    Runner(Args),
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
    let Command::Runner(args) = command;
    let rig = Rig::prepare(args.quick)?;
    let machine = Machine::look(&rig)?;
    let begun = Instant::now();
    let rows = if args.only.is_empty() { Row::ALL.to_vec() } else { args.only.clone() };
    let measured: Vec<Measured> = rows.iter().map(|row| measure(*row, &rig)).collect();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;

    let json = paths::output().join("bench-runner.json");
    let all = serde_json::json!({"machine": machine, "minutes": minutes, "rows": measured});
    std::fs::write(&json, serde_json::to_vec_pretty(&all)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    let text = table::render(&machine, &measured, args.quick, minutes);
    println!("{text}");
    if args.only.is_empty() {
        table::put_into_docs(&text)?;
        sh::say("✓ written to docs/benchmarks.md");
    }
    sh::say(&format!("✓ all figures in {}", json.display()));
    Ok(())
}

/// One row; its failure is its result.
fn measure(row: Row, rig: &Rig) -> Measured {
    let step = sh::Step::start(format!("measure {}: {}", row.name(), row.title()));
    let result = row.run(rig, &step);
    match &result {
        Ok(lines) => step.done_with(&format!("{} lines", lines.len())),
        Err(error) => step.done_with(&format!("not measured: {error:#}")),
    }
    Measured::new(row, result)
}
