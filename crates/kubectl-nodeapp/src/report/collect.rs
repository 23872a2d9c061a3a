//! What a report is made of, read from the cluster. Whatever cannot be read is told instead.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use kube::{Api, Resource, ResourceExt as _};
use nodeapp_operator::controller::names::{MANAGED_BY_LABEL, MANAGER};
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use super::redact::Redaction;
use crate::cluster::{Attempt, Cluster, told};
use crate::instances::APP;

/// What the operator makes: group, version, kind, plural name. Secrets are not among it.
const CHILDREN: [(&str, &str, &str, &str); 15] = [
    ("", "v1", "Pod", "pods"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("apps", "v1", "ControllerRevision", "controllerrevisions"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch", "v1", "CronJob", "cronjobs"),
    ("batch", "v1", "Job", "jobs"),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
];
/// Requests at once.
const AT_ONCE: usize = 10;
/// Pods of an app whose logs and runners are looked at.
const PODS: usize = 20;
/// Of a log.
const LONGEST: i64 = 1024 * 1024;

/// What was read.
#[derive(Default)]
pub(super) struct Collection {
    objects: BTreeMap<String, Value>,
    texts: BTreeMap<String, String>,
    missing: Vec<String>,
}

impl Collection {
    pub(super) async fn of(cluster: &Cluster, apps: &[NodeApp], lines: i64) -> Self {
        let mut all = Self::default();
        all.versions(cluster).await;
        all.operator(cluster, lines).await;
        for app in apps {
            all.app(cluster, app, lines).await;
        }
        all
    }

    /// The files of the report: no secret is in them.
    pub(super) fn pages(mut self, include_env: bool) -> BTreeMap<String, String> {
        let mut redaction = Redaction::new(include_env);
        self.objects.values_mut().for_each(|object| redaction.object(object));
        self.objects.values().for_each(|object| redaction.learn_from(object));
        self.texts.values().for_each(|text| redaction.learn(text));
        self.objects.values_mut().for_each(|object| redaction.finish(object));
        let yaml = |object: &Value| serde_saphyr::to_string(object).unwrap_or_else(|error| error.to_string());
        let objects = self.objects.iter().map(|(name, object)| (name.clone(), yaml(object)));
        let texts = self.texts.iter().map(|(name, text)| (name.clone(), redaction.page(text)));
        let mut pages: BTreeMap<String, String> = objects.chain(texts).collect();
        if !self.missing.is_empty() {
            pages.insert("missing.txt".to_owned(), redaction.page(&format!("{}\n", self.missing.join("\n"))));
        }
        pages
    }

    /// Keeps what was read, or why not.
    fn keep<T>(&mut self, what: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|why| self.missing.push(format!("{what}: {why}"))).ok()
    }

    async fn versions(&mut self, cluster: &Cluster) {
        let server = cluster.client.apiserver_version().await.map_err(|error| error.to_string());
        let server = self.keep("version of the cluster", server).map(|version| version.git_version);
        let versions = json!({"plugin": env!("CARGO_PKG_VERSION"), "cluster": server});
        self.objects.insert("versions.yaml".to_owned(), versions);
    }

    /// The operator itself, wherever it runs.
    async fn operator(&mut self, cluster: &Cluster, lines: i64) {
        let api: Api<Pod> = Api::all(cluster.client.clone());
        let params = ListParams::default().labels("app.kubernetes.io/name=nodeapp-operator");
        let attempt = Attempt { verb: "list", resource: "pods", namespace: None };
        let pods = api.list(&params).await.map_err(|error| told(&attempt, &error));
        for pod in self.keep("the operator", pods).into_iter().flatten() {
            let name = pod.name_any();
            self.log(cluster, &pod, "operator", None, lines).await;
            let object = serde_json::to_value(&pod).unwrap_or_default();
            self.objects.insert(format!("operator/{name}.yaml"), object);
        }
    }

    async fn app(&mut self, cluster: &Cluster, app: &NodeApp, lines: i64) {
        let (name, namespace) = (app.name_any(), app.namespace().unwrap_or_default());
        let folder = format!("{namespace}/{name}");
        let own = [("nodeapp.dev", "v1alpha1", "NodeApp", "nodeapps")];
        let children = format!("{MANAGED_BY_LABEL}={MANAGER},app.kubernetes.io/instance={name}");
        let mut wanted = vec![(own[0], ListParams::default().fields(&format!("metadata.name={name}")))];
        wanted.extend(CHILDREN.map(|kind| (kind, ListParams::default().labels(&children))));
        let reads = wanted.into_iter().map(|(kind, params)| objects(cluster, &namespace, kind, params));
        let read: Vec<_> = futures::stream::iter(reads).buffered(AT_ONCE).collect().await;
        for (plural, list) in read {
            for object in self.keep(&format!("{folder}: {plural}"), list).into_iter().flatten() {
                let file = format!("{folder}/{plural}/{}.yaml", object.name_any());
                self.objects.insert(file, serde_json::to_value(&object).unwrap_or_default());
            }
        }
        self.events(cluster, app, &folder).await;
        let pods = cluster.instances(app).await;
        for pod in self.keep(&folder, pods).into_iter().flatten().take(PODS) {
            let folder = format!("{folder}/pods");
            self.runner(cluster, &pod, &folder).await;
            self.log(cluster, &pod, &folder, Some(APP), lines).await;
        }
    }

    /// Events about the app and what it is made of; all of their names begin with its name.
    async fn events(&mut self, cluster: &Cluster, app: &NodeApp, folder: &str) {
        let namespace = app.metadata.namespace.as_deref();
        let attempt = Attempt { verb: "list", resource: "events", namespace };
        let list = cluster.beside::<Event>(app).list(&ListParams::default()).await;
        let list = list.map_err(|error| told(&attempt, &error));
        let Some(list) = self.keep(&format!("{folder}: events"), list) else { return };
        let name = app.name_any();
        let is_own = |event: &Event| {
            let about = event.involved_object.name.as_deref().unwrap_or_default();
            about == name || about.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('-'))
        };
        let mut events: Vec<Event> = list.items.into_iter().filter(is_own).collect();
        events
            .sort_by_key(|event| event.last_timestamp.clone().or(event.metadata.creation_timestamp.clone()));
        let events = serde_json::to_value(&events).unwrap_or_default();
        self.objects.insert(format!("{folder}/events.yaml"), events);
    }

    /// What the runner of a pod says.
    async fn runner(&mut self, cluster: &Cluster, pod: &Pod, folder: &str) {
        let name = pod.name_any();
        let status = cluster.ctl(pod, &["status"]).await;
        if let Some(status) = self.keep(&format!("{name}: its runner"), status) {
            self.texts.insert(format!("{folder}/{name}.runner.json"), status);
        }
    }

    /// The last lines of a container and of the one before its last restart.
    async fn log(&mut self, cluster: &Cluster, pod: &Pod, folder: &str, container: Option<&str>, lines: i64) {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let restarted = statuses.into_iter().any(|container| container.restart_count > 0);
        for previous in [false, true] {
            if previous && !restarted {
                continue;
            }
            let params = LogParams {
                container: container.map(str::to_owned),
                previous,
                tail_lines: Some(lines),
                limit_bytes: Some(LONGEST),
                timestamps: true,
                ..LogParams::default()
            };
            let attempt = Attempt { verb: "get", resource: "pods/log", namespace: Some(&namespace) };
            let log = api.logs(&name, &params).await.map_err(|error| told(&attempt, &error));
            let suffix = if previous { ".previous" } else { "" };
            if let Some(log) = self.keep(&format!("{name}: log{suffix}"), log) {
                self.texts.insert(format!("{folder}/{name}{suffix}.log"), log);
            }
        }
    }
}

/// Objects of a kind, with whatever fields they have. A kind that the cluster does not know has none.
async fn objects(
    cluster: &Cluster,
    namespace: &str,
    (group, version, kind, plural): (&str, &str, &str, &str),
    params: ListParams,
) -> (String, Result<Vec<DynamicObject>, String>) {
    let gvk = kube::api::GroupVersionKind::gvk(group, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), namespace, &resource);
    let list = match api.list(&params).await {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(vec![]),
        Err(error) => {
            let plural = DynamicObject::plural(&resource);
            Err(told(&Attempt { verb: "list", resource: &plural, namespace: Some(namespace) }, &error))
        }
    };
    (plural.to_owned(), list)
}
