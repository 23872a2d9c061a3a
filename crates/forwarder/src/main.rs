//! `nodeapp-forwarder`: the app's Redis at `localhost:6379` in every pod, so
//! that code written for a Redis beside it stays as it is. `docs/forwarder.md`
//! says what it does and what it leaves alone.

use std::process::ExitCode as Status;

use nodeapp_contract::{ExitCode, Forwarder, forwarder};

mod auth;
mod connect;
mod listen;
mod problem;
mod pump;
mod refuse;
mod say;
mod serve;
mod tls;
mod wait;

const HELP: &str = "\
nodeapp-forwarder: the app's Redis at 127.0.0.1:6379 and [::1]:6379

usage: nodeapp-forwarder run --upstream=HOST:PORT [OPTION]...
       nodeapp-forwarder wait [PORT]   until one listens here, at most 10 s
       nodeapp-forwarder version | --help

  --upstream=HOST:PORT      the app's Redis; the name is resolved for each connection
  --listen-port=PORT        on 127.0.0.1 and [::1]; 6379 if not given, 0 for any
  --password-file=FILE      sends AUTH before anything of the app's
  --username-file=FILE      with this user name
  --tls                     TLS to Redis, its certificate verified
  --tls-ca-file=FILE        by these authorities, PEM; Mozilla's if not given
  --tls-server-name=NAME    for this name; the upstream's host if not given
  --tls-cert-file=FILE      with a certificate of the client's, PEM
  --tls-key-file=FILE       and its key, PEM
  --connect-timeout=TIME    for name and TCP connection; 5s if not given
  --drain-timeout=TIME      from SIGTERM to the end where connections remain; 30s
  --max-connections=NUMBER  at a time; 512 if not given

Files are read anew for each connection.";

fn main() -> Status {
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        ["run", options @ ..] => match Forwarder::parse(options) {
            Ok(settings) => serve::run(settings),
            Err(problem) => usage(&problem),
        },
        [forwarder::WAIT] => wait::wait(forwarder::PORT),
        [forwarder::WAIT, port] => match port.parse() {
            Ok(port) => wait::wait(port),
            Err(_) => usage(&format!("{port} is no port")),
        },
        ["version" | "--version" | "-V"] => {
            println!("nodeapp-forwarder {}", env!("CARGO_PKG_VERSION"));
            0
        }
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            0
        }
        _ => usage("a command is missing"),
    };
    Status::from(code)
}

fn usage(problem: &str) -> u8 {
    say::line(&format!("{problem}; `nodeapp-forwarder --help` tells the options"));
    ExitCode::Usage.code()
}
