//! How much room the nodes have, for apps with `fillCluster`: looked at only while
//! there is such an app.

mod look;
mod objects;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use look::keep_looking;
pub use objects::{ClusterNode, PlacedPod};

use super::cache::AppKey;

/// Amounts of what pods take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Thousandths of a CPU.
    pub cpu: u64,
    /// Bytes.
    pub memory: u64,
    /// Pods.
    pub pods: u64,
}

impl Room {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// What is left after `other` is taken away.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            pods: self.pods.saturating_sub(other.pods),
        }
    }
}

/// A node and what is taken of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeRoom {
    /// Why no pod of an app can be put there; none if one can.
    pub closed: Option<String>,
    /// What it has for pods.
    pub allocatable: Room,
    /// What all pods on it request.
    pub requested: Room,
    /// The part of it that is requested by apps that fill the cluster, by app.
    pub of_apps: HashMap<AppKey, Room>,
}

/// All nodes at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// By name.
    pub nodes: BTreeMap<String, NodeRoom>,
    /// The apps whose own pods are known.
    pub apps: HashSet<AppKey>,
}

impl Survey {
    /// The nodes as they are, before any pod is counted.
    fn of<'a>(nodes: impl Iterator<Item = &'a ClusterNode>, apps: HashSet<AppKey>) -> Self {
        let nodes = nodes.map(|node| {
            let name = node.metadata.name.clone().unwrap_or_default();
            let (closed, allocatable) = (node.closed(), node.allocatable());
            (name, NodeRoom { closed, allocatable, ..NodeRoom::default() })
        });
        Self { nodes: nodes.collect(), apps }
    }

    /// Counts a pod.
    fn count(&mut self, pod: &PlacedPod) {
        let Some(node) = pod.node().and_then(|name| self.nodes.get_mut(name)) else { return };
        let requests = pod.requests();
        node.requested = node.requested.plus(requests);
        if let Some(app) = pod.app().filter(|app| self.apps.contains(app)) {
            let sum = node.of_apps.entry(app).or_default();
            *sum = sum.plus(requests);
        }
    }
}

/// What is known of the nodes.
#[derive(Clone, Debug, Default)]
pub enum Known {
    /// Nothing yet.
    #[default]
    NotYet,
    /// This.
    Room(Arc<Survey>),
    /// Nothing, for a right is missing: the API server's words.
    Forbidden(String),
}

/// Who wants to know, and what is known.
#[derive(Debug, Default)]
pub struct Capacity {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    apps: HashSet<AppKey>,
    /// Apps with a new spec that came before anything was known.
    anew: HashSet<AppKey>,
    known: Known,
}

impl Capacity {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether an app fills the cluster.
    pub fn fills(&self, app: &AppKey, fills: bool) {
        let mut state = self.lock();
        if !fills {
            state.apps.remove(app);
            state.anew.remove(app);
        } else if state.apps.insert(app.clone()) {
            drop(state);
            self.asked.notify_one();
        }
    }

    /// What is known that an app can count with, and whether its number was worked out
    /// for the same spec: one that came before the nodes were looked at is still new then.
    pub fn known_to(&self, app: &AppKey, same_spec: bool) -> (Known, bool) {
        let mut state = self.lock();
        let known = match &state.known {
            // Its own pods would count as those of others.
            Known::Room(survey) if !survey.apps.contains(app) => Known::NotYet,
            known => known.clone(),
        };
        if let Known::Room(_) = known {
            return (known, !state.anew.remove(app) && same_spec);
        }
        if !same_spec {
            state.anew.insert(app.clone());
        }
        (known, same_spec)
    }

    fn apps(&self) -> HashSet<AppKey> {
        self.lock().apps.clone()
    }

    /// Takes in what was seen. Returns the apps that it is news for.
    fn learn(&self, known: Known) -> HashSet<AppKey> {
        let mut state = self.lock();
        let same = match (&state.known, &known) {
            (Known::Room(before), Known::Room(now)) => before == now,
            (Known::Forbidden(before), Known::Forbidden(now)) => before == now,
            (Known::NotYet, Known::NotYet) => true,
            _ => false,
        };
        state.known = known;
        if same { HashSet::new() } else { state.apps.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_came_before_the_nodes_were_looked_at_is_still_new_then_and_only_once() {
        let capacity = Capacity::default();
        let app = AppKey { namespace: "shop".into(), name: "web".into() };
        assert!(matches!(capacity.known_to(&app, false), (Known::NotYet, false)));
        assert!(matches!(capacity.known_to(&app, true), (Known::NotYet, true)), "it was reported meanwhile");
        let survey = Survey { apps: HashSet::from([app.clone()]), ..Survey::default() };
        capacity.learn(Known::Room(Arc::new(survey)));
        assert!(matches!(capacity.known_to(&app, true), (Known::Room(_), false)));
        assert!(matches!(capacity.known_to(&app, true), (Known::Room(_), true)));
        assert!(matches!(capacity.known_to(&app, false), (Known::Room(_), false)));
    }
}
