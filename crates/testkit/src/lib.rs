//! What the tests of this workspace need to talk to a real cluster.
//!
//! A test is a story in a [`Namespace`] of its own: [`story`] finds the
//! cluster, makes the namespace, runs the test and removes the namespace.
//! Nothing waits by sleeping for a guessed time: [`Namespace::eventually`]
//! polls a condition, and prints what the cluster knows when time is over.

mod apply;
mod cluster;
mod dump;
mod faults;
pub mod generate;
mod load;
mod namespace;
mod pods;
mod story;
mod tools;

pub use cluster::{Cluster, Tier};
pub use faults::Breakable;
pub use load::Load;
pub use namespace::Namespace;
pub use nodeapp_load::{LoadPlan, Report as LoadReport};
pub use story::{story, story_alone};
pub use tools::{Ran, Tools};

/// Namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "nodeapp-system";

/// Helm release of the operator.
pub const OPERATOR_RELEASE: &str = "nodeapp-operator";
