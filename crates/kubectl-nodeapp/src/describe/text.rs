//! What `describe` writes. Plain functions of what was found.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use nodeapp_operator::crd::{ConditionType, NodeApp, NodeAppStatus};
use serde_json::Value;

use super::{About, Instance};
use crate::env::variables;
use crate::instances::is_alive;
use crate::reset::{restarts_before, restarts_of};
use crate::state::{condition, counted_by, is_job, state};
use crate::table::{Cell, Colour, Column, Screen, table};
use crate::words::{age, age_of, bytes, cpu, version};

/// Events that are shown at most, the latest.
const EVENTS: usize = 15;

pub(super) fn shown(about: &About, screen: Screen) -> String {
    let status = about.app.status.clone().unwrap_or_default();
    let mut text = head(&about.app, &status, about.now, screen);
    section(&mut text, "Instances", &instances(about, screen), screen);
    section(&mut text, "Last exit", &last_exit(&status, about.now), screen);
    section(&mut text, "Environment (values: `env`)", &environment(&about.app), screen);
    section(&mut text, "Conditions", &conditions(&status, about.now, screen), screen);
    let revisions = match &about.revisions {
        Ok(revisions) => crate::history::shown(revisions, &status, about.now, screen),
        Err(error) => format!("{error}\n"),
    };
    section(&mut text, "Revisions", &revisions, screen);
    let events = match &about.events {
        Ok(list) => events(list, about.now, screen),
        Err(error) => format!("{error}\n"),
    };
    section(&mut text, "Events", &events, screen);
    text
}

fn section(text: &mut String, title: &str, body: &str, screen: Screen) {
    if body.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", screen.paint(Colour::Cyan, title));
    for line in body.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

/// The app in short: a name and a value on each line.
fn head(app: &NodeApp, status: &NodeAppStatus, now: Timestamp, screen: Screen) -> String {
    let spec = &app.spec;
    let state = state(app);
    let word = screen.paint(state.colour(), state.word);
    let status_line = match &state.why {
        Some(why) => format!("{word}: {why}"),
        None => word,
    };
    let wanted = match counted_by(app) {
        Some(field) => format!(" ({field})"),
        None if is_job(app) => " (a job)".to_owned(),
        None => String::new(),
    };
    let counts = format!(
        "{} ready, {} wanted{wanted}, {} up to date",
        status.ready_replicas, status.desired_replicas, status.updated_replicas
    );
    let runs = spec.script.clone().or_else(|| spec.command.as_ref().map(|words| words.join(" ")));
    let runs = std::iter::once(runs.unwrap_or_default())
        .chain(spec.args.iter().cloned())
        .collect::<Vec<_>>()
        .join(" ");
    let schedule = spec.cron_restart.as_ref().map(|cron| {
        let next = status.cron_restart.as_ref().and_then(|it| it.next.as_deref()).unwrap_or("never");
        format!("{cron} ({}), next {next}", spec.time_zone.as_deref().unwrap_or("UTC"))
    });
    let fields: [(&str, Option<String>); 18] = [
        ("name", app.metadata.name.clone()),
        ("namespace", app.namespace()),
        ("status", Some(status_line)),
        ("instances", Some(counts)),
        ("restarts", Some(status.restarts.to_string())),
        ("created", app.creation_timestamp().map(|time| format!("{} ({} ago)", time.0, age(time.0, now)))),
        ("image", Some(spec.image.clone())),
        ("runs", Some(runs)),
        ("interpreter", spec.interpreter.clone()),
        ("cwd", spec.cwd.clone()),
        ("profile", spec.profile.clone()),
        ("port", spec.port.map(|port| port.to_string())),
        ("url", status.url.clone()),
        ("max memory restart", written(spec.max_memory_restart.as_ref())),
        ("cron restart", schedule),
        ("redis", spec.redis.as_ref().map(|redis| redis.mode.name().to_owned())),
        ("revision", status.revision.clone()),
        ("runner", status.runner_image.as_deref().map(version)),
    ];
    let shown =
        fields.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    shown.fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<20}{value}");
        text
    })
}

/// A value as it stands in the spec.
fn written<T: serde::Serialize>(value: Option<&T>) -> Option<String> {
    let value = serde_json::to_value(value?).ok()?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn instances(about: &About, screen: Screen) -> String {
    if about.instances.is_empty() {
        return "none\n".to_owned();
    }
    let columns = [
        ("POD", 0),
        ("STATUS", 0),
        ("READY", 0),
        ("RESTARTS", 3),
        ("PID", 6),
        ("CPU", 4),
        ("MEMORY", 4),
        ("UPTIME", 5),
        ("NODE", 7),
        ("ACTIONS", 8),
        ("WHY", 1),
    ]
    .map(|(title, expendable)| Column { title, expendable });
    let rows: Vec<Vec<Cell>> = about.instances.iter().map(|instance| row(instance, about)).collect();
    table(&columns, &rows, screen)
}

fn row(instance: &Instance, about: &About) -> Vec<Cell> {
    let pod = &instance.pod;
    let runner = instance.runner.as_ref().and_then(|said| said.as_ref().ok()).unwrap_or(&Value::Null);
    let namespace = pod.namespace().unwrap_or_default();
    let usage = about.usage.as_ref().and_then(|usage| usage.of_pod(&namespace, &pod.name_any()));
    let started = runner["startedAt"].as_i64().and_then(|at| Timestamp::from_millisecond(at).ok());
    let dash = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
    let restarts = restarts_of(pod, runner) - restarts_before(pod);
    let memory = usage.map(|usage| usage.memory).or_else(|| runner["rss"].as_u64());
    let actions: Vec<&str> =
        runner["actions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (word, why) = standing(instance, runner);
    let colour = match word.as_str() {
        "online" => Colour::Green,
        "launching" | "stopping" | "waiting-restart" | "pending" | "ending" => Colour::Yellow,
        _ => Colour::Red,
    };
    vec![
        pod.name_any().into(),
        Cell::coloured(word, colour),
        if is_ready(pod) { "yes".into() } else { "no".into() },
        restarts.max(0).to_string().into(),
        dash(runner["pid"].as_i64().map(|pid| pid.to_string())),
        dash(usage.map(|usage| cpu(usage.cpu))),
        dash(memory.map(bytes)),
        dash(started.map(|started| age(started, about.now))),
        dash(pod.spec.as_ref().and_then(|spec| spec.node_name.clone())),
        actions.join(",").into(),
        why.into(),
    ]
}

/// The state of an instance in one word, and why it is not ready.
fn standing(instance: &Instance, runner: &Value) -> (String, String) {
    let pod = &instance.pod;
    let told = |pointer: &str| runner.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    if pod.metadata.deletion_timestamp.is_some() {
        return ("ending".to_owned(), "it drains and ends".to_owned());
    }
    if let Some(state) = runner["state"].as_str() {
        let why = if state == "errored" { told("/lastExit/message") } else { told("/notReadyReason") };
        return (state.to_owned(), why);
    }
    if is_alive(pod) {
        let why = match &instance.runner {
            Some(Err(error)) => error.clone(),
            _ => "not asked: there are too many instances".to_owned(),
        };
        return (if is_ready(pod) { "online" } else { "launching" }.to_owned(), why);
    }
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.clone()).unwrap_or_else(|| "unknown".to_owned());
    (phase.to_lowercase(), waits_for(pod))
}

/// What keeps a pod from running.
fn waits_for(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return String::new() };
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let waiting = containers.filter_map(|it| Some((&it.name, it.state.as_ref()?.waiting.as_ref()?)));
    let usual = ["PodInitializing", "ContainerCreating"];
    let mut told = waiting.filter_map(|(name, waiting)| {
        let reason = waiting.reason.as_deref().filter(|reason| !usual.contains(reason))?;
        Some(format!("{name}: {reason}: {}", waiting.message.as_deref().unwrap_or_default()))
    });
    let of_conditions = || {
        let conditions = status.conditions.iter().flatten();
        let mut unmet = conditions.filter(|it| it.status == "False" && it.type_ == "PodScheduled");
        unmet.find_map(|it| it.message.clone())
    };
    told.next().or_else(of_conditions).unwrap_or_default()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

fn last_exit(status: &NodeAppStatus, now: Timestamp) -> String {
    let Some(exit) = &status.last_exit else { return String::new() };
    let mut text =
        format!("{} ago in {}: {}: {}\n", age_of(Some(&exit.time), now), exit.pod, exit.reason, exit.message);
    for line in &exit.log_tail {
        let _ = writeln!(text, "| {line}");
    }
    text
}

/// The variables by their sources, without values.
fn environment(app: &NodeApp) -> String {
    let mut sources: Vec<(String, Vec<String>)> = Vec::new();
    for variable in variables(app) {
        match sources.iter_mut().find(|(from, _)| *from == variable.from) {
            Some((_, names)) => names.push(variable.name),
            None => sources.push((variable.from, vec![variable.name])),
        }
    }
    let lines: Vec<String> =
        sources.iter().map(|(from, names)| format!("{from}: {}\n", names.join(", "))).collect();
    lines.concat()
}

fn conditions(status: &NodeAppStatus, now: Timestamp, screen: Screen) -> String {
    if status.conditions.is_empty() {
        return "none: the operator has not looked at it yet\n".to_owned();
    }
    let columns = [("TYPE", 0), ("STATUS", 0), ("FOR", 2), ("REASON", 0), ("MESSAGE", 1)]
        .map(|(title, expendable)| Column { title, expendable });
    let rows = ConditionType::ALL.iter().filter_map(|type_| condition(status, *type_)).map(|it| {
        let good = (it.type_ == "Degraded") != (it.status == "True");
        let moving = it.type_ == "Progressing";
        let colour = if moving {
            Colour::Default
        } else if good {
            Colour::Green
        } else {
            Colour::Red
        };
        vec![
            it.type_.as_str().into(),
            Cell::coloured(it.status.as_str(), colour),
            age_of(Some(&it.last_transition_time), now).into(),
            it.reason.as_str().into(),
            it.message.replace('\n', " ").into(),
        ]
    });
    table(&columns, &rows.collect::<Vec<Vec<Cell>>>(), screen)
}

/// When an Event was last seen.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series =
        event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0).or_else(|| Some(event.creation_timestamp()?.0));
    series.or(last).or(first)
}

fn events(events: &[Event], now: Timestamp, screen: Screen) -> String {
    if events.is_empty() {
        return "none in the last hour or so\n".to_owned();
    }
    let columns = [("LAST", 0), ("TYPE", 2), ("REASON", 0), ("MESSAGE", 1)]
        .map(|(title, expendable)| Column { title, expendable });
    let rows = events[events.len().saturating_sub(EVENTS)..].iter().map(|event| {
        let warns = event.type_.as_deref() == Some("Warning");
        vec![
            last_seen(event).map_or_else(|| "-".to_owned(), |seen| age(seen, now)).into(),
            Cell::coloured(
                event.type_.as_deref().unwrap_or("-"),
                if warns { Colour::Yellow } else { Colour::Default },
            ),
            event.reason.as_deref().unwrap_or("-").into(),
            event.message.as_deref().unwrap_or_default().replace('\n', " ").into(),
        ]
    });
    table(&columns, &rows.collect::<Vec<Vec<Cell>>>(), screen)
}
