//! CPU and memory of apps, from metrics.k8s.io where the cluster has it.

use std::collections::HashMap;
use std::time::Duration;

use nodeapp_operator::controller::names::{APP_LABEL, managed_selector};
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::instances::APP;
use crate::words::nanos;

/// Figures that take longer are not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the processes of an app, or of a pod, use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Billionths of a CPU.
    pub(crate) cpu: u64,
    /// Bytes.
    pub(crate) memory: u64,
}

/// What is known of pods, by namespace and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usages {
    pods: HashMap<(String, String), (String, Usage)>,
}

#[derive(Deserialize)]
struct List {
    items: Vec<PodMetrics>,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Metadata,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    usage: HashMap<String, String>,
}

impl Usages {
    fn of(list: List) -> Self {
        let pods = list.items.into_iter().map(|pod| {
            let PodMetrics { metadata: Metadata { name, namespace, labels }, containers } = pod;
            let app = labels.get(APP_LABEL).cloned().unwrap_or_else(|| app_of(&name).to_owned());
            let own = containers.iter().filter(|container| container.name == APP);
            let usage = own.fold(Usage::default(), |sum, container| {
                let value =
                    |resource: &str| container.usage.get(resource).and_then(|text| nanos(text)).unwrap_or(0);
                let whole = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
                Usage {
                    cpu: sum.cpu.saturating_add(whole(value("cpu"))),
                    memory: sum.memory.saturating_add(whole(value("memory") / 1_000_000_000)),
                }
            });
            ((namespace, name), (app, usage))
        });
        Self { pods: pods.collect() }
    }

    /// What a pod uses.
    pub(crate) fn of_pod(&self, namespace: &str, pod: &str) -> Option<Usage> {
        self.pods.get(&(namespace.to_owned(), pod.to_owned())).map(|(_, usage)| *usage)
    }

    /// The sum over the instances of each app, by namespace and name.
    pub(crate) fn by_app(&self) -> HashMap<(String, String), Usage> {
        let mut sums: HashMap<(String, String), Usage> = HashMap::new();
        for ((namespace, _), (app, usage)) in &self.pods {
            let sum = sums.entry((namespace.clone(), app.clone())).or_default();
            sum.cpu = sum.cpu.saturating_add(usage.cpu);
            sum.memory = sum.memory.saturating_add(usage.memory);
        }
        sums
    }
}

/// The app that a pod belongs to by its name: that of its Deployment, with a hash and a random part behind.
fn app_of(pod: &str) -> &str {
    pod.rsplitn(3, '-').nth(2).unwrap_or(pod)
}

impl Cluster {
    /// What the instances of all apps use now. None where the cluster does not measure, or not for this user: that is
    /// no failure of whoever asks.
    pub(crate) async fn usage(&self) -> Option<Usages> {
        let place = self.namespace.as_ref().map_or_else(String::new, |name| format!("namespaces/{name}/"));
        let selector = format!("{}%2C{APP_LABEL}", managed_selector().replace('=', "%3D"));
        let path = format!("/apis/metrics.k8s.io/v1beta1/{place}pods?labelSelector={selector}");
        let request = http::Request::get(path).body(Vec::new()).ok()?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request::<List>(request)).await;
        Some(Usages::of(answer.ok()?.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_instances_of_an_app_are_added_up_and_sidecars_do_not_count() {
        let pod = |name: &str, labels: serde_json::Value| {
            json!({"metadata": {"name": name, "namespace": "web", "labels": labels}, "containers": [
                {"name": "app", "usage": {"cpu": "12000000n", "memory": "2Ki"}},
                {"name": "redis", "usage": {"cpu": "1", "memory": "1Gi"}},
            ]})
        };
        // Older metrics-servers tell no labels.
        let list = json!({"items": [
            pod("shop-a-7d9f8b6c5-x2x4z", json!({})),
            pod("whatever", json!({"nodeapp.dev/app": "shop-a"})),
        ]});
        let usages = Usages::of(serde_json::from_value(list).expect("a list"));
        let sum = usages.by_app()[&("web".to_owned(), "shop-a".to_owned())];
        assert_eq!(sum, Usage { cpu: 24_000_000, memory: 4_096 });
    }
}
