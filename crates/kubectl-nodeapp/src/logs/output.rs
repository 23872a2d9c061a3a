//! Where lines go, for all logs together: whole lines, one after the other.

use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError, RwLock};

use super::dress::{Dress, Source};
use super::line::Line;

/// What ends the whole verb.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody reads any more, as after `| head`.
    NobodyReads,
    Refused(String),
}

/// The output, and how lines look there.
pub(crate) struct Output {
    dress: RwLock<Dress>,
    lines: Mutex<Box<dyn Write + Send>>,
    /// Takes what is to be said beside the lines.
    say: fn(&str),
}

impl Output {
    /// Standard output, with words beside on standard error.
    pub(crate) fn new(dress: Dress) -> Self {
        Self::to(dress, Box::new(std::io::stdout()), |words| eprintln!("{words}"))
    }

    /// Another one. It gets whole lines only.
    pub(crate) fn to(dress: Dress, lines: Box<dyn Write + Send>, say: fn(&str)) -> Self {
        Self { dress: RwLock::new(dress), lines: Mutex::new(lines), say }
    }

    /// Makes room for the prefix of a source.
    pub(crate) fn meet(&self, source: &Source) {
        self.dress.write().unwrap_or_else(PoisonError::into_inner).meet(source);
    }

    /// Adds a line to a batch, if it is wanted.
    pub(crate) fn put(&self, source: &Source, line: &Line, batch: &mut Vec<u8>) {
        let dress = self.dress.read().unwrap_or_else(PoisonError::into_inner);
        if dress.wants(line) {
            dress.put(source, line, batch);
        }
    }

    /// Says something that is no line of an app.
    pub(crate) fn say(&self, words: &str) {
        (self.say)(words);
    }

    /// Writes finished lines and empties the batch.
    pub(crate) fn write(&self, batch: &mut Vec<u8>) -> Result<(), Stop> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut output = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let written = output.write_all(batch).and_then(|()| output.flush());
        batch.clear();
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Stop::NobodyReads,
            _ => Stop::Refused(format!("cannot write the lines: {error}")),
        })
    }
}
