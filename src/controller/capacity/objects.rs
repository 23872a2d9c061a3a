//! The parts of nodes and pods that are read to know how much room there is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::{Deserialize, Serialize};

use super::Room;
use crate::controller::cache::AppKey;
use crate::controller::names::{APP_LABEL, MANAGED_BY_LABEL, MANAGER};
use crate::controller::partial::part_of;
use crate::crd::notation::quantity_nanos;

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its name.
    pub metadata: ObjectMeta,
    /// Who may be put there.
    #[serde(default)]
    pub spec: NodeSpec,
    /// What it has.
    #[serde(default)]
    pub status: NodeStatus,
}

/// Who may be put on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Whether it is cordoned off.
    pub unschedulable: bool,
    /// What pods must put up with.
    pub taints: Vec<Taint>,
}

/// What a node has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// What it has for pods.
    pub allocatable: BTreeMap<String, Quantity>,
    /// How it is.
    pub conditions: Vec<Condition>,
}

/// A condition of a node, without its times: heartbeats are no news.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Its name.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
}

impl ClusterNode {
    /// Drops what is not read, so that a heartbeat changes nothing.
    pub(super) fn slim(&mut self) {
        let name = self.metadata.name.take();
        self.metadata = ObjectMeta { name, ..ObjectMeta::default() };
        self.status.conditions.retain(|condition| condition.type_ == "Ready");
        self.status.allocatable.retain(|name, _| matches!(name.as_str(), "cpu" | "memory" | "pods"));
    }

    /// Why no pod of an app can be put there. Apps tolerate no taints.
    pub(super) fn closed(&self) -> Option<String> {
        let ready = |condition: &Condition| condition.type_ == "Ready" && condition.status == "True";
        if self.spec.unschedulable {
            return Some("cordoned off".to_owned());
        }
        if !self.status.conditions.iter().any(ready) {
            return Some("not ready".to_owned());
        }
        let taint = self.spec.taints.iter().find(|taint| taint.effect != "PreferNoSchedule")?;
        Some(format!("has the taint {}", taint.key))
    }

    /// What it has for pods.
    pub(super) fn allocatable(&self) -> Room {
        room(&self.status.allocatable, false)
    }
}

/// A pod that has been put somewhere.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PlacedPod {
    /// Whose it is.
    pub metadata: ObjectMeta,
    /// What it asks for.
    #[serde(default)]
    spec: PlacedSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PlacedSpec {
    node_name: Option<String>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: BTreeMap<String, Quantity>,
    resources: Option<ResourceRequirements>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    resources: ResourceRequirements,
    restart_policy: Option<String>,
}

impl Container {
    fn requests(&self) -> Room {
        self.resources.requests.as_ref().map(|requests| room(requests, true)).unwrap_or_default()
    }
}

impl PlacedPod {
    pub(super) fn node(&self) -> Option<&str> {
        self.spec.node_name.as_deref().filter(|name| !name.is_empty())
    }

    /// The app that it is an instance of.
    pub(super) fn app(&self) -> Option<AppKey> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(MANAGED_BY_LABEL).filter(|manager| *manager == MANAGER)?;
        Some(AppKey { namespace: self.metadata.namespace.clone()?, name: labels.get(APP_LABEL)?.clone() })
    }

    /// What it requests, as the scheduler counts: all containers and sidecars at
    /// once, or the most that start-up takes, whichever is more.
    pub(super) fn requests(&self) -> Room {
        let most = |one: Room, other: Room| Room {
            cpu: one.cpu.max(other.cpu),
            memory: one.memory.max(other.memory),
            pods: 0,
        };
        let (mut sidecars, mut start) = (Room::default(), Room::default());
        for container in &self.spec.init_containers {
            if container.restart_policy.as_deref() == Some("Always") {
                sidecars = sidecars.plus(container.requests());
                start = most(start, sidecars);
            } else {
                start = most(start, sidecars.plus(container.requests()));
            }
        }
        let running = self.spec.containers.iter().map(Container::requests).fold(sidecars, Room::plus);
        let mut sum = most(running, start);
        // Those of the pod as a whole, where it has them.
        let whole = self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        for (name, quantity) in whole.into_iter().flatten() {
            match name.as_str() {
                "cpu" => sum.cpu = amount(quantity, 1000, true),
                "memory" => sum.memory = amount(quantity, 1, true),
                _ => {}
            }
        }
        Room { pods: 1, ..sum.plus(Room { pods: 0, ..room(&self.spec.overhead, true) }) }
    }
}

fn room(quantities: &BTreeMap<String, Quantity>, up: bool) -> Room {
    let of = |name: &str, parts| quantities.get(name).map_or(0, |quantity| amount(quantity, parts, up));
    Room { cpu: of("cpu", 1000), memory: of("memory", 1), pods: of("pods", 1) }
}

/// A quantity in so many parts of one.
fn amount(quantity: &Quantity, parts: i128, up: bool) -> u64 {
    const NANO: i128 = 1_000_000_000;
    let Some(parts) = quantity_nanos(&quantity.0).and_then(|nanos| nanos.checked_mul(parts)) else {
        return 0;
    };
    u64::try_from(if up { (parts + NANO - 1) / NANO } else { parts / NANO }).unwrap_or(0)
}

part_of!(ClusterNode, "Node", "nodes", ClusterResourceScope);

part_of!(PlacedPod, "Pod", "pods", NamespaceResourceScope);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: &Value) -> PlacedPod {
        serde_json::from_value(json!({"metadata": {"name": "x"}, "spec": spec})).unwrap()
    }

    #[test]
    fn requests_are_counted_as_the_scheduler_does() {
        let asks = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "1Mi"}});
        let mut spec = json!({
            "containers": [{"resources": asks("100m")}, {"resources": asks("0.2")}, {}],
            "initContainers": [
                {"resources": asks("50m"), "restartPolicy": "Always"},
                {"resources": asks("250m")},
            ],
            "overhead": {"cpu": "10m"},
        });
        assert_eq!(pod(&spec).requests(), Room { cpu: 360, memory: 3 << 20, pods: 1 });
        spec["initContainers"][1]["resources"] = asks("2");
        assert_eq!(pod(&spec).requests().cpu, 2060, "start-up takes more");
        spec["resources"] = json!({"requests": {"cpu": "3"}});
        assert_eq!(pod(&spec).requests().cpu, 3010);
        assert_eq!(pod(&json!({})).requests(), Room { cpu: 0, memory: 0, pods: 1 });
    }

    #[test]
    fn a_node_that_takes_no_pods_of_apps_says_why() {
        let node = |spec: Value, ready: &str| -> ClusterNode {
            let status =
                json!({"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"cpu": "1930m"}});
            serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec, "status": status}))
                .unwrap()
        };
        let taint = |effect: &str| json!({"taints": [{"key": "gpu", "effect": effect}]});
        assert_eq!(node(json!({}), "True").closed(), None);
        assert_eq!(node(taint("PreferNoSchedule"), "True").closed(), None);
        assert_eq!(node(taint("NoSchedule"), "True").closed().as_deref(), Some("has the taint gpu"));
        assert_eq!(node(json!({"unschedulable": true}), "True").closed().as_deref(), Some("cordoned off"));
        assert_eq!(node(json!({}), "Unknown").closed().as_deref(), Some("not ready"));
        assert_eq!(node(json!({}), "True").allocatable().cpu, 1930);
    }
}
