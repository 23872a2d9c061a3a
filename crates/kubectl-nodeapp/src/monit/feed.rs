//! Where the dashboard's news come from: the cluster, the runners, the keyboard.

use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{self, Event as Input, KeyCode, KeyEventKind, KeyModifiers};
use futures::{StreamExt as _, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Pod};
use kube::api::ListParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use nodeapp_contract::RUNNER_PORT;
use nodeapp_operator::controller::names::{APP_LABEL, managed_selector};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::figures::Figures;
use super::model::{Key, Press};
use crate::cluster::{Attempt, Cluster, told};
use crate::instances::APP;
use crate::logs::dress::{Dress, Form, Source};
use crate::logs::output::{Output, Stop};
use crate::logs::stream::{Begin, State, Stream};

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
    /// Whole lines of a log.
    Lines(Key, String),
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
    /// Those that have not answered yet.
    under_way: HashSet<Key>,
    /// What is known of the containers.
    states: HashMap<Key, State>,
    /// The instance whose log and Events are followed.
    followed: Option<Followed>,
}

/// Ends with its handle.
struct Followed {
    key: Key,
    state: watch::Sender<State>,
    log: AbortHandle,
    events: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.log.abort();
        self.events.abort();
    }
}

impl Feed {
    pub(super) fn new(cluster: Cluster, news: UnboundedSender<News>) -> Self {
        Self {
            cluster,
            news,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            asked: HashMap::new(),
            under_way: HashSet::new(),
            states: HashMap::new(),
            followed: None,
        }
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

    /// Asks the runners of these rows again, where it is time to, and who waits for it the longest first. One that
    /// does not answer is not asked twice, and no question waits for another.
    pub(super) fn figures(&mut self, mut rows: Vec<Key>) {
        let is_due = |at: &Instant| at.elapsed() >= EVERY;
        rows.retain(|key| !self.under_way.contains(key) && self.asked.get(key).is_none_or(is_due));
        rows.sort_by_key(|key| self.asked.get(key).copied());
        for key in rows {
            let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else { return };
            self.asked.insert(key.clone(), Instant::now());
            self.under_way.insert(key.clone());
            let (client, news) = (self.cluster.client.clone(), self.news.clone());
            tokio::spawn(async move {
                let figures = figures(&client, &key).await;
                let _ = news.send(News::Figures(key, figures));
                drop(place);
            });
        }
    }

    /// The runner of an instance has answered, or never will.
    pub(super) fn answered(&mut self, key: &Key) {
        self.under_way.remove(key);
    }

    /// An instance as it is now.
    pub(super) fn meet(&mut self, pod: &Pod) {
        let (key, state) = (Key::of(pod), State::of(pod));
        self.tell(&key, &state);
        self.states.insert(key, state);
    }

    /// An instance is no more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.asked.remove(key);
        let last = self.states.remove(key).unwrap_or_default();
        self.tell(key, &last.parted());
    }

    /// Tells the log that is followed.
    fn tell(&self, key: &Key, state: &State) {
        if let Some(followed) = self.followed.as_ref().filter(|followed| followed.key == *key) {
            followed.state.send_if_modified(|old| {
                let is_new = old != state;
                old.clone_from(state);
                is_new
            });
        }
    }

    /// Follows the log and the Events of the chosen instance, and of no other.
    pub(super) fn follow(&mut self, chosen: Option<&Key>) {
        if self.followed.as_ref().map(|followed| &followed.key) == chosen {
            return;
        }
        self.followed = chosen.map(|key| {
            let (state, receiver) = watch::channel(self.states.get(key).cloned().unwrap_or_default());
            let log = log(self.cluster.client.clone(), key.clone(), self.news.clone(), receiver);
            let events = events(self.cluster.clone(), key.clone(), self.news.clone());
            Followed {
                key: key.clone(),
                state,
                log: tokio::spawn(log).abort_handle(),
                events: tokio::spawn(events).abort_handle(),
            }
        });
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

/// What the runner of an instance says of itself.
async fn figures(client: &Client, key: &Key) -> Result<Figures, String> {
    let Key { namespace, pod, .. } = key;
    let page = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{RUNNER_PORT}/proxy/metrics");
    let request = http::Request::get(page).body(Vec::new()).map_err(|error| error.to_string())?;
    let attempt = Attempt { verb: "get", resource: "pods/proxy", namespace: Some(namespace) };
    match timeout(PATIENCE, client.request_text(request)).await {
        Ok(Ok(page)) => Ok(Figures::of(&page)),
        Ok(Err(error)) => Err(told(&attempt, &error)),
        Err(_) => Err(format!("the runner of {pod} does not answer")),
    }
}

/// The log of an instance, as `logs` follows it.
async fn log(client: Client, key: Key, news: UnboundedSender<News>, state: watch::Receiver<State>) {
    sleep(SETTLE).await;
    let source = Source {
        namespace: key.namespace.clone(),
        app: key.app.clone(),
        pod: key.pod.clone(),
        number: None,
        place: 0,
    };
    let lines = Lines { key: key.clone(), news: news.clone() };
    // Words beside the lines would go over the screen.
    let output = Arc::new(Output::to(Dress::plain(Form::Raw), Box::new(lines), |_| {}));
    let begin = Begin { lines: Some(LINES), seconds: None };
    if let Err(Stop::Refused(why)) = Stream::new(client, source, APP, begin, output).follow(state).await {
        let _ = news.send(News::Lines(key, why));
    }
}

/// Lines on their way to the screen.
struct Lines {
    key: Key,
    news: UnboundedSender<News>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let lines = String::from_utf8_lossy(bytes).into_owned();
        let sent = self.news.send(News::Lines(self.key.clone(), lines));
        sent.map(|()| bytes.len()).map_err(|_| Error::from(ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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
    use std::convert::Infallible;
    use std::sync::Mutex;

    use kube::client::Body;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn runners_that_do_not_answer_are_asked_in_turn_and_no_question_piles_up() {
        let asked = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
        let seen = Arc::clone(&asked);
        let silent = tower::service_fn(move |request: http::Request<Body>| {
            *seen.lock().expect("no panic").entry(request.uri().path().to_owned()).or_default() += 1;
            std::future::pending::<Result<http::Response<Body>, Infallible>>()
        });
        let client = Client::new(silent, "shop");
        let (sender, mut news) = mpsc::unbounded_channel();
        let mut feed = Feed::new(Cluster { client, namespace: None }, sender);
        let row = |number| Key { namespace: "shop".into(), app: "web".into(), pod: format!("web-{number}") };
        for _ in 0..600 {
            feed.figures((0..40).map(row).collect());
            sleep(Duration::from_millis(100)).await;
            while let Ok(News::Figures(key, figures)) = news.try_recv() {
                assert!(figures.is_err_and(|why| why.contains("does not answer")));
                feed.answered(&key);
            }
            // Those that ask, and the one that passes questions on.
            let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            assert!(tasks <= AT_ONCE + 2, "{tasks} tasks");
        }
        let asked = asked.lock().expect("no panic");
        assert_eq!(asked.len(), 40);
        // Every 6 to 12 s.
        assert!(asked.values().all(|count| (5..=12).contains(count)), "{asked:?}");
    }

    #[test]
    fn the_pods_of_some_apps_or_of_all_are_watched() {
        assert!(labels(Some(&["a", "b"])).ends_with("nodeapp.dev/app in (a,b)"));
        assert!(labels(None).ends_with(",nodeapp.dev/app"));
    }
}
