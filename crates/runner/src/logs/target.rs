//! The container's own output, which `kubectl logs` shows. Never waited for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

use super::Kind;
use crate::say::say;

/// A pipe that is ready to be written to takes this much without blocking.
const PIPE_BUF: usize = 4_096;
/// More than this does not wait for whoever reads.
const MAX_WAITING: usize = 4 * 1024 * 1024;
/// A buffer of this size is kept for later.
const KEPT: usize = 128 * 1024;

/// One of the two.
#[derive(Debug)]
pub(super) struct Target {
    kind: Kind,
    /// The same pipe, opened by the runner for itself and set not to block: the
    /// inherited one is shared with others, who may not expect that.
    own: Option<OwnedFd>,
    /// The most that is written at once.
    most: usize,
    waiting: Vec<u8>,
    written: usize,
    dropped: u64,
}

impl Target {
    pub(super) fn new(kind: Kind) -> Self {
        let file_type = fstat(inherited(kind)).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let own = match file_type {
            Ok(FileType::Fifo) => {
                let path = if kind == Kind::Out { "/proc/self/fd/1" } else { "/proc/self/fd/2" };
                open(path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()
            }
            _ => None,
        };
        let never_blocks = own.is_some() || matches!(file_type, Ok(FileType::RegularFile));
        let most = if never_blocks { usize::MAX } else { PIPE_BUF };
        Self { kind, own, most, waiting: vec![], written: 0, dropped: 0 }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.own.as_ref().map_or_else(|| inherited(self.kind), AsFd::as_fd)
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() - self.written
    }

    /// Writes what goes at once and lets the rest wait.
    pub(super) fn offer(&mut self, bytes: &[u8]) {
        let written = if self.waiting.is_empty() { self.try_write(bytes) } else { 0 };
        let rest = &bytes[written..];
        if self.waiting() + rest.len() <= MAX_WAITING {
            // A reader that is slow but never late would let it grow for ever.
            if self.written >= KEPT {
                self.waiting.drain(..std::mem::take(&mut self.written));
            }
            self.waiting.extend_from_slice(rest);
        } else {
            self.dropped += rest.len() as u64;
        }
    }

    /// Goes on with what waits, without waiting itself.
    pub(super) fn write(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.written += self.try_write(&waiting[self.written..]);
        self.waiting = waiting;
        if self.waiting() == 0 {
            self.waiting.clear();
            self.waiting.shrink_to(KEPT);
            self.written = 0;
            if self.dropped > 0 {
                say!(
                    "{} bytes of output are missing here: nobody read it",
                    std::mem::take(&mut self.dropped)
                );
            }
        }
    }

    /// Waits for whoever reads, until then at most.
    pub(super) fn flush(&mut self, until: Instant) {
        while self.waiting() > 0 && self.is_writable(until.saturating_duration_since(Instant::now())) {
            self.write();
        }
    }

    /// How much went without blocking.
    fn try_write(&self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            if self.most == PIPE_BUF && !self.is_writable(Duration::ZERO) {
                break;
            }
            let rest = &bytes[done..];
            match rustix::io::write(self.fd(), &rest[..rest.len().min(self.most)]) {
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // Nobody reads any more, and nobody will.
                Err(_) => return bytes.len(),
            }
        }
        done
    }

    fn is_writable(&self, wait: Duration) -> bool {
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::OUT)];
        poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }
}

fn inherited(kind: Kind) -> BorrowedFd<'static> {
    match kind {
        Kind::Out => rustix::stdio::stdout(),
        Kind::Error => rustix::stdio::stderr(),
    }
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn a_reader_that_always_leaves_something_gets_all_and_takes_no_more_memory() {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let mut target = Target {
            kind: Kind::Out,
            own: Some(write),
            most: usize::MAX,
            waiting: vec![],
            written: 0,
            dropped: 0,
        };
        let pieces = (0..2_000_u32).map(|number| number.to_le_bytes().repeat(4_096));
        let (mut seen, mut buffer, mut total) = (vec![], vec![0; 16_384], vec![]);
        for piece in pieces {
            target.offer(&piece);
            total.extend_from_slice(&piece);
            // More is always waiting than what is taken.
            if target.waiting() > 200_000 {
                let n = rustix::io::read(&read, &mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..n]);
                target.write();
            }
            assert!(target.waiting.capacity() <= 1_000_000, "{} bytes", target.waiting.capacity());
        }
        while target.waiting() > 0 || seen.len() < total.len() {
            let n = rustix::io::read(&read, &mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..n]);
            target.write();
        }
        assert!(seen == total, "{} bytes of {}", seen.len(), total.len());
        assert_eq!(target.dropped, 0);
    }
}
