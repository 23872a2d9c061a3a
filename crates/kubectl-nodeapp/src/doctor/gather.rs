//! Reads what the checks look at. Whatever may not be read is left open, with the reason; a check that needs it is then
//! left out or says so.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use nodeapp_audit::Severity;
use nodeapp_contract::RUNNER_PORT;
use nodeapp_operator::controller::names;
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

use super::facts::{Audited, Budget, Facts, Monitors, OperatorFacts, PodFacts, Rights, Seen};
use super::{histogram, may, select};
use crate::cluster::{Attempt, Cluster, told};
use crate::one::is_ready;

/// Pods whose runners are asked: more of them tell nothing new.
const ASKED: usize = 20;
/// Requests at a time.
const AT_ONCE: usize = 8;
/// How long a runner may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is the same for all apps.
#[derive(Clone)]
pub(super) struct Installation {
    nodes: Seen<usize>,
    operator: Seen<Option<OperatorFacts>>,
    lacking: Seen<Vec<String>>,
}

pub(super) async fn installation(cluster: &Cluster) -> Installation {
    let lacking = async {
        let lacking = nodeapp_operator::served::lacking(&cluster.client).await;
        lacking.ok_or_else(|| "the cluster does not show its schemas".to_owned())
    };
    let (nodes, operator, lacking) = futures::join!(nodes(cluster), operator(cluster), lacking);
    Installation { nodes, operator, lacking }
}

/// What the user may do in a namespace: the same for all apps in it.
pub(super) async fn rights(cluster: &Cluster, namespace: &str) -> Seen<Rights> {
    may::rights(cluster, namespace).await
}

/// What is known of an app.
pub(super) async fn facts(
    cluster: &Cluster,
    app: NodeApp,
    flags: String,
    (installation, rights): (Installation, Seen<Rights>),
    audit: Option<Audited>,
) -> Facts {
    let (template, pods, budgets, monitors) = futures::join!(
        template(cluster, &app),
        pods(cluster, &app),
        budgets(cluster, &app),
        monitors(cluster, &app),
    );
    let Installation { nodes, operator, lacking } = installation;
    Facts {
        app,
        now: Timestamp::now(),
        flags,
        template,
        pods,
        budgets,
        nodes,
        monitors,
        operator,
        lacking,
        rights,
        audit,
    }
}

async fn template(
    cluster: &Cluster,
    app: &NodeApp,
) -> Seen<Option<k8s_openapi::api::core::v1::PodTemplateSpec>> {
    let attempt = beside("get", "deployments.apps", app);
    let found = cluster.beside::<Deployment>(app).get_opt(&app.name_any()).await;
    let found = found.map_err(|error| told(&attempt, &error))?;
    Ok(found.and_then(|deployment| Some(deployment.spec?.template)))
}

fn beside<'a>(verb: &'a str, resource: &'a str, app: &'a NodeApp) -> Attempt<'a> {
    Attempt { verb, resource, namespace: app.metadata.namespace.as_deref() }
}

async fn pods(cluster: &Cluster, app: &NodeApp) -> Seen<Vec<PodFacts>> {
    let pods = cluster.instances(app).await?;
    let known = |(at, pod): (usize, Pod)| async move {
        let is_asked = at < ASKED && is_running(&pod);
        let (runner, longest) = if is_asked { asked(cluster, &pod).await } else { (None, None) };
        PodFacts {
            name: pod.name_any(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            ready: is_ready(&pod),
            runner,
            longest,
        }
    };
    let going = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let pods: Vec<Pod> = pods.into_iter().filter(|pod| !going(pod)).collect();
    Ok(stream::iter(pods.into_iter().enumerate()).map(known).buffered(AT_ONCE).collect().await)
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// What the runner of a pod says of itself and of the requests.
async fn asked(
    cluster: &Cluster,
    pod: &Pod,
) -> (Option<nodeapp_contract::RunnerStatus>, Option<super::facts::Longest>) {
    let (status, metrics) = futures::join!(page(cluster, pod, "status"), page(cluster, pod, "metrics"));
    let status = status.and_then(|text| serde_json::from_str(&text).ok());
    (status, metrics.and_then(|text| histogram::longest(&text)))
}

async fn page(cluster: &Cluster, pod: &Pod, page: &str) -> Option<String> {
    let (namespace, name) = (pod.namespace()?, pod.name_any());
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{RUNNER_PORT}/proxy/{page}");
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    tokio::time::timeout(PATIENCE, cluster.client.request_text(request)).await.ok()?.ok()
}

async fn budgets(cluster: &Cluster, app: &NodeApp) -> Seen<Vec<Budget>> {
    let attempt = beside("list", "poddisruptionbudgets.policy", app);
    let list = cluster.beside::<PodDisruptionBudget>(app).list(&ListParams::default()).await;
    let labels = select::pod_labels(app);
    let selects = |budget: &PodDisruptionBudget| {
        budget
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.as_ref())
            .is_some_and(|it| select::takes(it, &labels))
    };
    let known = |budget: PodDisruptionBudget| Budget {
        name: budget.name_any(),
        own: budget.labels().get(names::MANAGED_BY_LABEL).is_some_and(|by| by == names::MANAGER),
        allowed: budget.status.as_ref().map_or(0, |status| status.disruptions_allowed),
    };
    let list = list.map_err(|error| told(&attempt, &error))?;
    Ok(list.items.into_iter().filter(selects).map(known).collect())
}

async fn nodes(cluster: &Cluster) -> Seen<usize> {
    let attempt = Attempt { verb: "list", resource: "nodes", namespace: None };
    let list = Api::<Node>::all(cluster.client.clone()).list(&ListParams::default()).await;
    let takes_pods = |node: &&Node| {
        let spec = node.spec.as_ref();
        let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        spec.and_then(|spec| spec.unschedulable) != Some(true)
            && !taints.iter().any(|taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute")
    };
    let list = list.map_err(|error| told(&attempt, &error))?;
    Ok(list.items.iter().filter(takes_pods).count())
}

/// The `PodMonitor`s that select the pods, of all namespaces if those may be seen.
async fn monitors(cluster: &Cluster, app: &NodeApp) -> Seen<Monitors> {
    let namespace = app.namespace().unwrap_or_default();
    let group = "/apis/monitoring.coreos.com/v1";
    let everywhere = list(cluster, &format!("{group}/podmonitors")).await;
    let found = match everywhere {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            list(cluster, &format!("{group}/namespaces/{namespace}/podmonitors")).await
        }
        other => other,
    };
    let items = match found {
        Ok(items) => items,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Monitors::default()),
        Err(error) => return Err(told(&beside("list", "podmonitors.monitoring.coreos.com", app), &error)),
    };
    let labels = select::pod_labels(app);
    let selects = |monitor: &&Value| {
        let selector: LabelSelector =
            serde_json::from_value(monitor["spec"]["selector"].clone()).unwrap_or_default();
        select::reaches(monitor, &namespace) && select::takes(&selector, &labels)
    };
    let name = |monitor: &Value| monitor["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Ok(Monitors { known: true, matching: items.iter().filter(selects).map(name).collect() })
}

async fn list(cluster: &Cluster, path: &str) -> Result<Vec<Value>, kube::Error> {
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let list: Value = cluster.client.request(request).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// The operator's Deployment and its Lease.
async fn operator(cluster: &Cluster) -> Seen<Option<OperatorFacts>> {
    let attempt = Attempt { verb: "list", resource: "deployments.apps", namespace: None };
    let params = ListParams::default().labels(&format!("app.kubernetes.io/name={}", names::MANAGER));
    let list = Api::<Deployment>::all(cluster.client.clone()).list(&params).await;
    let list = list.map_err(|error| told(&attempt, &error))?;
    let Some(deployment) = list.items.into_iter().next() else { return Ok(None) };
    let namespace = deployment.namespace().unwrap_or_default();
    let lease = match lease_name(&deployment) {
        Some(name) => lease(cluster, &namespace, &name).await,
        None => None,
    };
    Ok(Some(OperatorFacts {
        namespace,
        name: deployment.name_any(),
        wanted: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        ready: deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0),
        lease,
    }))
}

/// As its argument says.
fn lease_name(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let arguments = pod.containers.iter().flat_map(|container| container.args.iter().flatten());
    arguments.filter_map(|argument| argument.strip_prefix("--lease=")).map(ToOwned::to_owned).next()
}

async fn lease(cluster: &Cluster, namespace: &str, name: &str) -> Option<(i64, i64)> {
    let spec = Api::<Lease>::namespaced(cluster.client.clone(), namespace).get(name).await.ok()?.spec?;
    let age = Timestamp::now().as_second() - spec.renew_time?.0.as_second();
    Some((age, i64::from(spec.lease_duration_seconds?)))
}

/// Audits the source of an app.
///
/// # Errors
/// When there is nothing to audit.
pub(super) fn audit(folder: &Path) -> Result<Audited, String> {
    let found = nodeapp_audit::audit(&[folder.to_owned()], &nodeapp_audit::Options::default());
    let found = found.map_err(|error| error.to_string())?;
    let count = |severity| found.findings.iter().filter(|finding| finding.severity == severity).count();
    let first = found.findings.iter().find(|finding| finding.severity != Severity::Note);
    Ok(Audited {
        image: String::new(),
        time: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        handles_signals: !found.findings.iter().any(|finding| finding.rule == "shutdown-signal"),
        first: first.map(|first| format!("{}: {}", first.place.file.display(), first.message)),
    })
}
