//! One test: a namespace, what happens in it, and its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::Result;
use futures::FutureExt;
use tokio::sync::RwLock;

use crate::cluster::RUNTIME;
use crate::{Cluster, Namespace, Tier};

/// Held for reading by ordinary tests, for writing by those that must be alone
/// on the machine because they measure it, or because they take the operator away.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// Runs a test in a namespace of its own, beside others.
///
/// # Panics
/// When the test fails; that is how a test says so.
pub fn story<F>(tier: Tier, test: impl FnOnce(Arc<Namespace>) -> F)
where
    F: Future<Output = Result<()>>,
{
    RUNTIME.block_on(async {
        let Some(cluster) = Cluster::find(tier).await else { return };
        let _machine = MACHINE.read().await;
        run(cluster, test).await;
    });
}

/// Runs a test in a namespace of its own while no other test runs.
///
/// # Panics
/// When the test fails; that is how a test says so.
pub fn story_alone<F>(tier: Tier, test: impl FnOnce(Arc<Namespace>) -> F)
where
    F: Future<Output = Result<()>>,
{
    RUNTIME.block_on(async {
        let Some(cluster) = Cluster::find(tier).await else { return };
        let _machine = MACHINE.write().await;
        run(cluster, test).await;
    });
}

async fn run<F>(cluster: Cluster, test: impl FnOnce(Arc<Namespace>) -> F)
where
    F: Future<Output = Result<()>>,
{
    let title = std::thread::current().name().unwrap_or("story").to_owned();
    let created = Namespace::create(cluster, &title).await;
    let namespace = Arc::new(created.unwrap_or_else(|error| panic!("no namespace: {error:#}")));
    // The namespace must go even when an assertion panics.
    let result = AssertUnwindSafe(test(Arc::clone(&namespace))).catch_unwind().await;
    let failed = !matches!(result, Ok(Ok(())));
    if failed && std::env::var_os("NODEAPP_KEEP").is_some() {
        eprintln!("kept for you to look at: namespace {}", namespace.name());
    } else if let Err(error) = namespace.delete().await {
        eprintln!("namespace {} stays behind: {error:#}", namespace.name());
    }
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
