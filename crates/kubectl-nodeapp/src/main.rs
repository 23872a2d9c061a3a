//! `kubectl nodeapp`: what PM2's command line is for PM2. The same program
//! answers as `kubectl pm2` when it is installed under that name.

mod audit;
mod cluster;
mod dev;
mod dumps;
mod files;
mod import;
mod init;
mod inspect;
mod instances;
mod logs;
mod monit;
mod one;
mod production;
mod render;
mod report;
mod select;
mod table;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Node.js apps on Kubernetes, as PM2 would run them.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Audit(audit::Args),
    CpuProfile(dumps::ProfileArgs),
    Dev(dev::Args),
    HeapSnapshot(dumps::HeapArgs),
    Import(import::Args),
    Init(init::Args),
    Inspect(inspect::Args),
    Logs(logs::Args),
    Monit(monit::Args),
    Render(render::Args),
    Report(report::Args),
}

/// What went wrong, in words.
pub(crate) type Outcome = Result<ExitCode, String>;

/// The name that the user calls: `kubectl pm2` for the file `kubectl-pm2`.
fn called_as(program: Option<&str>) -> String {
    let base = program.and_then(|program| program.rsplit(['/', '\\']).next()).unwrap_or_default();
    let base = base.strip_suffix(".exe").unwrap_or(base);
    if base == "kubectl-pm2" { "kubectl pm2".to_owned() } else { "kubectl nodeapp".to_owned() }
}

fn main() -> ExitCode {
    let name = called_as(std::env::args().next().as_deref());
    let command = Arguments::command().name("kubectl-nodeapp").bin_name(name);
    let arguments = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let outcome = match arguments.verb {
        Verb::Audit(args) => Ok(audit::run(&args)),
        Verb::CpuProfile(args) => dumps::cpu_profile(&args),
        Verb::Dev(args) => dev::run(&args),
        Verb::HeapSnapshot(args) => dumps::heap_snapshot(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Logs(args) => logs::run(&args),
        Verb::Monit(args) => monit::run(&args),
        Verb::Render(args) => render::run(&args),
        Verb::Report(args) => report::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_answers_to_the_name_it_was_called_by() {
        assert_eq!(called_as(Some("/usr/local/bin/kubectl-pm2")), "kubectl pm2");
        assert_eq!(called_as(Some("kubectl-nodeapp")), "kubectl nodeapp");
        assert_eq!(called_as(None), "kubectl nodeapp");
        Arguments::command().debug_assert();
    }
}
