//! Why pods wait for a node. Nothing else tells of a claim that is missing, or of a place that no node
//! has: to the Deployment they are just not ready.

use std::sync::Arc;

use crate::controller::pods::AppPod;

/// What the scheduler says of the first pod that waits, and what can be done about it.
pub(super) fn why(pods: &[Arc<AppPod>]) -> Option<String> {
    let waits =
        |pod: &&Arc<AppPod>| pod.metadata.deletion_timestamp.is_none() && pod.unschedulable().is_some();
    let mut waiting = pods.iter().filter(waits);
    let first = waiting.next()?;
    let others = match waiting.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let name = first.metadata.name.as_deref().unwrap_or_default();
    let said = first.unschedulable().unwrap_or_default().trim_end_matches('.');
    Some(format!("No node takes the pod {name}{others}: {said}. {}", way_out(said)))
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
}
