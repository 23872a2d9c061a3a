//! Where things lie inside the app's container.

/// Read-only for the app: the runner and what it brings along, copied here by
/// the init container.
pub const BIN_DIR: &str = "/nodeapp/bin";
/// The runner's executable inside [`BIN_DIR`].
pub const RUNNER: &str = "/nodeapp/bin/nodeapp-runner";
/// Preload script for Node.js inside [`BIN_DIR`].
pub const PRELOAD: &str = "/nodeapp/bin/preload.cjs";
/// Writable state of the runner: control socket, counters that outlive a
/// restart of the container.
pub const RUN_DIR: &str = "/nodeapp/run";
/// Control socket, a unix stream socket inside [`RUN_DIR`].
pub const CONTROL_SOCKET: &str = "/nodeapp/run/control.sock";
/// File name inside the run directory: control socket.
pub const CONTROL_SOCKET_FILE: &str = "control.sock";
/// File name inside the run directory: socket of the preload's side channel.
pub const CHANNEL_SOCKET_FILE: &str = "preload.sock";
/// File name inside the run directory: counters and the last exit.
pub const STATE_FILE: &str = "state.json";
/// Heap snapshots and processor profiles. Not in [`RUN_DIR`], which is small.
pub const PROFILE_DIR: &str = "/tmp/nodeapp-profiles";
/// Log files, if the app has any.
pub const LOG_DIR: &str = "/nodeapp/logs";
/// Where the kubelet looks for the reason of a container's end.
pub const TERMINATION_LOG: &str = "/dev/termination-log";
