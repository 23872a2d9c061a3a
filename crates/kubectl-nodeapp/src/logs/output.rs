//! Standard output, for all logs together: whole lines, one after the other.

use std::io::{ErrorKind, Write as _};
use std::sync::{PoisonError, RwLock};

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
}

impl Output {
    pub(crate) fn new(dress: Dress) -> Self {
        Self { dress: RwLock::new(dress) }
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

    /// Writes finished lines and empties the batch.
    pub(crate) fn write(batch: &mut Vec<u8>) -> Result<(), Stop> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut output = std::io::stdout().lock();
        let written = output.write_all(batch).and_then(|()| output.flush());
        batch.clear();
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Stop::NobodyReads,
            _ => Stop::Refused(format!("cannot write the lines: {error}")),
        })
    }
}
