//! The IPC channel of Node.js: `process.send` of the app arrives here, and what
//! goes the other way the app gets as `process.on('message')`.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use crate::custom::{self, Message};
use crate::lines::LineReader;
use crate::outbox::Outbox;

/// Longer messages are dropped, and counted. It bounds the runner's memory for
/// this channel, together with [`MAX_WAITING`].
pub(crate) const MAX_LINE: usize = 1024 * 1024;
/// What may wait for an app that does not read.
const MAX_WAITING: usize = 1024 * 1024;

/// The runner's end. It stays open for the life of the process: an app that
/// sends on a closed channel would crash.
#[derive(Debug)]
pub(crate) struct Ipc {
    own: UnixStream,
    reader: LineReader,
    outbox: Outbox,
    ended: bool,
}

impl Ipc {
    /// A channel and the end that the app gets.
    pub(crate) fn pair() -> io::Result<(Self, UnixStream)> {
        let (own, app) = UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let reader = LineReader::new(MAX_LINE);
        Ok((Self { own, reader, outbox: Outbox::default(), ended: false }, app))
    }

    /// The stream to wait on and whether there is something to write, unless the
    /// app has closed its end.
    pub(crate) fn stream(&self) -> Option<(&UnixStream, bool)> {
        (!self.ended).then_some((&self.own, !self.outbox.is_empty()))
    }

    /// Reads and writes once, at most 16 KiB of input: whoever sends without end
    /// takes turns with everything else.
    pub(crate) fn advance(&mut self, mut on: impl FnMut(Message)) -> Traffic {
        let mut traffic = Traffic::default();
        let open = self.reader.read(&self.own, |line| {
            traffic.messages += 1;
            if let Some(message) = custom::parse(line) {
                on(message);
            }
        });
        traffic.dropped = self.reader.take_dropped();
        let written = self.outbox.flush(&self.own);
        self.ended = !matches!(open, Ok(true)) || written.is_err();
        traffic
    }

    /// Sends a message, which has to be JSON; false if the app does not listen:
    /// it has closed its end, or has not read for long.
    pub(crate) fn send(&mut self, json: &str) -> bool {
        if self.ended || !self.outbox.push(json.as_bytes(), MAX_WAITING) {
            return false;
        }
        self.ended = self.outbox.flush(&self.own).is_err();
        !self.ended
    }
}

/// What one turn has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Messages of any kind.
    pub(crate) messages: u64,
    /// Messages that were too long.
    pub(crate) dropped: u64,
}

/// Number of a descriptor, for the child's environment.
pub(crate) fn number(stream: &UnixStream) -> i32 {
    stream.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn read(ipc: &mut Ipc) -> Vec<Message> {
        let mut messages = vec![];
        ipc.advance(|message| messages.push(message));
        messages
    }

    #[test]
    fn ready_is_exactly_ready() {
        let (mut ipc, mut app) = Ipc::pair().unwrap();
        app.write_all(b"\"already\"\nready\n{\"cmd\":\"NODE_X\"}\nnull\n\"Ready\"\n7\n").unwrap();
        assert_eq!(read(&mut ipc), []);
        app.write_all(b"{\"type\":\"other\"}\n\"ready\"\n").unwrap();
        assert_eq!(read(&mut ipc), [Message::Ready]);
        assert_eq!(read(&mut ipc), []);
    }

    #[test]
    fn an_app_may_close_its_end() {
        let (mut ipc, app) = Ipc::pair().unwrap();
        drop(app);
        assert_eq!(read(&mut ipc), []);
        assert!(ipc.stream().is_none());
        assert!(!ipc.send("\"shutdown\""));
    }

    #[test]
    fn an_app_that_does_not_read_costs_a_bounded_amount_of_memory() {
        let (mut ipc, mut app) = Ipc::pair().unwrap();
        let message = format!("\"{}\"", "x".repeat(100_000));
        let taken = (0..1_000).take_while(|_| ipc.send(&message)).count();
        assert!((10..=40).contains(&taken), "{taken} messages wait");
        assert!(ipc.stream().unwrap().1, "and are written once it reads");
        let mut byte = vec![0; 200_000];
        let mut got = 0;
        while got < taken * (message.len() + 1) {
            got += app.read(&mut byte).unwrap();
            read(&mut ipc);
        }
        assert!(!ipc.stream().unwrap().1);
    }

    #[test]
    fn what_is_too_long_is_counted_and_the_next_message_arrives() {
        let (mut ipc, mut app) = Ipc::pair().unwrap();
        let writer = std::thread::spawn(move || {
            for _ in 0..2 {
                app.write_all(&vec![b'x'; MAX_LINE + 1]).unwrap();
                app.write_all(b"\n").unwrap();
            }
            app.write_all(b"\"ready\"\n").unwrap();
            app
        });
        let mut all = Traffic::default();
        let mut ready = false;
        while !ready {
            let traffic = ipc.advance(|message| ready |= message == Message::Ready);
            all.messages += traffic.messages;
            all.dropped += traffic.dropped;
        }
        assert_eq!(all, Traffic { messages: 1, dropped: 2 });
        writer.join().unwrap();
    }
}
