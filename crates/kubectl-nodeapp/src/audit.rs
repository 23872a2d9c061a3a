//! `audit`: what in the code breaks once there are several instances.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use nodeapp_audit::{AuditError, Findings, Options, Severity, render};

use crate::files;

/// Find what breaks with several instances: state in memory, sessions, jobs, files, sockets.
///
/// Looks at JavaScript and TypeScript without running it, and says for each finding why it breaks and what to use
/// instead. A comment accepts a finding: `// nodeapp-audit-ignore-next-line RULE -- reason`. Exit code 0: nothing at or
/// above --fail-on; 1: something; 2: it could not run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folders and files.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// How to tell.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Exit with 1 from this level on; `never` for a report alone.
    #[arg(long, value_enum, default_value_t = Level::Warning)]
    fail_on: Level,
    /// Tests too.
    #[arg(long)]
    include_tests: bool,
    /// Built files too: dist, build, *.min.js and the like.
    #[arg(long)]
    include_built: bool,
    /// Write to this file instead of standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Only list the rules.
    #[arg(long)]
    rules: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For code hosts: SARIF 2.1.0.
    Sarif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Note,
    Warning,
    Error,
    Never,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.rules {
        files::print(&rules());
        return ExitCode::SUCCESS;
    }
    let options = Options {
        include_tests: args.include_tests,
        include_built: args.include_built,
        ..Options::default()
    };
    match nodeapp_audit::audit(&args.paths, &options) {
        Ok(findings) => tell(args, &findings),
        Err(error) => failed(&error),
    }
}

/// Not 1, which says that something was found.
fn failed(error: &AuditError) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

fn tell(args: &Args, findings: &Findings) -> ExitCode {
    let text = match args.format {
        Format::Text => render::text(findings),
        Format::Json => render::json(findings),
        Format::Sarif => render::sarif(findings),
    };
    match &args.output {
        Some(path) => {
            if let Err(error) = files::write(path, &text, true) {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        }
        None => files::print(&text),
    }
    if args.format != Format::Text && std::io::stderr().is_terminal() {
        eprintln!("{} findings, {} notes", findings.findings.len(), findings.notes.len());
    }
    ExitCode::from(u8::from(fails(args.fail_on, findings.worst())))
}

fn fails(level: Level, worst: Option<Severity>) -> bool {
    let least = match level {
        Level::Note => Severity::Note,
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
        Level::Never => return false,
    };
    worst.is_some_and(|worst| worst >= least)
}

fn rules() -> String {
    let line =
        |rule: &&nodeapp_audit::Rule| format!("{:<16} {:<8} {}\n", rule.id, rule.severity.name(), rule.title);
    nodeapp_audit::RULES.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_level_that_is_asked_for() {
        assert!(fails(Level::Warning, Some(Severity::Error)));
        assert!(fails(Level::Warning, Some(Severity::Warning)));
        assert!(!fails(Level::Warning, Some(Severity::Note)));
        assert!(fails(Level::Note, Some(Severity::Note)));
        assert!(!fails(Level::Never, Some(Severity::Error)));
        assert!(!fails(Level::Note, None));
    }
}
