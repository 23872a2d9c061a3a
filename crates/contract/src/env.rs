//! Names of the environment variables between operator, runner and preload.
//!
//! All start with `NODEAPP_`; the runner takes its own out of the environment
//! before it starts the app.

/// The [`crate::RunnerConfig`] as JSON, from the pod's annotation.
pub const CONFIG: &str = "NODEAPP_RUNNER_CONFIG";
/// Name of the pod.
pub const POD_NAME: &str = "NODEAPP_POD_NAME";
/// Namespace of the pod.
pub const POD_NAMESPACE: &str = "NODEAPP_POD_NAMESPACE";
/// Runner to preload: number of the descriptor of the side channel.
pub const CHANNEL_FD: &str = "NODEAPP_CHANNEL_FD";
/// Runner to preload: the held port and its descriptors, `3000=40,41,42`.
pub const LISTEN_FDS: &str = "NODEAPP_LISTEN_FDS";
