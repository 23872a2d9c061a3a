//! Counters shared by the workers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::report::{Failure, Latency, ModeReport, Report, Sample};

const MAX_SAMPLES: usize = 20;
/// An app answers with a handful of versions; more tokens than this are a
/// mistake in the choice of the token and must not fill the memory.
const MAX_TOKENS: usize = 64;

/// How a worker uses connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Many requests on one connection.
    KeepAlive,
    /// One connection for each request.
    NewConnection,
}

/// The end of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete 2xx response with its token, if it has one.
    Ok(Option<String>),
    /// A failure and what the system said.
    Failed(Failure, String),
    /// See [`ModeReport::idle_close_race`].
    IdleCloseRace(String),
}

/// Counters of one run.
pub struct Stats {
    start: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    keep_alive: Counter,
    new_connection: Counter,
    tokens: BTreeMap<String, u64>,
    samples: Vec<Sample>,
    last_ok: Instant,
    longest_silence: Duration,
}

struct Counter {
    report: ModeReport,
    latency: Histogram<u32>,
}

impl Counter {
    fn new() -> Self {
        // From 1 µs to 60 s with two digits: 26 kB.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 2).unwrap_or_else(|_| unreachable_bounds());
        Self { report: ModeReport::default(), latency }
    }

    fn snapshot(&self) -> ModeReport {
        let quantile = |q| millis(self.latency.value_at_quantile(q));
        let latency = Latency {
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            max_ms: millis(self.latency.max()),
        };
        ModeReport { latency, ..self.report.clone() }
    }
}

fn unreachable_bounds() -> Histogram<u32> {
    unreachable!("the bounds of the histogram are constants that it accepts")
}

#[allow(clippy::cast_precision_loss, reason = "at most 60 s in µs")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl Stats {
    /// Starts the clock.
    pub fn new() -> Self {
        let start = Instant::now();
        let inner = Inner {
            keep_alive: Counter::new(),
            new_connection: Counter::new(),
            tokens: BTreeMap::new(),
            samples: Vec::new(),
            last_ok: start,
            longest_silence: Duration::ZERO,
        };
        Self { start, inner: Mutex::new(inner) }
    }

    /// Counts one request that began at `began`.
    pub fn record(&self, mode: Mode, began: Instant, outcome: Outcome) {
        let now = Instant::now();
        let at_ms = u64::try_from((now - self.start).as_millis()).unwrap_or(u64::MAX);
        let mut inner = self.lock();
        let counter = inner.counter(mode);
        counter.report.requests += 1;
        match outcome {
            Outcome::Ok(token) => {
                counter.report.ok += 1;
                let micros = u64::try_from((now - began).as_micros()).unwrap_or(u64::MAX);
                counter.latency.saturating_record(micros.max(1));
                inner.answered(now, token);
            }
            Outcome::Failed(failure, what) => {
                counter.report.failed += 1;
                *counter.report.failures.entry(failure).or_default() += 1;
                inner.sample(at_ms, mode, format!("{failure:?}: {what}"));
            }
            Outcome::IdleCloseRace(what) => {
                counter.report.idle_close_race += 1;
                inner.sample(at_ms, mode, format!("IdleCloseRace: {what}"));
            }
        }
    }

    /// Counts a connection.
    pub fn connected(&self, mode: Mode) {
        self.lock().counter(mode).report.connections += 1;
    }

    /// Counts a connection that the server had closed between two requests.
    pub fn closed_while_idle(&self, mode: Mode) {
        self.lock().counter(mode).report.closed_while_idle += 1;
    }

    /// The counters as they are now.
    pub fn report(&self, finished: bool) -> Report {
        let inner = self.lock();
        let silence = inner.longest_silence.max(inner.last_ok.elapsed());
        Report {
            finished,
            elapsed_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            keep_alive: inner.keep_alive.snapshot(),
            new_connection: inner.new_connection.snapshot(),
            tokens: inner.tokens.clone(),
            longest_silence_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
            samples: inner.samples.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn counter(&mut self, mode: Mode) -> &mut Counter {
        match mode {
            Mode::KeepAlive => &mut self.keep_alive,
            Mode::NewConnection => &mut self.new_connection,
        }
    }

    fn answered(&mut self, now: Instant, token: Option<String>) {
        self.longest_silence = self.longest_silence.max(now.saturating_duration_since(self.last_ok));
        self.last_ok = self.last_ok.max(now);
        if let Some(token) = token
            && (self.tokens.len() < MAX_TOKENS || self.tokens.contains_key(&token))
        {
            *self.tokens.entry(token).or_default() += 1;
        }
    }

    fn sample(&mut self, at_ms: u64, mode: Mode, what: String) {
        if self.samples.len() < MAX_SAMPLES {
            let mode = match mode {
                Mode::KeepAlive => "keep-alive",
                Mode::NewConnection => "new-connection",
            };
            self.samples.push(Sample { at_ms, mode: mode.to_owned(), what });
        }
    }
}
