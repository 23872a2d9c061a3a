//! Why a connection does not come about.

use crate::say::Kind;

/// What went wrong, for the log, and what the app is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// For the log: what is wrong and what to do.
    pub(crate) text: String,
    /// The answer to the app's first command, an error of RESP without its end of line. Without one the
    /// connection is closed at once, as if nobody listened.
    pub(crate) reply: Option<String>,
}

impl Problem {
    /// Redis is not there: the app's own client decides when to try again.
    pub(crate) fn away(text: String) -> Self {
        Self { kind: Kind::Away, text, reply: None }
    }

    /// No TLS.
    pub(crate) fn tls(text: String) -> Self {
        Self { kind: Kind::Tls, text, reply: None }
    }

    /// A file is missing or is not what it should be. Trying again is no help, so that the app hears of it.
    pub(crate) fn file(text: String) -> Self {
        let reply = Some(format!("-ERR nodeapp-forwarder: {text}"));
        Self { kind: Kind::File, text, reply }
    }
}

/// The content of a file of a mounted Secret. These are small and in memory, so that nothing waits for a disk.
pub(crate) fn read(path: &str) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| {
        Problem::file(format!(
            "cannot read {path}: {error}; the Secret that is mounted there must have this key"
        ))
    })
}
