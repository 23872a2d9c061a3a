//! Load on one port of this machine, by the same workers that the load probe of the cluster has.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use nodeapp_load::report::Failure;
use nodeapp_load::stats::Stats;
use nodeapp_load::target::Target;
use nodeapp_load::workers::{self, Plan, Shared};
use nodeapp_load::{Report, client};

/// More than any server answers: each connection asks again as soon as it has its answer.
const AT_ONCE: f64 = 1e9;

/// A load that runs.
pub(crate) struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Connections that are kept.
    pub(crate) keep_alive: u32,
    /// Requests a second on them; as fast as they are answered when absent.
    pub(crate) rate: Option<f64>,
    /// New connections a second.
    pub(crate) new: f64,
}

impl Load {
    /// Starts once the server has answered.
    pub(crate) fn start(port: u16, kind: Kind) -> Result<Self> {
        let target = target(port)?;
        let timeout = Duration::from_secs(10);
        let address = client::await_answer(&target, timeout, Duration::from_secs(30))
            .map_err(|problem| anyhow!("port {port} does not answer: {problem}"))?;
        let plan = Plan {
            keep_alive: kind.keep_alive,
            keep_alive_rate: kind.rate.unwrap_or(AT_ONCE),
            new_per_second: kind.new,
            timeout,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared { target, address, stats: Arc::new(Stats::new()), stop });
        let workers = workers::start(plan, &shared)?;
        Ok(Self { shared, workers })
    }

    /// Ends it; requests under way are finished first.
    pub(crate) fn finish(mut self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| anyhow!("a worker of the load panicked"))?;
        }
        Ok(self.shared.stats.report(true))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// `http://127.0.0.1:PORT/`.
fn target(port: u16) -> Result<Target> {
    Target::parse(&format!("http://127.0.0.1:{port}/"), None).map_err(|problem| anyhow!(problem))
}

/// One request on a connection of its own; its answer's text, whatever its status.
pub(crate) fn get(port: u16, path: &str, timeout: Duration) -> Option<String> {
    use std::io::{Read, Write};
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = std::net::TcpStream::connect_timeout(&address, timeout).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(body.to_owned())
}

/// Requests without a complete answer, whatever the reason.
pub(crate) fn lost(report: &Report) -> u64 {
    report.failed() + report.idle_close_race()
}

/// Failures of a kind over both ways to connect.
pub(crate) fn failures(report: &Report, which: impl Fn(Failure) -> bool) -> u64 {
    let both = [&report.keep_alive, &report.new_connection];
    both.iter()
        .flat_map(|mode| &mode.failures)
        .filter(|(kind, _)| which(**kind))
        .map(|(_, count)| count)
        .sum()
}
