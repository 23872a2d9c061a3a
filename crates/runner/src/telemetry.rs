//! What the preload measures inside the app's processes.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Upper ends of the latency histogram in seconds; the same in `preload/metrics.cjs`.
pub(crate) const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Kinds of resources that are told apart; a message that has more is cut there.
pub(crate) const MAX_KINDS: usize = 32;

/// Figures about the process, as of its last report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Vitals {
    pub(crate) lag: Lag,
    pub(crate) heap: Heap,
    /// What keeps the event loop alive, by kind.
    pub(crate) resources: BTreeMap<String, u64>,
}

/// Delay of the event loop in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Lag {
    /// Of the last timer.
    pub(crate) last: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    pub(crate) stddev: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

/// V8's heap in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Heap {
    pub(crate) used: u64,
    pub(crate) total: u64,
    pub(crate) limit: u64,
    pub(crate) external: u64,
}

impl Vitals {
    /// Resources that are neither requests nor timers: sockets, servers, children.
    pub(crate) fn handles(&self) -> u64 {
        self.count(|kind| !is_request(kind) && !is_timer(kind))
    }

    /// Operations that are under way.
    pub(crate) fn requests(&self) -> u64 {
        self.count(is_request)
    }

    fn count(&self, of: impl Fn(&str) -> bool) -> u64 {
        self.resources.iter().filter(|(kind, _)| of(kind)).fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }
}

fn is_request(kind: &str) -> bool {
    kind.contains("Req") || kind.ends_with("Request")
}

fn is_timer(kind: &str) -> bool {
    matches!(kind, "Timeout" | "Immediate")
}

/// HTTP requests that were answered, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Http {
    /// By the first digit of the status, from 1 to 5.
    pub(crate) codes: [u64; 5],
    /// By duration: one for each of [`BUCKETS`], and one for longer ones.
    pub(crate) buckets: [u64; 12],
    /// Seconds that all of them took.
    pub(crate) seconds: f64,
}

impl Http {
    /// Adds the counts of another process.
    pub(crate) fn add(&mut self, other: &Self) {
        let sum = |all: &mut [u64], more: &[u64]| {
            for (own, other) in all.iter_mut().zip(more) {
                *own = own.saturating_add(*other);
            }
        };
        sum(&mut self.codes, &other.codes);
        sum(&mut self.buckets, &other.buckets);
        // A message may hold anything.
        if other.seconds.is_finite() && other.seconds >= 0.0 {
            self.seconds += other.seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_handles_requests_or_timers() {
        let counts = [
            ("TCPSocketWrap", 3),
            ("TCPServerWrap", 1),
            ("FSReqCallback", 2),
            ("Timeout", 9),
            ("Immediate", 1),
            ("CloseReq", 1),
        ];
        let resources = counts.map(|(kind, count)| (kind.to_owned(), count)).into();
        let vitals = Vitals { resources, ..Vitals::default() };
        assert_eq!((vitals.handles(), vitals.requests()), (4, 3));
    }

    #[test]
    fn counts_of_processes_add_up() {
        let one: Http = serde_json::from_str(
            r#"{"codes":[0,5,0,1,0],"buckets":[5,0,0,0,0,0,0,0,0,0,0,1],"seconds":12.5}"#,
        )
        .unwrap();
        let mut all = one;
        all.add(&one);
        assert_eq!((all.codes, all.buckets[11], all.seconds), ([0, 10, 0, 2, 0], 2, 25.0));
        all.add(&Http { seconds: f64::NAN, ..Http::default() });
        assert!((all.seconds - 25.0).abs() < 1e-9);
    }
}
