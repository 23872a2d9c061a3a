//! Lets only whole lines through, within bounds.

use super::dress::Piece;

/// Holds back the line that has not ended yet.
#[derive(Debug)]
pub(super) struct Framer {
    partial: Vec<u8>,
    /// A longer line goes through in pieces.
    max_line: usize,
    /// A part of this line has gone through already.
    begun: bool,
}

impl Framer {
    pub(super) fn new(max_line: usize) -> Self {
        Self { partial: vec![], max_line, begun: false }
    }

    /// Hands `sink` whole lines, each run of them at once, and pieces of a line
    /// that is too long. A piece is cut between two characters.
    pub(super) fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8], Piece)) {
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
        let (mut lines, rest) = bytes.split_at(whole);
        if !lines.is_empty() && (self.begun || !self.partial.is_empty()) {
            let first = memchr::memchr(b'\n', lines).map_or(0, |at| at + 1);
            self.partial.extend_from_slice(&lines[..first]);
            let piece = Piece { starts: !std::mem::take(&mut self.begun), whole: true };
            sink(&std::mem::take(&mut self.partial), piece);
            lines = &lines[first..];
        }
        if !lines.is_empty() {
            sink(lines, Piece::LINES);
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() >= self.max_line {
            let mut piece = std::mem::take(&mut self.partial);
            self.partial = piece.split_off(border(&piece));
            sink(&piece, Piece { starts: !self.begun, whole: false });
            self.begun = true;
        }
    }

    /// The stream has ended: what has no end of line gets one.
    pub(super) fn end(&mut self, mut sink: impl FnMut(&[u8], Piece)) {
        if self.begun || !self.partial.is_empty() {
            self.partial.push(b'\n');
            let piece = Piece { starts: !std::mem::take(&mut self.begun), whole: true };
            sink(&std::mem::take(&mut self.partial), piece);
        }
    }
}

/// The last border between two characters of UTF-8; the end if there is none.
fn border(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80);
    let Some(back) = last.map(|back| back + 1) else { return bytes.len() };
    let length = match bytes[bytes.len() - back] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    if length > back { bytes.len() - back } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 64 * 1024;

    #[test]
    fn a_partial_line_waits_for_its_end() {
        let mut framer = Framer::new(MAX);
        let mut seen = vec![];
        framer.feed(b"one\ntwo\nthr", |bytes, _| seen.push(bytes.to_vec()));
        framer.feed(b"ee\nfour\nfive", |bytes, _| seen.push(bytes.to_vec()));
        framer.end(|bytes, _| seen.push(bytes.to_vec()));
        let expected: Vec<&[u8]> = vec![b"one\ntwo\n", b"three\n", b"four\n", b"five\n"];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_line_without_end_goes_through_in_pieces_and_memory_stays_bounded() {
        let mut framer = Framer::new(MAX);
        let mut total = 0;
        for at in 0..1_000 {
            framer.feed(&[b'x'; 16 * 1024], |bytes, piece| {
                assert_eq!(piece, Piece { starts: at < 4, whole: false });
                total += bytes.len();
            });
            assert!(framer.partial.capacity() <= 2 * MAX);
        }
        framer.end(|bytes, piece| {
            assert!(piece.whole && !piece.starts);
            total += bytes.len();
        });
        assert_eq!(total, 1_000 * 16 * 1024 + 1, "and the end of the line");
    }

    #[test]
    fn a_long_line_that_is_never_ended_does_not_swallow_the_next_ones_start() {
        let mut framer = Framer::new(MAX);
        let mut seen = vec![];
        for _ in 0..2 {
            framer.feed(&vec![b'x'; MAX], |bytes, _| seen.extend_from_slice(bytes));
            framer.end(|bytes, _| seen.extend_from_slice(bytes));
        }
        let lines: Vec<usize> = seen.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lines, [MAX + 1, MAX + 1]);
    }

    #[test]
    fn the_end_of_a_long_line_is_no_begin() {
        let mut framer = Framer::new(4);
        let mut seen = vec![];
        for bytes in [&b"12345"[..], b"\nnext\n"] {
            framer.feed(bytes, |bytes, piece| seen.push((bytes.to_vec(), piece.starts, piece.whole)));
        }
        let expected: [(&[u8], _, _); 3] =
            [(b"12345", true, false), (b"\n", false, true), (b"next\n", true, true)];
        assert_eq!(seen, expected.map(|(bytes, starts, whole)| (bytes.to_vec(), starts, whole)));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_moved(
            pieces in prop::collection::vec(
                prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..200), 0..40,
            ),
            max in 4_usize..500,
        ) {
            let mut expected: Vec<u8> = pieces.concat();
            if expected.last().is_some_and(|last| *last != b'\n') {
                expected.push(b'\n');
            }
            let mut framer = Framer::new(max);
            let mut seen = vec![];
            let mut at_start = true;
            let mut sink = |bytes: &[u8], piece: Piece| {
                assert_eq!(piece.starts, at_start);
                assert_eq!(piece.whole, bytes.ends_with(b"\n"));
                assert!(piece.whole || !bytes.contains(&b'\n'));
                assert!(piece.starts || piece.whole == bytes.contains(&b'\n'));
                at_start = piece.whole;
                seen.extend_from_slice(bytes);
            };
            for piece in &pieces {
                framer.feed(piece, &mut sink);
                prop_assert!(framer.partial.len() < max.max(4));
            }
            framer.end(&mut sink);
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn a_character_is_not_cut(text in "[aäℝ😀]{0,60}", max in 4_usize..40, step in 1_usize..7) {
            let mut framer = Framer::new(max);
            let mut seen = String::new();
            for bytes in text.as_bytes().chunks(step) {
                framer.feed(bytes, |bytes, _| seen.push_str(std::str::from_utf8(bytes).unwrap()));
            }
            framer.end(|bytes, _| seen.push_str(std::str::from_utf8(bytes).unwrap()));
            prop_assert_eq!(seen.trim_end_matches('\n'), text);
        }
    }
}
