//! What outlives the process and the container: counters, the last exit, the
//! termination message.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nodeapp_contract::config::Millis;
use nodeapp_contract::{ExitReason, LastExit};
use serde::{Deserialize, Serialize};

/// The kubelet cuts a termination message off after 4096 bytes, and a JSON that
/// is cut off is none.
const MAX_JSON: usize = 4_096;
/// Of these, what a message without escapes may have.
const MAX_MESSAGE: usize = 3_000;

/// Counters that survive a restart of the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Record {
    /// Restarts in place.
    pub(crate) restarts: u64,
    /// The same by the reason of the end before.
    pub(crate) reasons: BTreeMap<ExitReason, u64>,
    /// First start, milliseconds since the epoch.
    pub(crate) created_at: u64,
    /// How the last process ended.
    pub(crate) last_exit: Option<LastExit>,
}

impl Record {
    /// Reads it; a file that cannot be read is a first start.
    pub(crate) fn load(path: &Path) -> Self {
        let mut record: Self =
            fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        if record.created_at == 0 {
            record.created_at = epoch_millis();
        }
        record
    }

    /// A process follows one that has ended.
    pub(crate) fn restarted(&mut self) {
        self.restarts += 1;
        if let Some(exit) = &self.last_exit {
            *self.reasons.entry(exit.reason).or_default() += 1;
        }
    }

    /// Writes it whole or not at all.
    pub(crate) fn save(&self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(temporary, path)
    }
}

/// Writes the termination message; outside a pod there may be no such file.
pub(crate) fn termination_message(path: &Path, exit: &LastExit) {
    let mut exit = exit.clone();
    let mut room = MAX_MESSAGE;
    let json = loop {
        let cut = (0..=room.min(exit.message.len())).rev().find(|at| exit.message.is_char_boundary(*at));
        exit.message.truncate(cut.unwrap_or(0));
        let json = serde_json::to_vec(&exit);
        let too_long = json.as_ref().is_ok_and(|json| json.len() >= MAX_JSON);
        if too_long && !exit.log_tail.is_empty() {
            exit.log_tail.remove(0);
        } else if too_long && room > 0 {
            room /= 2;
        } else {
            break json;
        }
    };
    // Not created anew: in a pod this is a mounted file.
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(path);
    if let (Ok(mut file), Ok(json)) = (file, json) {
        let _ = file.write_all(&json);
    }
}

/// Now, in milliseconds since the epoch.
pub(crate) fn epoch_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::from(since).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_and_a_broken_file_is_a_first_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let first = Record::load(&path);
        assert_eq!(first.restarts, 0);
        let record = Record { restarts: 7, ..first };
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path), record);
        fs::write(&path, "{\"restarts\":").unwrap();
        assert_eq!(Record::load(&path).restarts, 0);
    }

    #[test]
    fn the_termination_message_is_json_however_long_the_reason_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("termination-log");
        for what in ["ä", "\"", "\u{1}"] {
            let exit = LastExit {
                code: Some(1),
                signal: None,
                reason: ExitReason::Crash,
                message: what.repeat(5_000),
                at: Millis(1),
                log_tail: vec![what.repeat(1_000); 2],
            };
            termination_message(&path, &exit);
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() < 4_096, "{} bytes", bytes.len());
            let read: LastExit = serde_json::from_slice(&bytes).unwrap();
            assert!(read.message.starts_with(&what.repeat(300)), "{}", read.message);
        }
    }
}
