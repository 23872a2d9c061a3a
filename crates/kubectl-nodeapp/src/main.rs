//! `kubectl nodeapp`: what PM2's command line is for PM2. The same program
//! answers as `kubectl pm2` when it is installed under that name.

mod apps_file;
mod audit;
mod change;
mod cluster;
mod completion;
mod delete;
mod describe;
mod dev;
mod diff;
mod doctor;
mod dumps;
mod ended;
mod env;
mod files;
mod flush;
mod history;
mod import;
mod init;
mod inspect;
mod instances;
mod logs;
mod ls;
#[cfg(test)]
mod manual;
mod monit;
mod one;
mod pause;
mod pm2;
mod production;
mod rehearse;
mod reload;
mod render;
mod report;
mod reset;
mod restart;
mod revisions;
mod rights;
mod rollback;
mod scale;
mod select;
mod send_signal;
mod start;
mod state;
mod stop;
mod table;
mod targets;
mod trigger;
mod usage;
mod version;
mod wait;
mod waiting;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// Node.js apps on Kubernetes, as PM2 would run them.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

// Sorted; the names beside them are those that PM2 has for the same.
#[derive(Subcommand)]
enum Verb {
    Audit(audit::Args),
    Completion(completion::Args),
    #[command(alias = "profile:cpu")]
    CpuProfile(dumps::ProfileArgs),
    #[command(visible_alias = "del")]
    Delete(delete::Args),
    #[command(visible_aliases = ["show", "info", "desc"])]
    Describe(describe::Args),
    Dev(dev::Args),
    Diff(diff::Args),
    Doctor(doctor::Args),
    Env(env::Args),
    Flush(flush::Args),
    #[command(alias = "profile:mem")]
    HeapSnapshot(dumps::HeapArgs),
    History(history::Args),
    Import(import::Args),
    Init(init::Args),
    Inspect(inspect::Args),
    /// List apps as JSON; the same as `ls -o json`.
    #[command(alias = "prettylist")]
    Jlist(ls::JlistArgs),
    #[command(alias = "log")]
    Logs(logs::Args),
    #[command(visible_aliases = ["list", "status", "ps", "l"])]
    Ls(ls::Args),
    #[command(visible_aliases = ["dashboard", "dash"], alias = "imonit")]
    Monit(monit::Args),
    Pause(pause::PauseArgs),
    Rehearse(rehearse::Args),
    #[command(visible_alias = "gracefulReload", alias = "softReload")]
    Reload(reload::Args),
    Render(render::Args),
    Report(report::Args),
    Reset(reset::Args),
    Restart(restart::Args),
    Resume(pause::ResumeArgs),
    Rights(rights::Args),
    Rollback(rollback::Args),
    Scale(scale::Args),
    #[command(visible_alias = "sendSignal")]
    SendSignal(send_signal::Args),
    #[command(visible_aliases = ["startOrRestart", "startOrReload"], alias = "startOrGracefulReload")]
    Start(start::Args),
    Stop(stop::Args),
    Trigger(trigger::Args),
    Version(version::Args),
    Wait(wait::Args),
    #[command(external_subcommand)]
    Other(Vec<String>),
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
    let program = std::env::args().next();
    let command = Arguments::command().name("kubectl-nodeapp").bin_name(called_as(program.as_deref()));
    let outcome = if completion::is_asked(program.as_deref()) {
        Ok(completion::answer(&std::env::args().skip(1).collect::<Vec<_>>(), &command))
    } else {
        let matches = command.clone().try_get_matches().unwrap_or_else(|error| refuse(&error));
        let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        run(arguments.verb, command)
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// Tells what is wrong with a command line, and ends; an option of PM2's start is answered with its place here.
fn refuse(error: &clap::Error) -> ! {
    let verb = std::env::args().nth(1).unwrap_or_default();
    if error.kind() == clap::error::ErrorKind::UnknownArgument
        && let Some(hint) = pm2::option_hint(&verb, &error.to_string())
    {
        eprintln!("{hint}\n");
    }
    error.exit()
}

fn run(verb: Verb, command: clap::Command) -> Outcome {
    match verb {
        Verb::Audit(args) => Ok(audit::run(&args)),
        Verb::Completion(args) => Ok(completion::run(&args, command)),
        Verb::CpuProfile(args) => dumps::cpu_profile(&args),
        Verb::Delete(args) => delete::run(&args),
        Verb::Describe(args) => describe::run(&args),
        Verb::Dev(args) => dev::run(&args),
        Verb::Diff(args) => Ok(diff::run(&args)),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Env(args) => env::run(&args),
        Verb::Flush(args) => flush::run(&args),
        Verb::HeapSnapshot(args) => dumps::heap_snapshot(&args),
        Verb::History(args) => history::run(&args),
        Verb::Import(args) => import::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Jlist(args) => ls::jlist(&args),
        Verb::Logs(args) => logs::run(&args),
        Verb::Ls(args) => ls::run(&args),
        Verb::Monit(args) => monit::run(&args),
        Verb::Pause(args) => pause::pause(&args),
        Verb::Rehearse(args) => rehearse::run(&args),
        Verb::Reload(args) => reload::run(&args),
        Verb::Render(args) => render::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Reset(args) => reset::run(&args),
        Verb::Restart(args) => restart::run(&args),
        Verb::Resume(args) => pause::resume(&args),
        Verb::Rights(args) => rights::run(&args),
        Verb::Rollback(args) => rollback::run(&args),
        Verb::Scale(args) => scale::run(&args),
        Verb::SendSignal(args) => send_signal::run(&args),
        Verb::Start(args) => start::run(&args),
        Verb::Stop(args) => stop::run(&args),
        Verb::Trigger(args) => trigger::run(&args),
        Verb::Version(args) => version::run(&args),
        Verb::Wait(args) => wait::run(&args),
        Verb::Other(words) => pm2::answer(&words, &names(&command)),
    }
}

/// The verbs, under all their names.
fn names(command: &clap::Command) -> Vec<String> {
    let of = |verb: &clap::Command| {
        std::iter::once(verb.get_name()).chain(verb.get_all_aliases()).map(str::to_owned).collect::<Vec<_>>()
    };
    command.get_subcommands().flat_map(of).collect()
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
