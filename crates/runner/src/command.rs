//! The verbs of `nodeapp-runner ctl`, for both ends of the control socket.

use std::fmt::Write as _;
use std::time::Duration;

use rustix::process::Signal;

use crate::signals;

/// How long a processor profile is taken unless told otherwise.
const PROFILE: Duration = Duration::from_secs(5);
const LONGEST_PROFILE: u64 = 300;

/// Verb with its arguments, and what it does.
const VERBS: [(&str, &str); 11] = [
    ("status", "state, last exit, restarts, memory, event loop, as JSON"),
    ("restart", "restart the process in place, no request fails"),
    ("drain", "finish what is in flight, then stop; the preStop hook"),
    ("actions", "custom actions that the app has registered, as a JSON array"),
    ("trigger ACTION [PARAMS]", "call a custom action; prints what it returns as JSON"),
    ("metrics", "custom metrics of the app, as a JSON object"),
    ("signal NAME", "send a signal such as SIGUSR2 to the app's main process"),
    ("heap-snapshot", "write a V8 heap snapshot; prints its path and size as JSON"),
    ("cpu-profile [SECONDS]", "write a V8 processor profile (default 5 s, at most 300)"),
    ("reopen-logs", "open the log files anew, after something else has moved them"),
    ("flush", "empty the log files"),
];

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Drain; answered when that is over.
    Drain,
    /// Restart the process in place; answered at once.
    Restart,
    /// The state as JSON.
    Status,
    /// The custom actions.
    Actions,
    /// Call a custom action; answered when it has answered.
    Trigger { action: String, params: Option<String> },
    /// The custom metrics.
    Metrics,
    /// A signal to the main process.
    Signal(Signal),
    /// Answered when the file is written.
    HeapSnapshot,
    /// Answered when the file is written.
    CpuProfile(Duration),
    /// Open the log files anew.
    ReopenLogs,
    /// Empty the log files.
    Flush,
}

impl Command {
    /// The command of a verb and its arguments; what is wrong with it if there is none.
    pub(crate) fn new<S: AsRef<str>>(words: &[S]) -> Result<Self, String> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        Ok(match words.as_slice() {
            ["drain"] => Self::Drain,
            ["restart"] => Self::Restart,
            ["status"] => Self::Status,
            ["actions"] => Self::Actions,
            ["metrics"] => Self::Metrics,
            ["heap-snapshot"] => Self::HeapSnapshot,
            ["cpu-profile"] => Self::CpuProfile(PROFILE),
            ["cpu-profile", seconds] => Self::CpuProfile(profile_time(seconds)?),
            ["reopen-logs"] => Self::ReopenLogs,
            ["flush"] => Self::Flush,
            ["signal", name] => Self::Signal(signal(name)?),
            ["trigger", action] => Self::Trigger { action: (*action).into(), params: None },
            ["trigger", action, params] => {
                Self::Trigger { action: (*action).into(), params: Some((*params).into()) }
            }
            [verb, ..] => return Err(wrong(verb)),
            [] => return Err(format!("no verb; known are {}", known())),
        })
    }

    /// The command of a line: a JSON array of words, or words with blanks between.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let line = line.trim_ascii();
        if line.first() == Some(&b'[') {
            let words: Vec<String> =
                serde_json::from_slice(line).map_err(|error| format!("no array of words: {error}"))?;
            return Self::new(&words);
        }
        let text = String::from_utf8_lossy(line);
        Self::new(&text.split_ascii_whitespace().collect::<Vec<_>>())
    }
}

fn profile_time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (1..=LONGEST_PROFILE).contains(seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("cpu-profile takes whole seconds from 1 to {LONGEST_PROFILE}, not {text:?}"))
}

fn signal(name: &str) -> Result<Signal, String> {
    let full = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    signals::by_name(&full).ok_or_else(|| format!("no signal {name:?}; known are {}", signals::known()))
}

fn wrong(verb: &str) -> String {
    match VERBS.iter().find(|(usage, _)| usage.split(' ').next() == Some(verb)) {
        Some((usage, _)) => format!("wrong arguments; it is `{usage}`"),
        None => format!("unknown verb {verb:?}; known are {}", known()),
    }
}

fn known() -> String {
    let verbs: Vec<&str> = VERBS.iter().filter_map(|(usage, _)| usage.split(' ').next()).collect();
    verbs.join(", ")
}

/// The text of `ctl --help`.
pub(crate) fn help() -> String {
    let mut text = "usage: nodeapp-runner ctl VERB\n\n".to_owned();
    for (usage, what) in VERBS {
        let _ = writeln!(text, "  {usage:<25}{what}");
    }
    text += "\nexit codes: 0 done, 1 refused (the reason is on standard error), 64 wrong usage, 71 no runner answers\n";
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_is_words_or_an_array_of_words() {
        assert_eq!(Command::parse(b" drain\r"), Ok(Command::Drain));
        assert_eq!(Command::parse(b"signal USR2"), Ok(Command::Signal(Signal::USR2)));
        assert_eq!(Command::parse(b"signal SIGHUP"), Ok(Command::Signal(Signal::HUP)));
        assert_eq!(Command::parse(b"cpu-profile 7"), Ok(Command::CpuProfile(Duration::from_secs(7))));
        let trigger = Command::Trigger { action: "clean it".into(), params: Some(r#"{"a": 1}"#.into()) };
        assert_eq!(Command::parse(br#"["trigger","clean it","{\"a\": 1}"]"#), Ok(trigger));
    }

    #[test]
    fn what_is_no_command_is_told_what_would_be_one() {
        for (line, part) in [
            ("drain now", "it is `drain`"),
            ("dance", "known are status, restart"),
            ("", "no verb"),
            ("[7]", "no array of words"),
            ("signal SIGNOT", "SIGUSR2"),
            ("cpu-profile 0", "1 to 300"),
            ("cpu-profile 301", "1 to 300"),
            ("trigger", "trigger ACTION [PARAMS]"),
        ] {
            let problem = Command::parse(line.as_bytes()).unwrap_err();
            assert!(problem.contains(part), "{line}: {problem}");
        }
        assert!(Command::parse(b"\xff").is_err());
    }

    #[test]
    fn help_knows_every_verb() {
        let help = help();
        for (usage, _) in VERBS {
            assert!(help.contains(usage));
            let verb = usage.split(' ').next().unwrap();
            let problem = Command::new(&[verb]).err();
            assert!(problem.is_none_or(|text| text.contains("it is `")), "{verb} is known");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Command::parse(&bytes);
            let mut array = bytes;
            array.insert(0, b'[');
            let _ = Command::parse(&array);
        }
    }
}
