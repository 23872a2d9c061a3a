//! `inspect`: the inspector of one instance, as if its process ran here.

mod devtools;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use nodeapp_contract::config::Launch;
use nodeapp_contract::{CONFIG_ANNOTATION, RunnerConfig, RunnerStatus};
use nodeapp_operator::controller::names::annotation;
use tokio::io::{DuplexStream, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
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
        let port = listener.local_addr().map_or(args.port, |address| address.port());
        let inspector = Inspector { cluster: &cluster, pod: &pod, port: args.inspect_port };
        let open_before = inspector.target().await?.is_some();
        if !open_before {
            inspector.open().await?;
        }
        let target = inspector.target().await?.ok_or("the inspector is closed again")?;
        files::print(&greeting(&pod.name_any(), port, &target));
        let ended = inspector.forward(&listener).await;
        drop(listener);
        if open_before {
            eprintln!("the forwarding has ended; the inspector was open before, and stays so");
        } else {
            match inspector.close(&target).await {
                Ok(()) => eprintln!("the inspector is closed again"),
                Err(why) => eprintln!("the inspector stays open until the next restart: {why}"),
            }
        }
        ended.map(|()| ExitCode::SUCCESS)
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
}

impl Inspector<'_> {
    /// A connection to it.
    async fn connect(&self) -> Result<DuplexStream, String> {
        let namespace = self.pod.namespace().unwrap_or_default();
        let attempt =
            Attempt { verb: "get and create", resource: "pods/portforward", namespace: Some(&namespace) };
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &namespace);
        let mut forward = api
            .portforward(&self.pod.name_any(), &[self.port])
            .await
            .map_err(|error| told(&attempt, &error))?;
        forward.take_stream(self.port).ok_or_else(|| "no stream".to_owned())
    }

    /// What a debugger may attach to: none while the inspector is closed.
    async fn target(&self) -> Result<Option<String>, String> {
        Ok(devtools::target(self.connect().await?, self.port).await)
    }

    /// Asks Node.js for it, as `kill -USR1` would. Any other program would end by that signal.
    async fn open(&self) -> Result<(), String> {
        let name = self.pod.name_any();
        let status = self.cluster.ctl(self.pod, &["status"]).await?;
        let status: RunnerStatus = serde_json::from_str(&status)
            .map_err(|error| format!("{name}: the runner's status cannot be read: {error}"))?;
        can_open(self.pod, &status).map_err(|why| format!("{name}: {why}"))?;
        self.cluster.ctl(self.pod, &["signal", "SIGUSR1"]).await?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.target().await?.is_some() {
                return Ok(());
            }
            sleep(POLL).await;
        }
        Err(format!(
            "{name}: no inspector opens on its port {}; --inspect-port names another, and with --disable-sigusr1, or a \
             handler of the app for that signal, Node.js opens none: give it --inspect in nodeArgs",
            self.port
        ))
    }

    /// Passes connections on until Ctrl-C.
    async fn forward(&self, listener: &TcpListener) -> Result<(), String> {
        let mut passing = JoinSet::new();
        loop {
            tokio::select! {
                connection = listener.accept() => {
                    let (connection, _) = connection.map_err(|error| format!("cannot accept: {error}"))?;
                    let inside = self.connect().await?;
                    passing.spawn(pass(connection, inside));
                }
                Some(_) = passing.join_next() => {}
                _ = tokio::signal::ctrl_c() => return Ok(()),
            }
        }
    }

    /// Has the process close its inspector.
    async fn close(&self, target: &str) -> Result<(), String> {
        devtools::close(self.connect().await?, self.port, target).await?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.target().await?.is_none() {
                return Ok(());
            }
            sleep(POLL).await;
        }
        Err("it does not close".to_owned())
    }
}

/// Passes a connection on until one side ends it.
async fn pass(mut here: TcpStream, mut inside: DuplexStream) {
    // How a debugger's connection ends is of no interest.
    let _ = copy_bidirectional(&mut here, &mut inside).await;
}

/// Whether the main process is one that opens an inspector by SIGUSR1.
fn can_open(pod: &Pod, status: &RunnerStatus) -> Result<(), String> {
    let config = annotation(&pod.metadata, CONFIG_ANNOTATION);
    let config = config.and_then(|text| serde_json::from_str::<RunnerConfig>(text).ok());
    let other = config.and_then(|config| match config.launch {
        Launch::Script { interpreter, .. } => interpreter,
        Launch::Command { argv } => argv.into_iter().next(),
    });
    let base = other.as_deref().and_then(|program| program.rsplit('/').next()).unwrap_or("node");
    if ["deno", "bun"].contains(&base) {
        return Err(format!("{base} opens no inspector on request; start it with --inspect"));
    }
    if status.node_version.is_none() {
        return Err(
            "the runner does not know it as Node.js, and any other program would end by the signal: the app \
                    has not served yet, has `pmx: false`, or is something else"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(config: &serde_json::Value, node: Option<&str>) -> Result<(), String> {
        let pod = json!({"metadata": {"annotations": {CONFIG_ANNOTATION: config.to_string()}}});
        let mut status = json!({"state": "online", "ready": true, "restarts": 0});
        if let Some(node) = node {
            status["nodeVersion"] = json!(node);
        }
        can_open(
            &serde_json::from_value(pod).expect("a pod"),
            &serde_json::from_value(status).expect("a status"),
        )
    }

    #[test]
    fn only_what_is_known_as_node_gets_the_signal() {
        let script = |interpreter: Option<&str>| {
            let launch = Launch::Script {
                script: "a.js".into(),
                args: vec![],
                node_args: vec![],
                interpreter: interpreter.map(str::to_owned),
            };
            serde_json::to_value(RunnerConfig::new("web", launch)).expect("a configuration")
        };
        assert_eq!(verdict(&script(None), Some("v24.1.0")), Ok(()));
        assert!(verdict(&script(Some("deno")), Some("v24.1.0")).is_err_and(|error| error.contains("deno")));
        assert!(verdict(&script(None), None).is_err_and(|error| error.contains("pmx")));
    }
}
