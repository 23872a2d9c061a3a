//! What load shows: the longest request, shared state, rehearsals.

use std::time::Duration;

use serde_json::json;

use super::super::facts::{Audited, Facts, Longest};
use super::super::line::Line;
use super::process::{spoken, stop};

/// Beyond this the runner's histogram tells no more; so long a drain is taken to be enough.
const LONG_DRAIN: Duration = Duration::from_mins(1);

/// Whether a stop leaves time for the longest request.
pub(super) fn kill_timeout(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "killTimeout";
    if facts.is_job() || facts.app.spec.port.is_none() {
        return None;
    }
    let drain = stop(&facts.app.spec).drain_timeout;
    let Some(longest) = longest(facts) else {
        let message = "no request has been seen yet, so nobody knows whether drainTimeout is long enough";
        return Some(Line::warn(CHECK, message, facts.ours("rehearse", "")));
    };
    let room = drain.as_secs_f64();
    let said = match longest.below {
        Some(below) => format!("the longest request took at most {}", in_seconds(below)),
        None => format!("the longest request took more than {}", in_seconds(longest.above)),
    };
    let gives = format!("drainTimeout gives {}", spoken(drain));
    let enough = longest.below.map_or(drain >= LONG_DRAIN, |below| below <= room);
    if enough {
        return Some(Line::pass(CHECK, format!("{said}, {gives}")));
    }
    let wanted = longest.below.map_or(LONG_DRAIN.as_secs_f64(), |below| (below * 1.5).ceil().max(1.0));
    let command = facts.patch(&json!({"drainTimeout": format!("{wanted}s")}));
    let message = format!("{said}, {gives}; what takes longer is cut off by a stop");
    Some(if longest.above >= room {
        Line::fail(CHECK, message, command)
    } else {
        Line::warn(CHECK, message, command)
    })
}

fn in_seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds} s") }
}

/// The longest request that is known of: of the instances that there are, or of the last rehearsal.
fn longest(facts: &Facts) -> Option<Longest> {
    let seen = facts.pods().iter().filter_map(|pod| pod.longest);
    let seen = seen.max_by(|one, other| one.above.total_cmp(&other.above));
    seen.or_else(|| {
        let rehearsed = facts.rehearsed().filter(|rehearsed| rehearsed.requests > 0)?;
        let seconds = rehearsed.longest / 1000.0;
        Some(Longest { above: seconds, below: Some(seconds) })
    })
}

/// Whether instances agree about what they keep.
pub(super) fn shared_state(facts: &Facts) -> Line {
    const CHECK: &str = "sharedState";
    let audit = facts.ours("doctor", "--audit . --record");
    if let Some(Audited { errors, warnings, first, .. }) = facts.audited() {
        if errors + warnings == 0 {
            return Line::pass(CHECK, "the audit of the source found no state that instances do not share");
        }
        let first = first.map(|first| format!(", first {first}")).unwrap_or_default();
        let message = format!("the audit of the source found {} places{first}", errors + warnings);
        let command = "kubectl nodeapp audit .".to_owned();
        return if errors > 0 {
            Line::fail(CHECK, message, command)
        } else {
            Line::warn(CHECK, message, command)
        };
    }
    if facts.has_shared_redis() {
        return Line::pass(
            CHECK,
            "there is a Redis that all instances share; whether the app keeps its state there, `audit` tells",
        );
    }
    if facts.app.spec.redis.is_some() && facts.instances() > 1 {
        let message = "its Redis is a Sidecar: each instance has one of its own";
        return Line::warn(CHECK, message, facts.patch(&json!({"redis": {"mode": "Shared"}})));
    }
    let message = "nobody knows whether its code keeps state in memory; in the folder of its source";
    Line::warn(CHECK, message, audit)
}

/// The checklist's load test.
pub(super) fn load_tested(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "loadTested";
    if facts.is_job() || facts.app.spec.port.is_none() {
        return None;
    }
    let command = facts.ours("rehearse", "");
    let Some(rehearsed) = facts.rehearsed() else {
        return Some(Line::warn(
            CHECK,
            "a reload, a kill and an eviction under load have never been rehearsed",
            command,
        ));
    };
    let what =
        format!("{} requests, {} failed, p99 {:.0} ms", rehearsed.requests, rehearsed.failed, rehearsed.p99);
    Some(if rehearsed.revision != facts.revision() {
        Line::warn(CHECK, format!("rehearsed for another revision than the one that runs ({what})"), command)
    } else if rehearsed.failed > 0 {
        Line::fail(CHECK, format!("the last rehearsal failed: {what}"), command)
    } else if rehearsed.state == Some(false) {
        Line::fail(CHECK, format!("in the last rehearsal the state did not stay right ({what})"), command)
    } else {
        Line::pass(CHECK, format!("rehearsed at {}: {what}", rehearsed.time))
    })
}
