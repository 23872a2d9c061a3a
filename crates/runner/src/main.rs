//! `nodeapp-runner`: PID 1 in the pods of a NodeApp. Starts the app, tells
//! whether it is ready, restarts it in place and stops it without dropping
//! requests. `docs/runner.md` says what it does in what order.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode as Status;

use nodeapp_contract::ExitCode;

mod actions;
mod cgroup;
mod check;
mod command;
mod control;
mod ctl;
mod custom;
mod ends;
mod exposition;
mod hang;
mod held;
mod http;
mod install;
mod ipc;
mod launch;
mod lines;
mod logs;
mod machine;
mod memory;
mod metrics;
mod orders;
mod outbox;
mod pages;
mod preload;
mod probe;
mod probes;
mod procfs;
mod profiles;
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
mod telemetry;
mod wait;
mod watch;

const USAGE: &str = "usage: nodeapp-runner install DIR | run | drain | ctl VERB | version";

fn main() -> Status {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or("")).collect();
    let code = match words.as_slice() {
        ["install", _] => install(Path::new(&args[1])),
        ["run"] => supervisor::run(std::env::vars_os().collect()),
        ["drain"] => ctl::ctl(&["drain"]),
        ["ctl", words @ ..] => ctl::ctl(words),
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
