//! Why pods wait for a node. Nothing else tells of a claim that is missing, or of a place that no node
//! has: to the Deployment they are just not ready.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::controller::pods::AppPod;

/// How long a claim may take to be bound before that is told: most take a second or two.
const BINDING: SignedDuration = SignedDuration::from_secs(10);

/// What pods wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Why, and what can be done about it.
    pub why: Option<String>,
    /// When there may be something to say though nothing happens.
    pub look_again: Option<Timestamp>,
}

/// What the pods wait for: in the scheduler's words if it has some, else for their claims.
pub(super) fn look(pods: &[Arc<AppPod>], now: Timestamp) -> Waiting {
    let staying = || pods.iter().filter(|pod| !pod.is_terminating());
    let refused: Vec<_> = staying().filter(|pod| pod.unschedulable().is_some()).collect();
    if let Some(first) = refused.first() {
        let said = first.unschedulable().unwrap_or_default().trim_end_matches('.');
        let why = format!("No node takes the pod {}: {said}. {}", named(&refused), way_out(said));
        return Waiting { why: Some(why), look_again: None };
    }
    // Nothing is said for ten minutes while a volume is waited for that nobody makes.
    let late = |pod: &Arc<AppPod>| {
        let created = pod.metadata.creation_timestamp.as_ref().map_or(now, |created| created.0);
        created.saturating_add(BINDING).unwrap_or(now)
    };
    let bound: Vec<_> = staying().filter(|pod| !pod.awaited_claims().is_empty()).collect();
    let overdue: Vec<_> = bound.iter().copied().filter(|pod| late(pod) <= now).collect();
    let Some(first) = overdue.first() else {
        return Waiting { why: None, look_again: bound.into_iter().map(late).min() };
    };
    let claims = first.awaited_claims().join(", ");
    let why = format!(
        "The pod {} has no node yet, and its PersistentVolumeClaims ({claims}) have to be bound first. If it stays so, \
         `kubectl describe pvc` says what makes no volume for them: mostly the provisioner of their StorageClass",
        named(&overdue)
    );
    Waiting { why: Some(why), look_again: None }
}

/// The first, and how many there are beside it.
fn named(pods: &[&Arc<AppPod>]) -> String {
    let name = pods.first().and_then(|pod| pod.metadata.name.as_deref()).unwrap_or_default();
    match pods.len() {
        0 | 1 => name.to_owned(),
        count => format!("{name} and {} more", count - 1),
    }
}

fn way_out(said: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["unbound immediate PersistentVolumeClaims", "not find available persistent volumes"]) {
        "See `kubectl get pvc`: the claim's StorageClass has to exist and to make volumes"
    } else if has(&["persistentvolumeclaim"]) {
        "Create the PersistentVolumeClaim, or name another one in spec.pod.volumes"
    } else if has(&["node affinity", "taint", "topology spread", "pod affinity", "anti-affinity"]) {
        "Correct spec.pod.nodeSelector, affinity, tolerations or topologySpreadConstraints, or add such a node"
    } else {
        "Make room, or request less in spec.resources"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn why(pods: &[Arc<AppPod>]) -> Option<String> {
        look(pods, Timestamp::from_second(100).unwrap()).why
    }

    fn pod(name: &str, message: Option<&str>) -> Arc<AppPod> {
        let condition = message.map(|message| {
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message})
        });
        let conditions: Vec<_> = condition.into_iter().collect();
        let pod = json!({"metadata": {"name": name}, "status": {"conditions": conditions}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn pods_that_have_a_node_wait_for_none() {
        assert_eq!(why(&[pod("a", None)]), None);
    }

    #[test]
    fn each_cause_comes_with_its_way_out() {
        for (said, way) in [
            (r#"0/1 nodes are available: persistentvolumeclaim "data" not found."#, "Create the Persistent"),
            ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "kubectl get pvc"),
            ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", "nodeSelector"),
            ("0/1 nodes are available: 1 node(s) had untolerated taint {a: b}.", "tolerations"),
            ("0/1 nodes are available: 1 Insufficient memory.", "request less"),
        ] {
            let told = why(&[pod("a", None), pod("b", Some(said)), pod("c", Some(said))]).unwrap();
            assert!(
                told.starts_with("No node takes the pod b and 1 more: 0/1") && told.contains(way),
                "{told}"
            );
        }
    }

    #[test]
    fn a_claim_that_nobody_binds_is_told_after_a_moment() {
        let created = "1970-01-01T00:01:30Z";
        let pod = |change: &dyn Fn(&mut serde_json::Value)| {
            let claims = json!([{"persistentVolumeClaim": {"claimName": "uploads"}}]);
            let mut pod = json!({
                "metadata": {"name": "a", "creationTimestamp": created},
                "spec": {"volumes": claims}, "status": {"phase": "Pending"},
            });
            change(&mut pod);
            [Arc::new(serde_json::from_value::<AppPod>(pod).unwrap())]
        };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let waits = pod(&|_| {});
        assert_eq!(look(&waits, at(99)), Waiting { why: None, look_again: Some(at(100)) });
        let told = look(&waits, at(100)).why.unwrap();
        assert!(told.starts_with("The pod a has no node yet") && told.contains("(uploads)"), "{told}");
        let condition = |status: &str, reason: &str| json!([{"type": "PodScheduled", "status": status, "reason": reason, "message": "m"}]);
        for other in [
            pod(&|pod| pod["spec"]["volumes"] = json!([{}])),
            pod(&|pod| pod["spec"]["nodeName"] = json!("n")),
            pod(&|pod| pod["spec"]["schedulingGates"] = json!([{"name": "g"}])),
            pod(&|pod| pod["metadata"]["deletionTimestamp"] = json!(created)),
            pod(&|pod| pod["status"]["conditions"] = condition("True", "")),
        ] {
            assert_eq!(look(&other, at(500)), Waiting::default(), "{other:?}");
        }
        let refused = pod(&|pod| pod["status"]["conditions"] = condition("False", "Unschedulable"));
        assert!(look(&refused, at(500)).why.unwrap().starts_with("No node takes the pod a: m."));
    }
}
