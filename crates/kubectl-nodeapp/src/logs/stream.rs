//! The log of one pod, over disconnects and restarts of its container.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt as _;
use futures::io::{AsyncBufRead, AsyncBufReadExt as _};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use kube::{Api, Client};
use nodeapp_operator::controller::names::{APP_CONTAINER, BEFORE_CONTAINER};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::dress::Source;
use super::line::Line;
use super::output::{Output, Stop};
use super::shown::Shown;
use crate::cluster::{Attempt, told};

/// Bytes of finished lines after which they are written, though more are there already.
const BATCH: usize = 64 * 1024;
/// How long the kubelet may say nothing after its pod is gone.
const SILENCE: Duration = Duration::from_secs(5);
/// Wait before a log is opened again that ended though its container runs; the longest after failures in a row.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What is known of the container whose log it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Which container it is; another one after a restart. None before the first.
    id: Option<String>,
    ended: bool,
    /// The pod is no more.
    pub(crate) gone: bool,
}

impl State {
    pub(crate) fn of(pod: &Pod) -> Self {
        let Some(container) = container(pod) else { return Self::default() };
        let running = container.state.as_ref().is_some_and(|state| state.running.is_some());
        Self { id: container.container_id.clone(), ended: !running, gone: false }
    }

    /// The same once its pod is no more.
    pub(crate) fn parted(self) -> Self {
        Self { gone: true, ..self }
    }
}

/// The app's container, or that of the job before its rollout.
fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    all.iter().find(|container| [APP_CONTAINER, BEFORE_CONTAINER].contains(&container.name.as_str()))
}

/// The name of that container.
pub(crate) fn container_name(pod: &Pod) -> &'static str {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    if containers.into_iter().any(|container| container.name == BEFORE_CONTAINER) {
        BEFORE_CONTAINER
    } else {
        APP_CONTAINER
    }
}

/// Where a log begins, the first time that it is opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begin {
    pub(crate) lines: Option<i64>,
    pub(crate) seconds: Option<i64>,
}

impl Begin {
    pub(crate) fn params(&self, container: &str) -> LogParams {
        LogParams {
            container: Some(container.to_owned()),
            tail_lines: self.lines,
            since_seconds: self.seconds,
            timestamps: true,
            ..LogParams::default()
        }
    }
}

/// The log of a pod on its way to the output.
pub(crate) struct Stream {
    pub(crate) client: Client,
    pub(crate) source: Source,
    pub(crate) container: &'static str,
    pub(crate) begin: Begin,
    pub(crate) output: Arc<Output>,
    shown: Shown,
    /// A line that has no end yet.
    rest: Vec<u8>,
    /// When the log was opened first.
    opened: Option<Instant>,
    /// Whether the next line has to be one that was shown, since the log goes on where it was.
    repeats: bool,
    /// It was not: the container is another one by now, or the file was rotated. Lines that wait for those before.
    held: Option<Vec<u8>>,
}

impl Stream {
    pub(crate) fn new(
        client: Client,
        source: Source,
        container: &'static str,
        begin: Begin,
        output: Arc<Output>,
    ) -> Self {
        Self {
            client,
            source,
            container,
            begin,
            output,
            shown: Shown::default(),
            rest: vec![],
            opened: None,
            repeats: false,
            held: None,
        }
    }

    /// Shows what comes until the pod is gone.
    pub(crate) async fn follow(mut self, mut state: watch::Receiver<State>) -> Result<(), Stop> {
        let mut last: Option<String> = None;
        let mut failures = 0_u32;
        loop {
            let news = state.wait_for(|state| state.gone || state.id.is_some()).await;
            let Ok(now) = news.map(|state| state.clone()) else { return Ok(()) };
            if now.gone && (now.id.is_none() || last == now.id) {
                return self.finish();
            }
            let another = last.is_some() && last != now.id;
            if another {
                // What the container before wrote in the end, if the connection broke before that.
                let params = LogParams { previous: true, ..self.params() };
                let outcome = self.read(&params, &mut state).await;
                if matches!(outcome, Err(Failure::Broken(_))) {
                    failures = self.count(outcome, failures, now.gone)?;
                    self.pause(false, &now, failures, &mut state).await;
                    continue;
                }
                self.count(outcome, 0, now.gone)?;
                self.finish()?;
            }
            let params = LogParams { follow: true, ..self.params() };
            self.repeats = !another && params.since_time.is_some();
            let outcome = self.read(&params, &mut state).await;
            last.clone_from(&now.id);
            let whole = outcome.is_ok() && now.ended;
            failures = self.count(outcome, failures, state.borrow().gone)?;
            self.pause(whole, &now, failures, &mut state).await;
        }
    }

    /// The lines of a log as it is now.
    pub(crate) async fn whole(mut self, params: &LogParams) -> Result<Vec<u8>, Stop> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.source.namespace);
        let opened = api.log_stream(&self.source.pod, params).await;
        let mut batch = vec![];
        let opened = match opened.map_err(|error| refused(&error, &self.source.namespace)) {
            Ok(opened) => opened,
            Err(Failure::Stop(stop)) => return Err(stop),
            Err(Failure::Broken(why)) => return Err(Stop::Refused(why)),
            Err(Failure::Missing(why)) => {
                self.output.say(&format!("{}: {why}", self.source.pod));
                return Ok(batch);
            }
        };
        let mut stream = pin!(opened);
        loop {
            let chunk = stream.fill_buf().await;
            let chunk = chunk.map_err(|error| {
                Stop::Refused(format!("{}: the connection broke: {error}", self.source.pod))
            })?;
            if chunk.is_empty() {
                break;
            }
            let length = chunk.len();
            self.take(chunk, &mut batch);
            stream.as_mut().consume(length);
        }
        if !self.rest.is_empty() {
            self.take(b"\n", &mut batch);
        }
        Ok(batch)
    }

    /// Failures in a row, of which the first is told.
    fn count(&self, outcome: Result<(), Failure>, failures: u32, gone: bool) -> Result<u32, Stop> {
        match outcome {
            Ok(()) | Err(Failure::Missing(_)) => Ok(0),
            Err(Failure::Stop(stop)) => Err(stop),
            Err(Failure::Broken(why)) => {
                if failures == 0 && !gone {
                    self.output.say(&format!("{}: {why}; it goes on from there", self.source.pod));
                }
                Ok(failures.saturating_add(1))
            }
        }
    }

    /// The last line may have no end.
    fn finish(&mut self) -> Result<(), Stop> {
        let mut line = std::mem::take(&mut self.rest);
        let mut batch = vec![];
        if !line.is_empty() {
            line.push(b'\n');
            self.take(&line, &mut batch);
        }
        self.output.write(&mut batch)
    }

    /// Waits for a reason to open the log again: a new container, or only some time if this one may have more to say.
    async fn pause(&self, whole: bool, now: &State, failures: u32, state: &mut watch::Receiver<State>) {
        let news = state.wait_for(|state| state.gone || state.id != now.id || state.ended != now.ended);
        if whole {
            let _ = news.await;
            return;
        }
        let wait = (AGAIN.0 * 2_u32.saturating_pow(failures.min(8))).min(AGAIN.1);
        if failures > 0 {
            sleep(wait).await;
        } else {
            let _ = timeout(wait, news).await;
        }
    }

    /// Where to go on, or to begin.
    fn params(&mut self) -> LogParams {
        let since = self.shown.resume();
        let mut params = self.begin.params(self.container);
        let Some(opened) = self.opened else { return params };
        let passed = i64::try_from(opened.elapsed().as_secs()).unwrap_or(i64::MAX / 2);
        params.tail_lines = None;
        params.since_seconds = match (&since, self.begin.lines) {
            (Some(_), _) => None,
            // No line was there that could come twice.
            (None, None) => self.begin.seconds.map(|seconds| seconds.saturating_add(passed)),
            // No line was there; all that have come since are wanted.
            (None, Some(_)) => Some(passed + 1),
        };
        params.since_time = since;
        params
    }

    /// A connection broke. What it was to begin with may not have come through it, if it was short.
    fn broke(&mut self) {
        self.rest.clear();
        let short = self.opened.is_some_and(|opened| opened.elapsed() < AGAIN.1);
        if short && self.shown.is_empty() && self.begin.lines != Some(0) {
            self.opened = None;
        }
    }

    /// Shows a log up to its end.
    pub(crate) async fn read(
        &mut self,
        params: &LogParams,
        state: &mut watch::Receiver<State>,
    ) -> Result<(), Failure> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.source.namespace);
        let opened = api.log_stream(&self.source.pod, params).await;
        let mut stream = pin!(opened.map_err(|error| refused(&error, &self.source.namespace))?);
        self.opened.get_or_insert_with(Instant::now);
        self.rest.clear();
        let mut batch = Vec::new();
        let end = loop {
            // What is there already goes out together.
            match stream.as_mut().fill_buf().now_or_never() {
                Some(Ok(_)) if batch.len() < BATCH => {}
                Some(Err(error)) => break Err(error),
                _ => self.output.write(&mut batch)?,
            }
            match next(&mut stream, state).await {
                Ok([]) => break Ok(()),
                Ok(chunk) => {
                    let length = chunk.len();
                    self.take(chunk, &mut batch);
                    stream.as_mut().consume(length);
                    if let Some(held) = self.held.take() {
                        self.fill(&held, &mut batch, state).await?;
                    }
                }
                Err(error) => break Err(error),
            }
        };
        self.output.write(&mut batch)?;
        end.map_err(|error| {
            self.broke();
            Failure::Broken(format!("the connection broke: {error}"))
        })
    }

    /// What the container before still had to say, then lines that came too early.
    async fn fill(
        &mut self,
        held: &[u8],
        batch: &mut Vec<u8>,
        state: &mut watch::Receiver<State>,
    ) -> Result<(), Failure> {
        let rest = std::mem::take(&mut self.rest);
        let params = LogParams { previous: true, ..self.params() };
        match Box::pin(self.read(&params, state)).await {
            Ok(()) | Err(Failure::Missing(_)) => {}
            Err(failure) => return Err(failure),
        }
        self.finish()?;
        self.take(held, batch);
        self.rest = rest;
        Ok(())
    }

    /// Cuts what has come into lines; an unfinished one waits for its rest.
    fn take(&mut self, mut chunk: &[u8], batch: &mut Vec<u8>) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (line, more) = (&chunk[..end], &chunk[end + 1..]);
            chunk = more;
            if self.rest.is_empty() {
                self.show(line, batch);
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.show(&whole, batch);
                whole.clear();
                self.rest = whole;
            }
        }
        self.rest.extend_from_slice(chunk);
    }

    fn show(&mut self, bytes: &[u8], batch: &mut Vec<u8>) {
        let Some(line) = Line::new(bytes) else {
            if !bytes.is_empty() {
                let words = String::from_utf8_lossy(bytes);
                self.output.say(&format!("{}: the kubelet says: {words}", self.source.pod));
            }
            return;
        };
        if std::mem::take(&mut self.repeats) && !self.shown.comes_again(bytes) {
            self.held = Some(vec![]);
        }
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            held.push(b'\n');
        } else if self.shown.is_new(line.at.as_second(), bytes) {
            self.output.put(&self.source, &line, batch);
        }
    }
}

/// More of a log. A kubelet that does not end the log of a pod that is gone is not waited for.
async fn next<'a, S: AsyncBufRead>(
    stream: &'a mut Pin<&mut S>,
    state: &mut watch::Receiver<State>,
) -> std::io::Result<&'a [u8]> {
    let chunk = stream.fill_buf();
    tokio::select! {
        chunk = chunk => chunk,
        () = async {
            let _ = state.wait_for(|state| state.gone).await;
            sleep(SILENCE).await;
        } => Ok(&[]),
    }
}

/// Why a log could not be read to its end.
pub(crate) enum Failure {
    /// There is no such log, not yet or no more, in the cluster's words.
    Missing(String),
    Broken(String),
    Stop(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

fn refused(error: &kube::Error, namespace: &str) -> Failure {
    let attempt = Attempt { verb: "get", resource: "pods/log", namespace: Some(namespace) };
    match error {
        kube::Error::Api(status) if [401, 403].contains(&status.code) => {
            Failure::Stop(Stop::Refused(told(&attempt, error)))
        }
        kube::Error::Api(status) if [400, 404].contains(&status.code) => {
            Failure::Missing(status.message.clone())
        }
        error => Failure::Broken(told(&attempt, error)),
    }
}

#[cfg(test)]
mod tests;
