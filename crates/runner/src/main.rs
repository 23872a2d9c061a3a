//! `nodeapp-runner`: PID 1 in the pods of a NodeApp. Starts the app, tells
//! whether it is ready, restarts it in place and stops it without dropping
//! requests. `docs/runner.md` says what it does in what order.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode as Status;

use nodeapp_contract::ExitCode;

mod actions;
mod check;
mod control;
mod ends;
mod held;
mod http;
mod install;
mod ipc;
mod launch;
mod lines;
mod logs;
mod machine;
mod memory;
mod pages;
mod preload;
mod probe;
mod probes;
mod procfs;
mod readiness;
mod record;
mod restart;
mod say;
mod settings;
mod side;
mod signals;
mod spawn;
mod stop;
mod supervisor;
mod wait;
mod watch;

const USAGE: &str = "usage: nodeapp-runner install DIR | run | drain | ctl restart|status|drain | version";

fn main() -> Status {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or("")).collect();
    let code = match words.as_slice() {
        ["install", _] => install(Path::new(&args[1])),
        ["run"] => supervisor::run(std::env::vars_os().collect()),
        ["drain"] | ["ctl", "drain"] => ask("drain", true),
        ["ctl", command @ ("restart" | "status")] => ask(command, false),
        ["version" | "--version"] => {
            println!("nodeapp-runner {}", env!("CARGO_PKG_VERSION"));
            0
        }
        _ => {
            say::line(USAGE);
            ExitCode::Usage.code()
        }
    };
    Status::from(code)
}

fn install(dir: &Path) -> u8 {
    match install::install(dir) {
        Ok(()) => 0,
        Err(error) => {
            say::say!("cannot install into {}: {error}; the directory must be writable", dir.display());
            ExitCode::System.code()
        }
    }
}

/// Asks the runner of this container. The end of the runner answers a drain too.
fn ask(command: &str, end_is_answer: bool) -> u8 {
    let vars = std::env::vars_os().collect();
    let path = match settings::Settings::new(&vars) {
        Ok(settings) => settings.control_socket(),
        Err(problem) => {
            say::line(&problem);
            return ExitCode::Config.code();
        }
    };
    match control::ask(&path, command) {
        Ok(answer) if answer.is_empty() && end_is_answer => 0,
        Ok(answer) if answer.is_empty() || answer.starts_with("error") => {
            say::line(if answer.is_empty() { "the runner has ended" } else { &answer });
            1
        }
        Ok(answer) => {
            println!("{answer}");
            0
        }
        Err(error) => {
            say::say!("no runner answers at {}: {error}", path.display());
            ExitCode::System.code()
        }
    }
}
