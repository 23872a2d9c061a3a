//! Reads lines from a stream that may hold anything, within bounds.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// What is read at once; a busy stream gives way to the others after it.
const CHUNK: usize = 16 * 1024;

/// Splits a stream into lines; one that is too long is dropped.
#[derive(Debug)]
pub(crate) struct LineReader {
    pending: Vec<u8>,
    limit: usize,
    dropping: bool,
    dropped: u64,
}

impl LineReader {
    /// Lines longer than `limit` bytes are dropped.
    pub(crate) fn new(limit: usize) -> Self {
        Self { pending: Vec::new(), limit, dropping: false, dropped: 0 }
    }

    /// Reads once; false if the stream has ended.
    pub(crate) fn read(&mut self, fd: impl AsFd, line: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut chunk = [0_u8; CHUNK];
        match rustix::io::read(fd, &mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.feed(&chunk[..n], line);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Lines that were too long since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// A line that was long keeps no memory for the next one, which is short.
    fn forget(&mut self) {
        self.pending.clear();
        self.pending.shrink_to(CHUNK);
    }

    fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (head, tail) = bytes.split_at(end);
            if self.pending.len() + head.len() <= self.limit && !self.dropping {
                if self.pending.is_empty() {
                    line(head);
                } else {
                    self.pending.extend_from_slice(head);
                    line(&self.pending);
                }
            } else {
                self.dropped += 1;
            }
            self.forget();
            self.dropping = false;
            bytes = &tail[1..];
        }
        if self.dropping || self.pending.len() + bytes.len() > self.limit {
            self.dropping = true;
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(reader: &mut LineReader, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = vec![];
        reader.feed(bytes, |line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut reader = LineReader::new(100);
        assert!(feed(&mut reader, b"\"rea").is_empty());
        assert_eq!(feed(&mut reader, b"dy\"\nnext\nre"), vec![b"\"ready\"".to_vec(), b"next".to_vec()]);
        assert_eq!(feed(&mut reader, b"st\n"), vec![b"rest".to_vec()]);
    }

    #[test]
    fn a_line_without_end_takes_no_memory_and_the_next_one_is_read() {
        let mut reader = LineReader::new(10);
        for _ in 0..1_000 {
            assert!(feed(&mut reader, &[b'x'; 1_000]).is_empty());
            assert!(reader.pending.capacity() <= 1_000);
        }
        assert_eq!(feed(&mut reader, b"x\nready\n"), vec![b"ready".to_vec()]);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400),
            cuts in prop::collection::vec(1_usize..40, 1..40),
            limit in 1_usize..60,
        ) {
            let expected: Vec<Vec<u8>> = {
                let mut parts: Vec<_> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                parts.pop();
                parts.into_iter().filter(|line| line.len() <= limit).collect()
            };
            let mut reader = LineReader::new(limit);
            let mut lines = vec![];
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                lines.extend(feed(&mut reader, head));
                prop_assert!(reader.pending.len() <= limit);
                rest = tail;
            }
            prop_assert_eq!(lines, expected);
        }
    }
}
