//! What the runners tell of their processes: restarts inside a container and the
//! last exit, which the API server does not know. A runner has no token to report by,
//! so it is asked, over its own port: soon where something is up, slowly otherwise.
//! The answers are kept like what the watches bring, and read the same way.

mod ask;
mod schedule;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use nodeapp_contract::{CONFIG_ANNOTATION, LastExit, RUNNER_PORT, RunnerConfig, RunnerStatus};
use tokio::sync::mpsc;

use super::cache::AppKey;
use super::context::Context;
use super::pods::AppPod;
use schedule::{Due, Schedule};

/// Time between two looks at who is to be asked.
const TICK: Duration = Duration::from_secs(1);
/// Runners asked at a time: as many as do not hold up the others for long if none of
/// them answers.
const AT_A_TIME: usize = 32;

/// What a runner has told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Restarts of the process inside the container.
    pub restarts: u64,
    /// How it ended last.
    pub last_exit: Option<LastExit>,
    /// Its last lines before that end, without credentials; none where that is off.
    pub log_tail: Vec<String>,
    /// Whether there may be lines that could not be had, and are to be asked for again.
    pub lines_are_missing: bool,
}

/// Answers of all runners, by the UID of the pod.
#[derive(Debug, Default)]
pub struct Runners {
    told: Mutex<HashMap<String, Arc<Told>>>,
}

impl Runners {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Told>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the runner of a pod has told last.
    pub fn of(&self, pod: &AppPod) -> Option<Arc<Told>> {
        self.lock().get(pod.metadata.uid.as_deref()?).cloned()
    }

    /// Takes an answer in. Returns whether it is news.
    fn take(&self, uid: &str, told: Told) -> bool {
        let mut all = self.lock();
        if all.get(uid).is_some_and(|known| **known == told) {
            return false;
        }
        all.insert(uid.to_owned(), Arc::new(told));
        true
    }

    fn forget_all_but(&self, schedule: &Schedule) {
        self.lock().retain(|uid, _| schedule.knows(uid));
    }
}

/// Asks for as long as the operator works, from when everything is `known` that
/// answers are understood by, and wakes the apps that there is news of.
pub(super) async fn keep_asking(
    context: Arc<Context>,
    touched: mpsc::UnboundedSender<AppKey>,
    known: impl Future<Output = ()>,
) {
    known.await;
    let mut schedule = Schedule::default();
    loop {
        tokio::time::sleep(TICK).await;
        let pods = context.caches.pods.all();
        let due = schedule.due(&pods, Instant::now(), &mut || rand::random());
        context.caches.runners.forget_all_but(&schedule);
        let context = &context;
        let mut asked =
            futures::stream::iter(due).map(|due| ask_one(context, due)).buffer_unordered(AT_A_TIME);
        while let Some(Asked { app, uid, answered, news }) = asked.next().await {
            schedule.answered(&uid, answered, Instant::now());
            if news {
                // Nobody listens any more when the controller stops.
                let _ = touched.send(app);
            }
        }
    }
}

/// What came of a question.
struct Asked {
    app: AppKey,
    uid: String,
    answered: bool,
    news: bool,
}

async fn ask_one(context: &Context, due: Due) -> Asked {
    let Due { app, uid, ip } = due;
    let address = SocketAddr::new(ip, RUNNER_PORT);
    let (answered, news) = match ask::status(address).await {
        Ok(status) => {
            let known = context.caches.runners.lock().get(&uid).cloned().unwrap_or_default();
            let told = told(context, &app, address, status, &known).await;
            (true, context.caches.runners.take(&uid, told))
        }
        Err(error) => {
            let AppKey { namespace, name } = &app;
            tracing::debug!(namespace, app = name, %address, %error, "a runner does not answer");
            (false, false)
        }
    };
    Asked { app, uid, answered, news }
}

/// An answer with the last lines, which are fetched once for each end.
async fn told(
    context: &Context,
    app: &AppKey,
    address: SocketAddr,
    status: RunnerStatus,
    known: &Told,
) -> Told {
    let told = Told { restarts: status.restarts, last_exit: status.last_exit, ..Told::default() };
    let Some(exit) = &told.last_exit else { return told };
    if known.last_exit.as_ref() == Some(exit) && !known.lines_are_missing {
        return Told { log_tail: known.log_tail.clone(), ..told };
    }
    let key = match config(context, app) {
        Some(RunnerConfig { log_tail: Some(tail), .. }) => tail.key,
        Some(_) => return told,
        None => return Told { lines_are_missing: true, ..told },
    };
    match ask::last_exit(address, &key).await {
        // One that ends in between has other last lines.
        Ok(answer) => {
            let same = answer.filter(|answer| answer.at == exit.at);
            let log_tail = same.map(|answer| answer.log_tail).unwrap_or_default();
            Told { log_tail, ..told }
        }
        Err(error) => {
            tracing::debug!(namespace = app.namespace, app = app.name, %address, %error, "no last lines");
            Told { lines_are_missing: true, ..told }
        }
    }
}

/// The configuration of an app's runners, as whatever makes its pods has it. The key
/// stands in it that they want to be told before they tell of log lines.
fn config(context: &Context, app: &AppKey) -> Option<RunnerConfig> {
    let config = |template: &PodTemplateSpec| {
        let annotations = template.metadata.as_ref()?.annotations.as_ref()?;
        serde_json::from_str(annotations.get(CONFIG_ANNOTATION)?).ok()
    };
    let deployments = context.caches.deployments.of(app);
    let of_deployment = deployments.first().and_then(|found| config(&found.spec.as_ref()?.template));
    of_deployment.or_else(|| {
        let cron_jobs = context.caches.cron_jobs.of(app);
        let spec = cron_jobs.first()?.spec.as_ref()?.job_template.spec.as_ref()?;
        config(&spec.template)
    })
}

/// The address of a pod whose runner can be asked.
fn address(pod: &AppPod) -> Option<IpAddr> {
    let running = pod.status.phase.as_deref() == Some("Running") && !pod.is_terminating();
    pod.status.pod_ip.as_deref().filter(|_| running)?.parse().ok()
}
