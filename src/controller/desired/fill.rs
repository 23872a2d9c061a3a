//! How many instances fill the cluster (PM2's `instances: max`). Plain arithmetic,
//! told in the status, and a memory of what was decided so that the number does not
//! flap: it is the status, which is handed in again.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::controller::cache::AppKey;
use crate::controller::capacity::{Known, NodeRoom, Room, Survey};
use crate::controller::observe::Observed;
use crate::controller::validate::{FillPolicy, ValidatedApp};
use crate::crd::instance::FillStatus;

/// How long there must be room for more before more are started: a node that is
/// just getting ready may fill up with others first.
const GROW_AFTER: SignedDuration = SignedDuration::from_secs(15);
/// How long there must be room for fewer before one is stopped: a node that comes
/// back within it costs nothing.
const SHRINK_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// Nodes that the arithmetic names.
const NAMED: usize = 8;
/// More than this many instances are never wanted.
const MOST: u64 = 10_000;

/// How many instances an app that fills the cluster gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    /// Instances that are wanted, unless the app is stopped.
    pub wanted: i32,
    /// What is told, and remembered; nothing before the nodes were first looked at.
    pub status: Option<FillStatus>,
    /// What keeps the number from being worked out.
    pub trouble: Option<String>,
    /// Whether the nodes have not been looked at yet.
    pub awaits_nodes: bool,
}

/// Decides; none for an app that has a number of its own.
pub(super) fn decide(app: &ValidatedApp, observed: &Observed) -> Option<Filling> {
    let policy = app.fill.as_ref()?;
    let before = observed.filled.as_ref();
    let replicas = observed.deployment.as_ref().and_then(|deployment| deployment.spec.as_ref()?.replicas);
    // A stopped app remembers what it had.
    let base = before.map(|before| before.wanted).or(replicas.filter(|replicas| *replicas > 0));
    let key = AppKey { namespace: app.namespace.clone(), name: app.name.clone() };
    let survey = match &observed.nodes {
        Known::Room(survey) => survey,
        // As at every start of the operator: what was told stays true until they have been.
        Known::NotYet => {
            let (wanted, status) = (base.unwrap_or(1), before.cloned());
            return Some(Filling { wanted, status, trouble: None, awaits_nodes: true });
        }
        Known::Forbidden(words) => {
            let trouble = format!(
                "fillCluster needs the right to list and watch nodes and to list the pods of all namespaces, and it is \
                 missing: {words}. Give it by the ClusterRole that `nodeapp-operator rbac` prints, or replace \
                 fillCluster by instances; until then the app keeps the count it has"
            );
            return Some(kept(before, base, trouble));
        }
    };
    let (fits, arithmetic) = count(policy, &app.rollout.max_surge, &key, survey);
    let asked_anew = !observed.same_spec;
    let mut status = FillStatus { wanted: fits, fits, since: None, arithmetic };
    // The first decision is taken as it comes.
    let Some((before, base)) = before.zip(base).filter(|(_, base)| *base != fits) else {
        return Some(Filling { wanted: fits, status: Some(status), trouble: None, awaits_nodes: false });
    };
    let since = Some(before)
        .filter(|before| (before.fits > before.wanted) == (fits > base) && before.fits != before.wanted)
        .and_then(|before| before.since.as_ref()?.parse::<Timestamp>().ok())
        .unwrap_or(observed.now);
    let lasted = observed.now.duration_since(since);
    let waiting = observed.pods.iter().any(|pod| pod.is_waiting());
    let follow = if fits > base {
        // More pods beside one that finds no place would ask for another node.
        !waiting && (asked_anew || lasted >= GROW_AFTER)
    } else {
        asked_anew || lasted >= SHRINK_AFTER || observed.pods.iter().any(|pod| pod.finds_no_place())
    };
    if !follow {
        status.wanted = base;
        status.since = Some(since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        if waiting && fits > base {
            status.since = None;
            status.arithmetic += "; no more are started while an instance waits for a node";
        }
    }
    Some(Filling { wanted: status.wanted, status: Some(status), trouble: None, awaits_nodes: false })
}

/// When the number may change though nothing happens.
pub fn changes_at(status: &FillStatus) -> Option<Timestamp> {
    let since: Timestamp = status.since.as_ref()?.parse().ok()?;
    let after = if status.fits > status.wanted { GROW_AFTER } else { SHRINK_AFTER };
    since.checked_add(after).ok()
}

fn kept(before: Option<&FillStatus>, base: Option<i32>, trouble: String) -> Filling {
    let wanted = base.unwrap_or(1);
    let arithmetic = format!("the nodes cannot be looked at: {wanted} as before");
    let status = before.map(|before| FillStatus { wanted, fits: before.fits, since: None, arithmetic });
    Filling { wanted, status, trouble: Some(trouble), awaits_nodes: false }
}

/// How many instances there is room for, and how that comes about.
fn count(policy: &FillPolicy, surge: &IntOrString, app: &AppKey, survey: &Survey) -> (i32, String) {
    let shares: Vec<(&String, Share)> =
        survey.nodes.iter().map(|(name, node)| (name, share(node, policy.needs, app))).collect();
    let room = shares.iter().map(|(_, share)| share.fits).sum::<u64>();
    let left = room.saturating_sub(policy.leave);
    let number = with_surge(left, surge);
    let limited = number.max(1).min(policy.max_instances.unwrap_or(MOST)).min(MOST);
    let mut text = format!("{room} fit on {} node{}", shares.len(), if shares.len() == 1 { "" } else { "s" });
    for (index, (name, share)) in shares.iter().take(NAMED).enumerate() {
        let before = if index == 0 { " (" } else { ", " };
        let _ = write!(text, "{before}{name} {}: {}", share.fits, share.why);
    }
    if shares.len() > NAMED {
        let _ = write!(text, ", and {} more nodes", shares.len() - NAMED);
    }
    text += if shares.is_empty() { "" } else { ")" };
    if policy.leave > 0 {
        let _ = write!(text, "; {} left free", policy.leave);
    }
    if left > number {
        let _ = write!(text, "; {} for a rollout", left - number);
    }
    if limited > number {
        text += "; at least 1";
    }
    if limited < number {
        let _ = write!(text, "; at most {limited}");
    }
    let _ = write!(text, "; makes {limited}");
    (i32::try_from(limited).unwrap_or(i32::MAX), text)
}

struct Share {
    fits: u64,
    why: String,
}

/// How many fit on a node beside what pods of others request.
fn share(node: &NodeRoom, needs: Room, app: &AppKey) -> Share {
    if let Some(why) = &node.closed {
        return Share { fits: 0, why: why.clone() };
    }
    let own = node.of_apps.get(app).copied().unwrap_or_default();
    let free = node.allocatable.minus(node.requested.minus(own));
    let fits = |free: u64, need: u64| free.checked_div(need).unwrap_or(MOST).min(MOST);
    let (cpu, memory) = (fits(free.cpu, needs.cpu), fits(free.memory, needs.memory));
    let pods = free.pods.min(MOST);
    let fits = cpu.min(memory).min(pods);
    let why = match fits {
        _ if fits == cpu => "by CPU",
        _ if fits == memory => "by memory",
        _ => "by number of pods",
    };
    Share { fits, why: why.to_owned() }
}

/// The most instances that leave room for a rollout.
fn with_surge(room: u64, surge: &IntOrString) -> u64 {
    let percent = match surge {
        IntOrString::Int(pods) => return room.saturating_sub(u64::try_from(*pods).unwrap_or(0)),
        IntOrString::String(text) => text.trim_end_matches('%').parse::<u64>().unwrap_or(0),
    };
    let all = |number: u64| number + (number * percent).div_ceil(100);
    let mut number = room.min(MOST * 100) * 100 / (100 + percent);
    while number > 0 && all(number) > room {
        number -= 1;
    }
    number
}

#[cfg(test)]
#[path = "fill_tests.rs"]
mod tests;
