//! The pods of an app, and what their runners are told.

use std::process::ExitCode;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, ListParams};
use kube::{Api, ResourceExt};
use nodeapp_operator::controller::names::labels;
use nodeapp_operator::crd::NodeApp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::{Attempt, Cluster, told};
use crate::files;
use crate::state::full_name;

/// Container that runs the app.
pub(crate) const APP: &str = "app";
/// Bytes of a command's output on their way.
const BUFFER: usize = 64 * 1024;
/// The runner's program inside of it.
const RUNNER: &str = "/nodeapp/bin/nodeapp-runner";

/// What is said of a command whose end is not known.
pub(crate) const BROKE: &str = "the connection broke";

/// Instances that are told something at the same time.
const AT_A_TIME: usize = 8;

impl Cluster {
    /// The pods of an app, those of its Redis and its Jobs not among them, the oldest first.
    ///
    /// # Errors
    /// What the cluster refuses, in words.
    pub(crate) async fn instances(&self, app: &NodeApp) -> Result<Vec<Pod>, String> {
        let attempt =
            Attempt { verb: "list", resource: "pods", namespace: app.metadata.namespace.as_deref() };
        let params = ListParams::default().labels(&instances_of(&app.name_any()));
        let list = self.beside::<Pod>(app).list(&params).await;
        let mut pods = list.map_err(|error| told(&attempt, &error))?.items;
        pods.sort_by_key(|pod| (pod.creation_timestamp(), pod.name_any()));
        Ok(pods)
    }

    /// Tells the runner of a pod something (`nodeapp-runner ctl WORDS`) and gives its answer.
    ///
    /// # Errors
    /// What the runner or the cluster refuses, in words.
    pub(crate) async fn ctl(&self, pod: &Pod, words: &[&str]) -> Result<String, String> {
        let command: Vec<&str> = [RUNNER, "ctl"].into_iter().chain(words.iter().copied()).collect();
        let answer = self.exec(pod, &command).await?;
        String::from_utf8(answer).map_err(|_| format!("{}: the answer is no text", pod.name_any()))
    }

    /// Tells the runners of all instances of these apps something, and prints what each answers. Goes on with the
    /// others where one refuses. Those that do not run are not asked; where none does, `idle` says what that means.
    ///
    /// # Errors
    /// What the cluster refuses before anybody was told.
    pub(crate) async fn tell(
        &self,
        apps: &[NodeApp],
        words: &[&str],
        idle: Result<&str, &str>,
    ) -> Result<ExitCode, String> {
        let (mut told, mut failed) = (0, 0);
        for app in apps {
            let alive: Vec<Pod> = self.instances(app).await?.into_iter().filter(is_alive).collect();
            let name = full_name(app, self.namespace.is_none());
            match idle {
                Ok(words) if alive.is_empty() => files::say(&format!("{name}: {words}")),
                Err(words) if alive.is_empty() => {
                    failed += 1;
                    eprintln!("error: {name}: {words}");
                }
                _ => {}
            }
            let ask = async |pod: &Pod| (pod.name_any(), self.ctl(pod, words).await);
            let asks: Vec<_> = alive.iter().map(ask).collect();
            let mut answers = futures::stream::iter(asks).buffered(AT_A_TIME);
            while let Some((pod, answer)) = answers.next().await {
                match answer {
                    Ok(answer) => {
                        told += 1;
                        files::say(&format!("{pod}: {}", answer.trim_end()));
                    }
                    Err(error) => {
                        failed += 1;
                        eprintln!("error: {error}");
                    }
                }
            }
        }
        if failed > 0 && told > 0 {
            eprintln!("{told} instances were told, {failed} failed");
        }
        Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Runs a command in the app's container and gives what it wrote, byte for byte.
    ///
    /// # Errors
    /// What the command wrote to its standard error when it failed; what the cluster refuses.
    pub(crate) async fn exec(&self, pod: &Pod, command: &[&str]) -> Result<Vec<u8>, String> {
        let mut output = Vec::new();
        let mut take = |bytes: &[u8]| {
            output.extend_from_slice(bytes);
            Ok(())
        };
        self.exec_to(pod, command, &mut take).await?;
        Ok(output)
    }

    /// The same, with what it writes taken as it comes.
    ///
    /// # Errors
    /// As before, and those of `take`.
    pub(crate) async fn exec_to(
        &self,
        pod: &Pod,
        command: &[&str],
        take: &mut impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), String> {
        self.attached(pod, command, None, take).await
    }

    /// The same, with something to read. The command has to know where that ends: not every cluster tells it.
    ///
    /// # Errors
    /// As before.
    pub(crate) async fn exec_with(
        &self,
        pod: &Pod,
        command: &[&str],
        input: &[u8],
    ) -> Result<Vec<u8>, String> {
        let mut output = Vec::new();
        let mut take = |bytes: &[u8]| {
            output.extend_from_slice(bytes);
            Ok(())
        };
        self.attached(pod, command, Some(input), &mut take).await?;
        Ok(output)
    }

    async fn attached(
        &self,
        pod: &Pod,
        command: &[&str],
        input: Option<&[u8]>,
        take: &mut impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), String> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let attempt = Attempt { verb: "get and create", resource: "pods/exec", namespace: Some(&namespace) };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let params = AttachParams::default()
            .container(APP)
            .stdin(input.is_some())
            .max_stdin_buf_size(BUFFER)
            .max_stdout_buf_size(BUFFER);
        let mut process = api
            .exec(&name, command.iter().copied(), &params)
            .await
            .map_err(|error| told(&attempt, &error))?;
        let status = process.take_status();
        let mut errors = Vec::new();
        let broke = |error: std::io::Error| format!("{name}: {BROKE}: {error}");
        {
            let stdin = process.stdin();
            let write = async {
                if let (Some(mut stdin), Some(input)) = (stdin, input) {
                    // A command that ends before it has read all says itself why.
                    let _ = stdin.write_all(input).await;
                    std::future::pending::<()>().await;
                }
            };
            let outputs = async {
                futures::try_join!(pass(process.stdout(), take), collect(process.stderr(), &mut errors))
            };
            tokio::select! {
                outputs = outputs => outputs.map_err(broke)?,
                () = write, if input.is_some() => return Err(format!("{name}: the command was not heard")),
            };
        }
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        match status {
            Some(status) if status.status.as_deref() == Some("Success") => Ok(()),
            Some(status) => {
                let told = String::from_utf8_lossy(&errors);
                let message = status.message.unwrap_or_default();
                let words = if told.trim().is_empty() { &message } else { told.trim() };
                Err(format!("{name}: {words}"))
            }
            None => Err(format!("{name}: {BROKE} before the command ended")),
        }
    }
}

/// Hands on what comes, piece by piece.
async fn pass(
    stream: Option<impl AsyncRead + Unpin>,
    take: &mut impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = vec![0; BUFFER];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => take(&buffer[..count])?,
        }
    }
}

/// Keeps what comes.
async fn collect(stream: Option<impl AsyncRead + Unpin>, all: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    stream.read_to_end(all).await.map(drop)
}

/// Whether an instance runs and is not on its way out.
pub(crate) fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
}

/// Label selector of an app's own pods.
pub(crate) fn instances_of(app: &str) -> String {
    let labels = labels(app);
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}
