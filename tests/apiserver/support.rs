//! An operator inside the test, and ways to watch and to kill it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use nodeapp_operator::client::tuned;
use nodeapp_operator::controller::context::Context;
use nodeapp_operator::controller::desired::Settings;
use nodeapp_operator::controller::{self, wiring};
use nodeapp_operator::health::Health;
use nodeapp_operator::metrics::Metrics;
use nodeapp_operator::{generated, permissions};
use nodeapp_testkit::{Namespace, Tier};
use serde_json::{Value, json};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinHandle;
use tower::{BoxError, Layer, Service};

/// The user that the operators of these tests are.
pub(crate) const USER: &str = "nodeapp-operator-under-test";

/// Waits of this tier: there are no images to pull and no pods to start.
pub(crate) const SOON: std::time::Duration = std::time::Duration::from_mins(1);

/// One request as the authorizer of the API server sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub group: String,
    pub resource: String,
    pub verb: String,
}

/// What happened between an operator and its API server, and when it ends.
#[derive(Clone, Default)]
pub(crate) struct Tap {
    calls: Arc<Mutex<Vec<Call>>>,
    looks: Arc<Mutex<Vec<(String, String)>>>,
    warnings: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<Value>>>,
    writes: Arc<AtomicUsize>,
    writes_allowed: Option<usize>,
    cut: Arc<Notify>,
}

impl Tap {
    /// Lets so many writes through; the next one hangs, as if the process had
    /// been killed before it.
    pub(crate) fn cut_after(writes: usize) -> Self {
        Self { writes_allowed: Some(writes), ..Self::default() }
    }

    /// Resolves when a write was held back.
    pub(crate) async fn was_cut(&self) {
        self.cut.notified().await;
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resource and query of every list and watch so far.
    pub(crate) fn looks(&self) -> Vec<(String, String)> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every warning that the API server gave.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bodies of all writes so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Number of writes that were let through.
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    fn lets_through(&self, request: &Request<Body>) -> bool {
        if let Some(call) = call(request) {
            let is_write = !matches!(call.verb.as_str(), "get" | "list" | "watch");
            if matches!(call.verb.as_str(), "list" | "watch") {
                let look = (call.resource.clone(), request.uri().query().unwrap_or_default().to_owned());
                self.looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
            }
            self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            if is_write {
                // The body of a write is there as a whole.
                let body =
                    request.body().try_clone().and_then(|body| body.collect_bytes().now_or_never()?.ok());
                let body = body.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                self.bodies.lock().unwrap_or_else(PoisonError::into_inner).extend(body);
                let number = self.writes.fetch_add(1, Ordering::SeqCst);
                return self.writes_allowed.is_none_or(|allowed| number < allowed);
            }
        }
        true
    }
}

/// The verb, group and resource of a request; none for what is no resource.
fn call(request: &Request<Body>) -> Option<Call> {
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let (group, rest) = match path.as_slice() {
        ["api", _version, rest @ ..] => ("", rest),
        ["apis", group, _version, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let rest = match rest {
        ["namespaces", _name, rest @ ..] if !rest.is_empty() => rest,
        rest => rest,
    };
    let (resource, named) = match rest {
        [resource] => ((*resource).to_owned(), false),
        [resource, _name] => ((*resource).to_owned(), true),
        [resource, _name, subresource] => (format!("{resource}/{subresource}"), true),
        _ => return None,
    };
    let query = request.uri().query().unwrap_or_default();
    let verb = match *request.method() {
        Method::GET if named => "get",
        Method::GET if query.contains("watch=") => "watch",
        Method::GET => "list",
        Method::POST => "create",
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::DELETE => "delete",
        _ => "other",
    };
    Some(Call { group: group.to_owned(), resource, verb: verb.to_owned() })
}

impl<S> Layer<S> for Tap {
    type Service = Tapped<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Tapped { inner, tap: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Tapped<S> {
    inner: S,
    tap: Tap,
}

impl<S, B> Service<Request<Body>> for Tapped<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !self.tap.lets_through(&request) {
            self.tap.cut.notify_one();
            return Box::pin(std::future::pending());
        }
        let (answer, tap) = (self.inner.call(request), self.tap.clone());
        Box::pin(async move {
            let answer = answer.await?;
            let warnings = answer.headers().get_all("warning").iter().filter_map(|value| value.to_str().ok());
            let mut seen = tap.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            seen.extend(warnings.map(ToOwned::to_owned));
            drop(seen);
            Ok(answer)
        })
    }
}

async fn config() -> Result<Config> {
    let path = std::env::var(Tier::Apiserver.variable()).context("no kubeconfig")?;
    let kubeconfig = Kubeconfig::read_from(path)?;
    Ok(tuned(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?))
}

/// A client of the administrator whose traffic is tapped.
pub(crate) async fn admin(tap: &Tap) -> Result<Client> {
    Ok(ClientBuilder::try_from(config().await?)?.with_layer(tap).build())
}

/// A client of the administrator at home in a namespace.
pub(crate) async fn admin_in(namespace: &Namespace, tap: &Tap) -> Result<Client> {
    let mut config = config().await?;
    namespace.name().clone_into(&mut config.default_namespace);
    Ok(ClientBuilder::try_from(config)?.with_layer(tap).build())
}

/// A client with the operator's rights and no others.
pub(crate) async fn operator_client(tap: &Tap) -> Result<Client> {
    client_of(USER, tap).await
}

/// A client with the rights of a user.
pub(crate) async fn client_of(user: &str, tap: &Tap) -> Result<Client> {
    let mut config = config().await?;
    config.auth_info.impersonate = Some(user.to_owned());
    Ok(ClientBuilder::try_from(config)?.with_layer(tap).build())
}

/// Applies a cluster-wide object as the administrator.
pub(crate) async fn apply(client: &Client, path: &str, object: &Value) -> Result<Value> {
    let request = Request::patch(format!("{path}?fieldManager=nodeapp-tests&force=true"))
        .header("content-type", "application/apply-patch+yaml")
        .body(serde_json::to_vec(object)?)?;
    Ok(client.request(request).await?)
}

/// Creates an app as `kubectl create` does: unknown fields are errors.
pub(crate) async fn create(namespace: &Namespace, app: &Value) -> Result<Value> {
    post(namespace, app, "fieldValidation=Strict").await
}

/// The same without anything being kept.
pub(crate) async fn try_out(namespace: &Namespace, app: &Value) -> Result<Value> {
    post(namespace, app, "fieldValidation=Strict&dryRun=All").await
}

async fn post(namespace: &Namespace, app: &Value, query: &str) -> Result<Value> {
    let path = format!("/apis/nodeapp.dev/v1alpha1/namespaces/{}/nodeapps", namespace.name());
    let request = Request::post(format!("{path}?{query}")).body(serde_json::to_vec(app)?)?;
    Ok(namespace.cluster().client.request(request).await?)
}

/// The API, and the operator's role given to [`USER`]; once per test run.
pub(crate) async fn install() -> Result<()> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    INSTALLED.get_or_try_init(install_once).await.copied()
}

async fn install_once() -> Result<()> {
    let client = admin(&Tap::default()).await?;
    let definition: Value = serde_saphyr::from_str(&generated::crd_yaml())?;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodeapps.nodeapp.dev";
    apply(&client, crds, &definition).await?;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role: Value = serde_saphyr::from_str(&generated::rbac_yaml())?;
    apply(&client, &format!("{rbac}/clusterroles/{}", permissions::ROLE_NAME), &role).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": permissions::ROLE_NAME},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    });
    apply(&client, &format!("{rbac}/clusterrolebindings/{USER}"), &binding).await?;
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let request = Request::get("/apis/nodeapp.dev/v1alpha1/nodeapps?limit=1").body(Vec::new())?;
        match client.request::<Value>(request).await {
            Ok(_) => return Ok(()),
            Err(error) if std::time::Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}

/// The right to read Secrets, in one namespace.
async fn grant_secrets(namespace: &Namespace) -> Result<()> {
    let admin = admin(&Tap::default()).await?;
    grant_role(&admin, namespace.name(), "with-secrets", &generated::rbac_with_secrets_yaml(), USER).await
}

/// The rules of a `ClusterRole` as a Role of this name in one namespace, for one user.
pub(crate) async fn grant_role(
    admin: &Client,
    namespace: &str,
    name: &str,
    rules: &str,
    user: &str,
) -> Result<()> {
    let mut role: Value = serde_saphyr::from_str(rules)?;
    role["kind"] = json!("Role");
    role["metadata"]["name"] = json!(name);
    let base = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    apply(admin, &format!("{base}/roles/{name}"), &role).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    apply(admin, &format!("{base}/rolebindings/{name}"), &binding).await.map(drop)
}

/// What the operators of these tests are told beside the runner.
pub(crate) fn settings() -> Settings {
    Settings {
        forwarder_image: "registry.example/nodeapp-forwarder:1".to_owned(),
        redis_image: "registry.example/redis:1".to_owned(),
        ..Settings::default()
    }
}

/// A running operator that looks at one namespace.
pub(crate) struct Operator {
    task: JoinHandle<()>,
    /// What it knows of its own state.
    pub health: Arc<Health>,
}

impl Operator {
    /// Starts one with the operator's rights.
    pub(crate) async fn start(namespace: &Namespace, tap: &Tap) -> Result<Self> {
        Self::start_with(namespace, tap, "registry.example/nodeapp-runner:1").await
    }

    /// Starts one that would give new pod templates this runner.
    pub(crate) async fn start_with(namespace: &Namespace, tap: &Tap, runner_image: &str) -> Result<Self> {
        install().await?;
        let client = operator_client(tap).await?;
        Ok(Self::start_as(client, vec![namespace.name().to_owned()], runner_image))
    }

    /// Starts one that may look after Secrets.
    pub(crate) async fn start_with_secrets(namespace: &Namespace, tap: &Tap) -> Result<Self> {
        install().await?;
        grant_secrets(namespace).await?;
        let client = operator_client(tap).await?;
        let runner_image = "registry.example/nodeapp-runner:1".to_owned();
        let settings = Settings { runner_image, watch_secrets: true, ..settings() };
        Ok(Self::start_as_set(client, vec![namespace.name().to_owned()], settings))
    }

    /// Starts one with the rights of a client, that looks at these namespaces.
    pub(crate) fn start_as(client: Client, namespaces: Vec<String>, runner_image: &str) -> Self {
        let runner_image = runner_image.to_owned();
        let settings = Settings { runner_image, ..settings() };
        Self::start_as_set(client, namespaces, settings)
    }

    fn start_as_set(client: Client, namespaces: Vec<String>, settings: Settings) -> Self {
        let health = Arc::new(Health::in_namespaces(&wiring::WATCHED, &namespaces));
        health.found_missing(Vec::new());
        let mut context = Context::new(client, settings, Metrics::new(), health.clone());
        context.namespaces = namespaces;
        let never = async { match std::future::pending::<Infallible>().await {} };
        let run = controller::run(Arc::new(context), never);
        let task = tokio::spawn(async move { run.await.expect("the watches stay") });
        Self { task, health }
    }

    /// Ends it at once, wherever it is.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        // Cancelled, as it was told.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A `NodeApp` with a few fields, changed by `change`.
pub(crate) fn app(name: &str, change: &Value) -> Value {
    let mut spec =
        json!({"image": "registry.example/shop:1", "script": "server.js", "instances": 2, "port": 3000});
    merge(&mut spec, change);
    json!({"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "metadata": {"name": name}, "spec": spec})
}

/// Merges as RFC 7386 says: null takes away.
pub(crate) fn merge(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, value) in change {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The kinds of children.
pub(crate) const KINDS: [&str; 5] =
    ["ServiceAccount", "ControllerRevision", "Service", "PodDisruptionBudget", "Deployment"];

/// Waits until the app's status is about its spec and `Valid` has this status.
pub(crate) async fn reported(namespace: &Namespace, name: &str, valid: &str) -> Result<Value> {
    let what = format!("NodeApp {name} is reported with Valid={valid}");
    namespace
        .eventually(&what, SOON, async || {
            let app = namespace.get("NodeApp", name).await?;
            anyhow::ensure!(
                app["status"]["observedGeneration"] == app["metadata"]["generation"],
                "not looked at: {}",
                app["status"]
            );
            anyhow::ensure!(condition(&app, "Valid")["status"] == valid, "{}", app["status"]);
            Ok(app)
        })
        .await
}

/// A condition of an app.
pub(crate) fn condition<'a>(app: &'a Value, type_: &str) -> &'a Value {
    let conditions = app["status"]["conditions"].as_array();
    conditions.into_iter().flatten().find(|condition| condition["type"] == type_).unwrap_or(&Value::Null)
}

/// The resource version of everything the operator made for an app, and of the app.
pub(crate) async fn versions(namespace: &Namespace, name: &str) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::new();
    for kind in KINDS {
        for object in namespace.list(kind).await? {
            if object["metadata"]["labels"]["nodeapp.dev/app"] == name {
                let (name, version) = (&object["metadata"]["name"], &object["metadata"]["resourceVersion"]);
                versions.insert(format!("{kind} {name}"), version.to_string());
            }
        }
    }
    let app = namespace.get("NodeApp", name).await?;
    versions.insert("NodeApp".to_owned(), app["metadata"]["resourceVersion"].to_string());
    Ok(versions)
}

/// Waits until the app has all its children and its status knows of the pods
/// that the Deployment has made; from then on nothing is left to be written.
pub(crate) async fn settled(namespace: &Namespace, name: &str) -> Result<BTreeMap<String, String>> {
    let what = format!("NodeApp {name} has its children and they rest");
    namespace
        .eventually(&what, SOON, async || {
            let app = namespace.get("NodeApp", name).await?;
            let deployment = namespace.get("Deployment", name).await?;
            anyhow::ensure!(
                app["status"]["observedGeneration"] == app["metadata"]["generation"],
                "not looked at: {}",
                app["status"]
            );
            // Of an autoscaled app, the number is nobody's but the Deployment's.
            let stopped = app["spec"]["stopped"] == true;
            let place = if app["spec"]["autoscaling"].is_null() { &app } else { &deployment };
            let number = if place["kind"] == "NodeApp" { "instances" } else { "replicas" };
            let wanted = if stopped { 0 } else { place["spec"][number].as_i64().unwrap_or(-1) };
            let status = &deployment["status"];
            anyhow::ensure!(status["observedGeneration"] == deployment["metadata"]["generation"], "{status}");
            // Counted from what the ReplicaSets want, thus there before the first pod.
            anyhow::ensure!(status["unavailableReplicas"].as_i64().unwrap_or(0) == wanted, "{status}");
            for number in ["replicas", "updatedReplicas"] {
                anyhow::ensure!(status[number].as_i64().unwrap_or(0) == wanted, "{status}");
                anyhow::ensure!(app["status"][number] == wanted, "{}", app["status"]);
            }
            // Kubernetes writes into the budget when it sees the pods.
            for budget in namespace.list("PodDisruptionBudget").await? {
                if budget["metadata"]["labels"]["nodeapp.dev/app"] == name {
                    anyhow::ensure!(budget["status"]["expectedPods"] == wanted, "{}", budget["status"]);
                }
            }
            Ok(())
        })
        .await?;
    versions(namespace, name).await
}

/// Waits for an Event about the app with this reason; returns its text.
pub(crate) async fn told(namespace: &Namespace, reason: &str, word: &str) -> Result<String> {
    namespace
        .eventually(&format!("an Event {reason} that says {word}"), SOON, async || {
            let events = namespace.list("Event").await?;
            let text = |event: &Value| event["note"].as_str().unwrap_or_default().to_owned();
            let found = events.iter().find(|event| {
                event["regarding"]["kind"] == "NodeApp"
                    && event["reason"] == reason
                    && text(event).contains(word)
            });
            found.map(text).ok_or_else(|| anyhow::anyhow!("{events:?}"))
        })
        .await
}
