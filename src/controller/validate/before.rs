//! The job before a rollout.

use std::time::Duration;

use super::Problems;
use super::values::delay;
use crate::crd::NodeAppSpec;
use crate::crd::rollout::Before;

/// How long the job may take if nothing is said.
const TIMEOUT: Duration = Duration::from_mins(10);
/// Tries beyond the first, at most.
const MOST_RETRIES: i32 = 10;

/// A job that can be run before a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeforeRollout {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// How long all its tries may take together.
    pub timeout: Duration,
    /// Tries beyond the first.
    pub retries: i32,
    /// What was asked for, as text: another text is another job.
    pub text: String,
}

pub(super) fn before(spec: &NodeAppSpec, problems: &mut Problems) -> Option<BeforeRollout> {
    let given = spec.rollout.as_ref()?.before.as_ref()?;
    let argv = argv(spec, given, problems);
    let timeout = delay("spec.rollout.before.timeout", given.timeout.as_ref(), TIMEOUT, problems);
    if timeout < Duration::from_secs(1) {
        problems.add("spec.rollout.before.timeout", "must be at least 1s");
    }
    let retries = given.retries.unwrap_or(0);
    if !(0..=MOST_RETRIES).contains(&retries) {
        problems.add("spec.rollout.before.retries", &format!("must be from 0 to {MOST_RETRIES}"));
    }
    let text = serde_json::to_string(given).expect("a part of the spec is JSON");
    Some(BeforeRollout { argv, timeout, retries, text })
}

fn argv(spec: &NodeAppSpec, given: &Before, problems: &mut Problems) -> Vec<String> {
    let script = given.script.clone().filter(|script| !script.is_empty());
    let command =
        given.command.clone().filter(|command| command.first().is_some_and(|word| !word.is_empty()));
    if script.is_some() == command.is_some() {
        problems.add(
            "spec.rollout.before",
            "set exactly one of script (a file that Node.js runs) and command (a program and its arguments)",
        );
    }
    let mut argv = match (script, command) {
        (_, Some(command)) => command,
        (Some(script), None) => by_interpreter(spec, script, problems),
        (None, None) => Vec::new(),
    };
    argv.extend(given.args.iter().cloned());
    argv
}

/// The script is run as the app's own is, where that has an interpreter.
fn by_interpreter(spec: &NodeAppSpec, script: String, problems: &mut Problems) -> Vec<String> {
    if script.contains(char::is_whitespace) {
        problems.add(
            "spec.rollout.before.script",
            "is one file, without blanks; write a line for the shell as command: [sh, -c, \"…\"]",
        );
    }
    match spec.interpreter.as_deref() {
        Some("none") => vec![script],
        named => {
            let mut argv = vec![named.unwrap_or("node").to_owned()];
            argv.extend(spec.node_args.iter().flatten().cloned());
            argv.push(script);
            argv
        }
    }
}
