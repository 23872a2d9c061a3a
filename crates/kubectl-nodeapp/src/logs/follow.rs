//! Logs of pods that come and go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::output::{Output, Stop};
use super::stream::{Begin, State, Stream, container_name};
use super::{AT_ONCE, Args, Pods};
use crate::cluster::{Attempt, told};

/// The pods whose logs are followed.
struct Followed<'a> {
    args: &'a Args,
    pods: &'a Pods<'a>,
    output: Arc<Output>,
    /// By uid: what is known of the pod.
    known: HashMap<String, watch::Sender<State>>,
    /// Those of a list that has not ended yet.
    listed: HashSet<String>,
    /// Whether the first list has ended; who comes later is shown from its first line.
    listed_once: bool,
    met: usize,
    logs: JoinSet<Result<(), Stop>>,
    room: Arc<Semaphore>,
    told_of_room: Arc<AtomicBool>,
}

/// Shows the logs until nobody reads them or the cluster refuses.
pub(super) async fn follow(args: &Args, pods: &Pods<'_>, output: &Arc<Output>) -> Result<(), Stop> {
    let mut followed = Followed {
        args,
        pods,
        output: Arc::clone(output),
        known: HashMap::new(),
        listed: HashSet::new(),
        listed_once: false,
        met: 0,
        logs: JoinSet::new(),
        room: Arc::new(Semaphore::new(AT_ONCE)),
        told_of_room: Arc::default(),
    };
    let config = watcher::Config::default().labels(&pods.labels());
    let events = watcher(pods.cluster.scoped::<Pod>(), config).default_backoff();
    pin_mut!(events);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(event)) => followed.take(event)?,
                Some(Err(error)) => followed.refused(&error)?,
                None => return Ok(()),
            },
            Some(ended) = followed.logs.join_next() => match ended {
                Ok(ended) => ended?,
                Err(error) => return Err(Stop::Refused(format!("a log was given up: {error}"))),
            },
        }
    }
}

impl Followed<'_> {
    fn take(&mut self, event: Event<Pod>) -> Result<(), Stop> {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.insert(pod.uid().unwrap_or_default());
                self.meet(&pod)?;
            }
            Event::InitDone => {
                self.listed_once = true;
                let gone: Vec<String> =
                    self.known.keys().filter(|uid| !self.listed.contains(*uid)).cloned().collect();
                for uid in &gone {
                    self.part(uid);
                }
            }
            Event::Apply(pod) => self.meet(&pod)?,
            Event::Delete(pod) => self.part(&pod.uid().unwrap_or_default()),
        }
        Ok(())
    }

    /// A pod that is there, perhaps a new one.
    fn meet(&mut self, pod: &Pod) -> Result<(), Stop> {
        if self.pods.app(pod).is_none() {
            return Ok(());
        }
        let state = State::of(pod);
        let uid = pod.uid().unwrap_or_default();
        if let Some(known) = self.known.get(&uid) {
            known.send_if_modified(|old| {
                *old != state && {
                    *old = state;
                    true
                }
            });
            return Ok(());
        }
        self.args.readable(pod)?;
        let source = self.pods.source(pod, self.met);
        self.met += 1;
        self.output.meet(&source);
        let begin = if self.listed_once { Begin::default() } else { self.args.begin() };
        let client = self.pods.cluster.client.clone();
        let stream = Stream::new(client, source, container_name(pod), begin, Arc::clone(&self.output));
        let (sender, receiver) = watch::channel(state);
        self.known.insert(uid, sender);
        let (room, told_of_room) = (Arc::clone(&self.room), Arc::clone(&self.told_of_room));
        let output = Arc::clone(&self.output);
        self.logs.spawn(async move {
            if room.available_permits() == 0 && !told_of_room.swap(true, Ordering::Relaxed) {
                output.say(&format!(
                    "{AT_ONCE} logs are followed at once; the others wait until one of them ends"
                ));
            }
            let _place = room.acquire_owned().await;
            stream.follow(receiver).await
        });
        Ok(())
    }

    /// A pod that is no more.
    fn part(&mut self, uid: &str) {
        if let Some(known) = self.known.remove(uid) {
            known.send_modify(|state| state.gone = true);
        }
    }

    /// A watch that was never allowed ends it all; one that broke is tried again.
    fn refused(&self, error: &watcher::Error) -> Result<(), Stop> {
        use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
        let namespace = self.pods.cluster.namespace.as_deref();
        let (verb, cause) = match error {
            InitialListFailed(cause) => ("list", cause),
            WatchStartFailed(cause) | WatchFailed(cause) => ("watch", cause),
            _ => return Ok(()),
        };
        let attempt = Attempt { verb, resource: "pods", namespace };
        let right = matches!(cause, kube::Error::Api(status) if [401, 403].contains(&status.code));
        if right || !self.listed_once {
            return Err(Stop::Refused(told(&attempt, cause)));
        }
        Ok(())
    }
}
