//! What of a container's log has been shown, so that it goes on after a disconnect without a repeat or a gap.
//!
//! The kubelet can begin at a whole second, and gives all lines from there on. Which of them were shown already is
//! told by time and text: the position would not do, since a file may have been rotated away in between.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;

/// Lines that were shown, by their hash; the same line may come twice at the same instant.
type Lines = HashMap<u64, u32>;

/// The lines of the newest second, and those of the one before it that had any: the two streams of a process are
/// stamped independently, so that their order at the border is not certain.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    newest: Option<i64>,
    lines: Lines,
    earlier: Option<i64>,
    earlier_lines: Lines,
    /// What comes once more because the log was opened again.
    again: Lines,
    hasher: RandomState,
}

impl Shown {
    /// Whether no line was shown yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Where to go on; nothing if no line was shown yet. What comes now may be a repeat.
    pub(crate) fn resume(&mut self) -> Option<Timestamp> {
        self.again = self.earlier_lines.clone();
        for (line, count) in &self.lines {
            *self.again.entry(*line).or_default() += count;
        }
        Timestamp::from_second(self.earlier.or(self.newest)?).ok()
    }

    /// Whether this line was shown and comes once more because the log was opened again.
    pub(crate) fn comes_again(&self, line: &[u8]) -> bool {
        self.again.get(&self.hasher.hash_one(line)).is_some_and(|left| *left > 0)
    }

    /// Whether this line, stamped in this second, is to be shown; it is taken for shown from now on. The line holds
    /// its stamp, with the nanoseconds.
    pub(crate) fn is_new(&mut self, second: i64, line: &[u8]) -> bool {
        let hash = self.hasher.hash_one(line);
        if let Some(left) = self.again.get_mut(&hash).filter(|left| **left > 0) {
            *left -= 1;
            return false;
        }
        match self.newest {
            Some(newest) if second <= newest => {}
            _ => {
                self.earlier = self.newest.replace(second);
                self.earlier_lines = std::mem::take(&mut self.lines);
            }
        }
        let lines = if Some(second) == self.newest { &mut self.lines } else { &mut self.earlier_lines };
        *lines.entry(hash).or_default() += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a log with their seconds.
    const LOG: [(i64, &[u8]); 6] = [
        (7, b"7.9 a"),
        (8, b"8.1 b"),
        (8, b"8.1 b"),
        // The other stream, a little late.
        (7, b"7.99 c"),
        (9, b"9.0 d"),
        (9, b"9.5 e"),
    ];

    fn take(shown: &mut Shown, lines: &[(i64, &'static [u8])]) -> Vec<&'static [u8]> {
        lines.iter().filter(|(second, line)| shown.is_new(*second, line)).map(|(_, line)| *line).collect()
    }

    #[test]
    fn a_log_that_is_opened_again_anywhere_gives_each_line_once() {
        for cut in 0..=LOG.len() {
            let mut shown = Shown::default();
            let mut seen = take(&mut shown, &LOG[..cut]);
            let since = shown.resume().map_or(i64::MIN, Timestamp::as_second);
            let rest: Vec<_> = LOG.iter().filter(|(second, _)| *second >= since).copied().collect();
            seen.extend(take(&mut shown, &rest));
            assert_eq!(seen, LOG.map(|(_, line)| line), "cut after {cut} lines");
        }
    }

    #[test]
    fn lines_that_were_rotated_away_meanwhile_hide_no_new_ones() {
        let mut shown = Shown::default();
        take(&mut shown, &LOG[..5]);
        shown.resume();
        assert_eq!(take(&mut shown, &LOG[4..]), [b"9.5 e"]);
    }

    #[test]
    fn only_two_seconds_are_remembered() {
        let mut shown = Shown::default();
        for second in 0..1_000_i64 {
            for line in 0..10_u8 {
                assert!(shown.is_new(second, &[&second.to_be_bytes()[..], &[line]].concat()));
            }
        }
        assert_eq!(shown.lines.len() + shown.earlier_lines.len(), 20);
        assert_eq!(shown.resume().map(Timestamp::as_second), Some(998));
    }
}
