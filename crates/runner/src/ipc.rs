//! The IPC channel of Node.js: `process.send` of the app arrives here.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::lines::LineReader;

/// Longer messages are dropped; `"ready"` is short.
const MAX_LINE: usize = 64 * 1024;

/// The runner's end. It stays open for the life of the process: an app that
/// sends on a closed channel would crash.
#[derive(Debug)]
pub(crate) struct Ipc {
    own: UnixStream,
    reader: LineReader,
    ended: bool,
}

impl Ipc {
    /// A channel and the end that the app gets.
    pub(crate) fn pair() -> io::Result<(Self, UnixStream)> {
        let (own, app) = UnixStream::pair()?;
        own.set_nonblocking(true)?;
        Ok((Self { own, reader: LineReader::new(MAX_LINE), ended: false }, app))
    }

    /// The stream to wait on, unless the app has closed its end.
    pub(crate) fn stream(&self) -> Option<&UnixStream> {
        (!self.ended).then_some(&self.own)
    }

    /// Reads once; true if the app has said `ready`. Other messages are legal
    /// and mean nothing here.
    pub(crate) fn read(&mut self) -> bool {
        let mut ready = false;
        let open = self.reader.read(&self.own, |line| ready |= line == b"\"ready\"");
        self.ended = !matches!(open, Ok(true));
        ready
    }
}

impl Ipc {
    /// Sends a message, which has to be JSON; false if the app does not take it.
    pub(crate) fn send(&mut self, json: &str) -> bool {
        let line = format!("{json}\n");
        !self.ended && (&self.own).write_all(line.as_bytes()).is_ok()
    }
}

/// Number of a descriptor, for the child's environment.
pub(crate) fn number(stream: &UnixStream) -> i32 {
    stream.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_exactly_ready() {
        let (mut ipc, mut app) = Ipc::pair().unwrap();
        app.write_all(b"\"already\"\nready\n{\"cmd\":\"NODE_X\"}\nnull\n\"Ready\"\n").unwrap();
        assert!(!ipc.read());
        app.write_all(b"{\"type\":\"axm:monitor\"}\n\"ready\"\n").unwrap();
        assert!(ipc.read());
        assert!(!ipc.read());
    }

    #[test]
    fn an_app_may_close_its_end() {
        let (mut ipc, app) = Ipc::pair().unwrap();
        drop(app);
        assert!(!ipc.read());
        assert!(ipc.stream().is_none());
    }
}
