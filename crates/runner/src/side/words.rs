//! The words of the side channel, in both directions.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::telemetry::{Heap, Http, Lag, Vitals};

/// An order to the preload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Answer with `Connection: close`.
    Drain,
    /// Accept no more.
    Close,
    /// Close connections without a request.
    Idle,
    /// The signal follows: do not keep the process alive any more.
    Signal,
}

impl Order {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Close => "close",
            Self::Idle => "idle",
            Self::Signal => "signal",
        }
    }
}

/// What a process says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    /// First message.
    Hello { node: Option<String> },
    /// A server listens.
    Listening {
        port: u16,
        host: String,
        /// On the runner's socket.
        adopted: bool,
        /// Why not, where the port is the app's.
        why: Option<String>,
        /// In a worker of the app's own cluster, on a socket of its primary.
        shared: bool,
    },
    /// The app's main process has no listener for messages.
    Deaf {},
    /// A server is about to listen on the app's port by itself, and waits for the
    /// word `released`.
    Release {},
    /// A server has closed its listening socket.
    Closed { port: u16, adopted: bool },
    /// Requests being answered, open connections, the last order obeyed, and what
    /// was answered so far where that has changed.
    Load { in_flight: u64, open: u64, seen: Option<String>, http: Option<Box<Http>> },
    /// The event loop of the main process turns.
    Beat {},
    /// The same, with figures.
    Vitals(Box<Vitals>),
    /// A profile is written, or why it is not.
    Profiled { path: String, error: Option<String> },
}

/// All fields of all messages: read so, it takes about half the code that an enum
/// with its type in a field does, and the runner is to be small.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    t: &'a str,
    node: Option<String>,
    port: Option<u16>,
    host: Option<String>,
    adopted: Option<bool>,
    why: Option<String>,
    shared: Option<bool>,
    in_flight: Option<u64>,
    open: Option<u64>,
    seen: Option<String>,
    http: Option<Box<Http>>,
    lag: Option<Lag>,
    heap: Option<Heap>,
    resources: Option<BTreeMap<String, u64>>,
    path: Option<String>,
    error: Option<String>,
}

impl Message {
    /// The message of a line; `None` for what a newer preload says.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        Some(match line.t {
            "hello" => Self::Hello { node: line.node },
            "listening" => Self::Listening {
                port: line.port?,
                host: line.host?,
                adopted: line.adopted?,
                why: line.why,
                shared: line.shared.unwrap_or_default(),
            },
            "deaf" => Self::Deaf {},
            "release" => Self::Release {},
            "closed" => Self::Closed { port: line.port?, adopted: line.adopted? },
            "load" => {
                Self::Load { in_flight: line.in_flight?, open: line.open?, seen: line.seen, http: line.http }
            }
            "beat" => Self::Beat {},
            "vitals" => Self::Vitals(Box::new(Vitals {
                lag: line.lag.unwrap_or_default(),
                heap: line.heap.unwrap_or_default(),
                resources: line.resources.unwrap_or_default(),
            })),
            "profiled" => Self::Profiled { path: line.path?, error: line.error },
            _ => return None,
        })
    }

    /// The log line about listening on the app's port.
    pub(crate) fn told(&self, port: u16, holds: bool) -> Option<String> {
        let Self::Listening { port: one, host, adopted, why, shared: false } = self else { return None };
        let how = match why {
            _ if *adopted => "held over restarts".to_owned(),
            Some(why) => format!("by itself: {why}"),
            None if !holds => "by itself: holdSocket is false".to_owned(),
            None => "by itself".to_owned(),
        };
        (*one == port).then(|| format!("the app listens on {host} port {port}, {how}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_of_the_preload_are_read_and_unknown_ones_ignored() {
        let parse = |text: &str| Message::read(text.as_bytes());
        assert_eq!(
            parse(r#"{"t":"load","inFlight":3,"open":4,"seen":"close","new":1}"#),
            Some(Message::Load { in_flight: 3, open: 4, seen: Some("close".into()), http: None })
        );
        assert_eq!(parse(r#"{"t":"hello","pid":1,"thread":0}"#), Some(Message::Hello { node: None }));
        assert_eq!(parse(r#"{"t":"notYetInvented"}"#), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), word in "[a-z]{0,9}") {
            Message::read(&bytes);
            let mut line = format!(r#"{{"t":"{word}","port":"#).into_bytes();
            line.extend(bytes);
            Message::read(&line);
        }
    }
}
