//! The developers' door: `cargo xtask <command>`.
//!
//! One file per command. Nothing here depends on `kube` or on the operator, so that `cargo xtask cluster up`
//! compiles in seconds on a fresh clone.

mod bench;
mod cache;
mod cluster;
mod demo;
mod deps;
mod docs;
mod r#gen;
mod hash;
mod image;
mod lint;
mod lock;
mod paths;
mod release;
mod sh;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of nodeapp-operator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start, stop and inspect a local Kubernetes
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Build the images, without Docker, and load them into the cluster
    Image(image::Args),
    /// From nothing to a rolling update under load
    Demo(demo::Args),
    /// Run every test tier
    Test(test::Args),
    /// Measure what is promised in numbers, beside PM2 from npm
    #[command(subcommand)]
    Bench(bench::Command),
    /// Write the generated files, or compare them
    Gen(r#gen::Args),
    /// Make the site of the manuals, and look at each of its links
    Docs(docs::Args),
    /// Format, clippy, generated files, charts, workflows
    Lint(lint::Args),
    /// What the release workflow needs: versions, SBOMs, krew's manifest, the chart's images
    #[command(subcommand)]
    Release(release::Command),
    /// Check, and install where possible, the programs the other commands need
    Deps(deps::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Cluster(command) => cluster::main(&command),
        Command::Image(args) => image::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Bench(command) => bench::main(&command),
        Command::Gen(args) => r#gen::main(&args),
        Command::Docs(args) => docs::main(&args),
        Command::Lint(args) => lint::main(&args),
        Command::Release(command) => release::main(&command),
        Command::Deps(args) => deps::main(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    #[test]
    fn every_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_the_manuals_show_is_one_of_these() {
        let pages = nodeapp_manual::pages(super::paths::repo()).expect("the manuals can be read");
        let calls = nodeapp_manual::calls(&pages, &[&["cargo", "xtask"]]);
        assert!(calls.len() > 30, "{} calls in the manuals", calls.len());
        for call in calls {
            let line = std::iter::once("cargo xtask").chain(call.words.iter().map(String::as_str));
            let Err(error) = super::Cli::command().try_get_matches_from(line) else { continue };
            let help = [
                ErrorKind::DisplayHelp,
                ErrorKind::DisplayVersion,
                ErrorKind::MissingSubcommand,
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ];
            assert!(help.contains(&error.kind()), "{}: {:?}: {error}", call.place, call.words);
        }
    }
}
