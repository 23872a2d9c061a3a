//! Whether the operator lives and is ready, told over HTTP: `/livez`, `/readyz`,
//! `/metrics`. `/readyz` lists what is missing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::metrics::Metrics;
use crate::telemetry::LogLevel;

/// So many errors of a watch in a row make the operator unready: single ones are
/// everyday, since every watch is cut now and then.
const ERRORS_IN_A_ROW: u32 = 3;
/// Errors further apart than this are not in a row: several times the longest wait
/// of a watch and of a request that gets no connection.
const IN_A_ROW: Duration = Duration::from_secs(75);

/// What is known of the operator's own state.
#[derive(Debug)]
pub struct Health {
    state: Mutex<Inner>,
    suspicion: Notify,
}

#[derive(Debug)]
struct Inner {
    /// What the last look at the cluster found missing.
    missing: Vec<String>,
    /// Who leads, while this operator waits for the lead.
    standby: Option<String>,
    watches: BTreeMap<String, Watch>,
}

impl Inner {
    fn watch(&mut self, name: &str) -> &mut Watch {
        self.watches.entry(name.to_owned()).or_default()
    }
}

/// What the watch of a kind is called: by its namespace too where each has its own.
pub fn watch_name(kind: &str, namespace: Option<&str>) -> String {
    namespace.map_or_else(|| kind.to_owned(), |namespace| format!("{kind} in the namespace {namespace}"))
}

#[derive(Debug, Default)]
struct Watch {
    listed: bool,
    errors: u32,
    last_error: Option<(Instant, String)>,
}

impl Watch {
    fn missing(&self, kind: &str, now: Instant) -> Option<String> {
        let failing = self
            .last_error
            .as_ref()
            .filter(|(at, _)| self.errors >= ERRORS_IN_A_ROW && now.duration_since(*at) < IN_A_ROW);
        match (failing, self.listed) {
            (Some((_, error)), _) => Some(format!("watch of {kind}: {error}")),
            (None, false) => Some(format!("first list of {kind}")),
            (None, true) => None,
        }
    }
}

impl Health {
    /// Nothing has been looked at yet.
    pub fn new(kinds: &[&'static str]) -> Self {
        Self::in_namespaces(kinds, &[])
    }

    /// The same where each of several namespaces has watches of its own.
    pub fn in_namespaces(kinds: &[&'static str], namespaces: &[String]) -> Self {
        let places = namespaces.iter().map(|name| Some(name.as_str()));
        let places: Vec<_> = if namespaces.len() > 1 { places.collect() } else { vec![None] };
        let names = kinds.iter().flat_map(|kind| places.iter().map(|place| watch_name(kind, *place)));
        let watches = names.map(|name| (name, Watch::default())).collect();
        let missing = vec!["first look at the API server".to_owned()];
        Self { state: Mutex::new(Inner { missing, standby: None, watches }), suspicion: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a look at the cluster found missing. Returns whether that is news.
    pub fn found_missing(&self, missing: Vec<String>) -> bool {
        let mut state = self.lock();
        let news = state.missing != missing;
        state.missing = missing;
        news
    }

    /// Notes who leads while this operator waits for the lead; nobody once it leads
    /// itself.
    pub fn waits_for(&self, leader: Option<String>) {
        self.lock().standby = leader;
    }

    /// Who leads, while this operator waits for the lead.
    pub fn standby(&self) -> Option<String> {
        self.lock().standby.clone()
    }

    /// Asks for a look at the cluster before the next one is due.
    pub fn look_again(&self) {
        self.suspicion.notify_one();
    }

    /// Resolves when such a look was asked for.
    pub async fn suspected(&self) {
        self.suspicion.notified().await;
    }

    /// Notes that a watch delivers. Returns whether it had been failing.
    pub fn watch_delivers(&self, name: &str, listed: bool) -> bool {
        let mut state = self.lock();
        let watch = state.watch(name);
        watch.listed |= listed;
        watch.last_error = None;
        std::mem::take(&mut watch.errors) >= ERRORS_IN_A_ROW
    }

    /// Notes that the cluster has no such kind, in whichever namespace: there is nothing to wait for.
    pub fn nothing_to_watch(&self, kind: &str) {
        let in_a_namespace = watch_name(kind, Some(""));
        let mut state = self.lock();
        let of_kind =
            state.watches.iter_mut().filter(|(name, _)| *name == kind || name.starts_with(&in_a_namespace));
        for (_, watch) in of_kind {
            *watch = Watch { listed: true, ..Watch::default() };
        }
    }

    /// Notes that a watch failed. Returns whether that should be said: the third
    /// time in a row, and when the error becomes another.
    pub fn watch_failed(&self, name: &str, error: &str, now: Instant) -> bool {
        let mut state = self.lock();
        let watch = state.watch(name);
        let previous = watch.last_error.replace((now, error.to_owned()));
        let in_a_row = previous.as_ref().is_some_and(|(at, _)| now.duration_since(*at) < IN_A_ROW);
        watch.errors = if in_a_row { watch.errors.saturating_add(1) } else { 1 };
        let same = previous.is_some_and(|(_, text)| text == error);
        watch.errors == ERRORS_IN_A_ROW || (watch.errors > ERRORS_IN_A_ROW && !same)
    }

    /// Everything that is missing for the operator to do its work.
    pub fn missing(&self) -> Vec<String> {
        let state = self.lock();
        let now = Instant::now();
        if state.standby.is_some() {
            // It watches nothing before it leads.
            return state.missing.clone();
        }
        let watches = state.watches.iter().filter_map(|(kind, watch)| watch.missing(kind, now));
        state.missing.iter().cloned().chain(watches).collect()
    }
}

/// What is served.
#[derive(Clone)]
pub struct Served {
    /// For `/livez` and `/readyz`.
    pub health: Arc<Health>,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// For `/log-level`, from inside the pod only.
    pub log_level: LogLevel,
}

/// Serves until `stop` resolves.
pub async fn serve(
    listener: TcpListener,
    served: Served,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render_metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .with_state(served)
        .into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

type Answer = (StatusCode, String);

async fn log_level(State(served): State<Served>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Answer {
    match inside(peer) {
        Ok(()) => (StatusCode::OK, served.log_level.get() + "\n"),
        Err(refusal) => refusal,
    }
}

async fn set_log_level(
    State(served): State<Served>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    filter: String,
) -> Answer {
    if let Err(refusal) = inside(peer) {
        return refusal;
    }
    match served.log_level.set(&filter) {
        Ok(()) => {
            tracing::warn!(filter = served.log_level.get(), "the log level was changed");
            (StatusCode::OK, served.log_level.get() + "\n")
        }
        Err(error) => (StatusCode::BAD_REQUEST, error + "\n"),
    }
}

/// Whoever may execute programs in the pod may change it, and nobody else.
fn inside(peer: SocketAddr) -> Result<(), Answer> {
    if peer.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let text =
        "only from inside the pod: kubectl exec deploy/nodeapp-operator -- /nodeapp-operator log-level\n";
    Err((StatusCode::FORBIDDEN, text.to_owned()))
}

async fn readyz(State(served): State<Served>) -> impl IntoResponse {
    let missing = served.health.missing();
    if missing.is_empty() {
        let standby = served.health.standby().map(|leader| format!("ok: on standby, {leader} leads\n"));
        return (StatusCode::OK, standby.unwrap_or_else(|| "ok\n".to_owned()));
    }
    let lines: Vec<_> = missing.iter().map(|missing| format!("missing: {missing}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines.concat())
}

async fn render_metrics(State(served): State<Served>) -> impl IntoResponse {
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, format)], served.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_looked_at_and_listed() {
        let health = Health::new(&["Service"]);
        assert_eq!(health.missing(), ["first look at the API server", "first list of Service"]);
        assert!(health.found_missing(vec![]));
        health.watch_delivers("Service", true);
        assert!(health.missing().is_empty());
    }

    #[test]
    fn one_that_waits_for_the_lead_is_ready_without_having_listed() {
        let health = Health::new(&["Service"]);
        health.found_missing(vec![]);
        health.waits_for(Some("other".into()));
        assert!(health.missing().is_empty());
        health.waits_for(None);
        assert_eq!(health.missing(), ["first list of Service"]);
    }

    #[test]
    fn the_log_level_is_nobodys_business_outside_the_pod() {
        let from = |text: &str| inside(text.parse().unwrap()).is_ok();
        assert!(from("127.0.0.1:5") && from("[::1]:5") && from("[::ffff:127.0.0.1]:5"));
        assert!(!from("10.0.0.7:5") && !from("[fd00::7]:5"));
    }

    #[test]
    fn the_same_finding_is_news_only_once() {
        let health = Health::new(&[]);
        assert!(health.found_missing(vec!["CRD".into()]));
        assert!(!health.found_missing(vec!["CRD".into()]));
        assert!(health.found_missing(vec![]));
    }

    #[test]
    fn a_cut_watch_is_everyday_but_a_broken_one_is_said_once() {
        let health = Health::new(&[]);
        health.found_missing(vec![]);
        health.watch_delivers("Service", true);
        let now = Instant::now();
        let fails = |error| health.watch_failed("Service", error, now);
        assert!(!fails("cut") && !fails("cut"));
        assert!(health.missing().is_empty());
        assert!(fails("cut"), "three in a row");
        assert!(!fails("cut"), "known");
        assert!(fails("forbidden"), "another error");
        assert_eq!(health.missing(), ["watch of Service: forbidden"]);
        assert!(health.watch_delivers("Service", false));
        assert!(health.missing().is_empty());
    }

    #[test]
    fn a_watch_that_fails_in_one_namespace_is_not_hidden_by_one_that_works_in_another() {
        let namespaces = ["shop", "blog"].map(str::to_owned);
        let health = Health::in_namespaces(&["Service"], &namespaces);
        health.found_missing(vec![]);
        let (shop, blog) = (watch_name("Service", Some("shop")), watch_name("Service", Some("blog")));
        health.watch_delivers(&shop, true);
        assert_eq!(health.missing(), ["first list of Service in the namespace blog"]);
        let now = Instant::now();
        for _ in 0..3 {
            health.watch_failed(&blog, "forbidden", now);
            health.watch_delivers(&shop, false);
        }
        assert_eq!(health.missing(), ["watch of Service in the namespace blog: forbidden"]);
        // The same kind is missing everywhere, though only one watch has asked.
        health.nothing_to_watch("Service");
        assert!(health.missing().is_empty(), "{:?}", health.missing());
        let one = Health::in_namespaces(&["Service"], &namespaces[..1]);
        one.found_missing(vec![]);
        assert_eq!(one.missing(), ["first list of Service"]);
    }

    #[test]
    fn errors_long_apart_are_not_in_a_row() {
        let health = Health::new(&[]);
        let start = Instant::now();
        for round in 0..10 {
            assert!(!health.watch_failed("Service", "cut", start + IN_A_ROW * (round + 1)));
        }
    }
}
