//! Threads that send, each at its own steady pace.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::stats::{Mode, Stats};
use crate::target::Target;

/// How much load, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Connections that are kept.
    pub keep_alive: u32,
    /// Requests per second over all kept connections.
    pub keep_alive_rate: f64,
    /// New connections per second, one request on each.
    pub new_per_second: f64,
    /// Longest time for one request, the connect included.
    pub timeout: Duration,
}

/// What all workers share.
pub struct Shared {
    /// Where to.
    pub target: Target,
    /// Its address.
    pub address: SocketAddr,
    /// The counters.
    pub stats: Arc<Stats>,
    /// Set to end the load; requests under way are finished first.
    pub stop: Arc<AtomicBool>,
}

struct Worker {
    shared: Arc<Shared>,
    mode: Mode,
    interval: Duration,
    timeout: Duration,
}

/// Starts all workers.
///
/// # Errors
/// The system has no more threads.
pub fn start(plan: Plan, shared: &Arc<Shared>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut handles = Vec::new();
    // A worker is blocked while it waits for an answer, so that several share
    // the rate: with ten per worker an answer may take 100 ms before it drops.
    let new_workers =
        if plan.new_per_second > 0.0 { (plan.new_per_second / 10.0).ceil().min(128.0) } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 128")]
    let new_count = new_workers as u32;
    let groups = [
        (Mode::KeepAlive, plan.keep_alive, plan.keep_alive_rate),
        (Mode::NewConnection, new_count, plan.new_per_second),
    ];
    for (mode, count, rate) in groups {
        if rate <= 0.0 {
            continue;
        }
        let interval = Duration::from_secs_f64(f64::from(count) / rate);
        for index in 0..count {
            let worker = Worker { shared: Arc::clone(shared), mode, interval, timeout: plan.timeout };
            // Spread over the interval, or all would send at once.
            let first = Instant::now() + interval.mul_f64(f64::from(index) / f64::from(count));
            handles.push(thread::Builder::new().stack_size(128 << 10).spawn(move || worker.run(first))?);
        }
    }
    Ok(handles)
}

impl Worker {
    fn run(&self, first: Instant) {
        let keep = self.mode == Mode::KeepAlive;
        let request = self.shared.target.request(keep);
        let mut connection = None;
        let mut next = first;
        while self.wait_until(next) {
            connection = self.once(connection, &request).filter(|_| keep);
            // Slots that were missed by a slow answer are not made up for in a burst.
            next = (next + self.interval).max(Instant::now());
        }
    }

    fn once(&self, connection: Option<Connection>, request: &[u8]) -> Option<Connection> {
        let (shared, stats) = (&self.shared, &self.shared.stats);
        let usable = connection.filter(|connection| {
            let closed = connection.is_closed();
            if closed {
                stats.closed_while_idle(self.mode);
            }
            !closed
        });
        let began = Instant::now();
        let opened = match usable {
            Some(connection) => Ok(connection),
            None => Connection::open(shared.address, self.timeout).inspect(|_| stats.connected(self.mode)),
        };
        match opened {
            Err(outcome) => {
                stats.record(self.mode, began, outcome);
                None
            }
            Ok(mut connection) => {
                let exchange = connection.exchange(&shared.target, request, began + self.timeout);
                stats.record(self.mode, began, exchange.outcome);
                exchange.keep.then_some(connection)
            }
        }
    }

    /// Waits for the time of the next request; false when the load is over.
    fn wait_until(&self, next: Instant) -> bool {
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}
