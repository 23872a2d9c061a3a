//! What is kept of the apps' pods: a few hundred bytes of each instead of some
//! ten thousand, since there may be thousands. Everything else in a pod is not
//! even read.

use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ContainerState, PodSchedulingGate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::names::{APP_LABEL, INSTANCE_LABEL, RESTARTS_BEFORE_ANNOTATION, TEMPLATE_HASH_LABEL, annotation};
use super::partial::part_of;

/// A pod of an app.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AppPod {
    /// Name, namespace, UID, times, and the labels and annotations that are read.
    pub metadata: ObjectMeta,
    /// Where it runs, and what it waits for.
    #[serde(default)]
    pub spec: AppPodSpec,
    /// How it is.
    #[serde(default)]
    pub status: AppPodStatus,
}

/// The part of a pod's spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPodSpec {
    /// The node that it was given to.
    pub node_name: Option<String>,
    /// What keeps it from being given to one.
    pub scheduling_gates: Vec<PodSchedulingGate>,
    /// Its volumes that are claims; of one that has a node, none.
    pub volumes: Vec<AppPodVolume>,
}

/// A volume, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPodVolume {
    /// The claim that it is, if it is one.
    pub persistent_volume_claim: Option<AppPodClaim>,
}

/// A claim of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPodClaim {
    /// Its name.
    pub claim_name: String,
}

/// The part of a pod's status that is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppPodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: Option<String>,
    /// Why it is in this phase, such as `Evicted`.
    pub reason: Option<String>,
    /// Its address in the cluster.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// `PodScheduled` and `Ready`.
    pub conditions: Vec<AppPodCondition>,
    /// The app's container and its neighbours.
    pub container_statuses: Vec<AppContainer>,
    /// The container that brings the runner, and sidecars.
    pub init_container_statuses: Vec<AppContainer>,
}

/// A condition of a pod, without its times, which nobody reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppPodCondition {
    /// Its name.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: String,
    /// One word.
    pub reason: Option<String>,
    /// Why no node takes it, in the scheduler's words.
    pub message: Option<String>,
}

/// How a container is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppContainer {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often the kubelet has started it again.
    pub restart_count: i32,
    /// What it does now.
    pub state: Option<ContainerState>,
    /// How it ended before.
    pub last_state: Option<ContainerState>,
}

part_of!(AppPod, "Pod", "pods", NamespaceResourceScope);

/// The conditions of a pod that are read.
const CONDITIONS: [&str; 2] = ["PodScheduled", "Ready"];
/// The reason of `PodScheduled` where no node takes a pod.
const UNSCHEDULABLE: &str = "Unschedulable";
/// The labels of a pod that are read.
const LABELS: [&str; 3] = [APP_LABEL, INSTANCE_LABEL, TEMPLATE_HASH_LABEL];

/// Drops what nobody reads of a pod. Without its version, a pod that has changed
/// in nothing that is read is the same, and nobody is woken.
pub fn slim_pod(pod: &mut AppPod) {
    let meta = std::mem::take(&mut pod.metadata);
    pod.metadata = ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels.map(|mut labels| {
            labels.retain(|name, _| LABELS.contains(&name.as_str()));
            labels
        }),
        annotations: meta.annotations.and_then(|mut annotations| {
            annotations.retain(|name, _| name == RESTARTS_BEFORE_ANNOTATION);
            (!annotations.is_empty()).then_some(annotations)
        }),
        ..ObjectMeta::default()
    };
    // Claims matter as long as it waits for them.
    let waits = pod.is_waiting();
    pod.spec.volumes.retain(|volume| waits && volume.persistent_volume_claim.is_some());
    pod.spec.volumes.shrink_to_fit();
    pod.status.conditions.retain(|condition| CONDITIONS.contains(&condition.type_.as_str()));
    for condition in &mut pod.status.conditions {
        condition.message.take_if(|_| condition.reason.as_deref() != Some(UNSCHEDULABLE));
    }
}

impl AppPod {
    /// Why no node takes it, in the scheduler's words.
    pub fn unschedulable(&self) -> Option<&str> {
        let refused = |condition: &&AppPodCondition| condition.reason.as_deref() == Some(UNSCHEDULABLE);
        let condition = self.status.conditions.iter().find(refused)?;
        Some(condition.message.as_deref().unwrap_or_default())
    }

    /// The hash of the pod template that it was made from; none for a pod that no
    /// `ReplicaSet` has made.
    pub fn template_hash(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(TEMPLATE_HASH_LABEL).map(String::as_str)
    }

    /// Restarts that are not counted any more, since someone began to count anew.
    pub fn restarts_before(&self) -> i64 {
        let before = annotation(&self.metadata, RESTARTS_BEFORE_ANNOTATION);
        before.and_then(|count| count.parse().ok()).filter(|count| *count > 0).unwrap_or(0)
    }

    /// The number of its instance, if it has one.
    pub fn instance(&self) -> Option<u32> {
        self.metadata.labels.as_ref()?.get(INSTANCE_LABEL)?.parse().ok()
    }

    /// The place of a gate among those that keep it from starting.
    pub fn gate(&self, name: &str) -> Option<usize> {
        self.spec.scheduling_gates.iter().position(|gate| gate.name == name)
    }

    /// Whether it waits for a node.
    pub fn is_waiting(&self) -> bool {
        self.spec.node_name.is_none() && !self.is_terminating() && !self.has_ended()
    }

    /// Whether it waits for a node, and there is none for it.
    pub fn finds_no_place(&self) -> bool {
        let unschedulable = |condition: &AppPodCondition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable")
        };
        self.is_waiting() && self.status.conditions.iter().any(unschedulable)
    }

    /// The claims that a scheduler which has not said no may be waiting for: they are to be bound before
    /// the pod has its node.
    pub fn awaited_claims(&self) -> Vec<&str> {
        let scheduled = self.status.conditions.iter().any(|condition| {
            condition.type_ == "PodScheduled"
                && (condition.status == "True" || condition.reason.as_deref() == Some(UNSCHEDULABLE))
        });
        if scheduled || !self.is_waiting() || !self.spec.scheduling_gates.is_empty() {
            return Vec::new();
        }
        let claims = self.spec.volumes.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        claims.map(|claim| claim.claim_name.as_str()).collect()
    }

    /// Whether it gets requests.
    pub fn is_ready(&self) -> bool {
        self.status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it has run and never will again, though it is still listed: evicted
    /// by a node in need, or left by one that shut down.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

/// Longest part of a kubelet's message that is told.
const LONGEST_MESSAGE: usize = 300;

/// Why a container of a pod that is to run cannot be started, in the words of its
/// kubelet; the same for as long as it is the same. `image`: of a container by its name.
pub fn held_up(pods: &[Arc<AppPod>], image: impl Fn(&str) -> Option<String>) -> Option<String> {
    pods.iter().filter(|pod| !pod.is_terminating() && !pod.has_ended()).find_map(|pod| {
        let status = &pod.status;
        let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
        let reason = containers.into_iter().find_map(|container| {
            let waiting = container.state.as_ref()?.waiting.as_ref()?;
            let message = waiting.message.as_deref().unwrap_or_default();
            let image =
                || image(&container.name).unwrap_or_else(|| format!("of the container {}", container.name));
            match waiting.reason.as_deref()? {
                // The kubelet goes back and forth between the first two.
                "ErrImagePull" | "ImagePullBackOff" => {
                    Some(format!("the image {} cannot be pulled{}", image(), why_not_pulled(message)))
                }
                "InvalidImageName" => Some(format!("{} is no name of an image", image())),
                reason @ ("ErrImageNeverPull"
                | "CreateContainerConfigError"
                | "CreateContainerError"
                | "RunContainerError") => {
                    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
                    Some(format!("its container {} cannot be started: {reason}: {message}", container.name))
                }
                _ => None,
            }
        })?;
        Some(format!("In {}, {reason}", pod.metadata.name.as_deref().unwrap_or_default()))
    })
}

/// What the registry said, in a word that stays the same from try to try.
fn why_not_pulled(message: &str) -> &'static str {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["unauthorized", "denied", "authorization failed", "forbidden"]) {
        ": the registry wants other credentials, or has no such image"
    } else if says(&["not found", "notfound", "manifest unknown"]) {
        ": the registry has no such image"
    } else if says(&["no such host", "timeout", "connection refused", "unreachable", "dial tcp"]) {
        ": the registry cannot be reached"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_pod_only_what_is_read_is_kept() {
        let whole = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "web-7d-abc", "namespace": "shop", "uid": "u1", "resourceVersion": "7",
                "labels": {"nodeapp.dev/app": "web", "pod-template-hash": "7d", "team": "x"},
                "annotations": {"nodeapp.dev/config": "{}"},
                "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {
                "containers": [{"name": "app", "image": "a:1"}], "nodeName": "n1",
                "schedulingGates": [{"name": "g"}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "claim-of-it"}}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1",
                "conditions": [
                    {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    {"type": "ContainersReady", "status": "True"},
                ],
                "containerStatuses": [{"name": "app", "ready": true, "restartCount": 3, "image": "a:1",
                    "imageID": "x", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
            },
        });
        let mut pod: AppPod = serde_json::from_value(whole).unwrap();
        slim_pod(&mut pod);
        assert_eq!(pod.template_hash(), Some("7d"));
        assert_eq!(pod.spec.node_name.as_deref(), Some("n1"));
        assert_eq!(pod.status.pod_ip.as_deref(), Some("10.0.0.1"));
        assert_eq!(pod.status.container_statuses[0].restart_count, 3);
        assert_eq!(pod.status.conditions.len(), 1);
        let text = serde_json::to_string(&pod).unwrap();
        for gone in
            ["team", "nodeapp.dev/config", "kubelet", "resourceVersion", "lastTransitionTime", "claim-of-it"]
        {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
    }

    #[test]
    fn a_pod_that_lacks_nearly_everything_can_be_read() {
        let pod: AppPod = serde_json::from_value(json!({"metadata": {"name": "x"}})).unwrap();
        assert!(!pod.is_terminating() && !pod.has_ended() && pod.template_hash().is_none());
    }

    fn waits(reason: &str, message: &str) -> Vec<Arc<AppPod>> {
        let state = json!({"waiting": {"reason": reason, "message": message}});
        let pod = json!({
            "metadata": {"name": "web-x"},
            "status": {"containerStatuses": [{"name": "app", "state": state}]},
        });
        vec![Arc::new(serde_json::from_value(pod).unwrap())]
    }

    fn told(reason: &str, message: &str) -> Option<String> {
        held_up(&waits(reason, message), |name| (name == "app").then(|| "registry.example/web:2".to_owned()))
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_told_alike_at_every_try() {
        let error = "rpc error: code = NotFound desc = failed to pull \"registry.example/web:2\": not found";
        let back = format!("Back-off pulling image \"web:2\": ErrImagePull: {error}");
        let first = told("ErrImagePull", error).unwrap();
        let expected =
            "In web-x, the image registry.example/web:2 cannot be pulled: the registry has no such image";
        assert_eq!(first, expected);
        assert_eq!(told("ImagePullBackOff", &back).as_ref(), Some(&first));
        for (message, word) in [
            ("pull access denied, repository does not exist or may require authorization", "credentials"),
            ("dial tcp: lookup registry.example: no such host", "cannot be reached"),
            ("something else", "cannot be pulled"),
        ] {
            assert!(told("ErrImagePull", message).unwrap().contains(word), "{message}");
        }
    }

    #[test]
    fn a_container_that_cannot_be_made_is_told_in_the_words_of_the_kubelet() {
        let text = told("CreateContainerConfigError", "configmap \"settings\" not found").unwrap();
        assert!(text.ends_with("CreateContainerConfigError: configmap \"settings\" not found"), "{text}");
        assert!(told("CreateContainerError", &"x".repeat(9_000)).unwrap().len() < 500);
        for usual in ["ContainerCreating", "PodInitializing", "CrashLoopBackOff"] {
            assert_eq!(told(usual, "back-off 10s"), None, "{usual}");
        }
        let mut leaving = (*waits("ErrImagePull", "")[0]).clone();
        leaving.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(held_up(&[Arc::new(leaving)], |_| None), None);
    }
}
