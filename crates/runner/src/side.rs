//! The side channel: what the preload in each Node.js process of the app says,
//! and the orders it gets.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use crate::lines::LineReader;
use crate::machine::Now;
use crate::procfs::Reach;
use crate::telemetry::{Http, MAX_KINDS, Vitals};

mod words;

pub(crate) use words::{Message, Order};

/// More processes than this share the runner's attention with nobody.
const MAX_CONNECTIONS: usize = 256;
const MAX_LINE: usize = 4 * 1024;
/// More servers than this of one process are not told apart from none.
const MAX_LISTENERS: usize = 256;
/// A process that hangs is not waited for longer than this.
const REACTION: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Peer {
    stream: UnixStream,
    reader: LineReader,
    in_flight: u64,
    open: u64,
    seen: Option<String>,
    listeners: Vec<Listener>,
    /// Its servers that wait for the held socket to be let go.
    releases: usize,
    /// It has said what it serves: others are not waited for in a drain.
    serves: bool,
    node: Option<String>,
    vitals: Option<Box<Vitals>>,
    http: Http,
}

/// A server that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    port: u16,
    adopted: bool,
    reach: Reach,
}

/// All processes of the app that serve something.
#[derive(Debug)]
pub(crate) struct SideChannel {
    listener: UnixListener,
    peers: BTreeMap<u64, Peer>,
    next: u64,
    order: Option<(Order, Now)>,
    /// What was answered by processes that are gone.
    http_before: Http,
}

impl SideChannel {
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, peers: BTreeMap::new(), next: 0, order: None, http_before: Http::default() })
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
            let listeners = vec![];
            let http = Http::default();
            let mut peer = Peer {
                stream,
                reader,
                in_flight: 0,
                open: 0,
                seen: None,
                listeners,
                releases: 0,
                serves: false,
                node: None,
                vitals: None,
                http,
            };
            if let Some((order, _)) = self.order {
                tell(&mut peer, order);
            }
            self.peers.insert(self.next, peer);
            self.next += 1;
        }
    }

    /// Reads from one process; true if what listens may have changed.
    pub(crate) fn read(&mut self, id: u64, mut on: impl FnMut(&Message)) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let mut messages: Vec<Message> = vec![];
        // What cannot be read is said by a newer preload.
        let open = peer.reader.read(&peer.stream, |line| messages.extend(Message::read(line)));
        let mut changed = false;
        for message in messages {
            on(&message);
            changed |= peer.take(message);
        }
        if !matches!(open, Ok(true)) {
            self.forget(id);
            changed = true;
        }
        changed
    }

    fn forget(&mut self, id: u64) {
        if let Some(peer) = self.peers.remove(&id) {
            self.http_before.add(&peer.http);
        }
    }

    /// Whether a process is still connected.
    pub(crate) fn has(&self, id: u64) -> bool {
        self.peers.contains_key(&id)
    }

    /// The main process: of those that give figures of themselves the one that
    /// listens, or the first.
    fn main(&self) -> Option<&Peer> {
        let mut all = self.peers.values().filter(|peer| peer.vitals.is_some());
        let first = all.clone().next();
        all.find(|peer| !peer.listeners.is_empty()).or(first)
    }

    /// Figures of the main process.
    pub(crate) fn vitals(&self) -> Option<&Vitals> {
        self.main()?.vitals.as_deref()
    }

    /// Version of Node.js that the main process runs on.
    pub(crate) fn node(&self) -> Option<&str> {
        self.main()?.node.as_deref()
    }

    /// What all processes have answered, of all lives.
    pub(crate) fn http(&self) -> Http {
        let mut all = self.http_before;
        self.peers.values().for_each(|peer| all.add(&peer.http));
        all
    }

    /// Tells the main process something; false if there is none.
    pub(crate) fn tell_main(&self, line: &str) -> bool {
        let line = format!("{line}\n");
        self.main().is_some_and(|peer| rustix::io::write(&peer.stream, line.as_bytes()) == Ok(line.len()))
    }

    /// Who can connect to a port by all that the processes say, and whether it
    /// is the runner's socket.
    pub(crate) fn listening(&self, port: u16) -> (Reach, bool) {
        let listeners = self.peers.values().flat_map(|peer| &peer.listeners).filter(|one| one.port == port);
        listeners.fold((Reach::Nobody, false), |all, one| (all.0.max(one.reach), all.1 || one.adopted))
    }

    /// Answers each server of a process that waits for the held socket.
    pub(crate) fn released(&mut self, id: u64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            let words = "released\n".repeat(std::mem::take(&mut peer.releases));
            let _ = rustix::io::write(&peer.stream, words.as_bytes());
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
        let ids: Vec<u64> = self.peers.keys().copied().collect();
        for id in ids {
            // Its last words count.
            self.read(id, |_| {});
            self.forget(id);
        }
        self.order = None;
    }

    /// Requests in flight; `None` if nobody has said anything.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        let serves = self.peers.values().any(|peer| peer.serves);
        serves.then(|| self.peers.values().map(|peer| peer.in_flight).sum())
    }

    /// What the signal will cut off, unless the app closes it in its handler.
    pub(crate) fn left(&self) -> Option<String> {
        let sum = |count: fn(&Peer) -> u64| self.peers.values().map(count).sum::<u64>();
        let (requests, open) = (sum(|peer| peer.in_flight), sum(|peer| peer.open));
        // Idle ones are closed by now: what has no request is an upgraded connection.
        let others = open.saturating_sub(requests);
        let mut parts = vec![];
        if requests > 0 {
            parts.push(format!("{requests} requests in flight"));
        }
        if others > 0 {
            parts.push(format!("{others} connections without a request, such as WebSockets"));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Requests in flight and open connections after the last order, once every
    /// process has obeyed it; `hung` ones get a moment to, and no more.
    pub(crate) fn settled(&self, now: Now, hung: bool) -> Option<(u64, u64)> {
        let (order, at) = self.order?;
        let (obeyed, silent): (Vec<_>, Vec<_>) = self
            .peers
            .values()
            .filter(|peer| peer.serves)
            .partition(|peer| peer.seen.as_deref() == Some(order.word()));
        let given_up = hung && at.saturating_add(REACTION) <= now;
        if !silent.is_empty() && !given_up {
            return None;
        }
        Some(obeyed.iter().fold((0, 0), |sum, peer| (sum.0 + peer.in_flight, sum.1 + peer.open)))
    }

    /// When silence is taken for an answer.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.order.map(|(_, at)| at.saturating_add(REACTION))
    }
}

impl Peer {
    /// True if what listens may have changed.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Hello { node } => {
                self.node = node.filter(|node| node.len() <= 64);
                false
            }
            Message::Beat {} | Message::Deaf {} | Message::Profiled { .. } => false,
            Message::Release {} => {
                self.releases += 1;
                false
            }
            Message::Vitals(mut vitals) => {
                while vitals.resources.len() > MAX_KINDS {
                    vitals.resources.pop_last();
                }
                self.vitals = Some(vitals);
                false
            }
            Message::Load { in_flight, open, seen, http } => {
                (self.in_flight, self.open, self.seen) = (in_flight, open, seen);
                self.serves = true;
                if let Some(http) = http {
                    self.http = *http;
                }
                false
            }
            Message::Listening { port, host, adopted, .. } => {
                let loopback = host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
                let reach = if loopback { Reach::Loopback } else { Reach::Others };
                self.serves = true;
                if self.listeners.len() < MAX_LISTENERS {
                    self.listeners.push(Listener { port, adopted, reach });
                }
                true
            }
            Message::Closed { port, adopted } => {
                let is_it = |one: &Listener| one.port == port && one.adopted == adopted;
                if let Some(at) = self.listeners.iter().position(is_it) {
                    self.listeners.swap_remove(at);
                }
                true
            }
        }
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
    fn the_load_counts_once_every_process_has_obeyed_or_had_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        assert_eq!(side.settled(s(0), false), None);
        let mut quick = UnixStream::connect(&path).unwrap();
        let mut hung = UnixStream::connect(&path).unwrap();
        hung.write_all(b"{\"t\":\"load\",\"inFlight\":1,\"open\":1}\n").unwrap();
        side.order(s(10), Order::Close);
        let mut line = String::new();
        BufReader::new(quick.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "close\n");
        quick.write_all(b"{\"t\":\"load\",\"inFlight\":2,\"open\":5,\"seen\":\"close\"}\n").unwrap();
        side.read(0, |_| {});
        side.read(1, |_| {});
        assert_eq!(side.in_flight(), Some(3));
        assert_eq!(side.settled(s(10), true), None, "the other one has its second");
        assert_eq!(side.settled(s(11), true), Some((2, 5)));
        assert_eq!(side.settled(s(11), false), None, "it may be busy with a request");
        side.reset();
        assert_eq!(side.in_flight(), None);
        assert_eq!(side.settled(s(12), true), None);
    }

    #[test]
    fn a_worker_that_goes_does_not_take_the_others_port_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        let mut primary = UnixStream::connect(&path).unwrap();
        let mut worker = UnixStream::connect(&path).unwrap();
        side.accept();
        let says = |adopted| {
            format!("{{\"t\":\"listening\",\"port\":3000,\"host\":\"::\",\"adopted\":{adopted}}}\n")
        };
        primary.write_all(says(true).as_bytes()).unwrap();
        worker.write_all(says(false).as_bytes()).unwrap();
        assert!(side.read(0, |_| {}) && side.read(1, |_| {}));
        assert_eq!(side.listening(3000), (Reach::Others, true));
        assert_eq!(side.listening(3001), (Reach::Nobody, false));
        worker.write_all(b"{\"t\":\"closed\",\"port\":3000,\"adopted\":false}\n").unwrap();
        assert!(side.read(1, |_| {}));
        assert_eq!(side.listening(3000), (Reach::Others, true));
        drop(primary);
        assert!(side.read(0, |_| {}));
        assert_eq!(side.listening(3000), (Reach::Nobody, false));
    }

    #[test]
    fn each_server_that_waits_for_the_held_socket_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        let mut app = UnixStream::connect(&path).unwrap();
        side.accept();
        app.write_all(b"{\"t\":\"release\"}\n{\"t\":\"release\"}\n").unwrap();
        side.read(0, |_| {});
        side.released(0);
        side.released(0);
        drop(side);
        let answers: Vec<String> = BufReader::new(app).lines().map(Result::unwrap).collect();
        assert_eq!(answers, ["released", "released"]);
    }

    #[test]
    fn servers_without_number_take_no_memory_without_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        let mut app = UnixStream::connect(&path).unwrap();
        side.accept();
        for port in 1..=2_000 {
            let line = format!("{{\"t\":\"listening\",\"port\":{port},\"host\":\"::\",\"adopted\":false}}\n");
            app.write_all(line.as_bytes()).unwrap();
            side.read(0, |_| {});
        }
        assert_eq!(side.peers[&0].listeners.len(), MAX_LISTENERS);
        assert_eq!(side.listening(1), (Reach::Others, false), "the first ones are known");
    }

    #[test]
    fn a_process_that_connects_during_a_drain_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("side.sock");
        let mut side = SideChannel::bind(&path).unwrap();
        side.order(s(1), Order::Drain);
        assert_eq!(side.settled(s(2), false), Some((0, 0)), "nobody serves");
        let late = UnixStream::connect(&path).unwrap();
        side.accept();
        let mut line = String::new();
        BufReader::new(late).read_line(&mut line).unwrap();
        assert_eq!(line, "drain\n");
    }
}
