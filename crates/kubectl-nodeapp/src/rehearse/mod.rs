//! `rehearse`: the checklist's load test. Load from inside the cluster while the app is reloaded, one instance is killed
//! and one is evicted.

mod disturb;
mod job;
mod load;
mod report;

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use nodeapp_operator::controller::names::is_paused;
use nodeapp_operator::crd::NodeApp;
use serde_json::json;

use self::job::Plan;
use self::load::{Book, Load};
use self::report::Report;
use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::doctor::annotate;
use crate::doctor::facts::{REHEARSED_ANNOTATION, Rehearsed};
use crate::ended::ended;
use crate::one::is_ready;
use crate::production::is_production;
use crate::select::Selector;
use crate::table::Screen;
use crate::words::span;
use crate::{Outcome, files};

/// Load an app while it is reloaded, one instance is killed and one is evicted.
///
/// A Job in the namespace of the app sends requests to its Service, half of them over kept connections, and repeats none.
/// Meanwhile the app is restarted one surge at a time, one pod is deleted, one is evicted as by the drain of a node. Tells
/// how many requests failed, how, and when. Exit code 0: none failed and the state stayed right; 1 otherwise. The result
/// is written on the NodeApp, where `doctor` finds it. The Job is deleted at the end, also after Ctrl-C.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The app.
    app: Selector,
    /// Path of the requests; it must answer with less than 500.
    #[arg(long, default_value = "/", value_name = "PATH")]
    path: String,
    /// Path that tells whether the state stays right: if it answers with a number, each answer must be greater than the
    /// one before; whatever else it answers must stay as it is. Cookies are kept.
    #[arg(long, value_name = "PATH")]
    check: Option<String>,
    /// Requests a second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// Connections that are kept.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    connections: u32,
    /// Calm before, between and after: 1s to 10m.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = calm)]
    calm: Duration,
    /// How long each reload, kill and eviction may take, such as 90s or 5m: 10s to 1h.
    #[arg(long, default_value = "3m", value_name = "TIME", value_parser = timeout)]
    timeout: Duration,
    /// Image of the load, with `node` in its PATH; if none, that of the app.
    #[arg(long)]
    image: Option<String>,
    /// Also an app in production, or with fewer than two ready instances.
    #[arg(long)]
    yes: bool,
    /// How to tell.
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

fn calm(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(1), Duration::from_mins(10))
}

fn timeout(text: &str) -> Result<Duration, String> {
    between(text, Duration::from_secs(10), Duration::from_hours(1))
}

/// A time span within these bounds; a bare number is seconds.
fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = text.parse().map(Duration::from_secs).or_else(|_| span(text))?;
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    Err(format!("`{text}` is not between {} s and {} s", least.as_secs(), most.as_secs()))
}

/// How long things take.
#[derive(Clone, Copy)]
struct Times {
    calm: Duration,
    timeout: Duration,
}

impl Args {
    fn plan(&self) -> Plan {
        Plan {
            path: self.path.clone(),
            rate: self.rate,
            connections: self.connections,
            check: self.check.clone(),
            image: self.image.clone(),
            // The start of the pod, three things that are done, one of them after being held back, and the calm around.
            deadline: 5 * self.timeout.as_secs() + 5 * self.calm.as_secs() + 120,
        }
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(std::slice::from_ref(&args.app)).await?;
        let [app] = &apps[..] else {
            return Err(format!("{} means {} apps; one is rehearsed at a time", args.app, apps.len()));
        };
        let pods = cluster.instances(app).await?;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        if let Some(reason) = refusal(app, ready, args.yes) {
            return Err(reason);
        }
        let report = rehearsed(&cluster, app, args).await?;
        // What was measured is told in any case.
        let text = match args.output {
            Format::Text => report.text(Screen::of_output()),
            Format::Json => format!("{:#}\n", described(app, &report)),
        };
        files::print(&text);
        if let Some(error) = report.broke {
            return Err(error);
        }
        record(&cluster, app, &report).await?;
        Ok(ExitCode::from(u8::from(!report.is_well())))
    })
}

/// Why an app is not rehearsed.
fn refusal(app: &NodeApp, ready: usize, yes: bool) -> Option<String> {
    let name = app.name_any();
    if app.spec.port.is_none() {
        return Some(format!("{name} has no port, so that there is nothing to send requests to"));
    }
    if is_paused(&app.metadata) {
        return Some(format!(
            "{name} is paused, and would not be reloaded; take nodeapp.dev/paused away first"
        ));
    }
    if app.spec.rollout.as_ref().and_then(|rollout| rollout.paused) == Some(true) {
        return Some(format!(
            "{name} would not be reloaded: rollout.paused is true; `resume {name}` goes on"
        ));
    }
    if ready == 0 {
        return Some(format!("{name} has no ready instance; `kubectl nodeapp doctor {name}` says more"));
    }
    if yes {
        return None;
    }
    if is_production(app) {
        return Some(format!(
            "{name} is in production (label nodeapp.dev/environment or NODE_ENV); a rehearsal restarts, kills and \
             evicts its instances under load; --yes does it anyway"
        ));
    }
    (ready < 2).then(|| {
        format!("{name} has one ready instance, and that is killed and evicted; scale it to 2, or give --yes")
    })
}

/// Makes the load, disturbs the app, and clears the load away, whatever happens.
async fn rehearsed(cluster: &Cluster, app: &NodeApp, args: &Args) -> Result<Report, String> {
    let attempt =
        Attempt { verb: "get", resource: "deployments.apps", namespace: app.metadata.namespace.as_deref() };
    let deployment = cluster.beside::<Deployment>(app).get_opt(&app.name_any()).await;
    let template = deployment.map_err(|error| told(&attempt, &error))?.and_then(|it| Some(it.spec?.template));
    let name = job_name(&app.name_any(), Timestamp::now());
    let load = Load::new(cluster, app, name);
    load.create(&job::job(app, template.as_ref(), load.name(), &args.plan())).await?;
    let outcome = tokio::select! {
        outcome = under_load(cluster, app, args, &load) => outcome,
        () = ended() => Err("stopped before its end".to_owned()),
    };
    match (outcome, load.delete().await) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(left)) => Err(left),
        (Err(error), Err(left)) => Err(format!("{error}; {left}")),
    }
}

/// At most 63 characters, as names of Jobs, and another one each time.
fn job_name(app: &str, now: Timestamp) -> String {
    let stem: String = app.chars().take(38).collect();
    format!("{}-rehearsal-{:x}", stem.trim_end_matches('-'), now.as_millisecond())
}

async fn under_load(
    cluster: &Cluster,
    app: &NodeApp,
    args: &Args,
    load: &Load<'_>,
) -> Result<Report, String> {
    let times = Times { calm: args.calm, timeout: args.timeout };
    let book = Arc::new(Mutex::new(Book::default()));
    let pod = load.started(times.timeout).await?;
    let say = |words: &str| eprintln!("{}: {words}", app.name_any());
    say(&format!("{} requests a second from pod {pod}", args.rate));
    let phases = async {
        let mut report = Report { with_check: args.check.is_some(), ..Report::default() };
        for phase in disturb::PHASES {
            say(phase.words);
            let begun = tokio::time::Instant::now();
            report.broke = (phase.act)(cluster, app, times).await.err();
            // What ended in the last moments is told a quarter of a second later.
            tokio::time::sleep(times.calm).await;
            let mut tally = taken(&book);
            tally.took = begun.elapsed();
            if report.phases.is_empty() && tally.ok == 0 {
                return Err(load::no_answer(&tally));
            }
            report.phases.push((phase.name, tally));
            if report.broke.is_some() {
                break;
            }
        }
        Ok(report)
    };
    tokio::select! {
        report = phases => report,
        error = load.followed(&pod, &book) => Err(error),
    }
}

/// What has been told since this was asked last.
fn taken(book: &Mutex<Book>) -> report::Tally {
    std::mem::take(&mut book.lock().unwrap_or_else(PoisonError::into_inner).tally)
}

async fn record(cluster: &Cluster, app: &NodeApp, report: &Report) -> Result<(), String> {
    let total = report.total();
    let rehearsed = Rehearsed {
        revision: app.status.as_ref().and_then(|status| status.revision.clone()).unwrap_or_default(),
        time: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        requests: total.requests(),
        failed: total.failures(),
        p99: (total.quantile(0.99).unwrap_or(0.0) * 10.0).round() / 10.0,
        longest: (total.longest * 10.0).round() / 10.0,
        state: report.state(),
    };
    let text = serde_json::to_string(&rehearsed).map_err(|error| error.to_string())?;
    annotate(cluster, app, REHEARSED_ANNOTATION, &text).await
}

fn described(app: &NodeApp, report: &Report) -> serde_json::Value {
    let mut value = report.json();
    value["name"] = json!(app.name_any());
    value["namespace"] = json!(app.namespace());
    value
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn app(metadata: &Value, spec: &Value) -> NodeApp {
        let mut app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "shop"},
            "spec": {"image": "a:1", "script": "a.js", "port": 3000},
        });
        for (part, change) in [("metadata", metadata), ("spec", spec)] {
            for (field, value) in change.as_object().into_iter().flatten() {
                app[part][field] = value.clone();
            }
        }
        serde_json::from_value(app).expect("a NodeApp")
    }

    #[test]
    fn an_app_in_production_or_with_one_instance_is_rehearsed_only_on_demand() {
        let plain = app(&json!({}), &json!({}));
        assert_eq!(refusal(&plain, 2, false), None);
        assert!(refusal(&plain, 1, false).expect("refused").contains("one ready instance"));
        assert_eq!(refusal(&plain, 1, true), None);
        let production = app(&json!({"labels": {"nodeapp.dev/environment": "production"}}), &json!({}));
        assert!(refusal(&production, 3, false).expect("refused").contains("--yes"));
        assert_eq!(refusal(&production, 3, true), None);
    }

    #[test]
    fn what_cannot_be_rehearsed_is_refused_whatever_is_demanded() {
        let worker = app(&json!({}), &json!({"port": null}));
        assert!(refusal(&worker, 2, true).expect("refused").contains("no port"));
        let paused = app(&json!({"annotations": {"nodeapp.dev/paused": "true"}}), &json!({}));
        assert!(refusal(&paused, 2, true).expect("refused").contains("paused"));
        assert!(
            refusal(&app(&json!({}), &json!({})), 0, true).expect("refused").contains("no ready instance")
        );
        let held = app(&json!({}), &json!({"rollout": {"paused": true}}));
        assert!(refusal(&held, 2, true).expect("refused").contains("`resume shop`"));
    }

    #[test]
    fn times_are_written_as_with_every_verb_and_bare_numbers_are_seconds() {
        assert_eq!(timeout("90s"), timeout("90"));
        assert_eq!(calm("2s"), Ok(Duration::from_secs(2)));
        assert!(timeout("5s").expect_err("too short").contains("between 10 s and 3600 s"));
        assert!(calm("soon").is_err());
    }

    #[test]
    fn the_job_has_a_name_that_kubernetes_takes() {
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().expect("a time");
        let name = job_name(&"long-name-".repeat(6), now);
        assert!(name.len() <= 63 && !name.contains("--"), "{name}");
        assert_ne!(job_name("shop", now), job_name("shop", now + jiff::SignedDuration::from_millis(1)));
    }
}
