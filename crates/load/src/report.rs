//! What the load generator found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The ways in which a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Failure {
    /// The connection was refused.
    Refused,
    /// The connection was not made for another reason, such as no route.
    NotConnected,
    /// The connection broke before the first byte of a response.
    ResetBeforeResponse,
    /// The connection broke in the middle of a response.
    ResetMidResponse,
    /// No complete response in time, the connect included.
    Timeout,
    /// The response has another status than 2xx.
    BadStatus,
    /// The bytes received are no HTTP/1.1 response.
    Malformed,
}

impl Failure {
    /// Whether a connection that was made broke, as when its server dies.
    pub fn is_reset(self) -> bool {
        matches!(self, Self::ResetBeforeResponse | Self::ResetMidResponse)
    }
}

/// Counts and latencies of one way to connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModeReport {
    /// Requests that were sent, or whose connection could not be made.
    pub requests: u64,
    /// Requests with a complete 2xx response.
    pub ok: u64,
    /// Requests without one; the races of `idle_close_race` are not in here.
    pub failed: u64,
    /// `failed` by class.
    pub failures: BTreeMap<Failure, u64>,
    /// Requests written on a reused connection which the server closed without
    /// a byte of response: HTTP/1.1 cannot tell whether they were processed.
    /// A kill of the server in the middle of a request looks the same from
    /// here, so a test of an orderly stop expects 0 of these as well.
    pub idle_close_race: u64,
    /// Connections found closed before anything was written; costs nothing.
    pub closed_while_idle: u64,
    /// Connections made.
    pub connections: u64,
    /// Latency of complete responses from the first step (connect or write).
    pub latency: Latency,
}

/// Latency in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// One failure, for the person who looks for its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Milliseconds since the start of the load.
    pub at_ms: u64,
    /// `keep-alive` or `new-connection`.
    pub mode: String,
    /// What happened, in words.
    pub what: String,
}

/// The whole run so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether the load has ended; otherwise this is a look at a running one.
    pub finished: bool,
    /// Milliseconds since the start.
    pub elapsed_ms: u64,
    /// Requests on connections that are kept.
    pub keep_alive: ModeReport,
    /// Requests on a connection of their own.
    pub new_connection: ModeReport,
    /// Distinct answers by their token, such as the version, with their number.
    pub tokens: BTreeMap<String, u64>,
    /// Longest time without any complete response, in milliseconds.
    pub longest_silence_ms: u64,
    /// The first failures and races, at most twenty.
    pub samples: Vec<Sample>,
}

impl Report {
    /// Requests of both modes.
    pub fn requests(&self) -> u64 {
        self.keep_alive.requests + self.new_connection.requests
    }

    /// Complete 2xx responses of both modes.
    pub fn ok(&self) -> u64 {
        self.keep_alive.ok + self.new_connection.ok
    }

    /// Failures of both modes, without the races.
    pub fn failed(&self) -> u64 {
        self.keep_alive.failed + self.new_connection.failed
    }

    /// Requests lost in the race with the close of an idle connection.
    pub fn idle_close_race(&self) -> u64 {
        self.keep_alive.idle_close_race + self.new_connection.idle_close_race
    }
}
