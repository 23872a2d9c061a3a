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
    /// What Node.js is told on top of the app's own options.
    #[serde(default, skip_serializing_if = "is_default")]
    pub node: NodeOptions,
    /// What the preload does inside the app's Node.js processes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preload: Preload,
    /// What a line of output looks like.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log: LogPolicy,
    /// Log files; when absent the app's output goes to the container's output only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_files: Option<LogFiles>,
    /// The last lines before an end, for the operator; not kept when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<LogTail>,
}

impl RunnerConfig {
    /// The configuration that differs from the defaults in nothing.
    pub fn new(name: impl Into<String>, launch: Launch) -> Self {
        Self {
            name: name.into(),
            launch,
            cwd: None,
            port: None,
            readiness: Readiness::default(),
            liveness: None,
            startup: None,
            stop: StopPolicy::default(),
            restart: RestartPolicy::default(),
            memory: None,
            node: NodeOptions::default(),
            preload: Preload::default(),
            log: LogPolicy::default(),
            log_files: None,
            log_tail: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

// The signature is what serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_true(value: &bool) -> bool {
    *value
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
        /// Arguments of the interpreter itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        node_args: Vec<String>,
        /// Program that runs the script, looked up in `PATH`; `none` executes the
        /// script itself. Absent: chosen by the script's extension, `node` for most
        /// (PM2 `interpreter`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interpreter: Option<String>,
    },
    /// A program and its arguments, executed without a shell.
    Command {
        /// Program, looked up in `PATH`, and its arguments.
        argv: Vec<String>,
    },
}

/// What Node.js is told by `NODE_OPTIONS`, unless the app's own options say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeOptions {
    /// `--max-old-space-size` in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_old_space_size: Option<u64>,
    /// `--unhandled-rejections`: `throw`, `strict`, `warn`, `none` or
    /// `warn-with-error-code`. PM2 behaves like `warn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhandled_rejections: Option<String>,
    /// `--enable-source-maps` (PM2 `source_map_support`).
    #[serde(skip_serializing_if = "is_default")]
    pub source_maps: bool,
}

/// What the preload does inside the app's Node.js processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preload {
    /// Whether it is loaded at all (PM2 `pmx`).
    #[serde(skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// Whether the runner holds the listening socket of the app's port over
    /// restarts. Without it a restart in place refuses connections.
    #[serde(skip_serializing_if = "is_true")]
    pub hold_socket: bool,
    /// Silence of the event loop after which the process counts as hung and is
    /// restarted; never when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang_timeout: Option<Millis>,
}

impl Default for Preload {
    fn default() -> Self {
        Self { enabled: true, hold_socket: true, hang_timeout: None }
    }
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
    /// The gRPC health protocol (`grpc.health.v1.Health/Check`) says `SERVING`.
    Grpc {
        /// Port on the loopback address.
        port: u16,
        /// Name of the service; the whole server when empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        service: String,
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
    /// Whether the signals go to the whole process tree, or to the main process
    /// alone (PM2 `treekill`). What is left in the end is killed either way.
    #[serde(skip_serializing_if = "is_true")]
    pub treekill: bool,
    /// Ask by the IPC message `shutdown` instead of the signal (PM2
    /// `shutdown_with_message`).
    #[serde(skip_serializing_if = "is_default")]
    pub shutdown_with_message: bool,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self {
            kill_signal: "SIGINT".to_owned(),
            drain_delay: Millis(5_000),
            drain_timeout: Millis(10_000),
            kill_timeout: Millis(5_000),
            treekill: true,
            shutdown_with_message: false,
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
    /// Whether a process that ends by itself is started again (PM2 `autorestart`).
    #[serde(skip_serializing_if = "is_true")]
    pub autorestart: bool,
    /// Exit codes after which it is not (PM2 `stop_exit_codes`). A death by a
    /// signal has no exit code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_exit_codes: Vec<i32>,
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
    /// A life of this length brings the growing wait back to its first value
    /// (PM2 `EXP_BACKOFF_RESET_TIMER`).
    pub exp_backoff_reset: Millis,
    /// Wait before an errored app gets another chance; never for 0.
    pub errored_retry: Millis,
    /// Whether the runner ends with the exit code of its process where it would rest
    /// or be errored otherwise: it is a job.
    #[serde(skip_serializing_if = "is_default")]
    pub exit_when_done: bool,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            autorestart: true,
            stop_exit_codes: vec![],
            min_uptime: Millis(1_000),
            max_restarts: 16,
            restart_delay: Millis(0),
            exp_backoff_restart_delay: None,
            exp_backoff_reset: Millis(30_000),
            errored_retry: Millis(300_000),
            exit_when_done: false,
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
    /// Write a heap snapshot before the restart, where the cgroup's limit leaves
    /// room for it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub heap_snapshot: bool,
}

/// What a line of output looks like, in files and on the container's output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogPolicy {
    /// Plain lines or one JSON object per line (PM2 `log_type`).
    #[serde(skip_serializing_if = "is_default")]
    pub format: LogFormat,
    /// Date before each line, or in the field `timestamp` of JSON, in Day.js' tokens
    /// (PM2 `log_date_format`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    /// Tag plain lines with instance and process id, for output that is read
    /// merged (PM2 `merge_logs`). JSON lines always have both.
    #[serde(skip_serializing_if = "is_default")]
    pub tag: bool,
    /// Time zone of dates and schedules, as a POSIX `TZ` string such as
    /// `CET-1CEST,M3.5.0,M10.5.0/3`; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// What is needed to tell the last lines of a process to the operator alone, and
/// without credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogTail {
    /// Who knows it is told: the last part of [`crate::LAST_EXIT_PAGE`].
    pub key: String,
    /// Variables whose values are credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// So do the names of variables begin that come from whole Secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_prefixes: Vec<String>,
    /// Variables that begin so but come from elsewhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plain: Vec<String>,
}

/// Form of a line of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogFormat {
    /// As the app wrote it.
    #[default]
    Raw,
    /// One JSON object per line.
    Json,
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
    /// Path of the file for standard output, `/dev/null` for none (PM2
    /// `out_file`). Absent: `<dir>/<name>-out.log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_file: Option<String>,
    /// The same for standard error (PM2 `error_file`). Absent:
    /// `<dir>/<name>-error.log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_file: Option<String>,
    /// Path of a file with both (PM2 `log_file`); none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<String>,
    /// Cron expression of five or six fields at which files that are not empty are
    /// rotated whatever their size (pm2-logrotate `rotateInterval`); never when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_interval: Option<String>,
    /// Date in the names of rotated files, in Day.js' tokens (pm2-logrotate
    /// `dateFormat`). Absent: `YYYY-MM-DD_HH-mm-ss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
}

impl LogFiles {
    /// Files in this directory with pm2-logrotate's defaults: 10 MiB, 30 kept, plain.
    pub fn in_dir(dir: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            max_size: 10 * 1024 * 1024,
            retain: 30,
            compress: false,
            out_file: None,
            error_file: None,
            log_file: None,
            rotate_interval: None,
            date_format: None,
        }
    }
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
    fn what_is_as_ever_is_not_written() {
        let json = r#"{"name":"web","launch":{"script":{"script":"server.js"}}}"#;
        let config: RunnerConfig = serde_json::from_str(json).unwrap();
        let text = serde_json::to_string(&config).unwrap();
        for absent in ["node\"", "preload", "\"log\"", "treekill", "autorestart", "interpreter"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
        assert_eq!(serde_json::from_str::<RunnerConfig>(&text).unwrap(), config);
    }

    #[test]
    fn the_stop_order_takes_the_sum_of_its_parts() {
        assert_eq!(StopPolicy::default().total(), Duration::from_secs(20));
    }
}
