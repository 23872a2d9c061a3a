//! `kubectl nodeapp logs`, over whatever becomes of pods and connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use kube::config::Kubeconfig;
use nodeapp_testkit::Namespace;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::app::{App, SOON};
use crate::e2e;

/// Lines that an instance writes in each life.
const LINES: usize = 20_000;

/// A way to the apiserver on which each connection breaks after so many bytes of answers; the numbers are used up,
/// then connections last.
struct Way {
    kubeconfig: tempfile::NamedTempFile,
    broken: Arc<AtomicUsize>,
}

impl Way {
    async fn new(namespace: &Namespace, breaks: &[usize]) -> Result<Self> {
        let mut config = Kubeconfig::read_from(namespace.cluster().tools.kubeconfig())?;
        let cluster =
            config.clusters.iter_mut().find_map(|named| named.cluster.as_mut()).context("no cluster")?;
        let server = cluster.server.clone().unwrap_or_default();
        let target: SocketAddr = server.trim_start_matches("https://").trim_end_matches('/').parse()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        cluster.tls_server_name = Some(target.ip().to_string());
        cluster.server = Some(format!("https://{}", listener.local_addr()?));
        let kubeconfig = tempfile::NamedTempFile::new()?;
        std::fs::write(kubeconfig.path(), serde_json::to_vec(&config)?)?;
        let broken = Arc::new(AtomicUsize::new(0));
        let (taken, breaks) = (Arc::clone(&broken), breaks.to_vec());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, target, breaks.clone(), Arc::clone(&taken)));
            }
        });
        Ok(Self { kubeconfig, broken })
    }
}

/// Passes a connection on until enough was answered for the next break.
async fn pass(
    client: TcpStream,
    target: SocketAddr,
    breaks: Vec<usize>,
    broken: Arc<AtomicUsize>,
) -> Result<()> {
    let (mut asks, mut gets) = client.into_split();
    let (mut answers, mut server) = TcpStream::connect(target).await?.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut asks, &mut server).await });
    let (mut buffer, mut passed) = (vec![0; 16 * 1024], 0);
    loop {
        let count = answers.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        gets.write_all(&buffer[..count]).await?;
        passed += count;
        let next = broken.load(Ordering::SeqCst);
        if breaks.get(next).is_some_and(|limit| passed >= *limit) {
            broken.store(next + 1, Ordering::SeqCst);
            return Ok(());
        }
    }
}

/// How often each instance was shown to write each of its lines.
type Seen = BTreeMap<String, BTreeMap<usize, u32>>;

/// Counts what comes, for as long as somebody looks.
fn count(
    output: impl tokio::io::AsyncRead + Send + Unpin + 'static,
) -> watch::Receiver<Result<Seen, String>> {
    let (sender, receiver) = watch::channel(Ok(Seen::new()));
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let Ok(object) = serde_json::from_str::<Value>(&line) else {
                sender.send_modify(|seen| *seen = Err(format!("a mixed line: {line}")));
                return;
            };
            let number = object["message"].as_str().and_then(|text| text.strip_prefix("line "));
            let number = number.and_then(|text| text.split(' ').next()?.parse::<usize>().ok());
            let pod = object["instance"].as_str().unwrap_or_default().to_owned();
            sender.send_if_modified(|seen| match (seen, number) {
                (Ok(seen), Some(number)) => {
                    *seen.entry(pod).or_default().entry(number).or_default() += 1;
                    true
                }
                _ => false,
            });
        }
    });
    receiver
}

/// Waits until every line of these lives of instances was shown.
async fn all_shown(
    namespace: &Namespace,
    what: &str,
    seen: &watch::Receiver<Result<Seen, String>>,
    lives: &BTreeMap<String, u32>,
) -> Result<()> {
    let whole = async || {
        let seen = seen.borrow();
        let seen = seen.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        for (pod, lives) in lives {
            let numbers = seen.get(pod).with_context(|| format!("nothing of {pod}"))?;
            let wrong = (0..LINES).find(|number| numbers.get(number) != Some(lives));
            ensure!(
                wrong.is_none(),
                "{pod}: line {wrong:?} came {:?} times",
                wrong.map(|it| numbers.get(&it))
            );
        }
        Ok(())
    };
    namespace.eventually(what, SOON, whole).await
}

#[test]
fn followed_logs_give_each_line_once_over_broken_connections_restarts_and_new_instances() {
    e2e(|namespace| async move {
        let chatty = App::worker(&namespace, "chatty", "chatty.js")?
            .with(&json!({"instances": 2}))
            .env(&[("LINES", &LINES.to_string())]);
        chatty.apply(&namespace).await?;
        // A log of 20,000 lines has about 3 MB here, with its stamps and the objects of the HTTP stream.
        let way = Way::new(&namespace, &[60_000, 150_000, 300_000, 700_000, 1_000_000]).await?;
        let args = ["logs", "chatty", "--lines", "all", "--json", "-n", namespace.name()];
        let mut command = namespace.cluster().tools.plugin(&args)?;
        let mut logs = command.env("KUBECONFIG", way.kubeconfig.path()).spawn()?;
        let seen = count(logs.stdout.take().context("no output")?);

        let pods = chatty.ready(&namespace, 2).await?;
        let mut lives: BTreeMap<String, u32> = pods.iter().map(|pod| (pod.clone(), 1)).collect();
        all_shown(&namespace, "each line of two instances", &seen, &lives).await?;
        let broken = way.broken.load(Ordering::SeqCst);
        ensure!(broken >= 3, "the connections broke {broken} times only");

        namespace.exec(&pods[0], &["node", "-e", "process.kill(1, 'SIGTERM')"]).await?;
        lives.insert(pods[0].clone(), 2);
        all_shown(&namespace, "the lines of the container after a restart", &seen, &lives).await?;

        namespace
            .cluster()
            .tools
            .kubectl(&["scale", "-n", namespace.name(), "nodeapp/chatty", "--replicas=3"])
            .await?;
        lives.extend(
            chatty
                .ready(&namespace, 3)
                .await?
                .into_iter()
                .filter(|pod| !pods.contains(pod))
                .map(|pod| (pod, 1)),
        );
        ensure!(lives.len() == 3, "{lives:?}");
        all_shown(&namespace, "each line of the new instance", &seen, &lives).await?;
        ensure!(logs.try_wait()?.is_none(), "it has ended");

        let line = format!(
            "{{ kubectl nodeapp logs chatty --nostream --lines all -n {}; echo code $? >&2; }} | head -n 1",
            namespace.name()
        );
        let said = namespace.cluster().tools.shell(Path::new("."), &line).await?;
        let before =
            format!("kubectl nodeapp logs chatty --previous --lines all --raw -n {}", namespace.name());
        let before = namespace.cluster().tools.shell(Path::new("."), &before).await?;
        let numbers = before.lines().filter(|line| line.starts_with("line ")).count();
        ensure!(
            numbers == LINES && before.contains("not found"),
            "{numbers} lines of the one container before"
        );

        ensure!(said.starts_with("code 0\n") && said.lines().count() == 2, "a reader that stops: {said}");
        Ok(())
    });
}

#[test]
fn logs_look_as_in_pm2_and_a_pipe_gets_plain_text() {
    e2e(|namespace| async move {
        let talking = App::worker(&namespace, "talking", "talking.js")?.with(&json!({"logType": "json"}));
        talking.apply(&namespace).await?;
        let plain = App::worker(&namespace, "plain", "talking.js")?;
        plain.apply(&namespace).await?;
        let pod = talking.ready(&namespace, 1).await?.remove(0);
        plain.ready(&namespace, 1).await?;
        let shell = async |line: &str| {
            let line = format!("kubectl nodeapp logs -n {} {line}", namespace.name());
            namespace.cluster().tools.shell(Path::new("."), &line).await
        };

        let id = pod.rsplit('-').next().unwrap_or_default();
        let spoken = async || {
            let said = shell("talking --nostream --lines all").await?;
            ensure!(said.contains(&format!("{id}|talking | {{\"message\":\"plain words\"")), "{said}");
            ensure!(said.contains("bad news") && said.contains("nodeapp-runner: started"), "{said}");
            ensure!(!said.contains('\u{1b}'), "control codes in a pipe: {said}");
            Ok(())
        };
        namespace.eventually("three lines in a pipe", SOON, spoken).await?;

        let format = shell("talking --nostream --err --format").await?;
        ensure!(
            format.lines().count() == 1 && format.trim_end().ends_with("type=error message=bad news"),
            "{format}"
        );
        let raw = shell("/^talk/ --nostream --grep 'p.ain w' --raw").await?;
        let object: Value = serde_json::from_str(&raw)?;
        ensure!(object["message"] == "plain words" && object["instance"] == pod, "{raw}");

        let refused = shell("plain --err --nostream").await.map_err(|error| format!("{error:#}"));
        ensure!(refused.as_ref().is_err_and(|error| error.contains("logType: json")), "{refused:?}");
        let unknown = shell("talkin --nostream").await.map_err(|error| format!("{error:#}"));
        ensure!(unknown.as_ref().is_err_and(|error| error.contains("did you mean talking?")), "{unknown:?}");
        Ok(())
    });
}

#[test]
fn who_may_see_pods_and_nothing_in_them_is_told_which_right_is_missing() {
    e2e(|namespace| async move {
        let shop = App::worker(&namespace, "shop", "talking.js")?;
        shop.apply(&namespace).await?;
        shop.ready(&namespace, 1).await?;
        let tools = &namespace.cluster().tools;
        let refusal = async |line: &str| {
            let line = format!("kubectl nodeapp {line} --as looker -n {}", namespace.name());
            let said = tools.shell(Path::new("."), &line).await;
            said.map_err(|error| format!("{error:#}")).err().context("it was allowed")
        };
        let may = ["--verb=get,list,watch", "--resource=nodeapps.nodeapp.dev,pods"];
        tools.kubectl(&[&["create", "role", "look", "-n", namespace.name()][..], &may].concat()).await?;
        let whom = ["--role=look", "--user=looker", "-n", namespace.name()];
        tools.kubectl(&[&["create", "rolebinding", "look"][..], &whom].concat()).await?;
        for (line, right) in [
            ("logs shop", "get pods/log"),
            ("logs shop --nostream", "get pods/log"),
            ("cpu-profile shop", "get and create pods/exec"),
            ("inspect shop --port 0", "get and create pods/portforward"),
        ] {
            let error = refusal(line).await?;
            ensure!(error.contains(&format!("you may not {right}")), "{line}: {error}");
        }
        Ok(())
    });
}
