//! Watching the pods of the example change.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{APP, NAMESPACE, PATIENCE};
use crate::cluster::Cluster;
use crate::sh;

/// Waits until the app says that it is ready, with pods of `version` and no others.
pub(super) fn wait(cluster: &Cluster, version: &str) -> Result<()> {
    let mut shown = String::new();
    poll(&format!("{APP} ready in version {version}"), || {
        let app = get(cluster, &["nodeapp", APP])?;
        let pods = get(cluster, &["pods", "-l", &format!("nodeapp.dev/app={APP}")])?;
        let line = summary(&pods);
        if line != shown {
            sh::say(&format!("  {line}"));
            shown = line;
        }
        finished(&app, &pods, version)
    })
}

/// Repeats a check until it succeeds, or patience ends.
pub(super) fn poll<T>(what: &str, mut check: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(error).with_context(|| format!("waited {} s for: {what}", PATIENCE.as_secs()));
            }
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(300)),
        }
    }
}

fn get(cluster: &Cluster, what: &[&str]) -> Result<Value> {
    let mut kubectl = cluster.kubectl()?;
    kubectl.args(["get", "-n", NAMESPACE, "-o", "json"]).args(what);
    Ok(serde_json::from_str(&sh::output(&mut kubectl)?)?)
}

fn finished(app: &Value, pods: &Value, version: &str) -> Result<()> {
    let conditions = app["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let ready = ready.context("the app has no condition Ready yet")?;
    if ready["status"] != "True" || ready["observedGeneration"] != app["metadata"]["generation"] {
        bail!("the app is not ready: {ready}");
    }
    let pods = pods["items"].as_array().context("no list of pods")?;
    let wanted = app["spec"]["instances"].as_u64().unwrap_or(1);
    if pods.len() as u64 != wanted
        || !pods.iter().all(|pod| state(pod) == "ready" && version_of(pod) == version)
    {
        bail!("{} pods, wanted {wanted} of version {version}", pods.len());
    }
    Ok(())
}

/// `version 1: 2 ready; version 2: 1 starting`.
fn summary(pods: &Value) -> String {
    let mut counts: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        *counts.entry(version_of(pod)).or_default().entry(state(pod)).or_default() += 1;
    }
    if counts.is_empty() {
        return "no pods yet".to_owned();
    }
    let versions = counts.iter().map(|(version, states)| {
        let states: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        format!("version {version}: {}", states.join(", "))
    });
    versions.collect::<Vec<_>>().join("; ")
}

fn version_of(pod: &Value) -> String {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let env = containers.filter_map(|container| container["env"].as_array()).flatten();
    let version =
        env.filter(|variable| variable["name"] == "VERSION").find_map(|found| found["value"].as_str());
    version.unwrap_or("?").to_owned()
}

fn state(pod: &Value) -> &'static str {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
    match (pod["metadata"]["deletionTimestamp"].is_string(), ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "starting",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(version: &str, ready: &str, deleted: bool) -> Value {
        let mut pod = json!({
            "metadata": {"name": "hello-1"},
            "spec": {"containers": [{"env": [{"name": "VERSION", "value": version}]}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        pod
    }

    fn app(generation: u64) -> Value {
        let ready = json!({"type": "Ready", "status": "True", "observedGeneration": 2});
        json!({
            "metadata": {"generation": generation},
            "spec": {"instances": 2},
            "status": {"conditions": [ready]},
        })
    }

    #[test]
    fn a_rollout_is_summed_up_in_a_line() {
        let pods =
            json!({"items": [pod("1", "True", true), pod("1", "True", false), pod("2", "False", false)]});
        assert_eq!(summary(&pods), "version 1: 1 draining, 1 ready; version 2: 1 starting");
    }

    #[test]
    fn a_rollout_is_finished_when_only_the_new_version_is_left() {
        let new = json!({"items": [pod("2", "True", false), pod("2", "True", false)]});
        assert!(finished(&app(2), &new, "2").is_ok());
        assert!(finished(&app(3), &new, "2").is_err(), "the status is of an older spec");
        let draining =
            json!({"items": [pod("2", "True", false), pod("2", "True", false), pod("1", "True", true)]});
        assert!(finished(&app(2), &draining, "2").is_err(), "an old pod is still there");
    }
}
