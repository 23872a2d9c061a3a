//! HTTP load whose numbers can be believed: bounded in time, paced, no request
//! is ever sent twice, and every way to fail has a count of its own.
//!
//! The binary runs in a pod of the cluster under test. The tests read its
//! [`Report`] through the control port while it runs.

pub mod client;
pub mod control;
pub mod pod;
pub mod report;
pub mod response;
pub mod stats;
pub mod target;
pub mod workers;

pub use pod::LoadPlan;
pub use report::Report;
