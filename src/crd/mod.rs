//! The API `nodeapp.dev/v1alpha1`: types, defaults and rules, without a client.

// The schema derive copies public structs into its own functions; env sources
// have Kubernetes' own names.
#![allow(unreachable_pub, clippy::struct_field_names)]

pub mod autoscaling;
pub mod conditions;
pub mod defaults;
mod definition;
pub mod env;
mod files;
pub mod instance;
pub mod launch;
pub mod logs;
pub mod network;
pub mod notation;
pub mod pod;
pub mod probes;
pub mod redis;
pub mod resources;
pub mod rollout;
pub mod route;
pub mod spec;
pub mod status;
pub mod stop;

pub use conditions::{ConditionType, Reason};
pub use definition::definition;
pub use spec::{NodeApp, NodeAppSpec};
pub use status::{Condition, CronRestartStatus, NEVER_OBSERVED, NodeAppStatus, RollbackByHand};
