//! Where the dashboard's news come from: the cluster, the runners, the keyboard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{self, Event as Input, KeyCode, KeyEventKind, KeyModifiers};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use kube::api::{ListParams, LogParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use nodeapp_contract::RUNNER_PORT;
use nodeapp_operator::controller::names::{APP_LABEL, managed_selector};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::figures::Figures;
use super::model::{Key, Press};
use crate::cluster::{Attempt, Cluster, told};
use crate::instances::APP;

/// Runners that are asked at once.
const AT_ONCE: usize = 16;
/// Between two looks at the figures of a row that is on the screen, and at the Events of the chosen one.
const EVERY: Duration = Duration::from_secs(2);
/// Time for an answer of a runner.
const PATIENCE: Duration = Duration::from_secs(3);
/// Wait before the log of the chosen row is opened, so that moving through rows opens none.
const SETTLE: Duration = Duration::from_millis(200);
/// Lines of a log to begin with.
const LINES: i64 = 50;
/// Events that are shown.
const EVENTS: usize = 20;

/// Something new.
pub(super) enum News {
    Pod(Box<Event<Pod>>),
    /// The pods cannot be watched, in words; an end if there were none yet.
    NoPods(String),
    Figures(Key, Result<Figures, String>),
    Line(Key, String),
    Events(Key, Vec<String>),
    Press(Press),
    Resize,
    Quit,
    Note(String),
}

/// Asks for what the screen shows.
pub(super) struct Feed {
    cluster: Cluster,
    news: UnboundedSender<News>,
    room: Arc<Semaphore>,
    /// When each instance was asked last.
    asked: HashMap<Key, Instant>,
    /// The instance whose log and Events are followed.
    followed: Option<(Key, AbortHandle, AbortHandle)>,
}

impl Feed {
    pub(super) fn new(cluster: Cluster, news: UnboundedSender<News>) -> Self {
        Self { cluster, news, room: Arc::new(Semaphore::new(AT_ONCE)), asked: HashMap::new(), followed: None }
    }

    /// The keyboard, for as long as the program runs.
    pub(super) fn keys(&self) {
        let news = self.news.clone();
        std::thread::spawn(move || {
            while let Ok(input) = event::read() {
                let Some(input) = understood(&input) else { continue };
                if news.send(input).is_err() {
                    return;
                }
            }
        });
    }

    /// The pods of these apps, or of all.
    pub(super) fn pods(&self, labels: &str) {
        let api: Api<Pod> = self.cluster.scoped();
        let news = self.news.clone();
        let namespace = self.cluster.namespace.clone();
        let config = watcher::Config::default().labels(labels);
        tokio::spawn(async move {
            let events = watcher(api, config).default_backoff();
            pin_mut!(events);
            while let Some(event) = events.next().await {
                let piece = match event {
                    Ok(event) => News::Pod(Box::new(event)),
                    Err(error) => News::NoPods(refused(&error, namespace.as_deref())),
                };
                if news.send(piece).is_err() {
                    return;
                }
            }
        });
    }

    /// Asks the runners of these rows again, where it is time to.
    pub(super) fn figures(&mut self, rows: Vec<Key>) {
        for key in rows {
            if self.asked.get(&key).is_some_and(|at| at.elapsed() < EVERY) {
                continue;
            }
            self.asked.insert(key.clone(), Instant::now());
            let (client, news, room) =
                (self.cluster.client.clone(), self.news.clone(), Arc::clone(&self.room));
            tokio::spawn(async move {
                let _place = room.acquire().await;
                let page = format!(
                    "/api/v1/namespaces/{}/pods/{}:{RUNNER_PORT}/proxy/metrics",
                    key.namespace, key.pod
                );
                let Ok(request) = http::Request::get(page).body(Vec::new()) else { return };
                let attempt =
                    Attempt { verb: "get", resource: "pods/proxy", namespace: Some(&key.namespace) };
                let figures = match timeout(PATIENCE, client.request_text(request)).await {
                    Ok(Ok(page)) => Ok(Figures::of(&page)),
                    Ok(Err(error)) => Err(told(&attempt, &error)),
                    Err(_) => Err(format!("the runner of {} does not answer", key.pod)),
                };
                let _ = news.send(News::Figures(key, figures));
            });
        }
    }

    /// An instance is no more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.asked.remove(key);
    }

    /// Follows the log and the Events of the chosen instance, and of no other.
    pub(super) fn follow(&mut self, chosen: Option<&Key>) {
        if self.followed.as_ref().map(|(key, ..)| key) == chosen {
            return;
        }
        if let Some((_, log, events)) = self.followed.take() {
            log.abort();
            events.abort();
        }
        let Some(key) = chosen else { return };
        let log = tokio::spawn(log(self.cluster.clone(), key.clone(), self.news.clone())).abort_handle();
        let events =
            tokio::spawn(events(self.cluster.clone(), key.clone(), self.news.clone())).abort_handle();
        self.followed = Some((key.clone(), log, events));
    }

    /// Restarts an instance in place.
    pub(super) fn restart(&self, key: Key) {
        let (cluster, news) = (self.cluster.clone(), self.news.clone());
        tokio::spawn(async move {
            let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &key.namespace);
            let attempt = Attempt { verb: "get", resource: "pods", namespace: Some(&key.namespace) };
            let note = match api.get(&key.pod).await {
                Ok(pod) => match cluster.ctl(&pod, &["restart"]).await {
                    Ok(answer) => format!("{}: {}", key.pod, answer.trim()),
                    Err(why) => why,
                },
                Err(error) => told(&attempt, &error),
            };
            let _ = news.send(News::Note(note));
        });
    }
}

/// The labels of the pods of these apps; all of them if there are no names.
pub(super) fn labels(names: Option<&[&str]>) -> String {
    match names {
        Some(names) => format!("{},{APP_LABEL} in ({})", managed_selector(), names.join(",")),
        None => format!("{},{APP_LABEL}", managed_selector()),
    }
}

fn understood(input: &Input) -> Option<News> {
    let key = match input {
        Input::Resize(..) => return Some(News::Resize),
        Input::Key(key) if key.kind != KeyEventKind::Release => key,
        _ => return None,
    };
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Some(News::Quit);
    }
    Some(News::Press(match key.code {
        KeyCode::Up => Press::Up,
        KeyCode::Down => Press::Down,
        KeyCode::PageUp => Press::PageUp,
        KeyCode::PageDown => Press::PageDown,
        KeyCode::Home => Press::First,
        KeyCode::End => Press::Last,
        KeyCode::Char(letter) => Press::Letter(letter),
        _ => Press::Other,
    }))
}

fn refused(error: &watcher::Error, namespace: Option<&str>) -> String {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(cause) => told(&Attempt { verb: "list", resource: "pods", namespace }, cause),
        WatchStartFailed(cause) | WatchFailed(cause) => {
            told(&Attempt { verb: "watch", resource: "pods", namespace }, cause)
        }
        error => error.to_string(),
    }
}

/// The log of an instance. What was there is shown once; after a break it goes on with what is new.
async fn log(cluster: Cluster, key: Key, news: UnboundedSender<News>) {
    sleep(SETTLE).await;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &key.namespace);
    let mut params = LogParams {
        container: Some(APP.to_owned()),
        follow: true,
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    loop {
        match api.log_stream(&key.pod, &params).await {
            Ok(lines) => {
                let lines = lines.lines();
                pin_mut!(lines);
                while let Ok(Some(line)) = lines.try_next().await {
                    if news.send(News::Line(key.clone(), line)).is_err() {
                        return;
                    }
                }
                params.tail_lines = Some(0);
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let attempt = Attempt { verb: "get", resource: "pods/log", namespace: Some(&key.namespace) };
                let why = told(&attempt, &kube::Error::Api(status));
                let _ = news.send(News::Line(key, why));
                return;
            }
            Err(_) => {}
        }
        sleep(EVERY).await;
    }
}

/// The Events about an instance and its app, the newest first.
async fn events(cluster: Cluster, key: Key, news: UnboundedSender<News>) {
    sleep(SETTLE).await;
    let api: Api<CoreEvent> = Api::namespaced(cluster.client.clone(), &key.namespace);
    loop {
        let mut all: Vec<(Option<Timestamp>, String)> = vec![];
        for name in [&key.pod, &key.app] {
            let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
            match api.list(&params).await {
                Ok(list) => all.extend(list.items.iter().map(line)),
                Err(error) => {
                    let attempt =
                        Attempt { verb: "list", resource: "events", namespace: Some(&key.namespace) };
                    all.push((None, told(&attempt, &error)));
                }
            }
        }
        all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        all.dedup();
        let lines = all.into_iter().take(EVENTS).map(|(_, line)| line).collect();
        if news.send(News::Events(key.clone(), lines)).is_err() {
            return;
        }
        sleep(EVERY).await;
    }
}

fn line(event: &CoreEvent) -> (Option<Timestamp>, String) {
    let at = event
        .last_timestamp
        .as_ref()
        .map(|time| time.0)
        .or_else(|| event.event_time.as_ref().map(|time| time.0))
        .or_else(|| event.creation_timestamp().map(|time| time.0));
    let time = at.map_or_else(String::new, |at| format!("{} ", at.strftime("%H:%M:%S")));
    let reason = event.reason.as_deref().unwrap_or_default();
    (at, format!("{time}{reason}: {}", event.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_of_some_apps_or_of_all_are_watched() {
        assert!(labels(Some(&["a", "b"])).ends_with("nodeapp.dev/app in (a,b)"));
        assert!(labels(None).ends_with(",nodeapp.dev/app"));
    }
}
