//! What is done to the app, each until it has as many ready instances as before.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, EvictParams};
use nodeapp_operator::controller::names::RESTARTED_ANNOTATION;
use nodeapp_operator::crd::NodeApp;

use super::Times;
use crate::cluster::{Attempt, Cluster, told};
use crate::doctor::annotate;
use crate::one::is_ready;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

type Act = for<'a> fn(&'a Cluster, &'a NodeApp, Times) -> BoxFuture<'a, Result<(), String>>;

/// A part of a rehearsal.
pub(super) struct Phase {
    pub(super) name: &'static str,
    /// For who waits.
    pub(super) words: &'static str,
    pub(super) act: Act,
}

/// All parts in their order. Behind each there is a while of calm that belongs to it.
pub(super) const PHASES: [Phase; 4] = [
    Phase { name: "before", words: "load alone", act: |_, _, _| async { Ok(()) }.boxed() },
    Phase { name: "reload", words: "reload", act: |cluster, app, times| reload(cluster, app, times).boxed() },
    Phase {
        name: "kill",
        words: "one pod is deleted",
        act: |cluster, app, times| kill(cluster, app, times).boxed(),
    },
    Phase {
        name: "evict",
        words: "one pod is evicted",
        act: |cluster, app, times| evict(cluster, app, times).boxed(),
    },
];

async fn reload(cluster: &Cluster, app: &NodeApp, times: Times) -> Result<(), String> {
    let before = ready(cluster, app).await?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    annotate(cluster, app, RESTARTED_ANNOTATION, &now).await?;
    replaced(cluster, app, "reload", &before, before.len(), times.timeout).await
}

async fn kill(cluster: &Cluster, app: &NodeApp, times: Times) -> Result<(), String> {
    let before = ready(cluster, app).await?;
    let victim = first(&before, app)?;
    let attempt = Attempt { verb: "delete", resource: "pods", namespace: app.metadata.namespace.as_deref() };
    let deleted = cluster.beside::<Pod>(app).delete(&victim.name_any(), &DeleteParams::default()).await;
    deleted.map_err(|error| told(&attempt, &error))?;
    let (gone, count) = ([victim.clone()], before.len());
    replaced(cluster, app, "new pod", &gone, count, times.timeout).await
}

async fn evict(cluster: &Cluster, app: &NodeApp, times: Times) -> Result<(), String> {
    let before = ready(cluster, app).await?;
    let victim = first(&before, app)?;
    let attempt =
        Attempt { verb: "create", resource: "pods/eviction", namespace: app.metadata.namespace.as_deref() };
    let begun = tokio::time::Instant::now();
    loop {
        match cluster.beside::<Pod>(app).evict(&victim.name_any(), &EvictParams::default()).await {
            Ok(_) => break,
            // A budget holds it back, as it does `kubectl drain`, which goes on asking too.
            Err(kube::Error::Api(status)) if status.code == 429 => {
                if begun.elapsed() > times.timeout {
                    return Err(format!(
                        "no instance could be evicted within {} s: {}; nodes cannot be drained either, see \
                         `kubectl nodeapp doctor {}`",
                        times.timeout.as_secs(),
                        status.message,
                        app.name_any()
                    ));
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(told(&attempt, &error)),
        }
    }
    let (gone, count) = ([victim.clone()], before.len());
    replaced(cluster, app, "new pod", &gone, count, times.timeout).await
}

/// The oldest of them.
fn first<'a>(pods: &'a [Pod], app: &NodeApp) -> Result<&'a Pod, String> {
    pods.first().ok_or_else(|| format!("{} has no ready instance any more", app.name_any()))
}

async fn ready(cluster: &Cluster, app: &NodeApp) -> Result<Vec<Pod>, String> {
    let pods = cluster.instances(app).await?;
    Ok(pods.into_iter().filter(is_ready).collect())
}

/// Waits until none of these pods is left and so many others are ready.
async fn replaced(
    cluster: &Cluster,
    app: &NodeApp,
    what: &str,
    old: &[Pod],
    wanted: usize,
    timeout: Duration,
) -> Result<(), String> {
    let old: BTreeSet<String> = old.iter().filter_map(ResourceExt::uid).collect();
    let begun = tokio::time::Instant::now();
    loop {
        let pods = cluster.instances(app).await?;
        let left = pods.iter().filter_map(ResourceExt::uid).filter(|uid| old.contains(uid)).count();
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if left == 0 && ready >= wanted {
            return Ok(());
        }
        if begun.elapsed() > timeout {
            return Err(format!(
                "the {what} did not end within {} s: {ready} of {wanted} instances are ready, {left} old ones are left; \
                 `kubectl describe nodeapp {}` says why",
                timeout.as_secs(),
                app.name_any()
            ));
        }
        tokio::time::sleep(LOOK).await;
    }
}
