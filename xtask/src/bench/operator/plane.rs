//! A control plane for one measurement: API server and etcd, and no controller that would write as well.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Bench;
use crate::cluster::{self, Cluster, Options, Provider};
use crate::sh;

/// Apart from the clusters of people and tests.
const NAME: &str = "bench";

/// A cluster that goes with this value.
pub(in crate::bench) struct Plane {
    pub(in crate::bench) cluster: Cluster,
}

fn options(nodes: u8) -> Options {
    Options { name: NAME.to_owned(), nodes, context: None, provider: Provider::Local }
}

impl Plane {
    /// One with so many nodes, and all that belongs to a cluster.
    pub(in crate::bench) fn whole(nodes: u8) -> Result<Self> {
        let options = options(nodes);
        // Nobody's: left behind by a run that was interrupted.
        cluster::down(&options)?;
        Ok(Self { cluster: cluster::up(&options)? })
    }

    /// One that nobody but the measured works in.
    pub(in crate::bench) fn bare() -> Result<Self> {
        let plane = Self::whole(0)?;
        cluster::crash(NAME, &["kube-controller-manager"], None)?;
        Ok(plane)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Err(error) = cluster::down(&options(0)) {
            sh::say(&format!("the cluster {NAME} stays behind: {error:#}"));
        }
    }
}

/// One run of the client in a control plane of its own; what it has counted.
pub(super) fn run(bench: &Bench, story: &str, apps: u64, times: Option<u64>) -> Result<Value> {
    let plane = Plane::bare()?;
    let mut command = Command::new(&bench.client);
    command.env("KUBECONFIG", &plane.cluster.kubeconfig).args([story, "--apps", &apps.to_string()]);
    if story != "bare" {
        command.arg("--operator").arg(&bench.operator);
    }
    if let Some(times) = times {
        command.args(["--times", &times.to_string()]);
    }
    let text = sh::output(&mut command)?;
    let last = text.lines().last().context("the client has counted nothing")?;
    serde_json::from_str(last).with_context(|| format!("the client says {last}"))
}

/// A number of what was counted.
pub(super) fn number(counted: &Value, field: &str) -> Result<f64> {
    counted[field].as_f64().with_context(|| format!("{field} is not in {counted}"))
}

/// Numbers of what was counted.
pub(super) fn numbers(counted: &Value, field: &str) -> Result<Vec<f64>> {
    let list = counted[field].as_array().with_context(|| format!("{field} is not in {counted}"))?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}

/// `APPLY deployments 1,000, …` of what was counted, the most frequent first.
pub(super) fn by_verb(counted: &Value, apps: f64) -> String {
    let mut rows: Vec<(f64, String)> = counted["requests_by_verb"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| {
            let count = row["count"].as_f64()?;
            let text = format!("{} {} {:.2}", row["verb"].as_str()?, row["resource"].as_str()?, count / apps);
            // What is there once for all is no figure per app.
            (count * 20.0 >= apps).then_some((count, text))
        })
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    rows.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_that_each_app_costs_are_told_by_verb() {
        let row = |verb: &str, resource: &str, count: u32| json!({"verb": verb, "resource": resource, "count": count});
        let counted = json!({"requests_by_verb": [
            row("LIST", "services", 1),
            row("APPLY", "services", 100),
            row("APPLY", "nodeapps/status", 150),
        ]});
        assert_eq!(by_verb(&counted, 100.0), "APPLY nodeapps/status 1.50, APPLY services 1.00");
        assert!(number(&counted, "seconds").is_err());
    }
}
