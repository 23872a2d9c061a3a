//! Every default of the API in one place.
//!
//! Only `instances` stands in the schema too, because `/scale` needs the field
//! to exist. The others are applied when an app is validated, so that objects
//! stay as short as they were written.

use std::time::Duration;

/// `spec.instances`.
pub const fn instances() -> i32 {
    1
}

/// `spec.autoscaling.minInstances`.
pub const MIN_INSTANCES: i32 = 1;
/// `spec.listenTimeout`.
pub const LISTEN_TIMEOUT: Duration = Duration::from_mins(1);
/// `spec.killTimeout`.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// `spec.drainDelay`.
pub const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// `spec.drainTimeout`.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// `spec.minUptime`.
pub const MIN_UPTIME: Duration = Duration::from_secs(1);
/// `spec.maxRestarts`.
pub const MAX_RESTARTS: u32 = 16;
/// `spec.restartDelay`.
pub const RESTART_DELAY: Duration = Duration::ZERO;
/// `spec.autorestart`.
pub const AUTORESTART: bool = true;
/// `spec.expBackoffResetTime`.
pub const EXP_BACKOFF_RESET_TIME: Duration = Duration::from_secs(30);
/// `spec.erroredRetryDelay`.
pub const ERRORED_RETRY_DELAY: Duration = Duration::from_mins(5);
/// `spec.treekill`.
pub const TREEKILL: bool = true;
/// `spec.pmx`.
pub const PMX: bool = true;
/// `spec.holdSocket`, where `spec.pmx` allows it.
pub const HOLD_SOCKET: bool = true;
/// Shortest `spec.hangTimeout`: shorter silences happen to any app.
pub const SHORTEST_HANG_TIMEOUT: Duration = Duration::from_secs(1);
/// Part of the memory limit that Node.js gets for its old heap, in percent.
pub const HEAP_PERCENT: u64 = 75;
/// `spec.logRotate.maxSize`, in bytes.
pub const LOG_MAX_SIZE: u64 = 10 << 20;
/// `spec.logRotate.retain`.
pub const LOG_RETAIN: u32 = 30;
/// `spec.probes.*.period`.
pub const PROBE_PERIOD: Duration = Duration::from_secs(10);
/// `spec.probes.*.timeout`.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// `spec.probes.*.failureThreshold`.
pub const PROBE_FAILURES: u32 = 3;
/// `spec.probes.*.successThreshold`.
pub const PROBE_SUCCESSES: u32 = 1;
/// `spec.resources.requests.cpu`.
pub const CPU_REQUEST: &str = "100m";
/// `spec.resources.requests.memory` where nothing else says it, in bytes.
pub const MEMORY_REQUEST: u64 = 128 << 20;
/// How long memory must stay above `spec.maxMemoryRestart` before it counts.
pub const MEMORY_CONFIRM: Duration = Duration::from_secs(1);
/// `spec.redis.resources.limits.memory` of a Sidecar, in bytes.
pub const REDIS_SIDECAR_MEMORY: u64 = 64 << 20;
/// The same of a Shared Redis.
pub const REDIS_SHARED_MEMORY: u64 = 256 << 20;
/// Part of that limit which is for data, in percent, in a Sidecar.
pub const REDIS_SIDECAR_DATA: u64 = 75;
/// The same of a Shared Redis, which needs memory to rewrite its log.
pub const REDIS_SHARED_DATA: u64 = 60;
/// `spec.redis.storage.size`, in bytes.
pub const REDIS_STORAGE: u64 = 1 << 30;
/// `spec.redis.credentials.passwordKey`.
pub const REDIS_PASSWORD_KEY: &str = "password";
