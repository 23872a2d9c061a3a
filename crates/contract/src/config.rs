//! The resolved configuration of one runner.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration that travels as whole milliseconds, PM2's unit of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(millis.0)
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// All that the runner is told. Serialized as compact JSON with stable key
/// order, so that an unchanged configuration is an unchanged pod template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerConfig {
    /// Name of the app: PM2's `name`, also the stem of the log files' names.
    pub name: String,
    /// What to execute.
    pub launch: Launch,
    /// Working directory; the image's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Port that the app serves on; absent for a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// When the app counts as ready.
    #[serde(default)]
    pub readiness: Readiness,
    /// Checks that the process still does its work; a failure restarts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Holds readiness and liveness back until it has succeeded once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
    /// How a process is stopped.
    #[serde(default)]
    pub stop: StopPolicy,
    /// What happens when the process ends by itself.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Restart above a memory line; off when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryPolicy>,
    /// Log files; when absent the app writes straight to the container's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_files: Option<LogFiles>,
}

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Launch {
    /// `node <node_args> <script> <args>`.
    #[serde(rename_all = "camelCase")]
    Script {
        /// Path of the script, relative to the working directory.
        script: String,
        /// Arguments of the script.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
        /// Arguments of Node.js itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        node_args: Vec<String>,
    },
    /// A program and its arguments, executed without a shell.
    Command {
        /// Program, looked up in `PATH`, and its arguments.
        argv: Vec<String>,
    },
}

/// When the app counts as ready for traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Readiness {
    /// Wait for `process.send('ready')`; otherwise for the port to listen.
    pub wait_ready: bool,
    /// How long the app may take to get ready before the runner reports it
    /// (PM2 `listen_timeout`). The process is not killed for being slow.
    pub listen_timeout: Millis,
    /// A check made in addition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { wait_ready: false, listen_timeout: Millis(60_000), probe: None }
    }
}

/// A periodic check, made by the runner from inside the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// What is checked.
    pub check: Check,
    /// Wait after the start of the process before the first check.
    #[serde(default)]
    pub initial_delay: Millis,
    /// Time between two checks.
    pub period: Millis,
    /// Time after which a check has failed.
    pub timeout: Millis,
    /// Failures in a row that turn the verdict to failed.
    pub failure_threshold: u32,
    /// Successes in a row that turn the verdict to passed.
    pub success_threshold: u32,
}

/// The ways to check an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// `GET` answered with a status from 200 to 399.
    Http {
        /// Port on the loopback address.
        port: u16,
        /// Path with query.
        path: String,
        /// Header fields, name and value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    /// A connection is accepted.
    Tcp {
        /// Port on the loopback address.
        port: u16,
    },
    /// The program ends with exit code 0.
    Exec {
        /// Program and arguments, executed without a shell.
        argv: Vec<String>,
    },
}

/// How a process is stopped: drain delay, drain, signal, wait, kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StopPolicy {
    /// Name of the signal that asks the app to end, such as `SIGINT`.
    pub kill_signal: String,
    /// How long the app serves on after the stop was ordered, so that the
    /// cluster's routing learns of it.
    pub drain_delay: Millis,
    /// How long requests in flight may take after that.
    pub drain_timeout: Millis,
    /// How long the app may take to end after the signal (PM2 `kill_timeout`).
    pub kill_timeout: Millis,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            kill_signal: "SIGINT".to_owned(),
            drain_delay: Millis(5_000),
            drain_timeout: Millis(10_000),
            kill_timeout: Millis(5_000),
        }
    }
}

impl StopPolicy {
    /// The longest time the whole order can take.
    pub fn total(&self) -> Duration {
        [self.drain_delay, self.drain_timeout, self.kill_timeout]
            .into_iter()
            .map(Duration::from)
            .fold(Duration::ZERO, Duration::saturating_add)
    }
}

/// What happens when the process ends without having been told to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RestartPolicy {
    /// A shorter life is an unstable one (PM2 `min_uptime`).
    pub min_uptime: Millis,
    /// Unstable ends within `min_uptime × max_restarts` that lead to the state
    /// `errored` (PM2 `max_restarts`, but over a sliding window).
    pub max_restarts: u32,
    /// Wait before each restart (PM2 `restart_delay`).
    pub restart_delay: Millis,
    /// First wait of a growing one, ×1.5 up to 15 s; replaces `restart_delay`
    /// (PM2 `exp_backoff_restart_delay`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp_backoff_restart_delay: Option<Millis>,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            min_uptime: Millis(1_000),
            max_restarts: 16,
            restart_delay: Millis(0),
            exp_backoff_restart_delay: None,
        }
    }
}

/// Restart of a process that uses too much memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryPolicy {
    /// Resident set size of the process tree, in bytes, that must not be
    /// passed (PM2 `max_memory_restart`).
    pub max_rss: u64,
    /// How long it must stay above the line before it counts.
    pub confirm: Millis,
}

/// Log files of the app, beside the copy on the container's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFiles {
    /// Directory of the files.
    pub dir: String,
    /// Size in bytes at which a file is rotated.
    pub max_size: u64,
    /// Rotated files kept for each of standard output and standard error.
    pub retain: u32,
    /// Compress rotated files with gzip.
    pub compress: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_of_an_older_operator_gets_defaults() {
        let config: RunnerConfig =
            serde_json::from_str(r#"{"name":"web","launch":{"script":{"script":"server.js"}}}"#).unwrap();
        assert_eq!(config.stop, StopPolicy::default());
        assert_eq!(config.restart.max_restarts, 16);
    }

    #[test]
    fn a_config_of_a_newer_operator_is_read() {
        let json = r#"{"name":"web","launch":{"command":{"argv":["npm","start"]}},"notYetInvented":{"a":1}}"#;
        let config: RunnerConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.launch, Launch::Command { argv: vec!["npm".into(), "start".into()] });
    }

    #[test]
    fn the_stop_order_takes_the_sum_of_its_parts() {
        assert_eq!(StopPolicy::default().total(), Duration::from_secs(20));
    }
}
