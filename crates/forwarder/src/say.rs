//! The forwarder's own log: one line per event on standard error, and few of a kind.

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One line of a kind in so much time. An app whose Redis is away tries again many times a second.
const QUIET: Duration = Duration::from_secs(30);
/// Longer than anything there is to say; Redis' words are part of some lines.
const MOST: usize = 1_000;

/// What a line is about; each kind is limited by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Redis cannot be reached.
    Away,
    /// Redis wants other credentials, or says another thing instead of a greeting.
    Refused,
    /// No TLS connection comes about.
    Tls,
    /// A file cannot be used.
    File,
    /// Too many connections.
    Full,
    /// The system gives no more.
    System,
    /// Redis answers again.
    Back,
}

const KINDS: usize = 7;

/// Writes `nodeapp-forwarder: <text>` as one line, whatever is in it.
pub(crate) fn line(text: &str) {
    let text: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect::<String>();
    let line = format!("nodeapp-forwarder: {text}\n");
    // Nobody to tell it to when this fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// When each kind was last heard, and how many lines were left out since.
#[derive(Debug, Default)]
pub(crate) struct Log {
    kinds: Mutex<[Option<Spoken>; KINDS]>,
}

#[derive(Clone, Copy, Debug)]
struct Spoken {
    at: Instant,
    left_out: u32,
}

impl Log {
    /// Says it, unless the same kind of thing was said a moment ago.
    pub(crate) fn say(&self, kind: Kind, text: &str) {
        if let Some(left_out) = self.turn(kind, Instant::now()) {
            let more = if left_out > 0 {
                format!(" ({left_out} more since the last such line)")
            } else {
                String::new()
            };
            line(&format!("{text}{more}"));
        }
    }

    /// How many were left out, if it is time to speak.
    fn turn(&self, kind: Kind, now: Instant) -> Option<u32> {
        let mut kinds = self.kinds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let slot = &mut kinds[kind as usize];
        match slot {
            Some(spoken) if now.duration_since(spoken.at) < QUIET => {
                spoken.left_out = spoken.left_out.saturating_add(1);
                None
            }
            _ => slot.replace(Spoken { at: now, left_out: 0 }).map_or(Some(0), |old| Some(old.left_out)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_a_kind_is_said_and_the_next_one_counts_what_was_left_out() {
        let log = Log::default();
        let start = Instant::now();
        assert_eq!(log.turn(Kind::Away, start), Some(0));
        assert_eq!(log.turn(Kind::Away, start), None);
        assert_eq!(log.turn(Kind::Away, start + QUIET / 2), None);
        assert_eq!(log.turn(Kind::Back, start), Some(0), "another kind is not silenced");
        assert_eq!(log.turn(Kind::Away, start + QUIET), Some(2));
        assert_eq!(log.turn(Kind::Away, start + QUIET * 3), Some(0));
    }
}
