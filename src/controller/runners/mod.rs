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
use nodeapp_contract::{CONFIG_ANNOTATION, LastExit, RUNNER_PORT, RunnerConfig};
use tokio::sync::mpsc;

use super::cache::AppKey;
use super::context::Context;
use super::pods::AppPod;
use schedule::{Due, Schedule};

/// Time between two looks at who is to be asked.
const TICK: Duration = Duration::from_secs(1);
/// Runners asked at a time.
const AT_A_TIME: usize = 8;

/// What a runner has told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Restarts of the process inside the container.
    pub restarts: u64,
    /// How it ended last.
    pub last_exit: Option<LastExit>,
    /// Its last lines before that end, without credentials; none where that is off.
    pub log_tail: Vec<String>,
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

/// Asks for as long as the operator works, and wakes the apps that there is news of.
pub(super) async fn keep_asking(context: Arc<Context>, touched: mpsc::UnboundedSender<AppKey>) {
    let mut schedule = Schedule::default();
    loop {
        tokio::time::sleep(TICK).await;
        let pods = context.caches.pods.all();
        let due = schedule.due(&pods, Instant::now(), &mut || rand::random());
        context.caches.runners.forget_all_but(&schedule);
        let context = &context;
        let asked = futures::stream::iter(due).map(|due| ask_one(context, due)).buffer_unordered(AT_A_TIME);
        asked
            .filter_map(std::future::ready)
            .for_each(|app| {
                // Nobody listens any more when the controller stops.
                let _ = touched.send(app);
                std::future::ready(())
            })
            .await;
    }
}

/// Returns the app if there is news of it.
async fn ask_one(context: &Context, due: Due) -> Option<AppKey> {
    let Due { app, uid, ip } = due;
    let address = SocketAddr::new(ip, RUNNER_PORT);
    match ask::status(address).await {
        Ok(status) => {
            let known = context.caches.runners.lock().get(&uid).cloned().unwrap_or_default();
            let mut told =
                Told { restarts: status.restarts, last_exit: status.last_exit, log_tail: Vec::new() };
            if told.last_exit == known.last_exit {
                told.log_tail.clone_from(&known.log_tail);
            } else if let Some(key) = key(context, &app) {
                // One that ends in between has other last lines.
                let exit = ask::last_exit(address, &key).await.ok().flatten();
                let same = exit.filter(|exit| told.last_exit.as_ref().is_some_and(|told| told.at == exit.at));
                told.log_tail = same.map(|exit| exit.log_tail).unwrap_or_default();
            }
            context.caches.runners.take(&uid, told).then_some(app)
        }
        Err(error) => {
            let (namespace, app) = (app.namespace, app.name);
            tracing::debug!(namespace, app, %address, %error, "a runner does not answer");
            None
        }
    }
}

/// What the runners of an app want to be told before they tell of log lines: it stands
/// in their configuration.
fn key(context: &Context, app: &AppKey) -> Option<String> {
    let deployment = context.caches.deployments.of(app).into_iter().next()?;
    let template = deployment.spec.as_ref()?.template.metadata.as_ref()?;
    let config: RunnerConfig =
        serde_json::from_str(template.annotations.as_ref()?.get(CONFIG_ANNOTATION)?).ok()?;
    Some(config.log_tail?.key)
}

/// The address of a pod whose runner can be asked.
fn address(pod: &AppPod) -> Option<IpAddr> {
    let running = pod.status.phase.as_deref() == Some("Running") && !pod.is_terminating();
    pod.status.pod_ip.as_deref().filter(|_| running)?.parse().ok()
}
