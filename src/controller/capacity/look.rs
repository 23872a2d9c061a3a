//! Looks at the nodes: they are watched, and the pods on them are read page by page
//! when it matters, for a copy of all pods of a large cluster would cost more than
//! the rest of the operator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};

use super::{ClusterNode, Known, PlacedPod, Survey};
use crate::controller::cache::AppKey;
use crate::controller::context::Context;
use crate::controller::error::chain;
use crate::controller::watching::WatchBackoff;
use crate::controller::wiring::WATCH_SECONDS;

/// How often pods of others are looked at though no node has changed.
const EVERY: Duration = Duration::from_mins(1);
/// How long changes of nodes are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Time between two looks at the least, however restless the nodes are.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// Wait after a refusal, which only a person mends.
const REFUSED: Duration = Duration::from_secs(30);
/// Pods that are read at a time.
const PAGE: u32 = 500;

/// Keeps what is known of the nodes up to date while there is an app that wants to
/// know; tells the apps that it is news for.
pub async fn keep_looking(context: Arc<Context>, touched: UnboundedSender<AppKey>) {
    loop {
        if context.capacity.apps().is_empty() {
            context.capacity.asked.notified().await;
            continue;
        }
        if let Err(refusal) = look(&context, &touched).await {
            tell(&context, &touched, Known::Forbidden(refusal));
            tokio::time::sleep(REFUSED).await;
        }
    }
}

fn tell(context: &Context, touched: &UnboundedSender<AppKey>, known: Known) {
    for app in context.capacity.learn(known) {
        // Nobody listens any more when the controller stops.
        let _ = touched.send(app);
    }
}

/// Watches the nodes until nobody wants to know any more.
///
/// # Errors
/// With the API server's words when it refuses.
async fn look(context: &Context, touched: &UnboundedSender<AppKey>) -> Result<(), String> {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    let events = watcher(Api::<ClusterNode>::all(context.client.clone()), config);
    let mut events = Box::pin(events.backoff(WatchBackoff::default()).modify(ClusterNode::slim));
    let mut nodes = Nodes::default();
    let (mut due, mut last) = (Instant::now(), None::<Instant>);
    loop {
        let soon = |last: Option<Instant>| {
            let gathered = Instant::now() + GATHER;
            last.map_or(gathered, |last| gathered.max(last + AT_MOST_EVERY))
        };
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => {
                    if nodes.take(event) {
                        due = due.min(soon(last));
                    }
                }
                Some(Err(error)) => refused(&error)?,
                None => return Ok(()),
            },
            () = context.capacity.asked.notified() => due = due.min(soon(last)),
            () = sleep_until(due), if nodes.listed => {
                let apps = context.capacity.apps();
                if apps.is_empty() {
                    context.capacity.learn(Known::NotYet);
                    return Ok(());
                }
                let mut survey = Survey::of(nodes.live.values(), apps);
                match count_pods(context, &mut survey).await {
                    Ok(()) => tell(context, touched, Known::Room(Arc::new(survey))),
                    Err(kube::Error::Api(status)) if status.code == 403 => return Err(status.message),
                    // The last look is good enough until the API server is back.
                    Err(error) => tracing::debug!(error = chain(&error), "cannot look at the pods; trying again"),
                }
                let now = Instant::now();
                (due, last) = (now + EVERY, Some(now));
            }
        }
    }
}

/// # Errors
/// When the API server says that a right is missing; everything else heals.
fn refused(error: &watcher::Error) -> Result<(), String> {
    let (watcher::Error::InitialListFailed(error)
    | watcher::Error::WatchStartFailed(error)
    | watcher::Error::WatchFailed(error)) = error
    else {
        return Ok(());
    };
    match error {
        kube::Error::Api(status) if status.code == 403 => Err(status.message.clone()),
        error => {
            tracing::debug!(error = chain(error), "the watch of nodes was cut; trying again");
            Ok(())
        }
    }
}

async fn count_pods(context: &Context, survey: &mut Survey) -> Result<(), kube::Error> {
    let api = Api::<PlacedPod>::all(context.client.clone());
    let mut page = ListParams::default()
        .limit(PAGE)
        .fields("spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed");
    loop {
        let pods = api.list(&page).await?;
        for pod in &pods.items {
            survey.count(pod);
        }
        match pods.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// The nodes as the watch brings them.
#[derive(Default)]
struct Nodes {
    live: BTreeMap<String, ClusterNode>,
    listing: BTreeMap<String, ClusterNode>,
    listed: bool,
}

impl Nodes {
    /// Takes in what the watch has seen; returns whether that is news.
    fn take(&mut self, event: Event<ClusterNode>) -> bool {
        let name = |node: &ClusterNode| node.metadata.name.clone().unwrap_or_default();
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(node) => {
                self.listing.insert(name(&node), node);
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listing);
                let news = !self.listed || self.live != listed;
                (self.live, self.listed) = (listed, true);
                news
            }
            Event::Apply(node) => {
                let known = self.live.insert(name(&node), node.clone());
                known.is_none_or(|known| known != node)
            }
            Event::Delete(node) => self.live.remove(&name(&node)).is_some(),
        }
    }
}
