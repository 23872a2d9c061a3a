//! The operator as a whole: health endpoint, start-up, controller, end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::controller::context::Context;
use crate::controller::desired::Settings;
use crate::controller::wiring::{self, WATCHED, WatchEnded};
use crate::health::{self, Health, Served};
use crate::lease::{self, Election, Leader, Lost, Times, Waiting};
use crate::metrics::Metrics;
use crate::telemetry::LogLevel;
use crate::{client, startup};

/// How long reconciles under way may take to end. They are safe to cut: every
/// write stands for itself, and the next start goes on from there.
const LAST_RECONCILES: Duration = Duration::from_secs(5);

/// What can keep the operator from running at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not allowed.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no cluster to connect to.
    #[error("cannot find a cluster: {0}; run it in a pod with a service account, or set KUBECONFIG")]
    Connect(#[source] kube::Error),
    /// The system refused something.
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// A defect; what is known of the cluster would be out of date from now on.
    #[error(transparent)]
    Watch(#[from] WatchEnded),
    /// Another one works now.
    #[error(transparent)]
    Lease(#[from] Lost),
}

/// How an operator is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What concerns the apps.
    pub settings: Settings,
    /// Address of health and metrics.
    pub listen: SocketAddr,
    /// The namespaces to look after; all if none is named.
    pub namespaces: Vec<String>,
    /// Name of the Lease in the operator's own namespace; without it, nothing keeps
    /// a second operator from working as well.
    pub lease: Option<String>,
    /// What is logged.
    pub log_level: LogLevel,
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// Only for what waiting does not heal; a missing API server, API or right is
/// waited for.
pub async fn run(options: Options) -> Result<(), Error> {
    let Options { mut settings, listen, namespaces, lease, log_level } = options;
    let stop = stop_signal().map_err(Error::Signals)?;
    let metrics = Metrics::new();
    let health = Arc::new(Health::in_namespaces(&WATCHED, &namespaces));
    let (listener, address) =
        bind(listen).await.map_err(|source| Error::Listen { address: listen, source })?;
    let client = client::connect(&metrics).await.map_err(Error::Connect)?;
    settings.namespace = Some(client.default_namespace().to_owned());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        runner_image = settings.runner_image,
        forwarder_image = settings.forwarder_image,
        redis_image = settings.redis_image,
        listen = %address,
        namespaces = if namespaces.is_empty() { "all".to_owned() } else { namespaces.join(", ") },
        "the operator starts"
    );
    let served = Served { health: health.clone(), metrics: metrics.clone(), log_level };
    let serving = tokio::spawn(health::serve(listener, served, ordered(stop.clone())));
    let mut context = Context::new(client.clone(), settings, metrics, health.clone());
    context.namespaces = namespaces;
    let context = Arc::new(context);
    let worked = tokio::select! {
        leader = ready_to_lead(&context, lease) => work(context, leader, stop).await,
        () = ordered(stop.clone()) => Ok(()),
    };
    serving.abort();
    worked?;
    tracing::info!("the operator ends; applications keep running");
    Ok(())
}

/// Waits for everything the work needs, and for the lead, if it is asked for.
async fn ready_to_lead(context: &Context, lease_name: Option<String>) -> Option<Leader> {
    let (client, health) = (&context.client, &context.health);
    startup::wait_until_ready(client, context.needs(), health).await;
    let election = Election::new(client.clone(), &lease_name?, lease::identity(), Times::default());
    let leader = election
        .lead(|waiting| match waiting {
            Waiting::Standby(leader) => {
                tracing::info!(leader, "on standby");
                health.waits_for(Some(leader.clone()));
                health.found_missing(Vec::new());
            }
            Waiting::Trouble(text) => {
                tracing::warn!("the lead cannot be had: {text}; trying again");
                health.found_missing(vec![format!("the lead: {text}")]);
            }
        })
        .await;
    health.waits_for(None);
    health.found_missing(Vec::new());
    Some(leader)
}

/// Works until told to end, or until another one leads.
async fn work(
    context: Arc<Context>,
    leader: Option<Leader>,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    context.metrics.leads(true);
    let Some(mut leader) = leader else { return Ok(control(context, stop).await?) };
    tokio::select! {
        ended = control(context, stop) => ended?,
        lost = leader.keep() => return Err(lost.into()),
    }
    leader.release().await;
    Ok(())
}

async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn control(context: Arc<Context>, stop: watch::Receiver<bool>) -> Result<(), WatchEnded> {
    let known = context.clone();
    let controller = wiring::run(context, ordered(stop.clone()));
    let out_of_time = async {
        ordered(stop).await;
        tokio::time::sleep(LAST_RECONCILES).await;
    };
    tokio::select! {
        ended = controller => return ended,
        () = startup::keep_looking(&known.client, known.needs(), &known.health) => {}
        () = out_of_time => tracing::warn!("reconciles under way were cut; the next start goes on from there"),
    }
    Ok(())
}

/// Becomes true with the first signal to end.
fn stop_signal() -> std::io::Result<watch::Receiver<bool>> {
    let (send, receive) = watch::channel(false);
    let told = told_to_end()?;
    tokio::spawn(async move {
        told.await;
        tracing::info!("told to end");
        send.send_replace(true);
    });
    Ok(receive)
}

/// SIGTERM or SIGINT.
#[cfg(unix)]
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// The operator runs on Linux alone, but the plugin, which is made of this library too, on Windows as well.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as on Unix")]
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

async fn ordered(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|ordered| *ordered).await.is_err() {
        // Nobody can give the order any more.
        std::future::pending::<()>().await;
    }
}
