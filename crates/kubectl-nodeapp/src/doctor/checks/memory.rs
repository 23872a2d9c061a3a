//! Memory: the line, the limit, Node.js' heap, requests.

use nodeapp_contract::ExitReason;
use nodeapp_operator::crd::env::effective;
use nodeapp_operator::crd::notation::bytes_as_quantity;
use serde_json::{Value, json};

use super::super::facts::Facts;
use super::super::line::Line;

const MIB: u64 = 1 << 20;
/// The least that is proposed.
const LEAST: u64 = 256 * MIB;

/// The memory line in bytes.
fn line(facts: &Facts) -> Option<u64> {
    facts.app.spec.max_memory_restart.as_ref().and_then(|size| size.parse().ok())
}

/// The memory limit in bytes that is written in the spec.
fn written_limit(facts: &Facts) -> Option<u64> {
    facts.app.spec.resources.as_ref()?.limits.get("memory")?.whole().ok()
}

/// The memory limit in bytes.
fn limit(facts: &Facts) -> Option<u64> {
    written_limit(facts).or_else(|| line(facts).map(|line| line.saturating_mul(5).div_ceil(4)))
}

/// Up to whole 64 MiB.
fn rounded_up(bytes: u64) -> u64 {
    bytes.div_ceil(64 * MIB) * 64 * MIB
}

/// A number of bytes in whole MiB, as PM2 writes it.
fn as_size(bytes: u64) -> String {
    format!("{}M", (bytes / MIB).max(1))
}

fn in_mib(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}

/// How often processes were restarted for a reason.
fn restarts(facts: &Facts, reason: ExitReason) -> u64 {
    facts.runners().filter_map(|(_, runner)| runner.restarts_by_reason.get(&reason)).sum()
}

/// PM2's `max_memory_restart`, which prevents silent deaths for want of memory.
pub(super) fn max_memory_restart(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "maxMemoryRestart";
    let Some(line) = line(facts) else { return Some(without(CHECK, facts)) };
    let limit = limit(facts)?;
    let most = facts.most_memory().unwrap_or(0);
    let reached = restarts(facts, ExitReason::MemoryLimit);
    let what = format!("the process is restarted at {}, below the limit of {}", in_mib(line), in_mib(limit));
    Some(if line.saturating_mul(10) > limit.saturating_mul(9) {
        let message = format!("{} is above 90 % of the limit of {}", in_mib(line), in_mib(limit));
        Line::fail(CHECK, message, facts.patch(&json!({"maxMemoryRestart": as_size(limit / 5 * 4)})))
    } else if reached > 0 {
        let message = format!("{what}, and that happened {reached} times; if it does not leak, give it more");
        Line::warn(CHECK, message, facts.patch(&raised(facts, line + line / 2)))
    } else if most.saturating_mul(10) >= line.saturating_mul(9) {
        let message = format!("{what}, and it uses {} already", in_mib(most));
        Line::warn(CHECK, message, facts.patch(&raised(facts, line + line / 2)))
    } else {
        Line::pass(CHECK, what)
    })
}

/// A higher line, and a higher limit where one is written.
fn raised(facts: &Facts, line: u64) -> Value {
    let line = rounded_up(line);
    let mut change = json!({"maxMemoryRestart": as_size(line)});
    if written_limit(facts).is_some() {
        change["resources"] =
            json!({"limits": {"memory": bytes_as_quantity(line.saturating_mul(5).div_ceil(4))}});
    }
    change
}

fn without(check: &'static str, facts: &Facts) -> Line {
    let line = written_limit(facts).map_or_else(
        || rounded_up(facts.most_memory().unwrap_or(0).saturating_mul(2)).max(LEAST),
        |limit| limit / 5 * 4,
    );
    let command = facts.patch(&json!({"maxMemoryRestart": as_size(line)}));
    let by_kernel = facts.app.status.as_ref().and_then(|status| status.last_exit.as_ref());
    let killed = by_kernel.is_some_and(|exit| exit.reason == "OutOfMemory")
        || restarts(facts, ExitReason::OutOfMemory) > 0;
    if killed {
        return Line::fail(check, "it is not set, and the kernel has killed the app for memory", command);
    }
    let message = match written_limit(facts) {
        Some(limit) => format!("it is not set: at {} the kernel kills without a warning", in_mib(limit)),
        None => "it is not set, and there is no memory limit: a leak takes the node's memory".to_owned(),
    };
    Line::warn(check, message, command)
}

/// Whether Node.js' heap fits between the line and the limit.
pub(super) fn heap(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "heap";
    let limit = limit(facts)?;
    let heap = heap_limit(facts)?;
    if heap > limit {
        let room = rounded_up(heap / 3 * 4);
        let mut change = json!({"resources": {"limits": {"memory": bytes_as_quantity(room)}}});
        if line(facts).is_some() {
            change["maxMemoryRestart"] = json!(as_size((room / 5 * 4).min(heap)));
        }
        let message = format!(
            "Node.js may take {} of heap, but the container is killed at {}; lower --max-old-space-size, or",
            in_mib(heap),
            in_mib(limit)
        );
        return Some(Line::fail(CHECK, message, facts.patch(&change)));
    }
    let Some(line) = line(facts).filter(|line| heap < *line) else {
        return Some(Line::pass(
            CHECK,
            format!("Node.js may take {} of heap, the limit is {}", in_mib(heap), in_mib(limit)),
        ));
    };
    let message = format!(
        "Node.js ends itself with `heap out of memory` at {}, before it is restarted at {}; raise \
         --max-old-space-size, or",
        in_mib(heap),
        in_mib(line)
    );
    Some(Line::warn(CHECK, message, facts.patch(&json!({"maxMemoryRestart": as_size(heap / 10 * 9)}))))
}

/// What Node.js' heap may grow to: as it says, else as the spec says.
fn heap_limit(facts: &Facts) -> Option<u64> {
    let told = facts.runners().filter_map(|(_, runner)| Some(runner.heap?.limit)).max();
    told.or_else(|| {
        let spec = &facts.app.spec;
        let options: Vec<String> = effective(spec)
            .iter()
            .filter(|it| it.variable.name == "NODE_OPTIONS")
            .filter_map(|it| it.variable.value.clone())
            .flat_map(|value| value.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
            .chain(spec.node_args.clone().unwrap_or_default())
            .collect();
        let of_option = |option: &String| {
            let value = option.replace('_', "-");
            value
                .strip_prefix("--max-old-space-size=")?
                .parse::<u64>()
                .ok()
                .map(|mib| mib.saturating_mul(MIB))
        };
        options.iter().filter_map(of_option).next_back()
    })
}

/// What the scheduler is told.
pub(super) fn requests(facts: &Facts) -> Line {
    const CHECK: &str = "requests";
    let written = |name: &str| Some(facts.app.spec.resources.as_ref()?.requests.get(name)?.clone());
    let memory = written("memory").and_then(|memory| memory.whole().ok());
    let effective = memory.or_else(|| line(facts)).unwrap_or(128 * MIB);
    let most = facts.most_memory().unwrap_or(0);
    let wanted = bytes_as_quantity(rounded_up(most + most / 4).max(effective));
    if most > effective {
        let message =
            format!("an instance uses {}, but only {} are asked for", in_mib(most), in_mib(effective));
        let command = facts.patch(&json!({"resources": {"requests": {"memory": wanted}}}));
        return Line::warn(CHECK, message, command);
    }
    let has_memory = memory.is_some() || line(facts).is_some();
    match (written("cpu"), has_memory) {
        (Some(cpu), true) => {
            Line::pass(CHECK, format!("{cpu} cpu and {} of memory are asked for", in_mib(effective)))
        }
        (cpu, _) => {
            let mut asked = json!({"memory": wanted});
            if cpu.is_none() {
                asked["cpu"] = json!("250m");
            }
            let message = "the scheduler is told the defaults (100m cpu, 128Mi memory) where nothing is said";
            Line::warn(CHECK, message, facts.patch(&json!({"resources": {"requests": asked}})))
        }
    }
}
