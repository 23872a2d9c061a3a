//! Lets only whole lines through, within bounds.

/// A longer line goes through in pieces.
const MAX_LINE: usize = 64 * 1024;

/// Holds back the line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Framer {
    partial: Vec<u8>,
    /// A part of this line has gone through already.
    begun: bool,
}

impl Framer {
    /// Hands `sink` whole lines, each run of them at once. The second argument
    /// says whether the bytes end with a line's end.
    pub(super) fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8], bool)) {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = bytes.split_at(whole);
        if !lines.is_empty() {
            if self.partial.is_empty() {
                sink(lines, true);
            } else {
                let first = lines.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                self.partial.extend_from_slice(&lines[..first]);
                sink(&std::mem::take(&mut self.partial), true);
                if first < lines.len() {
                    sink(&lines[first..], true);
                }
            }
            self.begun = false;
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() >= MAX_LINE {
            sink(&std::mem::take(&mut self.partial), false);
            self.begun = true;
        }
    }

    /// The stream has ended: what has no end of line gets one.
    pub(super) fn end(&mut self, mut sink: impl FnMut(&[u8], bool)) {
        if std::mem::take(&mut self.begun) || !self.partial.is_empty() {
            self.partial.push(b'\n');
            sink(&std::mem::take(&mut self.partial), true);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_partial_line_waits_for_its_end() {
        let mut framer = Framer::default();
        let mut seen = vec![];
        framer.feed(b"one\ntwo\nthr", |bytes, _| seen.push(bytes.to_vec()));
        framer.feed(b"ee\nfour\nfive", |bytes, _| seen.push(bytes.to_vec()));
        framer.end(|bytes, _| seen.push(bytes.to_vec()));
        let expected: Vec<&[u8]> = vec![b"one\ntwo\n", b"three\n", b"four\n", b"five\n"];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_line_without_end_goes_through_in_pieces_and_memory_stays_bounded() {
        let mut framer = Framer::default();
        let mut total = 0;
        for _ in 0..1_000 {
            framer.feed(&[b'x'; 16 * 1024], |bytes, whole| {
                assert!(!whole);
                total += bytes.len();
            });
            assert!(framer.partial.capacity() <= 2 * MAX_LINE);
        }
        framer.end(|bytes, _| total += bytes.len());
        assert_eq!(total, 1_000 * 16 * 1024 + 1, "and the end of the line");
    }

    #[test]
    fn a_long_line_that_is_never_ended_does_not_swallow_the_next_ones_start() {
        let mut framer = Framer::default();
        let mut seen = vec![];
        for _ in 0..2 {
            framer.feed(&vec![b'x'; MAX_LINE], |bytes, _| seen.extend_from_slice(bytes));
            framer.end(|bytes, _| seen.extend_from_slice(bytes));
        }
        let lines: Vec<usize> = seen.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lines, [MAX_LINE + 1, MAX_LINE + 1]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(pieces in prop::collection::vec(
            prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..200), 0..40,
        )) {
            let mut expected: Vec<u8> = pieces.concat();
            if expected.last().is_some_and(|last| *last != b'\n') {
                expected.push(b'\n');
            }
            let mut framer = Framer::default();
            let mut seen = vec![];
            for piece in &pieces {
                framer.feed(piece, |bytes, whole| {
                    assert!(whole && bytes.ends_with(b"\n"));
                    seen.extend_from_slice(bytes);
                });
            }
            framer.end(|bytes, _| seen.extend_from_slice(bytes));
            prop_assert_eq!(seen, expected);
        }
    }
}
