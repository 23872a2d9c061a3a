//! `inspect`: the inspector of one instance, as if its process ran here.

mod devtools;
mod process;

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use nodeapp_contract::RunnerStatus;
use tokio::io::{DuplexStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::ended::ended;
use crate::one::One;
use crate::{Outcome, files};

/// Where Node.js opens its inspector, unless it is told otherwise.
const PORT: u16 = 9229;
/// Time in which the inspector opens.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);

/// Debug one instance: open its inspector and forward it to this machine, until Ctrl-C.
///
/// Nothing is restarted. The inspector listens on the loopback address of the pod alone, and is closed again in the
/// end, unless it was open before. A breakpoint stops the whole instance, and `hangTimeout` takes it for hung; others serve on.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp inspect web\n  kubectl nodeapp inspect web --instance x2x1p --port 9230"
)]
pub(crate) struct Args {
    #[command(flatten)]
    one: One,
    /// Port on this machine.
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    port: u16,
    /// Port of the inspector in the pod, if the app chose another by --inspect-port.
    #[arg(long, value_name = "PORT", default_value_t = PORT)]
    inspect_port: u16,
    #[command(flatten)]
    scope: Scope,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let (_, pod) = cluster.one(&args.one).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await.map_err(|error| {
            format!("cannot listen on port {} of this machine: {error}; --port names another", args.port)
        })?;
        let inspector =
            Inspector { cluster: &cluster, pod: &pod, port: args.inspect_port, asked: Cell::new(false) };
        let outcome = {
            let debug = inspector.debug(&listener);
            // From here on: what was opened is closed whenever somebody has had enough.
            tokio::select! {
                biased;
                () = ended() => Ok(()),
                outcome = debug => outcome,
            }
        };
        drop(listener);
        if inspector.asked.get() {
            let closed = tokio::select! {
                biased;
                () = ended() => Err("it was not waited for".to_owned()),
                closed = inspector.close() => closed,
            };
            match closed {
                Ok(()) => eprintln!("the inspector is closed again"),
                Err(why) => eprintln!("the inspector stays open until the next restart: {why}"),
            }
        } else if outcome.is_ok() {
            eprintln!("the forwarding has ended; nothing was opened, and what was open stays so");
        }
        outcome.map(|()| ExitCode::SUCCESS)
    })
}

fn greeting(pod: &str, port: u16, target: &str) -> String {
    format!(
        "{pod}: the inspector is at 127.0.0.1:{port}\n  open chrome://inspect (Configure: localhost:{port}), or\n  \
         devtools://devtools/bundled/js_app.html?experiments=true&v8only=true&ws=127.0.0.1:{port}/{target}\n\
         Ctrl-C ends it.\n"
    )
}

/// The inspector of a pod's main process.
struct Inspector<'a> {
    cluster: &'a Cluster,
    pod: &'a Pod,
    port: u16,
    /// Whether we had it opened.
    asked: Cell<bool>,
}

impl Inspector<'_> {
    /// Opens it unless it is open, and passes connections on without an end.
    async fn debug(&self, listener: &TcpListener) -> Result<(), String> {
        let target = match self.target().await? {
            Some(target) => target,
            None => self.open().await?,
        };
        let port = listener.local_addr().map_or(self.port, |address| address.port());
        files::print(&greeting(&self.pod.name_any(), port, &target));
        self.forward(listener).await
    }

    /// A connection to it.
    fn connect(&self) -> impl Future<Output = Result<DuplexStream, String>> + Send + use<> {
        let (client, port) = (self.cluster.client.clone(), self.port);
        let (name, namespace) = (self.pod.name_any(), self.pod.namespace().unwrap_or_default());
        async move {
            let attempt =
                Attempt { verb: "get and create", resource: "pods/portforward", namespace: Some(&namespace) };
            let api: Api<Pod> = Api::namespaced(client, &namespace);
            let forward = api.portforward(&name, &[port]).await;
            let mut forward = forward.map_err(|error| told(&attempt, &error))?;
            forward.take_stream(port).ok_or_else(|| "no stream".to_owned())
        }
    }

    /// What a debugger may attach to: none while the inspector is closed.
    async fn target(&self) -> Result<Option<String>, String> {
        Ok(devtools::target(self.connect().await?, self.port).await)
    }

    /// Asks Node.js for it, as `kill -USR1` would.
    async fn open(&self) -> Result<String, String> {
        let name = self.pod.name_any();
        self.can_open().await.map_err(|why| format!("{name}: {why}"))?;
        self.asked.set(true);
        self.cluster.ctl(self.pod, &["signal", "SIGUSR1"]).await?;
        let opened = self.turns_to(true).await?.ok_or_else(|| {
            // There is nothing to be closed.
            self.asked.set(false);
            format!(
                "{name}: no inspector opens on its port {}; --inspect-port names another, and with --disable-sigusr1, \
                 or a handler of the app for that signal, Node.js opens none: give it --inspect in nodeArgs",
                self.port
            )
        })?;
        opened.ok_or_else(|| "the inspector is closed again".to_owned())
    }

    /// Looks at the process that would get the signal.
    async fn can_open(&self) -> Result<(), String> {
        let status = self.cluster.ctl(self.pod, &["status"]).await?;
        let status: RunnerStatus = serde_json::from_str(&status)
            .map_err(|error| format!("the runner's status cannot be read: {error}"))?;
        let pid = process::known(&status)?.to_string();
        let process = self.cluster.exec(self.pod, &process::look(&pid)).await;
        let process =
            process.map_err(|why| format!("it cannot be told whether process {pid} is Node.js: {why}"))?;
        let process = serde_json::from_slice(&process)
            .map_err(|error| format!("it cannot be told whether process {pid} is Node.js: {error}"))?;
        process::can_open(&process)
    }

    /// Waits until it is open, or closed, and gives what may be attached to then. None: it does not get so.
    async fn turns_to(&self, open: bool) -> Result<Option<Option<String>>, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let target = self.target().await?;
            if target.is_some() == open {
                return Ok(Some(target));
            }
            sleep(POLL).await;
        }
        Ok(None)
    }

    /// Passes connections on. One that cannot be made is told, and the others live.
    async fn forward(&self, listener: &TcpListener) -> Result<(), String> {
        let mut passing = JoinSet::new();
        loop {
            tokio::select! {
                connection = listener.accept() => {
                    let (connection, _) = connection.map_err(|error| format!("cannot accept: {error}"))?;
                    passing.spawn(pass(connection, self.connect()));
                }
                Some(_) = passing.join_next() => {}
            }
        }
    }

    /// Has the process close its inspector, which may only be about to open.
    async fn close(&self) -> Result<(), String> {
        let Some(Some(target)) = self.turns_to(true).await? else { return Ok(()) };
        devtools::close(self.connect().await?, self.port, &target).await?;
        self.turns_to(false).await?.map(drop).ok_or_else(|| "it does not close".to_owned())
    }
}

/// Passes a connection on until one side ends it.
async fn pass(mut here: TcpStream, inside: impl Future<Output = Result<DuplexStream, String>>) {
    match inside.await {
        // How a debugger's connection ends is of no interest.
        Ok(mut inside) => drop(copy_bidirectional(&mut here, &mut inside).await),
        Err(why) => eprintln!("a connection was not passed on: {why}"),
    }
}
