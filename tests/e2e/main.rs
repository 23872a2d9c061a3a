//! The whole product on a real Kubernetes: every test is a story that a user
//! could live through. `cargo xtask test --tier node` runs them.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod app;
mod autoscaling;
mod bad_images;
mod before;
mod children;
mod control;
mod crash;
mod endings;
mod env;
mod example;
mod fill_cluster;
mod first_nodeapp;
mod import;
mod instance_index;
mod last_exit;
mod launch;
mod log_files;
mod memory;
mod network;
mod node;
mod node_versions;
mod operator;
mod plugin_doctor;
mod plugin_dumps;
mod plugin_logs;
mod plugin_monit;
mod plugin_rehearse;
mod plugin_verbs;
mod pods;
mod readiness;
mod redis;
mod restart;
mod rollback;
mod rollout;
mod scale;
mod schedules;
mod stop;
mod users;
mod volumes;

use std::sync::Arc;

use anyhow::Result;
use nodeapp_testkit::{Namespace, Tier, story, story_alone};

/// A test beside others, with the operator installed.
fn e2e<F: Future<Output = Result<()>>>(test: impl FnOnce(Arc<Namespace>) -> F) {
    story(Tier::Node, |namespace| async move {
        operator::installed(namespace.cluster()).await?;
        test(namespace).await
    });
}

/// A test that measures, or that takes the operator away, and wants no other beside it.
fn e2e_alone<F: Future<Output = Result<()>>>(test: impl FnOnce(Arc<Namespace>) -> F) {
    story_alone(Tier::Node, |namespace| async move {
        operator::installed(namespace.cluster()).await?;
        test(namespace).await
    });
}
