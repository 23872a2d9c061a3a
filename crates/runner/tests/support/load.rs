//! Bounded load on loopback, without a single retry.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a client behaves.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    /// One connection for many requests; else one for each.
    pub(crate) keep_alive: bool,
    /// Pause between two requests.
    pub(crate) pause: Duration,
    /// What is asked for.
    pub(crate) path: &'static str,
}

/// The sum of all clients.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) answered: u64,
    pub(crate) closed_by_server: u64,
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) slowest: Duration,
}

/// Clients that run until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Report>>,
}

impl Load {
    /// Starts `count` clients of each kind.
    pub(crate) fn start(port: u16, clients: &[(usize, Client)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let clients = clients
            .iter()
            .flat_map(|(count, client)| std::iter::repeat_n(*client, *count))
            .map(|client| {
                let (stop, answered) = (stop.clone(), answered.clone());
                std::thread::spawn(move || run(port, client, &stop, &answered))
            })
            .collect();
        Self { stop, answered, clients }
    }

    /// Requests answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits for so many more answers.
    pub(crate) fn more(&self, count: u64) {
        let goal = self.answered() + count;
        super::wait_for("more answers under load", || (self.answered() >= goal).then_some(()));
    }

    /// Ends all clients and sums up.
    pub(crate) fn finish(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Report::default();
        for client in self.clients {
            let one = client.join().unwrap();
            sum.answered += one.answered;
            sum.closed_by_server += one.closed_by_server;
            sum.slowest = sum.slowest.max(one.slowest);
            for (what, count) in one.failed {
                *sum.failed.entry(what).or_default() += count;
            }
        }
        println!(
            "{} answered, {} connections closed by the server, slowest {:?}, failed {:?}",
            sum.answered, sum.closed_by_server, sum.slowest, sum.failed
        );
        sum
    }
}

fn run(port: u16, client: Client, stop: &AtomicBool, answered: &AtomicU64) -> Report {
    let mut report = Report::default();
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match request(port, client, &mut connection) {
            Ok(closed) => {
                report.answered += 1;
                report.closed_by_server += u64::from(closed && client.keep_alive);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                connection = None;
                *report.failed.entry(error).or_default() += 1;
            }
        }
        report.slowest = report.slowest.max(begun.elapsed());
        std::thread::sleep(client.pause);
    }
    report
}

/// Whether the other end has closed a connection that nobody uses: what every
/// client with a pool looks at before it takes one.
fn is_closed(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    stream.set_nonblocking(true).unwrap();
    let closed =
        !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    closed
}

fn request(port: u16, client: Client, connection: &mut Option<BufReader<TcpStream>>) -> Result<bool, String> {
    if connection.as_ref().is_some_and(is_closed) {
        *connection = None;
    }
    if connection.is_none() {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("connect: {error}"))?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        *connection = Some(BufReader::new(stream));
    }
    let reader = connection.as_mut().unwrap();
    let header = if client.keep_alive { "keep-alive" } else { "close" };
    let text = format!("GET {} HTTP/1.1\r\nHost: test\r\nConnection: {header}\r\n\r\n", client.path);
    reader.get_mut().write_all(text.as_bytes()).map_err(|error| format!("write: {error}"))?;
    let closed = answer(reader).map_err(|error| format!("read: {error}"))?;
    if closed || !client.keep_alive {
        *connection = None;
    }
    Ok(closed)
}

/// Reads one answer; true if it says `Connection: close`.
fn answer(reader: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    let (mut length, mut chunked, mut closed, mut first) = (0, false, false, true);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::Error::other("closed without an answer"));
        }
        let line = line.trim_end().to_ascii_lowercase();
        if std::mem::take(&mut first) && !line.starts_with("http/1.1 200") {
            return Err(std::io::Error::other(format!("answered {line}")));
        }
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        closed |= line == "connection: close";
        chunked |= line == "transfer-encoding: chunked";
    }
    if chunked {
        while skip_chunk(reader)? {}
    } else {
        skip(reader, length)?;
    }
    Ok(closed)
}

/// Reads a chunk away; false for the last one.
fn skip_chunk(reader: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let size = u64::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
    skip(reader, size + 2)?;
    Ok(size > 0)
}

fn skip(reader: &mut BufReader<TcpStream>, length: u64) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    if skipped == length { Ok(()) } else { Err(std::io::Error::other("cut off in its body")) }
}

/// Clients that only connect, each time anew, and count who is not taken.
pub(crate) struct Connects {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Connects {
    /// Starts `count` clients towards a port of the loopback address.
    pub(crate) fn start(port: u16, count: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |_| {
            let (stop, done) = (stop.clone(), done.clone());
            std::thread::spawn(move || {
                let mut failed = vec![];
                while !stop.load(Ordering::Relaxed) {
                    match TcpStream::connect(("127.0.0.1", port)) {
                        Ok(_) => _ = done.fetch_add(1, Ordering::Relaxed),
                        Err(error) => failed.push(error.to_string()),
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                failed
            })
        };
        let clients = (0..count).map(client).collect();
        Self { stop, done, clients }
    }

    /// Waits for so many more connections.
    pub(crate) fn more(&self, count: u64) {
        let goal = self.done.load(Ordering::Relaxed) + count;
        super::wait_for("more connections", || (self.done.load(Ordering::Relaxed) >= goal).then_some(()));
    }

    /// Ends the clients; what went wrong.
    pub(crate) fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}
