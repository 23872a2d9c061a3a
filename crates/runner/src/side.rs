//! The side channel: what the preload in each Node.js process of the app says,
//! and the orders it gets.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::lines::LineReader;
use crate::machine::Now;

/// More processes than this share the runner's attention with nobody.
const MAX_CONNECTIONS: usize = 256;
const MAX_LINE: usize = 4 * 1024;
/// A process that does not react to an order in this time has a blocked event
/// loop, and is not waited for.
pub(crate) const REACTION: Duration = Duration::from_secs(1);

/// An order to the preload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Answer with `Connection: close`.
    Drain,
    /// Accept no more.
    Close,
    /// Close connections without a request.
    Idle,
    /// The signal follows: do not keep the process alive any more.
    Signal,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Close => "close",
            Self::Idle => "idle",
            Self::Signal => "signal",
        }
    }
}

/// What a process says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "t", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Message {
    /// First message.
    Hello {},
    /// A server listens.
    Listening {
        port: u16,
        host: String,
        /// On the runner's socket.
        adopted: bool,
        /// Why not, where the port is the app's.
        why: Option<String>,
    },
    /// A server has closed its listening socket.
    Closed { port: u16, adopted: bool },
    /// Requests being answered, open connections, and the last order obeyed.
    Load { in_flight: u64, open: u64, seen: Option<String> },
}

#[derive(Debug)]
struct Peer {
    stream: UnixStream,
    reader: LineReader,
    in_flight: u64,
    open: u64,
    seen: Option<String>,
}

/// All processes of the app that serve something.
#[derive(Debug)]
pub(crate) struct SideChannel {
    listener: UnixListener,
    peers: BTreeMap<u64, Peer>,
    next: u64,
    order: Option<(Order, Now)>,
}

impl SideChannel {
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, peers: BTreeMap::new(), next: 0, order: None })
    }

    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = (u64, &UnixStream)> {
        self.peers.iter().map(|(id, peer)| (*id, &peer.stream))
    }

    /// Takes new connections in.
    pub(crate) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.peers.len() >= MAX_CONNECTIONS || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let reader = LineReader::new(MAX_LINE);
            let mut peer = Peer { stream, reader, in_flight: 0, open: 0, seen: None };
            if let Some((order, _)) = self.order {
                tell(&mut peer, order);
            }
            self.peers.insert(self.next, peer);
            self.next += 1;
        }
    }

    /// Reads from one process; messages other than `Load` are handed on.
    pub(crate) fn read(&mut self, id: u64, mut on: impl FnMut(Message)) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let mut load = None;
        let open = peer.reader.read(&peer.stream, |line| match serde_json::from_slice(line) {
            Ok(Message::Load { in_flight, open, seen }) => load = Some((in_flight, open, seen)),
            Ok(message) => on(message),
            // A newer preload may say more.
            Err(_) => {}
        });
        if let Some((in_flight, open, seen)) = load {
            (peer.in_flight, peer.open, peer.seen) = (in_flight, open, seen);
        }
        if !matches!(open, Ok(true)) {
            self.peers.remove(&id);
        }
    }

    /// Sends an order to all; one that cannot be told is not listening anyway.
    pub(crate) fn order(&mut self, now: Now, order: Order) {
        self.accept();
        self.order = Some((order, now));
        for peer in self.peers.values_mut() {
            tell(peer, order);
        }
    }

    /// The process is gone: so are its connections and what it was told.
    pub(crate) fn reset(&mut self) {
        self.accept();
        self.peers.clear();
        self.order = None;
    }

    /// Requests in flight; `None` if nobody has said anything.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        (!self.peers.is_empty()).then(|| self.peers.values().map(|peer| peer.in_flight).sum())
    }

    /// Requests in flight and open connections after the last order, once every
    /// process has obeyed it or had its time to.
    pub(crate) fn settled(&self, now: Now) -> Option<(u64, u64)> {
        let (order, at) = self.order?;
        let (obeyed, silent): (Vec<_>, Vec<_>) =
            self.peers.values().partition(|peer| peer.seen.as_deref() == Some(order.word()));
        if !silent.is_empty() && now < at.saturating_add(REACTION) {
            return None;
        }
        Some(obeyed.iter().fold((0, 0), |sum, peer| (sum.0 + peer.in_flight, sum.1 + peer.open)))
    }

    /// When silence is taken for an answer.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.order.map(|(_, at)| at.saturating_add(REACTION))
    }
}

fn tell(peer: &mut Peer, order: Order) {
    let _ = rustix::io::write(&peer.stream, format!("{}\n", order.word()).as_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use super::*;

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn messages_of_the_preload_are_read_and_unknown_ones_ignored() {
        let parse = |text: &str| serde_json::from_str::<Message>(text).ok();
        assert_eq!(
            parse(r#"{"t":"load","inFlight":3,"open":4,"seen":"close","new":1}"#),
            Some(Message::Load { in_flight: 3, open: 4, seen: Some("close".into()) })
        );
        assert_eq!(parse(r#"{"t":"hello","pid":1,"thread":0}"#), Some(Message::Hello {}));
        assert_eq!(parse(r#"{"t":"notYetInvented"}"#), None);
    }

    #[test]
    fn the_load_counts_once_every_process_has_obeyed_or_had_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        assert_eq!(side.settled(s(0)), None);
        let mut quick = UnixStream::connect(&path).unwrap();
        let _hung = UnixStream::connect(&path).unwrap();
        side.order(s(10), Order::Close);
        let mut line = String::new();
        BufReader::new(quick.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "close\n");
        quick.write_all(b"{\"t\":\"load\",\"inFlight\":2,\"open\":5,\"seen\":\"close\"}\n").unwrap();
        side.read(0, |_| {});
        assert_eq!(side.in_flight(), Some(2));
        assert_eq!(side.settled(s(10)), None, "the other one has its second");
        assert_eq!(side.settled(s(11)), Some((2, 5)));
        side.reset();
        assert_eq!(side.in_flight(), None);
        assert_eq!(side.settled(s(12)), None);
    }

    #[test]
    fn a_process_that_connects_during_a_drain_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        side.order(s(1), Order::Drain);
        assert_eq!(side.settled(s(2)), Some((0, 0)), "nobody serves");
        let late = UnixStream::connect(&path).unwrap();
        side.accept();
        let mut line = String::new();
        BufReader::new(late).read_line(&mut line).unwrap();
        assert_eq!(line, "drain\n");
    }
}
