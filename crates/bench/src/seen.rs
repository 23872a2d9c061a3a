//! What the cluster tells: when Deployments, which are written last, exist and change. Only their
//! metadata come, and the same watch runs whoever is measured.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;

use crate::fleet::NAMESPACE;

/// A Deployment at a moment.
struct Sight {
    name: String,
    generation: i64,
    at: Instant,
}

/// The generations of all Deployments, as they come in.
pub(crate) struct Seen {
    sights: mpsc::UnboundedReceiver<Sight>,
    known: HashMap<String, i64>,
}

impl Seen {
    /// Begins to look; returns when everything that was there before is known.
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let deployments: Api<PartialObjectMeta<Deployment>> = Api::namespaced(client.clone(), NAMESPACE);
        let (tell, sights) = mpsc::unbounded_channel();
        let (listed, mut complete) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut events = watcher(deployments, Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        let generation = object.metadata.generation.unwrap_or_default();
                        let sight = Sight { name: object.name_any(), generation, at: Instant::now() };
                        if tell.send(sight).is_err() {
                            return;
                        }
                    }
                    Ok(Event::InitDone) => drop(listed.try_send(())),
                    Ok(_) => {}
                    Err(error) => eprintln!("the watch was cut: {error}"),
                }
            }
        });
        complete.recv().await.context("Deployments cannot be watched")?;
        let mut seen = Self { sights, known: HashMap::new() };
        while let Ok(sight) = seen.sights.try_recv() {
            seen.known.insert(sight.name, sight.generation);
        }
        Ok(seen)
    }

    /// When so many Deployments existed.
    pub(crate) async fn all_exist(&mut self, count: usize) -> Result<Instant> {
        let limit = Duration::from_mins(15);
        let mut last = Instant::now();
        while self.known.len() < count {
            let Ok(sight) = tokio::time::timeout(limit, self.sights.recv()).await else {
                bail!("{} of {count} Deployments after {} s", self.known.len(), limit.as_secs());
            };
            let sight = sight.context("the watch has ended")?;
            last = sight.at;
            self.known.insert(sight.name, sight.generation);
        }
        Ok(last)
    }

    /// When the spec of a Deployment was changed next.
    pub(crate) async fn changes(&mut self, name: &str, limit: Duration) -> Result<Instant> {
        let before = self.known.get(name).copied().unwrap_or_default();
        let changed = async {
            loop {
                let sight = self.sights.recv().await.context("the watch has ended")?;
                let is_it = sight.name == name && sight.generation > before;
                self.known.insert(sight.name, sight.generation);
                if is_it {
                    return Ok(sight.at);
                }
            }
        };
        let waited = tokio::time::timeout(limit, changed).await;
        waited
            .with_context(|| format!("the Deployment {name} did not change within {} s", limit.as_secs()))?
    }
}
