//! What makes an app be reconciled: its own changes at once, those of its
//! children gathered for a moment.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::Api;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::controller::{self, ReconcileReason, ReconcileRequest};
use kube::runtime::reflector::{ObjectRef, reflector, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Predicate, WatchStreamExt, applier, predicates};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::apply::Child;
use super::cache::{AppKey, Cache, Form, slim, slim_app, slim_autoscaler, slim_job, slim_revision};
use super::context::Context;
use super::pods::{AppPod, slim_pod};
use super::references::Referable;
use super::watching::{WatchBackoff, note};
use super::{Guarded, capacity, gateway, names, reconcile, retry, runners, scopes};
use crate::health::watch_name;

/// The kinds that are watched, as `/readyz` calls them.
pub const WATCHED: [&str; 16] = [
    "NodeApp",
    "ServiceAccount",
    "ControllerRevision",
    "Service",
    "PodDisruptionBudget",
    "Job",
    "Deployment",
    "CronJob",
    "Pod",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "PersistentVolumeClaim",
    "Ingress",
    "NetworkPolicy",
    "HTTPRoute",
    "ConfigMap",
];

/// Reconciles at a time.
pub const CONCURRENCY: u16 = 16;
/// How long changes of what apps refer to are gathered: several come together.
const GATHER_CONFIG: Duration = Duration::from_secs(1);
/// How long events about children are gathered.
const GATHER: Duration = Duration::from_millis(100);
/// How long a watch lasts. Shorter than the patience of the load balancers in front
/// of API servers, which cut silent connections after four minutes.
pub const WATCH_SECONDS: u32 = 220;

/// Objects per answer to a list. Before they are kept small they take some 30 kB each,
/// and what a start takes at its peak stays with the process.
const PAGE: u32 = 100;

/// A watch is gone for good.
#[derive(Debug, thiserror::Error)]
#[error("a watch of children has ended; the operator must start anew{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
pub struct WatchEnded(Option<tokio::task::JoinError>);

/// Runs the controller until `stop` resolves, then lets the reconciles that are
/// under way come to their end.
///
/// # Errors
/// When a watch is gone for good, which only a defect can bring about: what is
/// known of the cluster would be out of date without anyone noticing.
pub async fn run(
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), WatchEnded> {
    let (touched, children) = mpsc::unbounded_channel();
    let mut watches = JoinSet::new();
    let mut listed = watch_children(&context, &touched, &mut watches);
    let (routes, routes_listed) = watch::channel(false);
    watches.spawn(gateway::keep_watching(context.clone(), touched.clone(), routes));
    listed.push(routes_listed);
    watches.spawn(capacity::keep_looking(context.clone(), touched.clone()));
    watches.spawn(runners::keep_asking(context.clone(), touched, all_listed(listed.clone())));
    let (changed, config) = mpsc::unbounded_channel();
    watch_references::<ConfigMap>(&context, &changed, &mut watches);
    if context.settings.watch_secrets {
        watch_references::<Secret>(&context, &changed, &mut watches);
    }
    drop(changed);
    let (reader, writer) = store();
    let apps = apps(&context, writer);
    let of_children = super::debounce::debounced(children, GATHER);
    let of_config = super::debounce::debounced(config, GATHER_CONFIG);
    let of_children = stream::select(of_children.boxed(), of_config.boxed())
        .flat_map(stream::iter)
        .map(|app| request(&app, ReconcileReason::BulkReconcile));
    // No decision before everything is known: an absent child must be absent.
    let queue = stream::once(all_listed(listed))
        .flat_map(|()| stream::empty())
        .chain(stream::select(apps, of_children).map(Ok::<_, Infallible>))
        .take_until(Box::pin(stop));
    let config = controller::Config::default().concurrency(CONCURRENCY);
    let known = context.clone();
    let reconciles = applier(
        |app, context| Box::pin(reconcile(app, context)),
        retry,
        context,
        reader,
        Box::pin(queue),
        config,
    )
    .for_each(move |result| {
        forget_gone(&known, result.err());
        std::future::ready(())
    });
    // The watches end with the set that holds them.
    tokio::select! {
        () = reconciles => Ok(()),
        Some(ended) = watches.join_next() => Err(WatchEnded(ended.err())),
    }
}

/// Waits for the first complete list of each kind.
async fn all_listed(mut listed: Vec<watch::Receiver<bool>>) {
    for listed in &mut listed {
        // An error means that the watch is gone, and with it this process.
        let _ = listed.wait_for(|listed| *listed).await;
    }
}

/// A failed reconcile was counted and logged where it failed. One that was under
/// way when its app went may have left something to forget.
fn forget_gone(context: &Context, error: Option<controller::Error<super::Error, Infallible>>) {
    if let Some(controller::Error::ObjectNotFound(app)) = error {
        let namespace = app.namespace.unwrap_or_default();
        context.forget(&AppKey { namespace, name: app.name });
    }
}

fn request(app: &AppKey, reason: ReconcileReason) -> ReconcileRequest<Guarded> {
    ReconcileRequest { obj_ref: ObjectRef::new(&app.name).within(&app.namespace), reason }
}

/// Apps whose spec changed, or that came or went.
fn apps(
    context: &Arc<Context>,
    writer: kube::runtime::reflector::store::Writer<Guarded>,
) -> impl Stream<Item = ReconcileRequest<Guarded>> + Send + use<> {
    let events = watched::<Guarded>(context, watcher::Config::default(), slim_app);
    let gone = context.clone();
    let events = events.inspect(move |event| {
        if let Ok(Event::Delete(app)) = event {
            gone.forget(&super::key(app));
        }
    });
    reflector(writer, events)
        .applied_objects()
        .predicate_filter(
            Predicate::combine(predicates::generation, orders),
            kube::runtime::PredicateConfig::default(),
        )
        .filter_map(|app| std::future::ready(app.ok()))
        .map(|app| request(&super::key(&app), ReconcileReason::ObjectUpdated))
}

/// A change of the annotations by which the operator is told something does not
/// change the generation.
#[allow(clippy::unnecessary_wraps)] // The library's signature.
fn orders(app: &Guarded) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    (names::is_paused(app.meta()), names::restart_request(app.meta())).hash(&mut hasher);
    names::annotation(app.meta(), names::ROLLBACK_ANNOTATION).hash(&mut hasher);
    Some(hasher.finish())
}

fn watch_children(
    context: &Arc<Context>,
    touched: &mpsc::UnboundedSender<AppKey>,
    tasks: &mut JoinSet<()>,
) -> Vec<watch::Receiver<bool>> {
    let ours = || watcher::Config::default().labels(&names::managed_selector());
    let all = watcher::Config::default;
    vec![
        watch_kind::<ServiceAccount, _>(
            context,
            ours(),
            |it| &it.caches.service_accounts,
            slim,
            touched,
            tasks,
        ),
        watch_kind::<ControllerRevision, _>(
            context,
            ours(),
            |it| &it.caches.revisions,
            slim_revision,
            touched,
            tasks,
        ),
        watch_kind::<Service, _>(context, ours(), |it| &it.caches.services, slim, touched, tasks),
        watch_kind::<PodDisruptionBudget, _>(
            context,
            ours(),
            |it| &it.caches.disruption_budgets,
            slim,
            touched,
            tasks,
        ),
        watch_kind::<CronJob, _>(context, ours(), |it| &it.caches.cron_jobs, slim, touched, tasks),
        watch_kind::<Job, _>(context, ours(), |it| &it.caches.jobs, slim_job, touched, tasks),
        watch_kind::<AppPod, _>(context, ours(), |it| &it.caches.pods, slim_pod, touched, tasks),
        watch_kind::<Deployment, _>(context, ours(), |it| &it.caches.deployments, slim, touched, tasks),
        watch_kind::<StatefulSet, _>(context, ours(), |it| &it.caches.stateful_sets, slim, touched, tasks),
        watch_kind::<PersistentVolumeClaim, _>(context, ours(), |it| &it.caches.claims, slim, touched, tasks),
        watch_kind::<Ingress, _>(context, ours(), |it| &it.caches.ingresses, slim, touched, tasks),
        watch_kind::<NetworkPolicy, _>(
            context,
            ours(),
            |it| &it.caches.network_policies,
            slim,
            touched,
            tasks,
        ),
        watch_kind::<HorizontalPodAutoscaler, _>(
            context,
            all(),
            |it| &it.caches.autoscalers,
            slim_autoscaler,
            touched,
            tasks,
        ),
    ]
}

/// Keeps a cache up to date, in a task of its own. The receiver becomes true
/// with the first complete list.
fn watch_kind<K, F>(
    context: &Arc<Context>,
    config: watcher::Config,
    cache: fn(&Context) -> &Cache<K, F>,
    slim: fn(&mut K),
    touched: &mpsc::UnboundedSender<AppKey>,
    tasks: &mut JoinSet<()>,
) -> watch::Receiver<bool>
where
    K: Child + Resource<DynamicType = (), Scope = NamespaceResourceScope> + Send + Sync + 'static,
    F: Form<K> + 'static,
{
    let (listed, receiver) = watch::channel(false);
    let (context, touched) = (context.clone(), touched.clone());
    tasks.spawn(async move {
        let mut events = Box::pin(watched(&context, config, slim));
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            let complete = matches!(event, Event::InitDone);
            for app in cache(&context).take(event) {
                // Nobody listens any more when the controller stops.
                let _ = touched.send(app);
            }
            if complete {
                listed.send_replace(true);
            }
        }
    });
    receiver
}

/// Watches what apps may refer to, by metadata alone, and says which apps a change
/// concerns.
fn watch_references<K>(
    context: &Arc<Context>,
    changed: &mpsc::UnboundedSender<AppKey>,
    tasks: &mut JoinSet<()>,
) where
    K: Referable
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let (context, changed) = (context.clone(), changed.clone());
    tasks.spawn(async move {
        // Every namespace has one of these, and nobody refers to it.
        let config =
            watcher::Config::default().fields("metadata.name!=kube-root-ca.crt").timeout(WATCH_SECONDS);
        let mut events = in_namespaces(&context, |api: Api<PartialObjectMeta<K>>| {
            watcher(api, config.clone()).backoff(WatchBackoff::default()).modify(bare).boxed()
        });
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            for app in context.references.take::<K, _>(&event) {
                // Nobody listens any more when the controller stops.
                let _ = changed.send(app);
            }
        }
    });
}

/// Leaves name and version.
fn bare<K>(object: &mut PartialObjectMeta<K>) {
    let meta = &mut object.metadata;
    meta.annotations = None;
    meta.labels = None;
    meta.managed_fields = None;
    meta.owner_references = None;
    meta.finalizers = None;
}

/// What happens to a kind in the namespaces that are watched.
pub(super) fn watched<K>(
    context: &Context,
    config: watcher::Config,
    slim: fn(&mut K),
) -> BoxStream<'static, Result<Event<K>, watcher::Error>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let config = config.timeout(WATCH_SECONDS).page_size(PAGE);
    in_namespaces(context, |api: Api<K>| {
        watcher(api, config.clone()).backoff(WatchBackoff::default()).modify(slim).boxed()
    })
}

/// Events of a kind, those of each namespace from a watch of its own.
fn in_namespaces<K, M>(
    context: &Context,
    watch: impl Fn(Api<K>) -> BoxStream<'static, Result<Event<M>, watcher::Error>>,
) -> BoxStream<'static, Result<Event<M>, watcher::Error>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + 'static,
    M: ResourceExt + Clone + Send + 'static,
{
    let events = |api: Api<K>, name: String| {
        let (health, metrics) = (context.health.clone(), context.metrics.clone());
        watch(api).inspect(move |event| note(&health, &metrics, &K::kind(&()), &name, event)).boxed()
    };
    let (client, kind) = (&context.client, K::kind(&()));
    match context.namespaces.as_slice() {
        [] => events(Api::all(client.clone()), watch_name(&kind, None)),
        [one] => events(Api::namespaced(client.clone(), one), watch_name(&kind, None)),
        several => {
            // Each tells of itself, or one that fails would be hidden by the others.
            let each = several
                .iter()
                .map(|one| events(Api::namespaced(client.clone(), one), watch_name(&kind, Some(one))));
            scopes::merged(each.collect()).boxed()
        }
    }
}
