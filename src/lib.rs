//! The operator that runs Node.js applications on Kubernetes as PM2 would.
//!
//! [`crd`] is the API, [`controller`] brings what it asks for about,
//! [`permissions`] is what it may do for that.

pub mod ask;
pub mod client;
pub mod controller;
pub mod crd;
pub mod generated;
pub mod health;
pub mod lease;
pub mod metrics;
// What follows is signals of a container; the plugin, which takes the API from here, is built for Windows too.
#[cfg(unix)]
pub mod operator;
pub mod permissions;
pub mod served;
pub mod startup;
pub mod telemetry;
