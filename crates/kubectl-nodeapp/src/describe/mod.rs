//! `describe`: all there is to know of an app.

mod text;

use std::process::ExitCode;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use crate::cluster::{Attempt, Cluster, Scope, told, wait_for};
use crate::instances::is_alive;
use crate::ls::{Form, object};
use crate::revisions::Revision;
use crate::select::{RESOURCE, Selector};
use crate::table::Screen;
use crate::usage::Usages;
use crate::{Outcome, files};

/// Runners that are asked at the same time.
const AT_A_TIME: usize = 8;
/// Runners that are asked at most: who has more instances looks at one by its pod.
const MOST_ASKED: usize = 50;

/// Show an app: its spec in short, instances with their state, the last exit with its last lines, environment by names,
/// conditions, revisions and Events.
///
/// Asks the runner of each instance (the right to create pods/exec); without that right, Kubernetes' own view is shown.
///
/// Exit code: 0; 1 if the cluster refuses, or a name is that of no app.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  kubectl nodeapp describe shop\n  kubectl nodeapp show shop -o json")]
pub(crate) struct Args {
    /// Names, `all` or /regex/.
    #[arg(value_name = "NAME", required = true)]
    selectors: Vec<Selector>,
    /// json or yaml: the objects, and beside them what the runners say.
    #[arg(long, short, value_name = "FORM")]
    output: Option<Plain>,
    #[command(flatten)]
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Plain {
    Json,
    Yaml,
}

/// An app with all that is known of it.
struct About {
    app: NodeApp,
    instances: Vec<Instance>,
    revisions: Result<Vec<Revision>, String>,
    events: Result<Vec<Event>, String>,
    usage: Option<Usages>,
    now: Timestamp,
}

/// A pod with what its runner says.
struct Instance {
    pod: Pod,
    /// None where it does not run or was not asked.
    runner: Option<Result<Value, String>>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    wait_for(async {
        let cluster = args.scope.connect().await?;
        let apps = cluster.apps(&args.selectors).await?;
        if let Some(form) = args.output {
            let form = if form == Plain::Json { Form::Json } else { Form::Yaml };
            files::print(&cluster.as_objects(&apps, form).await?);
            return Ok(ExitCode::SUCCESS);
        }
        for (at, app) in apps.into_iter().enumerate() {
            let about = cluster.about(app).await?;
            let gap = if at > 0 { "\n" } else { "" };
            files::print(&format!("{gap}{}", text::shown(&about, Screen::of_output())));
        }
        Ok(ExitCode::SUCCESS)
    })
}

impl Cluster {
    /// Asks for everything at once. What this user may not see is told in its place.
    async fn about(&self, app: NodeApp) -> Result<About, String> {
        let (instances, revisions, events, usage) =
            futures::join!(self.asked(&app), self.revisions(&app), self.events(&app), self.usage());
        Ok(About { instances: instances?, revisions, events, usage, now: Timestamp::now(), app })
    }

    /// The instances with what their runners say.
    async fn asked(&self, app: &NodeApp) -> Result<Vec<Instance>, String> {
        let pods = self.instances(app).await?;
        let asks: Vec<_> = pods
            .into_iter()
            .enumerate()
            .map(async |(at, pod)| {
                let asks = at < MOST_ASKED && is_alive(&pod);
                let runner = if asks { Some(self.runner(&pod).await) } else { None };
                Instance { pod, runner }
            })
            .collect();
        Ok(stream::iter(asks).buffered(AT_A_TIME).collect().await)
    }

    /// The Events about an app, the oldest first.
    async fn events(&self, app: &NodeApp) -> Result<Vec<Event>, String> {
        let namespace = app.metadata.namespace.as_deref();
        let attempt = Attempt { verb: "list", resource: "events", namespace };
        let fields = format!("involvedObject.kind=NodeApp,involvedObject.name={}", app.name_any());
        let list = self.beside::<Event>(app).list(&ListParams::default().fields(&fields)).await;
        let mut events = list.map_err(|error| told(&attempt, &error))?.items;
        events.retain(|event| app.uid().is_none_or(|uid| event.involved_object.uid.as_ref() == Some(&uid)));
        events.sort_by_key(text::last_seen);
        Ok(events)
    }

    async fn as_objects(&self, apps: &[NodeApp], form: Form) -> Result<String, String> {
        let mut items = Vec::new();
        for app in apps {
            let attempt =
                Attempt { verb: "get", resource: RESOURCE, namespace: app.metadata.namespace.as_deref() };
            let raw = self
                .nodeapps_beside(app)
                .get(&app.name_any())
                .await
                .map_err(|error| told(&attempt, &error))?;
            let instances = self.asked(app).await?.into_iter().map(|Instance { pod, runner }| {
                let said = match runner {
                    Some(Ok(status)) => status,
                    Some(Err(error)) => json!({"error": error}),
                    None => Value::Null,
                };
                json!({"pod": pod.name_any(), "runner": said})
            });
            let instances: Vec<Value> = instances.collect();
            items.push(json!({"nodeapp": object(raw), "instances": instances}));
        }
        let whole = Value::Array(items);
        Ok(match form {
            Form::Yaml => serde_saphyr::to_string(&whole).expect("JSON is YAML"),
            _ => serde_json::to_string_pretty(&whole).expect("JSON is JSON") + "\n",
        })
    }
}
