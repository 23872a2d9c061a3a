//! What the runner tells of itself: `/status` and the termination message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Millis;

/// State of the app's process, in PM2's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// Started, not ready yet.
    Launching,
    /// Ready.
    Online,
    /// Ordered to stop.
    Stopping,
    /// Ended, will be started again after a delay.
    WaitingRestart,
    /// Ended too often; not started again for now.
    Errored,
    /// Ended for good.
    Stopped,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum ExitReason {
    /// It ended by itself with exit code 0.
    Completed,
    /// It ended by itself with another exit code, or by a signal of its own.
    Crash,
    /// The kernel killed it for memory.
    OutOfMemory,
    /// The runner restarted it for passing its memory line.
    MemoryLimit,
    /// Its liveness or startup probe failed.
    ProbeFailed,
    /// The runner restarted it because its event loop was silent.
    Hung,
    /// It was ordered to stop.
    StopOrdered,
    /// It was never started: the configuration cannot be read.
    BadConfig,
    /// It was never started: the script is missing.
    ScriptMissing,
    /// It was never started: the program is missing.
    ProgramMissing,
    /// It was never started: the system refused.
    System,
}

/// The last end of the app's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastExit {
    /// Exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Name of the signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Why it ended.
    pub reason: ExitReason,
    /// One sentence for a person: what happened, and what to do about it.
    pub message: String,
    /// Milliseconds since the Unix epoch.
    pub at: Millis,
    /// Its last lines, without credentials: in the termination message and on the page
    /// with a key, never in `/status`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<String>,
}

/// Answer of `/status`. Holds no environment and no log lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerStatus {
    /// State of the process.
    pub state: ProcessState,
    /// Whether the pod may get traffic.
    pub ready: bool,
    /// Why it may not, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready_reason: Option<String>,
    /// Process id inside the container, while there is a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Restarts in place (PM2's `↺`), kept over a restart of the container.
    pub restarts: u64,
    /// Start of the current process, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// Resident set size of the process tree in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss: Option<u64>,
    /// Requests being answered, as counted by the preload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Version of the runner.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Version of Node.js, as the process tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_version: Option<String>,
    /// Restarts by the reason of the end before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restarts_by_reason: BTreeMap<ExitReason, u64>,
    /// Delay of the event loop of the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<EventLoop>,
    /// V8's heap of the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<Heap>,
    /// Custom actions that the process has registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// How the last process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
}

/// Delay of the event loop over the last 10 to 20 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLoop {
    /// Median.
    pub lag_p50: Millis,
    /// 99 of 100 are below.
    pub lag_p99: Millis,
    /// Longest.
    pub lag_max: Millis,
}

/// V8's heap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heap {
    /// In use.
    pub used: u64,
    /// Taken from the system.
    pub total: u64,
    /// What it can grow to.
    pub limit: u64,
}
