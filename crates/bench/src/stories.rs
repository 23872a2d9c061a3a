//! What an operator is put through.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::counts::Counts;
use crate::fleet;
use crate::operator::Operator;
use crate::seen::Seen;

/// Until allocators have given back what they give back.
const REST: Duration = Duration::from_secs(10);
/// Between two edits: none waits for the one before it.
const BETWEEN: Duration = Duration::from_millis(25);

/// A fleet that exists before the operator does.
pub(crate) async fn start(program: &Path, apps: usize) -> Result<Value> {
    let client = fleet::client().await?;
    fleet::create(&client, apps).await?;
    let mut seen = Seen::start(&client).await?;
    let before = Counts::read(&client).await?;
    let begun = Instant::now();
    let mut operator = Operator::start(program)?;
    let exist = seen.all_exist(apps).await? - begun;
    operator.settled(apps).await?;
    let settled = begun.elapsed();
    let cpu = operator.cpu_seconds()?;
    let requests = Counts::read(&client).await?.since(&before);
    let all_requests = operator.metric("rest_client_requests_total", "")?;
    tokio::time::sleep(REST).await;
    let (steady, peak) = operator.memory()?;
    Ok(json!({
        "apps": apps,
        "seconds": exist.as_secs_f64(),
        "settled_seconds": settled.as_secs_f64(),
        "cpu_seconds": cpu,
        "requests_of_apps": requests.of_apps(),
        "requests": all_requests,
        "requests_by_verb": requests.json(),
        "rss_steady": steady,
        "rss_peak": peak,
    }))
}

/// A fleet that has been carried out, and who did it.
async fn carried_out(client: &Client, program: &Path, apps: usize) -> Result<(Operator, Seen)> {
    fleet::create(client, apps).await?;
    let mut seen = Seen::start(client).await?;
    let mut operator = Operator::start(program)?;
    seen.all_exist(apps).await?;
    operator.settled(apps).await?;
    Ok((operator, seen))
}

/// Sends an edit that makes another template; returns when it was sent and acknowledged.
async fn change(client: &Client, name: &str, value: &str) -> Result<(Instant, Instant)> {
    let spec = json!({"spec": {"env": [{"name": "LOG_LEVEL", "value": value}]}});
    let sent = Instant::now();
    fleet::apps(client).patch(name, &PatchParams::default(), &Patch::Merge(spec)).await?;
    Ok((sent, Instant::now()))
}

/// Seconds from an edit to the Deployment that has it.
pub(crate) async fn edit(program: &Path, apps: usize, times: usize) -> Result<Value> {
    let client = fleet::client().await?;
    let (_operator, mut seen) = carried_out(&client, program, apps).await?;
    let (mut sent, mut acknowledged) = (vec![], vec![]);
    for round in 0..times {
        // Far apart, so that none is edited again before all others.
        let name = fleet::name(round * 7919 % apps);
        let (at, answered) = change(&client, &name, &format!("edit-{round}")).await?;
        let changed = seen.changes(&name, Duration::from_mins(1)).await?;
        sent.push((changed - at).as_secs_f64());
        acknowledged.push(changed.saturating_duration_since(answered).as_secs_f64());
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(json!({"apps": apps, "from_sent": sent, "from_acknowledged": acknowledged}))
}

/// What an operator does that finds everything as it should be.
pub(crate) async fn restart(program: &Path, apps: usize) -> Result<Value> {
    let client = fleet::client().await?;
    let (mut operator, _seen) = carried_out(&client, program, apps).await?;
    operator.terminate()?;
    let before = Counts::read(&client).await?;
    let begun = Instant::now();
    let mut operator = Operator::start(program)?;
    operator.settled(apps).await?;
    let settled = begun.elapsed();
    let requests = Counts::read(&client).await?.since(&before);
    Ok(json!({
        "apps": apps,
        "settled_seconds": settled.as_secs_f64(),
        "cpu_seconds": operator.cpu_seconds()?,
        "writes": requests.writes(),
        "writes_told": operator.metric("nodeapp_writes_total", "")?,
        "requests": operator.metric("rest_client_requests_total", "")?,
        "requests_by_verb": requests.json(),
    }))
}

/// Seconds from the end of a leader until the other one has carried out an edit that nobody has seen.
pub(crate) async fn takeover(program: &Path, apps: usize, times: usize) -> Result<Value> {
    let client = fleet::client().await?;
    let (mut leader, mut seen) = carried_out(&client, program, apps).await?;
    let (mut killed, mut terminated) = (vec![], vec![]);
    for round in 0..times * 2 {
        let mut next = Operator::start(program)?;
        next.ready(Duration::from_mins(1)).await?;
        ensure!(next.metric("leader_election_master_status", "")? == 0, "two operators lead");
        let begun = Instant::now();
        let samples = if round % 2 == 0 {
            leader.kill()?;
            &mut killed
        } else {
            leader.terminate()?;
            &mut terminated
        };
        let name = fleet::name(round % apps);
        change(&client, &name, &format!("round-{round}")).await?;
        samples.push((seen.changes(&name, Duration::from_mins(2)).await? - begun).as_secs_f64());
        // It has looked at everything before it loses the lead itself.
        next.settled(apps).await?;
        leader = next;
    }
    Ok(json!({"apps": apps, "after_kill": killed, "after_terminate": terminated}))
}
