//! Watches routes for as long as the cluster has them.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::Resource as _;
use kube::runtime::watcher::{self, Error, Event};
use tokio::sync::{mpsc, watch};

use super::HttpRoute;
use crate::controller::cache::{AppKey, slim};
use crate::controller::context::Context;
use crate::controller::names;
use crate::controller::wiring::watched;

/// Keeps the cache of routes up to date. `listed` becomes true when all routes are known, or that
/// there is no such thing.
pub(in crate::controller) async fn keep_watching(
    context: Arc<Context>,
    touched: mpsc::UnboundedSender<AppKey>,
    listed: watch::Sender<bool>,
) {
    // Nobody listens any more when the controller stops.
    let wake = |apps: Vec<AppKey>| apps.into_iter().for_each(|app| drop(touched.send(app)));
    loop {
        follow(&context, &wake, &listed).await;
        // The watch of one namespace has told for all.
        context.health.nothing_to_watch(HttpRoute::KIND);
        context.caches.routes.take(Event::Init);
        wake(context.caches.routes.take(Event::InitDone).into_iter().collect());
        let news = context.gateway.learn(false);
        if !news.is_empty() {
            tracing::warn!("the Gateway API is gone");
        }
        wake(news);
        listed.send_replace(true);
        context.gateway.worth_a_look().await;
    }
}

/// Watches until the API turns out not to be there.
async fn follow(context: &Context, wake: &impl Fn(Vec<AppKey>), listed: &watch::Sender<bool>) {
    let ours = watcher::Config::default().labels(&names::managed_selector());
    let mut events = watched::<HttpRoute>(context, ours, slim);
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) if is_absent(&error) => return,
            Err(_) => continue,
        };
        let complete = matches!(event, Event::InitDone);
        wake(context.caches.routes.take(event).into_iter().collect());
        if complete {
            let news = context.gateway.learn(true);
            if !news.is_empty() {
                tracing::info!(apps = news.len(), "the Gateway API is there now");
            }
            wake(news);
            listed.send_replace(true);
        }
    }
}

/// Whether the cluster has no such kind.
pub(in crate::controller) fn is_absent(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code == 404)
        }
        Error::WatchError(status) => status.code == 404,
        Error::NoResourceVersion => false,
    }
}
