//! The resolved configuration of the runner.

use std::time::Duration;

use nodeapp_contract::config::{
    Check, Launch, LogFiles, LogPolicy, MemoryPolicy, NodeOptions, Preload, Probe, Readiness, RestartPolicy,
    StopPolicy,
};
use nodeapp_contract::{RUNNER_PORT, RunnerConfig, paths};

use super::Problems;
use crate::crd::notation::{Delay, Time};
use crate::crd::{NodeAppSpec, defaults, probes};

/// The port of the app, if it has one.
pub(super) fn port(spec: &NodeAppSpec, problems: &mut Problems) -> Option<u16> {
    let port = check_port("spec.port", spec.port?, problems)?;
    if port == RUNNER_PORT {
        problems.add("spec.port", &format!("port {RUNNER_PORT} belongs to the runner; take another one"));
    }
    Some(port)
}

fn check_port(field: &str, port: i32, problems: &mut Problems) -> Option<u16> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    if port.is_none() {
        problems.add(field, "must be a port from 1 to 65535");
    }
    port
}

/// The configuration as the runner reads it.
pub fn config_text(config: &RunnerConfig) -> String {
    serde_json::to_string(config).expect("the runner's configuration is JSON")
}

/// Linux starts no program with a variable of 128 KiB or more; the difference is
/// for its name and for what a later runner may be told.
const LONGEST_CONFIG: usize = 120 * 1024;

/// The runner is told everything in one variable, and a longer one would leave a
/// pod that never starts.
pub(super) fn check_size(config: &RunnerConfig, problems: &mut Problems) {
    let size = config_text(config).len();
    if size > LONGEST_CONFIG {
        problems.add(
            "spec",
            &format!(
                "args, command, nodeArgs and probes come to {size} bytes together with the other settings, at \
                 most {LONGEST_CONFIG} can be handed to the runner; put long arguments into a file of the image"
            ),
        );
    }
}

/// Everything the runner is told.
pub(super) fn config(
    name: &str,
    spec: &NodeAppSpec,
    port: Option<u16>,
    restart_above: Option<u64>,
    problems: &mut Problems,
) -> RunnerConfig {
    let given = spec.probes.clone().unwrap_or_default();
    let mut probe = |name: &str, given: &Option<probes::Probe>| {
        given.as_ref().and_then(|given| self::probe(&format!("spec.probes.{name}"), given, port, problems))
    };
    let readiness = probe("readiness", &given.readiness);
    let liveness = probe("liveness", &given.liveness);
    let startup = probe("startup", &given.startup);
    if let Some(cwd) = spec.cwd.as_ref().filter(|cwd| !cwd.starts_with('/')) {
        problems.add("spec.cwd", &format!("must be an absolute path such as /app, not {cwd}"));
    }
    RunnerConfig {
        name: name.to_owned(),
        launch: launch(spec, problems),
        cwd: spec.cwd.clone(),
        port,
        readiness: Readiness {
            wait_ready: spec.wait_ready.unwrap_or(false),
            listen_timeout: time(
                "spec.listenTimeout",
                spec.listen_timeout.as_ref(),
                defaults::LISTEN_TIMEOUT,
                problems,
            )
            .into(),
            probe: readiness,
        },
        liveness,
        startup,
        stop: stop(spec, problems),
        restart: restart(spec, problems),
        memory: restart_above.map(|max_rss| MemoryPolicy {
            max_rss,
            confirm: defaults::MEMORY_CONFIRM.into(),
            heap_snapshot: false,
        }),
        node: NodeOptions::default(),
        preload: Preload::default(),
        log: LogPolicy::default(),
        log_files: log_files(spec, problems),
    }
}

fn launch(spec: &NodeAppSpec, problems: &mut Problems) -> Launch {
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
    match (script, command) {
        (_, Some(mut argv)) => {
            argv.extend(spec.args.iter().cloned());
            Launch::Command { argv }
        }
        (script, None) => Launch::Script {
            script: script.unwrap_or_default(),
            args: spec.args.clone(),
            node_args: spec.node_args.clone().unwrap_or_default(),
            interpreter: None,
        },
    }
}

fn stop(spec: &NodeAppSpec, problems: &mut Problems) -> StopPolicy {
    StopPolicy {
        kill_signal: spec.kill_signal.unwrap_or_default().name().to_owned(),
        drain_delay: delay("spec.drainDelay", spec.drain_delay.as_ref(), defaults::DRAIN_DELAY, problems)
            .into(),
        drain_timeout: delay(
            "spec.drainTimeout",
            spec.drain_timeout.as_ref(),
            defaults::DRAIN_TIMEOUT,
            problems,
        )
        .into(),
        kill_timeout: time("spec.killTimeout", spec.kill_timeout.as_ref(), defaults::KILL_TIMEOUT, problems)
            .into(),
        ..StopPolicy::default()
    }
}

fn restart(spec: &NodeAppSpec, problems: &mut Problems) -> RestartPolicy {
    RestartPolicy {
        min_uptime: time("spec.minUptime", spec.min_uptime.as_ref(), defaults::MIN_UPTIME, problems).into(),
        max_restarts: count("spec.maxRestarts", spec.max_restarts, defaults::MAX_RESTARTS, 0, problems),
        restart_delay: time(
            "spec.restartDelay",
            spec.restart_delay.as_ref(),
            defaults::RESTART_DELAY,
            problems,
        )
        .into(),
        exp_backoff_restart_delay: spec
            .exp_backoff_restart_delay
            .as_ref()
            .map(|given| time("spec.expBackoffRestartDelay", Some(given), Duration::ZERO, problems).into()),
        ..RestartPolicy::default()
    }
}

fn log_files(spec: &NodeAppSpec, problems: &mut Problems) -> Option<LogFiles> {
    let given = spec.log_rotate.as_ref()?;
    let max_size = given.max_size.as_ref().map_or(defaults::LOG_MAX_SIZE, |size| {
        problems.take("spec.logRotate.maxSize", size.parse(), defaults::LOG_MAX_SIZE)
    });
    let retain = count("spec.logRotate.retain", given.retain, defaults::LOG_RETAIN, 0, problems);
    if log_volume_bytes(max_size, retain).is_none() {
        problems.add("spec.logRotate", "maxSize × retain is more than any disk; lower one of them");
    }
    Some(LogFiles {
        max_size,
        retain,
        compress: given.compress.unwrap_or(false),
        ..LogFiles::in_dir(paths::LOG_DIR)
    })
}

/// Room for the log files: the retained ones, the open one, one that is being
/// compressed and one to spare, for standard output and standard error each.
pub fn log_volume_bytes(max_size: u64, retain: u32) -> Option<u64> {
    let files = 2 * (u64::from(retain) + 3);
    max_size.checked_mul(files).filter(|bytes| i64::try_from(*bytes).is_ok())
}

fn probe(field: &str, given: &probes::Probe, port: Option<u16>, problems: &mut Problems) -> Option<Probe> {
    let check = check(field, given, port, problems);
    let period = delay(&format!("{field}.period"), given.period.as_ref(), defaults::PROBE_PERIOD, problems);
    if period < Duration::from_millis(100) {
        problems.add(&format!("{field}.period"), "must be at least 100ms");
    }
    let timeout =
        delay(&format!("{field}.timeout"), given.timeout.as_ref(), defaults::PROBE_TIMEOUT, problems);
    if timeout.is_zero() {
        problems.add(&format!("{field}.timeout"), "must be more than 0");
    }
    Some(Probe {
        check: check?,
        initial_delay: delay(
            &format!("{field}.initialDelay"),
            given.initial_delay.as_ref(),
            Duration::ZERO,
            problems,
        )
        .into(),
        period: period.into(),
        timeout: timeout.into(),
        failure_threshold: count(
            &format!("{field}.failureThreshold"),
            given.failure_threshold,
            defaults::PROBE_FAILURES,
            1,
            problems,
        ),
        success_threshold: count(
            &format!("{field}.successThreshold"),
            given.success_threshold,
            defaults::PROBE_SUCCESSES,
            1,
            problems,
        ),
    })
}

fn check(
    field: &str,
    given: &probes::Probe,
    app_port: Option<u16>,
    problems: &mut Problems,
) -> Option<Check> {
    let mut port = |kind: &str, given: Option<i32>| match given {
        Some(port) => check_port(&format!("{field}.{kind}.port"), port, problems),
        None if app_port.is_some() => app_port,
        None => {
            problems.add(&format!("{field}.{kind}.port"), "is needed, since the app has no spec.port");
            None
        }
    };
    let http = given.http.as_ref().map(|http| {
        let headers = http.headers.iter().map(|header| (header.name.clone(), header.value.clone()));
        Some(Check::Http {
            port: port("http", http.port)?,
            path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: headers.collect(),
        })
    });
    let tcp = given.tcp.as_ref().map(|tcp| Some(Check::Tcp { port: port("tcp", tcp.port)? }));
    let exec = given.exec.as_ref().map(|exec| Some(Check::Exec { argv: exec.command.clone() }));
    if exec.is_some() && given.exec.as_ref().is_none_or(|exec| exec.command.is_empty()) {
        problems.add(&format!("{field}.exec.command"), "must name a program");
    }
    let mut given: Vec<_> = [http, tcp, exec].into_iter().flatten().collect();
    if given.len() == 1 {
        return given.remove(0);
    }
    problems.add(field, "has exactly one of http, tcp and exec");
    None
}

fn time(field: &str, given: Option<&Time>, default: Duration, problems: &mut Problems) -> Duration {
    given.map_or(default, |given| problems.take(field, given.parse(), default))
}

fn delay(field: &str, given: Option<&Delay>, default: Duration, problems: &mut Problems) -> Duration {
    given.map_or(default, |given| problems.take(field, given.parse(), default))
}

fn count(field: &str, given: Option<i32>, default: u32, least: u32, problems: &mut Problems) -> u32 {
    let Some(given) = given else { return default };
    match u32::try_from(given) {
        Ok(count) if count >= least => count,
        _ => {
            problems.add(field, &format!("must be {least} or more"));
            default
        }
    }
}
