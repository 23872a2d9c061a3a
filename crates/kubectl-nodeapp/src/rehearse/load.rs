//! The Job of the load in the cluster, from its start to its end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::{Api, ResourceExt};
use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

use super::job::{CONTAINER, LABEL};
use super::report::{Delta, Tally};
use crate::cluster::{Attempt, Cluster, told};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Reasons for which a container will not start by waiting.
const HOPELESS: [&str; 6] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// What the load has told.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// Since it was taken last.
    pub(super) tally: Tally,
    /// Number of the last line.
    line: u64,
}

impl Book {
    /// Writes down a line, once: a connection that broke brings earlier ones again.
    fn write(&mut self, text: &str) {
        let Ok(delta) = serde_json::from_str::<Delta>(text) else { return };
        if delta.line > self.line {
            self.line = delta.line;
            self.tally.add(&delta);
        }
    }
}

/// Says why nothing was answered.
pub(super) fn no_answer(tally: &Tally) -> String {
    let kinds: Vec<String> = tally.failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let kinds = if kinds.is_empty() { "nothing came back".to_owned() } else { kinds.join(", ") };
    format!(
        "the app answered none of the requests before anything was done to it ({kinds}); is --path right, and does a \
         NetworkPolicy let pods of its namespace in?"
    )
}

/// A load.
pub(super) struct Load<'a> {
    jobs: Api<Job>,
    pods: Api<Pod>,
    namespace: Option<&'a str>,
    app: String,
    name: String,
}

impl<'a> Load<'a> {
    pub(super) fn new(cluster: &Cluster, app: &'a NodeApp, name: String) -> Self {
        let namespace = app.metadata.namespace.as_deref();
        Self { jobs: cluster.beside(app), pods: cluster.beside(app), namespace, app: app.name_any(), name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn attempt(&self, verb: &'static str, resource: &'static str) -> Attempt<'a> {
        Attempt { verb, resource, namespace: self.namespace }
    }

    pub(super) async fn create(&self, job: &Value) -> Result<(), String> {
        let job: Job = serde_json::from_value(job.clone()).map_err(|error| error.to_string())?;
        let created = self.jobs.create(&PostParams::default(), &job).await;
        created.map(drop).map_err(|error| told(&self.attempt("create", "jobs.batch"), &error))
    }

    /// Deletes it with its pod.
    ///
    /// # Errors
    /// When it stays behind, with what deletes it.
    pub(super) async fn delete(&self) -> Result<(), String> {
        match self.jobs.delete(&self.name, &DeleteParams::background()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(format!(
                "{}; the load stays for some minutes: kubectl delete job {} -n {}",
                told(&self.attempt("delete", "jobs.batch"), &error),
                self.name,
                self.namespace.unwrap_or("default")
            )),
        }
    }

    /// Waits until its pod runs; the pod's name.
    pub(super) async fn started(&self, timeout: Duration) -> Result<String, String> {
        let params = ListParams::default().labels(&format!("{LABEL}={},job-name={}", self.app, self.name));
        let mut why = "Kubernetes has made no pod for it; `kubectl describe job` says more".to_owned();
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < timeout {
            let pods = self.pods.list(&params).await;
            let pods = pods.map_err(|error| told(&self.attempt("list", "pods"), &error))?;
            if let Some(pod) = pods.items.first() {
                match state(pod) {
                    State::Runs => return Ok(pod.name_any()),
                    State::Waits(reason) => why = reason,
                    State::Never(reason) => {
                        return Err(format!(
                            "the load does not start: {reason}; --image names another image"
                        ));
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("the load does not start within {} s: {why}", timeout.as_secs()))
    }

    /// Writes down what it tells, until it ends before its time; says why.
    pub(super) async fn followed(&self, pod: &str, book: &Mutex<Book>) -> String {
        loop {
            if let Err(error) = self.read(pod, book).await
                && matches!(&error, kube::Error::Api(status) if status.code == 403)
            {
                return told(&self.attempt("get", "pods/log"), &error);
            }
            match self.pods.get_opt(pod).await {
                Ok(Some(pod)) => match state(&pod) {
                    State::Never(reason) => return format!("the load ended early: {reason}"),
                    State::Runs | State::Waits(_) => {}
                },
                Ok(None) => return "the pod of the load was deleted".to_owned(),
                // The API server is away for a moment; the load goes on.
                Err(_) => {}
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn read(&self, pod: &str, book: &Mutex<Book>) -> Result<(), kube::Error> {
        let params =
            LogParams { follow: true, container: Some(CONTAINER.to_owned()), ..LogParams::default() };
        let mut lines = self.pods.log_stream(pod, &params).await?.lines();
        while let Ok(Some(line)) = lines.try_next().await {
            book.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
        }
        Ok(())
    }
}

/// How far the pod of a load is.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Runs,
    Waits(String),
    Never(String),
}

fn state(pod: &Pod) -> State {
    let status = pod.status.clone().unwrap_or_default();
    let container = status.container_statuses.unwrap_or_default().into_iter().next();
    let unscheduled = status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    match (container.and_then(|ContainerStatus { state, .. }| state), unscheduled) {
        (Some(state), _) if state.running.is_some() => State::Runs,
        (Some(state), _) if state.terminated.is_some() => {
            let ended = state.terminated.unwrap_or_default();
            let words = [ended.reason, ended.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            State::Never(format!("exit code {} {words}", ended.exit_code).trim_end().to_owned())
        }
        (Some(state), _) => {
            let waiting = state.waiting.unwrap_or_default();
            let reason = waiting.reason.unwrap_or_default();
            let words =
                [Some(reason.clone()), waiting.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            if HOPELESS.contains(&reason.as_str()) { State::Never(words) } else { State::Waits(words) }
        }
        (None, Some(condition)) => State::Waits(condition.message.unwrap_or_default()),
        (None, None) => State::Waits("its pod waits for a node".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state_of(status: &Value) -> State {
        let pod = json!({"metadata": {"name": "p"}, "status": status});
        state(&serde_json::from_value(pod).expect("a pod"))
    }

    fn with(state: &Value) -> Value {
        let container = json!({"name": "load", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        json!({"containerStatuses": [container]})
    }

    #[test]
    fn a_line_that_comes_twice_counts_once() {
        let mut book = Book::default();
        for text in
            [r#"{"line":1,"ok":5}"#, r#"{"line":2,"ok":3}"#, r#"{"line":1,"ok":5}"#, "(node:1) Warning"]
        {
            book.write(text);
        }
        assert_eq!(book.tally.ok, 8);
        book.tally = Tally::default();
        book.write(r#"{"line":2,"ok":3}"#);
        assert_eq!(book.tally.ok, 0, "nor does one that was taken already");
    }

    #[test]
    fn a_load_that_cannot_start_is_told_from_one_that_waits() {
        assert_eq!(state_of(&with(&json!({"running": {}}))), State::Runs);
        let creating = with(&json!({"waiting": {"reason": "ContainerCreating"}}));
        assert_eq!(state_of(&creating), State::Waits("ContainerCreating".to_owned()));
        let pull = with(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
        assert_eq!(state_of(&pull), State::Never("ImagePullBackOff: no such image".to_owned()));
        let gone = with(
            &json!({"terminated": {"exitCode": 127, "reason": "StartError", "message": "node not found"}}),
        );
        assert_eq!(state_of(&gone), State::Never("exit code 127 StartError: node not found".to_owned()));
        let full =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]});
        assert_eq!(state_of(&full), State::Waits("0/1 nodes".to_owned()));
    }

    #[test]
    fn no_answer_at_all_is_told_with_what_came_instead() {
        let mut tally = Tally::default();
        tally.failed.insert("timeout".to_owned(), 40);
        assert!(no_answer(&tally).contains("(40 timeout)"));
        assert!(no_answer(&Tally::default()).contains("nothing came back"));
    }
}
