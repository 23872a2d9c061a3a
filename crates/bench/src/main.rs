//! `nodeapp-bench`: makes fleets of `NodeApp`s in a control plane without controllers, carries them
//! out as a bare client or lets an operator do it, and prints what was counted as one line of JSON.
//!
//! The cluster is the one of KUBECONFIG. It is filled and left so: one cluster per measurement.

mod bare;
mod counts;
mod fill;
mod fleet;
mod operator;
mod seen;
mod stories;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use serde_json::Value;

#[derive(Parser)]
#[command(name = "nodeapp-bench", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a fleet that is well as its status tells, and pods of it, for those who list them.
    Fill(Fill),
    /// Carries out a fleet as a client that does nothing but the writes.
    Bare(Fleet),
    /// Lets the operator carry out a fleet that it finds at its start.
    Start(Operator),
    /// Edits specs of a settled fleet, one after the other.
    Edit(Operator),
    /// Starts the operator anew over a settled fleet.
    Restart(Operator),
    /// Ends the leader, again and again, while another one waits.
    Takeover(Operator),
}

#[derive(Args)]
struct Fleet {
    /// Number of `NodeApp`s.
    #[arg(long, default_value_t = 100)]
    apps: usize,
}

#[derive(Args)]
struct Fill {
    #[command(flatten)]
    fleet: Fleet,
    /// Number of pods, one for each app in turn.
    #[arg(long, default_value_t = 0)]
    pods: usize,
}

#[derive(Args)]
struct Operator {
    #[command(flatten)]
    fleet: Fleet,
    /// The operator's program.
    #[arg(long = "operator")]
    program: PathBuf,
    /// How often the thing is done that is measured.
    #[arg(long, default_value_t = 1)]
    times: usize,
}

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("a TLS provider is there already");
    }
    // As many threads as the operator has.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run()));
    match result {
        Ok(value) => {
            println!("{value}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("nodeapp-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Value> {
    match Arguments::parse().command {
        Command::Fill(given) => fill::run(given.fleet.apps, given.pods).await,
        Command::Bare(fleet) => bare::run(fleet.apps).await,
        Command::Start(given) => stories::start(&given.program, given.fleet.apps).await,
        Command::Edit(given) => stories::edit(&given.program, given.fleet.apps, given.times).await,
        Command::Restart(given) => stories::restart(&given.program, given.fleet.apps).await,
        Command::Takeover(given) => stories::takeover(&given.program, given.fleet.apps, given.times).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
