//! What is executed, and what Node.js and the preload are told.

use nodeapp_contract::config::{Launch, NodeOptions, Preload};

use super::Problems;
use super::memory::Plan;
use super::values::delay;
use crate::crd::{NodeAppSpec, defaults};

/// Interpreters that are no Node.js, so that its options and the preload reach nothing.
const NOT_NODE: [&str; 8] = ["bun", "deno", "perl", "php", "python", "python3", "ruby", "lua"];

/// What is executed.
pub(super) fn launch(spec: &NodeAppSpec, problems: &mut Problems) -> Launch {
    let script = spec.script.clone().filter(|script| !script.is_empty());
    let command = spec.command.clone().filter(|command| command.first().is_some_and(|word| !word.is_empty()));
    if script.is_some() == command.is_some() {
        problems.add(
            "spec",
            "set exactly one of script (a file that Node.js runs) and command (a program and its arguments)",
        );
    }
    if command.is_some() && spec.node_args.is_some() {
        problems.add("spec.nodeArgs", "needs script; with command, write the arguments of node into command");
    }
    check_interpreter(spec, command.is_some(), problems);
    match (script, command) {
        (_, Some(mut argv)) => {
            argv.extend(spec.args.iter().cloned());
            Launch::Command { argv }
        }
        (script, None) => Launch::Script {
            script: script.unwrap_or_default(),
            args: spec.args.clone(),
            node_args: spec.node_args.clone().unwrap_or_default(),
            interpreter: spec.interpreter.clone(),
        },
    }
}

fn check_interpreter(spec: &NodeAppSpec, has_command: bool, problems: &mut Problems) {
    let Some(interpreter) = &spec.interpreter else { return };
    if has_command {
        problems.add("spec.interpreter", "needs script; with command, write the program first into command");
    } else if interpreter.is_empty() || interpreter.contains(char::is_whitespace) {
        problems.add(
            "spec.interpreter",
            "must be one program such as node, without blanks; its arguments go into nodeArgs",
        );
    } else if let Some(version) = interpreter.strip_prefix("node@") {
        problems.add(
            "spec.interpreter",
            &format!("is node, whose version comes with the image; take an image with Node.js {version}"),
        );
    } else if interpreter == "none" && spec.node_args.is_some() {
        problems.add(
            "spec.nodeArgs",
            "needs an interpreter; with interpreter none, the script is executed itself, so write them into args",
        );
    }
    let name = interpreter.rsplit('/').next().unwrap_or_default();
    if NOT_NODE.contains(&name) {
        let given = [
            ("spec.unhandledRejections", spec.unhandled_rejections.is_some()),
            ("spec.sourceMapSupport", spec.source_map_support == Some(true)),
            ("spec.hangTimeout", spec.hang_timeout.is_some()),
            ("spec.heapSnapshot", spec.heap_snapshot == Some(true)),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            problems.add(field, &format!("needs Node.js, and interpreter is {interpreter}; leave it out"));
        }
    }
}

/// What Node.js is told, beside the app's own options.
pub(super) fn node(spec: &NodeAppSpec, memory: &Plan) -> NodeOptions {
    NodeOptions {
        max_old_space_size: memory.limit.and_then(|limit| heap_mib(limit, memory.restart_above)),
        unhandled_rejections: spec.unhandled_rejections.map(|mode| mode.name().to_owned()),
        source_maps: spec.source_map_support.unwrap_or(false),
    }
}

/// The old heap under a memory limit, in MiB; the rest is for everything else that
/// a process has. Not less than the line above which the process is restarted: V8
/// would give up first. None for a limit that no heap fits under.
fn heap_mib(limit: u64, line: Option<u64>) -> Option<u64> {
    let bytes = u128::from(limit) * u128::from(defaults::HEAP_PERCENT) / 100;
    let bytes = bytes.max(line.unwrap_or(0).into());
    u64::try_from(bytes >> 20).ok().filter(|mib| *mib > 0)
}

/// What the preload does.
pub(super) fn preload(spec: &NodeAppSpec, problems: &mut Problems) -> Preload {
    let enabled = spec.pmx.unwrap_or(defaults::PMX);
    if !enabled {
        for (field, given) in [
            ("spec.holdSocket", spec.hold_socket == Some(true)),
            ("spec.hangTimeout", spec.hang_timeout.is_some()),
            ("spec.heapSnapshot", spec.heap_snapshot == Some(true)),
        ] {
            if given {
                problems.add(field, "needs the preload; take pmx: false out, or leave it out");
            }
        }
    }
    let hang_timeout = spec.hang_timeout.as_ref().map(|given| {
        let shortest = defaults::SHORTEST_HANG_TIMEOUT;
        let time = delay("spec.hangTimeout", Some(given), shortest, problems);
        if time < shortest {
            problems.add(
                "spec.hangTimeout",
                "must be at least 1s, which any app is silent for; leave it out for off",
            );
        }
        time.into()
    });
    Preload { enabled, hold_socket: spec.hold_socket.unwrap_or(defaults::HOLD_SOCKET), hang_timeout }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_gets_three_quarters_of_the_limit_in_whole_mebibytes() {
        for (limit, heap) in [
            (640 << 20, Some(480)),
            (512 << 20, Some(384)),
            (100_000_000, Some(71)),
            (2 << 20, Some(1)),
            (1 << 20, None),
            (0, None),
            (u64::MAX, Some(13_194_139_533_311)),
        ] {
            assert_eq!(heap_mib(limit, None), heap, "{limit}");
        }
    }
}
