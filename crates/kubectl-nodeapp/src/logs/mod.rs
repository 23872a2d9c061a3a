//! `logs`: the lines of all instances of some apps, as they come.

pub(crate) mod dress;
mod follow;
mod line;
pub(crate) mod output;
mod shown;
pub(crate) mod stream;

use std::process::ExitCode;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;
use nodeapp_contract::config::LogFormat;
use nodeapp_contract::{CONFIG_ANNOTATION, RunnerConfig};
use nodeapp_operator::controller::names::{APP_LABEL, INSTANCE_LABEL, MANAGED_BY_LABEL, MANAGER, annotation};
use regex::bytes::Regex;

use crate::Outcome;
use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::select::Selector;
use crate::table::Screen;
use dress::{Dress, Form, Source};
use line::Writer;
use output::{Output, Stop};
use stream::{Begin, Stream, container_name};

/// Lines of each instance in the beginning, as many as PM2 shows.
const LINES: i64 = 15;
/// Logs that are read at once.
const AT_ONCE: usize = 50;
/// Logs that are read at once where they are kept until their turn has come.
const AHEAD: usize = 20;

/// Show the logs of all instances, and what comes.
///
/// Follows instances as they come and go, goes on after a disconnect without a repeat or a gap, and never mixes
/// lines. ID in `ID|NAME | text` is the number of the instance, or else the end of its pod's name.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  kubectl nodeapp logs web --lines 100\n  kubectl nodeapp logs /^api/ --since 10m --grep 'timeout|ECONNRESET'\n  kubectl nodeapp logs web --json --nostream | jq -r .message"
)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are what they are")]
pub(crate) struct Args {
    /// Names, `all` or /regex/; all apps of the namespace if none.
    #[arg(value_name = "APP")]
    apps: Vec<Selector>,
    /// Lines of each instance to begin with, or `all`; 15 unless --since is given.
    #[arg(long, value_name = "N", value_parser = lines)]
    lines: Option<Lines>,
    /// Only lines of the last 30s, 10m, 2h, ...
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    since: Option<i64>,
    /// Print what is there and end.
    #[arg(long)]
    nostream: bool,
    /// Lines of the container before its last restart, then end.
    #[arg(long, short)]
    previous: bool,
    /// Standard output of the app alone; needs `logType: json`.
    #[arg(long, conflicts_with = "err")]
    out: bool,
    /// Standard error of the app alone; needs `logType: json`.
    #[arg(long)]
    err: bool,
    /// Only lines that match.
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,
    /// Mark what matches.
    #[arg(long, value_name = "REGEX")]
    highlight: Option<Regex>,
    /// One object per line, with the fields of PM2's.
    #[arg(long, conflicts_with_all = ["raw", "format"])]
    json: bool,
    /// Lines as `timestamp=… app=… id=… type=… message=…`.
    #[arg(long)]
    format: bool,
    /// The text alone.
    #[arg(long, conflicts_with = "format")]
    raw: bool,
    /// The time (UTC) in front of each text.
    #[arg(long, short)]
    timestamp: bool,
    #[command(flatten)]
    scope: Scope,
}

/// How many lines to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    All,
    Last(i64),
}

fn lines(text: &str) -> Result<Lines, String> {
    if text == "all" {
        return Ok(Lines::All);
    }
    text.parse::<u32>()
        .map(|count| Lines::Last(i64::from(count)))
        .map_err(|_| "a number of lines, or all".to_owned())
}

fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || "a time such as 30s, 10m, 2h or 1h30m".to_owned();
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Some(span.as_secs()).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let all = [Selector::All];
        let selectors = if args.apps.is_empty() { &all[..] } else { &args.apps };
        let selectors = &cluster.meant(selectors).await?;
        let pods = Pods { selectors, cluster: &cluster };
        let output = Arc::new(Output::new(args.dress(Screen::of_output(), cluster.namespace.is_none())));
        let ended = if args.nostream || args.previous {
            args.print(&pods, &output).await
        } else {
            follow::follow(args, &pods, &output).await
        };
        match ended {
            Ok(()) | Err(Stop::NobodyReads) => Ok(ExitCode::SUCCESS),
            Err(Stop::Refused(why)) => Err(why),
        }
    })
}

impl Args {
    fn dress(&self, screen: Screen, namespaces: bool) -> Dress {
        let form = match (self.json, self.format, self.raw) {
            (true, ..) => Form::Json,
            (_, true, _) => Form::Format,
            (.., true) => Form::Raw,
            _ => Form::Prefixed,
        };
        Dress {
            form,
            only: self.only(),
            grep: self.grep.clone(),
            highlight: self.highlight.clone(),
            timestamp: self.timestamp,
            namespaces,
            colour: screen.colour,
            width: 0,
        }
    }

    fn only(&self) -> Option<Writer> {
        match (self.out, self.err) {
            (true, _) => Some(Writer::Out),
            (_, true) => Some(Writer::Err),
            _ => None,
        }
    }

    /// Where the log of an instance begins that was there before us.
    fn begin(&self) -> Begin {
        let lines = match (self.lines, self.since) {
            (Some(Lines::Last(count)), _) => Some(count),
            (Some(Lines::All), _) | (None, Some(_)) => None,
            (None, None) => Some(LINES),
        };
        Begin { lines, seconds: self.since }
    }

    /// Refuses to tell streams apart where nobody can.
    fn readable(&self, pod: &Pod) -> Result<(), Stop> {
        if self.only().is_none() || writes_json(pod) {
            return Ok(());
        }
        Err(Stop::Refused(format!(
            "{}: its lines do not say whether they are of standard output or standard error, and the cluster keeps \
             both in one log; set `logType: json` in the spec, then --out and --err tell them apart",
            pod.name_any()
        )))
    }

    /// What there is, one instance after the other.
    async fn print(&self, pods: &Pods<'_>, output: &Arc<Output>) -> Result<(), Stop> {
        let mut sources = vec![];
        for (place, pod) in pods.list().await?.into_iter().enumerate() {
            self.readable(&pod)?;
            let source = pods.source(&pod, place);
            output.meet(&source);
            sources.push((source, container_name(&pod)));
        }
        let begin = self.begin();
        // A whole log is not kept in memory for its turn.
        let ahead = if begin.lines.is_some() { AHEAD } else { 1 };
        let logs = sources.into_iter().map(|(source, container)| {
            let mut params = begin.params(container);
            params.previous = self.previous;
            let client = pods.cluster.client.clone();
            let stream = Stream::new(client, source, container, begin.clone(), Arc::clone(output));
            async move { stream.whole(&params).await }
        });
        let mut logs = futures::stream::iter(logs).buffered(ahead);
        while let Some(log) = logs.next().await {
            output.write(&mut log?)?;
        }
        Ok(())
    }
}

/// Whether the runner writes JSON lines, which tell their stream.
fn writes_json(pod: &Pod) -> bool {
    let config = annotation(&pod.metadata, CONFIG_ANNOTATION);
    let config = config.and_then(|text| serde_json::from_str::<RunnerConfig>(text).ok());
    config.is_some_and(|config| config.log.format == LogFormat::Json)
}

/// The pods that are meant.
struct Pods<'a> {
    selectors: &'a [Selector],
    cluster: &'a Cluster,
}

impl Pods<'_> {
    /// Instances, runs of jobs, and the jobs before rollouts.
    fn labels(&self) -> String {
        let of_apps =
            format!("{MANAGED_BY_LABEL}={MANAGER},app.kubernetes.io/component in (app,before-rollout)");
        let names: Option<Vec<&str>> = self
            .selectors
            .iter()
            .map(|selector| if let Selector::Name(name) = selector { Some(&**name) } else { None })
            .collect();
        match names {
            Some(names) => format!("{of_apps},app.kubernetes.io/name in ({})", names.join(",")),
            None => of_apps,
        }
    }

    /// The app of a pod, if it is one of them.
    fn app(&self, pod: &Pod) -> Option<String> {
        let labels = pod.labels();
        let name = labels.get(APP_LABEL).or_else(|| labels.get("app.kubernetes.io/name"))?;
        self.selectors.iter().any(|selector| selector.takes(name)).then(|| name.clone())
    }

    fn source(&self, pod: &Pod, place: usize) -> Source {
        Source {
            namespace: pod.namespace().unwrap_or_default(),
            app: self.app(pod).unwrap_or_default(),
            pod: pod.name_any(),
            number: pod.labels().get(INSTANCE_LABEL).cloned(),
            place,
        }
    }

    /// Those that are there, sorted by app and age.
    async fn list(&self) -> Result<Vec<Pod>, Stop> {
        let namespace = self.cluster.namespace.as_deref();
        let params = ListParams::default().labels(&self.labels());
        let list = self.cluster.scoped::<Pod>().list(&params).await;
        let attempt = Attempt { verb: "list", resource: "pods", namespace };
        let mut pods = list.map_err(|error| Stop::Refused(told(&attempt, &error)))?.items;
        pods.retain(|pod| self.app(pod).is_some());
        pods.sort_by_key(|pod| (pod.namespace(), self.app(pod), pod.creation_timestamp(), pod.name_any()));
        Ok(pods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_times_are_read_as_written() {
        assert_eq!(lines("0"), Ok(Lines::Last(0)));
        assert_eq!(lines("all"), Ok(Lines::All));
        assert!(lines("-3").is_err() && lines("many").is_err());
        assert_eq!(seconds("1h30m"), Ok(5_400));
        assert!(seconds("soon").is_err() && seconds("-5m").is_err() && seconds("0s").is_err());
    }
}
