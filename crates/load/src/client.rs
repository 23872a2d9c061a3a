//! One connection, one request at a time, and a verdict on each.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::report::Failure;
use crate::response::{self, Progress};
use crate::stats::Outcome;
use crate::target::Target;

const MAX_RESPONSE: usize = 1 << 20;

/// Looks the target up and, with a limit, waits until it has answered once.
///
/// # Errors
/// It has no address, or what came of the last try.
pub fn await_answer(target: &Target, timeout: Duration, limit: Duration) -> Result<SocketAddr, String> {
    let start = Instant::now();
    loop {
        let reason = match target.resolve() {
            Ok(address) if limit.is_zero() => return Ok(address),
            Ok(address) => match once(target, address, timeout) {
                Outcome::Ok(_) => return Ok(address),
                outcome => format!("{outcome:?}"),
            },
            Err(reason) => reason,
        };
        if start.elapsed() >= limit {
            return Err(reason);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn once(target: &Target, address: SocketAddr, timeout: Duration) -> Outcome {
    let deadline = Instant::now() + timeout;
    match Connection::open(address, timeout) {
        Ok(mut connection) => connection.exchange(target, &target.request(false), deadline).outcome,
        Err(outcome) => outcome,
    }
}

/// A connection to the target.
pub struct Connection {
    stream: TcpStream,
    answered: bool,
}

/// The end of one exchange, and whether the connection can be used again.
pub struct Exchange {
    /// What came of the request.
    pub outcome: Outcome,
    /// Whether the next request may use this connection.
    pub keep: bool,
}

impl Connection {
    /// Connects within `timeout`.
    ///
    /// # Errors
    /// The outcome of the request that could not be sent.
    pub fn open(address: SocketAddr, timeout: Duration) -> Result<Self, Outcome> {
        let stream = TcpStream::connect_timeout(&address, timeout).map_err(|error| {
            let class = match error.kind() {
                ErrorKind::ConnectionRefused => Failure::Refused,
                ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Timeout,
                _ => Failure::NotConnected,
            };
            Outcome::Failed(class, format!("connect: {error}"))
        })?;
        // Requests are one small write each; the only thing that Nagle could do is wait.
        let _ = stream.set_nodelay(true);
        Ok(Self { stream, answered: false })
    }

    /// Whether the server has closed the connection, or spoken unasked, since
    /// the last response.
    pub fn is_closed(&self) -> bool {
        let _ = self.stream.set_nonblocking(true);
        let peeked = self.stream.peek(&mut [0]);
        let _ = self.stream.set_nonblocking(false);
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends `request` and reads its response until `deadline`.
    pub fn exchange(&mut self, target: &Target, request: &[u8], deadline: Instant) -> Exchange {
        match self.try_exchange(target, request, deadline) {
            Ok(exchange) => {
                self.answered = true;
                exchange
            }
            Err(outcome) => Exchange { outcome, keep: false },
        }
    }

    fn try_exchange(
        &mut self,
        target: &Target,
        request: &[u8],
        deadline: Instant,
    ) -> Result<Exchange, Outcome> {
        self.bound(deadline)?;
        self.stream.write_all(request).map_err(|error| self.broken("write", &error, false))?;
        let mut bytes = Vec::with_capacity(1024);
        let mut buffer = [0_u8; 4096];
        loop {
            self.bound(deadline)?;
            let count = match self.stream.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken("read", &error, !bytes.is_empty())),
            };
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
            match response::parse(&bytes, count == 0, target.token.as_ref()) {
                Progress::Complete(answer) => return Ok(judge(answer)),
                Progress::Malformed(problem) => return Err(Outcome::Failed(Failure::Malformed, problem)),
                Progress::Partial if count == 0 => return Err(self.ended("closed", !bytes.is_empty())),
                Progress::Partial if bytes.len() > MAX_RESPONSE => {
                    return Err(Outcome::Failed(Failure::Malformed, "more than 1 MiB".to_owned()));
                }
                Progress::Partial => {}
            }
        }
    }

    fn bound(&self, deadline: Instant) -> Result<(), Outcome> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Outcome::Failed(Failure::Timeout, "no complete response".to_owned()));
        }
        let bound =
            self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.set_write_timeout(Some(left)));
        bound.map_err(|error| Outcome::Failed(Failure::NotConnected, error.to_string()))
    }

    fn broken(&self, step: &str, error: &std::io::Error, begun: bool) -> Outcome {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                Outcome::Failed(Failure::Timeout, format!("{step}: {error}"))
            }
            _ => self.ended(&format!("{step}: {error}"), begun),
        }
    }

    fn ended(&self, what: &str, begun: bool) -> Outcome {
        if begun {
            Outcome::Failed(Failure::ResetMidResponse, what.to_owned())
        } else if self.answered {
            Outcome::IdleCloseRace(what.to_owned())
        } else {
            Outcome::Failed(Failure::ResetBeforeResponse, what.to_owned())
        }
    }
}

fn judge(answer: response::Answer) -> Exchange {
    let outcome = if (200..300).contains(&answer.status) {
        Outcome::Ok(answer.token)
    } else {
        Outcome::Failed(Failure::BadStatus, format!("status {}", answer.status))
    };
    Exchange { outcome, keep: answer.keep }
}
