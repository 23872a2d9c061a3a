//! The rows of `ls`. Plain functions of what the API has.

use std::collections::HashMap;
use std::str::FromStr;

use jiff::Timestamp;
use kube::ResourceExt as _;
use nodeapp_operator::crd::{ConditionType, NodeApp, NodeAppStatus};

use crate::state::{State, condition, counted_by, is_job, state};
use crate::table::{Cell, Colour, Column, Screen, table as draw};
use crate::usage::Usage;
use crate::words::{age_of, bytes, cpu, version};

/// What is shown beside the apps themselves.
pub(super) struct View<'a> {
    pub(super) wide: bool,
    /// Apps of several namespaces.
    pub(super) namespaces: bool,
    /// None where the cluster does not measure.
    pub(super) usage: Option<&'a HashMap<(String, String), Usage>>,
    pub(super) now: Timestamp,
}

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    by: Key,
    descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Name,
    Namespace,
    Restarts,
    Status,
    Cpu,
    Memory,
    Uptime,
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, order) = text.split_once(':').unwrap_or((text, "asc"));
        let by = match key {
            "name" => Key::Name,
            "namespace" => Key::Namespace,
            "restarts" => Key::Restarts,
            "status" | "state" => Key::Status,
            "cpu" => Key::Cpu,
            "memory" | "mem" => Key::Memory,
            "uptime" => Key::Uptime,
            _ => {
                return Err(format!(
                    "`{key}` is no column to sort by; take name, namespace, restarts, status, cpu, memory or uptime"
                ));
            }
        };
        match order {
            "asc" => Ok(Self { by, descending: false }),
            "desc" => Ok(Self { by, descending: true }),
            _ => Err(format!("`{order}` is no order; take asc or desc")),
        }
    }
}

/// An app with what is known of it.
struct Row<'a> {
    app: &'a NodeApp,
    status: NodeAppStatus,
    state: State,
    usage: Option<Usage>,
}

impl Row<'_> {
    /// Since when it has served.
    fn since(&self) -> Option<&str> {
        let available = condition(&self.status, ConditionType::Available)?;
        let serves = available.status == "True" && self.status.available_replicas > 0;
        serves.then_some(available.last_transition_time.as_str())
    }

    /// What it is sorted by beside its name.
    fn weight(&self, by: Key, now: Timestamp) -> i64 {
        let usage = |of: fn(Usage) -> u64| {
            self.usage.map_or(-1, |usage| i64::try_from(of(usage)).unwrap_or(i64::MAX))
        };
        match by {
            Key::Name | Key::Namespace | Key::Status => 0,
            Key::Restarts => self.status.restarts,
            Key::Cpu => usage(|usage| usage.cpu),
            Key::Memory => usage(|usage| usage.memory),
            Key::Uptime => {
                let since: Option<Timestamp> = self.since().and_then(|since| since.parse().ok());
                since.map_or(-1, |since| now.duration_since(since).as_secs())
            }
        }
    }
}

/// The table.
pub(super) fn table(apps: &[NodeApp], view: &View<'_>, sort: Option<Sort>, screen: Screen) -> String {
    let mut rows: Vec<Row<'_>> = apps
        .iter()
        .map(|app| {
            let key = (app.namespace().unwrap_or_default(), app.name_any());
            Row {
                app,
                status: app.status.clone().unwrap_or_default(),
                state: state(app),
                usage: view.usage.and_then(|usage| usage.get(&key)).copied(),
            }
        })
        .collect();
    if let Some(Sort { by, descending }) = sort {
        let text = |row: &Row<'_>| match by {
            Key::Name => row.app.name_any(),
            Key::Status => row.state.word.to_owned(),
            _ => String::new(),
        };
        rows.sort_by_cached_key(|row| (text(row), row.weight(by, view.now)));
        if descending {
            rows.reverse();
        }
    }
    let columns = columns(view);
    let titles: Vec<Column> = columns.iter().map(|(column, _)| *column).collect();
    let cells: Vec<Vec<Cell>> =
        rows.iter().map(|row| columns.iter().map(|(_, cell)| cell(row, view.now)).collect()).collect();
    draw(&titles, &cells, screen)
}

type CellOf = fn(&Row<'_>, Timestamp) -> Cell;

/// The columns, in the order in which they are shown; the number says which go first on a narrow terminal.
fn columns(view: &View<'_>) -> Vec<(Column, CellOf)> {
    let column = |title, expendable, cell: CellOf| (Column { title, expendable }, cell);
    let mut columns = Vec::new();
    if view.namespaces {
        columns.push(column("NAMESPACE", 1, |row, _| row.app.namespace().unwrap_or_default().into()));
    }
    columns.push(column("NAME", 0, |row, _| row.app.name_any().into()));
    columns.push(column("VERSION", 5, |row, _| version(&row.app.spec.image).into()));
    columns.push(column("READY", 0, ready));
    columns.push(column("RESTARTS", 4, |row, _| restarts(row)));
    columns.push(column("STATUS", 0, |row, _| Cell::coloured(row.state.word, row.state.colour())));
    columns.push(column("CPU", 3, |row, _| measured(row.usage.map(|usage| cpu(usage.cpu)))));
    columns.push(column("MEMORY", 3, |row, _| measured(row.usage.map(|usage| bytes(usage.memory)))));
    columns.push(column("UPTIME", 6, |row, now| age_of(row.since(), now).into()));
    if view.wide {
        columns.push(column("AGE", 7, |row, now| age_of(created(row.app).as_deref(), now).into()));
        columns.push(column("MODE", 8, |row, _| mode(row.app).into()));
        columns.push(column("PROFILE", 9, |row, _| or_dash(row.app.spec.profile.as_deref())));
        columns.push(column("REVISION", 9, |row, _| or_dash(row.status.revision.as_deref())));
        columns.push(column("RUNNER", 9, |row, _| {
            or_dash(row.status.runner_image.as_deref().map(version).as_deref())
        }));
        columns.push(column("IMAGE", 9, |row, _| row.app.spec.image.as_str().into()));
        columns.push(column("URL", 9, |row, _| or_dash(row.status.url.as_deref())));
    }
    columns.push(column("WHY", 2, |row, _| {
        row.state.why.as_deref().unwrap_or_default().replace('\n', " ").into()
    }));
    columns
}

fn created(app: &NodeApp) -> Option<String> {
    app.creation_timestamp().map(|time| time.0.to_string())
}

fn or_dash(text: Option<&str>) -> Cell {
    text.filter(|text| !text.is_empty()).unwrap_or("-").into()
}

fn measured(text: Option<String>) -> Cell {
    text.unwrap_or_else(|| "-".to_owned()).into()
}

fn restarts(row: &Row<'_>) -> Cell {
    let text = row.status.restarts.to_string();
    if row.status.restarts > 0 { Cell::coloured(text, Colour::Yellow) } else { text.into() }
}

fn ready(row: &Row<'_>, _: Timestamp) -> Cell {
    if is_job(row.app) {
        return "-".into();
    }
    let seen = row.app.status.is_some();
    let wanted = if seen { row.status.desired_replicas } else { row.app.spec.instances };
    format!("{}/{wanted}", row.status.ready_replicas).into()
}

/// Who decides how many there are.
fn mode(app: &NodeApp) -> &'static str {
    if is_job(app) { "job" } else { counted_by(app).unwrap_or("fixed") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::state::tests::app;

    const PLAIN: Screen = Screen { width: None, colour: false };

    fn apps() -> Vec<NodeApp> {
        let serving = json!({"replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "restarts": 3});
        let mut shop = app(&["Ready=True:AllInstancesReady", "Available=True:InstancesAvailable"], &serving);
        shop.spec.image = "registry.example/shop:1.4.2".to_owned();
        let mut worker = app(&["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], &json!({}));
        worker.metadata.name = Some("worker".to_owned());
        vec![shop, worker]
    }

    fn shown(view: &View<'_>, sort: Option<&str>, screen: Screen) -> String {
        table(&apps(), view, sort.map(|sort| sort.parse().expect("a column")), screen)
    }

    fn view(usage: Option<&HashMap<(String, String), Usage>>) -> View<'_> {
        View { wide: false, namespaces: false, usage, now: "2026-01-01T01:00:00Z".parse().expect("a time") }
    }

    #[test]
    fn a_row_says_what_pm2_says_and_why_an_app_is_not_well() {
        let text = shown(&view(None), None, PLAIN);
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0].join(" "), "NAME VERSION READY RESTARTS STATUS CPU MEMORY UPTIME WHY");
        assert_eq!(words[1].join(" "), "shop 1.4.2 2/2 3 online - - 60m");
        assert_eq!(words[2].join(" "), "worker 1 0/2 0 errored - - - because RolloutStuck");
    }

    #[test]
    fn figures_come_from_the_cluster_and_rows_can_be_sorted_by_them() {
        let usage = Usage { cpu: 123_000_000, memory: 3 << 20 };
        let usage = HashMap::from([(("web".to_owned(), "worker".to_owned()), usage)]);
        let text = shown(&view(Some(&usage)), Some("memory:desc"), PLAIN);
        let first = text.lines().nth(1).expect("a row");
        assert!(first.starts_with("worker") && first.contains("12.3%  3.0Mi"), "{text}");
        assert!("size".parse::<Sort>().is_err() && "cpu:up".parse::<Sort>().is_err());
    }

    #[test]
    fn forty_columns_are_enough_for_name_number_and_state() {
        let text = shown(&view(None), None, Screen { width: Some(40), colour: false });
        assert!(text.lines().all(|line| line.width() <= 40), "{text}");
        assert!(
            text.lines().nth(2).is_some_and(|line| line.contains("0/2") && line.contains("errored")),
            "{text}"
        );
    }
}
