//! What every reconcile shares.

use std::sync::Arc;

use kube::Client;

use super::backoff::Memory;
use super::cache::AppKey;
use super::capacity::Capacity;
use super::desired::Settings;
use super::events::Publisher;
use super::fights::Fights;
use super::gateway::Gateway;
use super::observe::Caches;
use super::pace::Pace;
use super::references::References;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::startup::Needs;

/// What every reconcile shares.
pub struct Context {
    /// The way to the API server.
    pub client: Client,
    /// What the installation decides.
    pub settings: Settings,
    /// The namespaces that are watched; all of them if none is named.
    pub namespaces: Vec<String>,
    /// What the watches have seen.
    pub caches: Caches,
    /// What apps refer to.
    pub references: References,
    /// What is remembered of apps.
    pub memory: Memory,
    /// How often news of exits is written.
    pub pace: Pace,
    /// What others put into children again and again.
    pub fights: Fights,
    /// How much room the nodes have.
    pub capacity: Capacity,
    /// Whether there is a Gateway API.
    pub gateway: Gateway,
    /// Where Events go.
    pub events: Publisher,
    /// What is counted.
    pub metrics: Metrics,
    /// What is known of the operator itself.
    pub health: Arc<Health>,
}

impl Context {
    /// A context that knows nothing yet.
    pub fn new(client: Client, settings: Settings, metrics: Metrics, health: Arc<Health>) -> Self {
        let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| super::names::MANAGER.to_owned());
        Self {
            events: Publisher::new(client.clone(), instance),
            client,
            settings,
            namespaces: Vec::new(),
            caches: Caches::default(),
            references: References::default(),
            memory: Memory::default(),
            pace: Pace::default(),
            fights: Fights::default(),
            capacity: Capacity::default(),
            gateway: Gateway::default(),
            metrics,
            health,
        }
    }

    /// What has to be there for the work.
    pub fn needs(&self) -> Needs<'_> {
        Needs { namespaces: &self.namespaces, secrets: self.settings.watch_secrets }
    }

    /// Forgets an app that is gone.
    pub fn forget(&self, app: &AppKey) {
        self.memory.forget(app);
        self.pace.forget(app);
        self.fights.forget(app);
        self.references.forget(app);
        self.capacity.fills(app, false);
        self.gateway.wants(app, false);
    }
}
