//! `nodeapp-runner ctl`: asks the runner of this container.

use nodeapp_contract::ExitCode;

use crate::command::{self, Command};
use crate::say::say;
use crate::{control, say, settings};

/// Runs a verb; the exit code.
pub(crate) fn ctl(words: &[&str]) -> u8 {
    if matches!(words, [] | ["help" | "--help" | "-h", ..]) {
        print!("{}", command::help());
        return if words.is_empty() { ExitCode::Usage.code() } else { 0 };
    }
    match Command::new(words) {
        Ok(command) => ask(words, command == Command::Drain),
        Err(problem) => {
            say!("{problem}; `nodeapp-runner ctl --help` says more");
            ExitCode::Usage.code()
        }
    }
}

/// The end of the runner answers a drain too.
fn ask(words: &[&str], end_is_answer: bool) -> u8 {
    let vars = std::env::vars_os().collect();
    let path = match settings::Settings::new(&vars) {
        Ok(settings) => settings.control_socket(),
        Err(problem) => {
            say::line(&problem);
            return ExitCode::Config.code();
        }
    };
    match control::ask(&path, words) {
        Ok(answer) if answer.is_empty() && end_is_answer => 0,
        Ok(answer) if answer.is_empty() => {
            say!("the runner has ended, or had no time for an answer; see the container's log");
            1
        }
        Ok(answer) if answer.starts_with("error: ") => {
            say::line(&answer);
            1
        }
        Ok(answer) => {
            println!("{answer}");
            0
        }
        Err(error) => {
            say!("no runner answers at {} ({error}); is this the container `app`?", path.display());
            ExitCode::System.code()
        }
    }
}
