//! What the operator agrees on with its programs in the pods, runner and forwarder.
//!
//! The operator decides, the runner executes: everything here is a *resolved*
//! value. The operator writes a [`RunnerConfig`] into an annotation of the pod
//! template; the runner reads it through the downward API. Secrets never go
//! this way, they stay in the container's own environment.
//!
//! Both sides may be of different versions for a while, since an upgrade of
//! the operator restarts no application: a reader ignores fields it does not
//! know, and every new field has a default that means "as before".

pub mod config;
pub mod cron;
pub mod env;
pub mod exit;
pub mod forwarder;
pub mod paths;
pub mod status;
pub mod zone;

pub use config::RunnerConfig;
pub use cron::Cron;
pub use exit::ExitCode;
pub use forwarder::Forwarder;
pub use status::{ExitReason, LastExit, RunnerStatus};
pub use zone::Zone;

/// Port of the runner's own read-only HTTP endpoint: `/ready`, `/live`,
/// `/status`, `/metrics`. PM2's web interface has the same number.
pub const RUNNER_PORT: u16 = 9615;

/// Page of that endpoint with the [`LastExit`] and its last lines: followed by the
/// key in [`config::LogTail`], since the other pages are for everyone.
pub const LAST_EXIT_PAGE: &str = "/last-exit/";

/// Annotation of the pod that holds the [`RunnerConfig`] as JSON.
pub const CONFIG_ANNOTATION: &str = "nodeapp.dev/runner-config";
