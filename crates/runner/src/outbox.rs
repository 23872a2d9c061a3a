//! What waits to be written to a stream whose reader may be slow.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;

/// Bytes in the order in which they have to go out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Puts a whole line in, if no more than `limit` bytes wait then.
    pub(crate) fn push(&mut self, line: &[u8], limit: usize) -> bool {
        if self.bytes.len() - self.sent + line.len() + 1 > limit {
            return false;
        }
        self.bytes.drain(..std::mem::take(&mut self.sent));
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        true
    }

    /// Writes what there is room for. Signals are ignored by Rust's runtime: a
    /// reader that is gone is an error and no SIGPIPE.
    pub(crate) fn flush(&mut self, fd: impl AsFd) -> io::Result<()> {
        while !self.is_empty() {
            match rustix::io::write(&fd, &self.bytes[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_slow_reader_gets_everything_in_order_and_no_line_is_cut() {
        let (own, mut other) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        let line = vec![b'a'; 600_000];
        assert!(outbox.push(&line, 1 << 20));
        outbox.flush(&own).unwrap();
        assert!(!outbox.is_empty(), "more than the socket takes");
        assert!(!outbox.push(&vec![b'b'; 1 << 20], 1 << 20), "too much waits");
        assert!(outbox.push(b"c", 1 << 20));
        let mut all = vec![];
        let mut chunk = vec![0; 65_536];
        while all.len() < line.len() + 3 {
            let n = other.read(&mut chunk).unwrap();
            all.extend_from_slice(&chunk[..n]);
            outbox.flush(&own).unwrap();
        }
        assert!(outbox.is_empty());
        assert!(all.starts_with(&line) && all.ends_with(b"a\nc\n"));
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error() {
        let (own, other) = UnixStream::pair().unwrap();
        drop(other);
        let mut outbox = Outbox::default();
        outbox.push(b"x", 10);
        assert!(outbox.flush(&own).is_err());
    }
}
