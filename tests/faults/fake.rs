//! An API server in memory, as far as the operator uses one, that can be told to
//! fail. What a real one does with good requests is the apiserver tier's business.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::response::Response;
use futures::StreamExt;
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What a fault looks like to the operator.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Method and a part of the path that it is about.
    pub(crate) on: (Method, &'static str),
    /// HTTP status.
    pub(crate) code: u16,
    /// Message of the Status.
    pub(crate) message: &'static str,
    /// How often it happens.
    pub(crate) times: usize,
}

/// What a real one says to who creates something in a namespace that is being
/// deleted; the cause that it gives with it comes with this message.
pub(crate) const TERMINATING: &str =
    "unable to create new content in namespace shop because it is being terminated";

/// Instead of an HTTP status: no answer ever.
pub(crate) const HANG: u16 = 0;
/// Instead of an HTTP status: a defect in the way to the server.
pub(crate) const PANIC: u16 = 1;

/// The server.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    progress: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By path, such as `/apis/apps/v1/namespaces/shop/deployments/web`.
    objects: BTreeMap<String, Value>,
    /// Version, collection without namespace, event.
    log: Vec<(u64, String, Value)>,
    faults: Vec<Fault>,
    requests: Vec<(Method, String, u16)>,
    delay: std::time::Duration,
    /// Watches of an older epoch end.
    epoch: u64,
    /// Versions up to this one are forgotten.
    compacted: u64,
}

/// Where a request goes.
struct Target {
    /// `/apis/apps/v1/deployments`.
    collection: String,
    /// Path of the object, if it is about one.
    object: Option<String>,
    status: bool,
}

fn target(path: &str) -> Target {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let root = if parts[0] == "api" { 2 } else { 3 };
    let namespace =
        (parts.get(root) == Some(&"namespaces") && parts.len() > root + 2).then(|| parts[root + 1]);
    let status = parts.last() == Some(&"status");
    if status {
        parts.pop();
    }
    let after = if namespace.is_some() { root + 2 } else { root };
    Target {
        collection: format!("/{}/{}", parts[..root].join("/"), parts[after]),
        object: (parts.len() > after + 1).then(|| format!("/{}", parts.join("/"))),
        status,
    }
}

fn answer(code: u16, body: &Value) -> Response {
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).unwrap_or_default()
}

fn failure(code: u16, message: &str) -> Response {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": reason,
    });
    if message == TERMINATING {
        let cause =
            json!({"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"});
        status["details"] = json!({"causes": [cause]});
    }
    answer(code, &status)
}

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.serve(request).await) }
        });
        Client::new(service, "shop")
    }

    /// Makes requests fail.
    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Answers everything only after so long.
    pub(crate) fn slow(&self, delay: std::time::Duration) {
        self.lock().delay = delay;
    }

    /// Lets nothing fail any more.
    pub(crate) fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Ends all watches; with `forget`, their history is gone as well.
    pub(crate) fn cut_watches(&self, forget: bool) {
        let mut state = self.lock();
        state.epoch += 1;
        if forget {
            state.version += 1;
            state.compacted = state.version;
        }
        drop(state);
        self.progress.send_modify(|progress| *progress += 1);
    }

    /// An object by its path.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    /// The paths of all objects that have an app's name in theirs.
    pub(crate) fn paths(&self, app: &str) -> Vec<String> {
        let named = |path: &&String| {
            let last = path.rsplit('/').next().unwrap_or_default();
            last == app || last.strip_prefix(app).is_some_and(|rest| rest.starts_with('-'))
        };
        self.lock().objects.keys().filter(named).cloned().collect()
    }

    /// Writes an object as someone else would; `None` deletes it.
    pub(crate) fn put(&self, path: &str, object: Option<Value>) {
        self.lock().store(path, object);
        self.progress.send_modify(|progress| *progress += 1);
    }

    /// The answers that requests for a path with this part got, in order.
    pub(crate) fn answers(&self, method: &Method, part: &str) -> Vec<u16> {
        let state = self.lock();
        let matching = state.requests.iter().filter(|(of, path, _)| of == method && path.contains(part));
        matching.map(|(_, _, code)| *code).collect()
    }

    /// All requests that write, apart from Events.
    pub(crate) fn writes(&self) -> usize {
        let state = self.lock();
        state
            .requests
            .iter()
            .filter(|(method, path, _)| method != Method::GET && !path.contains("/events"))
            .count()
    }

    async fn serve(&self, request: Request<kube::client::Body>) -> Response {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let body = request.into_body().collect_bytes().await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (fault, delay) = {
            let mut state = self.lock();
            (state.fault(&method, uri.path()), state.delay)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let response = match fault {
            Some(Fault { code: HANG, .. }) => {
                self.lock().requests.push((method.clone(), uri.path().to_owned(), HANG));
                std::future::pending().await
            }
            Some(Fault { code: PANIC, .. }) => panic!("as the test wants it"),
            Some(fault) => failure(fault.code, fault.message),
            None => self.handle(&method, uri.path(), uri.query().unwrap_or_default(), body),
        };
        let code = response.status().as_u16();
        self.lock().requests.push((method, uri.path().to_owned(), code));
        self.progress.send_modify(|progress| *progress += 1);
        response
    }

    fn handle(&self, method: &Method, path: &str, query: &str, body: Value) -> Response {
        let target = target(path);
        match (method, &target.object) {
            (&Method::GET, None) if query.contains("watch=true") => self.watch(target.collection, query),
            (&Method::GET, None) => answer(200, &self.lock().list(&target.collection)),
            (&Method::GET, Some(object)) => {
                self.get(object).map_or_else(|| failure(404, "not found"), |found| answer(200, &found))
            }
            (&Method::PATCH, Some(object)) => self.lock().patch(object, target.status, body),
            (&Method::DELETE, Some(object)) => {
                self.lock().store(object, None);
                answer(200, &json!({"kind": "Status", "status": "Success"}))
            }
            (&Method::POST, None) => answer(201, &body),
            _ => failure(405, "the fake does not know this"),
        }
    }

    fn watch(&self, collection: String, query: &str) -> Response {
        let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let from: u64 = from.and_then(|from| from.parse().ok()).unwrap_or(0);
        let (epoch, compacted) = {
            let state = self.lock();
            (state.epoch, state.compacted)
        };
        if from < compacted {
            // As the real one does: the watch begins and says so in its first event.
            let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"});
            return answer(200, &json!({"type": "ERROR", "object": gone}));
        }
        let start = (self.clone(), self.progress.subscribe(), from);
        let lines = futures::stream::unfold(start, move |(fake, mut progress, from)| {
            let collection = collection.clone();
            async move {
                loop {
                    progress.borrow_and_update();
                    let next = {
                        let state = fake.lock();
                        if state.epoch != epoch {
                            return None;
                        }
                        let mut log = state.log.iter();
                        log.find(|(version, of, _)| *version > from && *of == collection).cloned()
                    };
                    if let Some((version, _, event)) = next {
                        return Some((format!("{event}\n"), (fake, progress, version)));
                    }
                    progress.changed().await.ok()?;
                }
            }
        });
        Response::new(Body::from_stream(lines.map(Ok::<_, Infallible>)))
    }
}

impl State {
    fn fault(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let fault = self
            .faults
            .iter_mut()
            .find(|fault| fault.times > 0 && fault.on.0 == *method && path.contains(fault.on.1))?;
        fault.times -= 1;
        Some(fault.clone())
    }

    fn list(&self, collection: &str) -> Value {
        let items = self.objects.iter().filter(|(path, _)| target(path).collection == collection);
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        json!({"metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn patch(&mut self, path: &str, status: bool, mut body: Value) -> Response {
        let existing = self.objects.get(path).cloned();
        if body.is_array() {
            // A JSON patch of a version that is not there any more.
            return failure(422, "the server rejected our request due to an error in our request");
        }
        let create_only = body["metadata"]["resourceVersion"] == "1";
        let same_uid = body["metadata"]["uid"].is_null()
            || existing
                .as_ref()
                .is_some_and(|existing| existing["metadata"]["uid"] == body["metadata"]["uid"]);
        match &existing {
            Some(_) if create_only => return failure(409, "the object has been modified"),
            _ if !same_uid => return failure(409, "uid mismatch"),
            _ => {}
        }
        if status {
            let Some(mut object) = existing else { return failure(404, "not found") };
            object["status"] = body["status"].take();
            return answer(200, &self.store(path, Some(object)));
        }
        let managed = json!([{"manager": "nodeapp-operator", "operation": "Apply", "fieldsV1": {}}]);
        body["metadata"]["managedFields"] = managed;
        if let Some(existing) = &existing {
            body["metadata"]["uid"] = existing["metadata"]["uid"].clone();
            body["status"] = existing["status"].clone();
        }
        let code = if existing.is_some() { 200 } else { 201 };
        answer(code, &self.store(path, Some(body)))
    }

    fn store(&mut self, path: &str, object: Option<Value>) -> Value {
        self.version += 1;
        let collection = target(path).collection;
        let (type_, object) = match object {
            Some(mut object) => {
                object["metadata"]["resourceVersion"] = json!(self.version.to_string());
                if object["metadata"]["uid"].is_null() {
                    object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
                }
                let type_ = if self.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
                self.objects.insert(path.to_owned(), object.clone());
                (type_, object)
            }
            None => match self.objects.remove(path) {
                Some(mut object) => {
                    object["metadata"]["resourceVersion"] = json!(self.version.to_string());
                    ("DELETED", object)
                }
                None => return Value::Null,
            },
        };
        self.log.push((self.version, collection, json!({"type": type_, "object": object})));
        object
    }
}
