//! The resolved configuration of the runner.

use nodeapp_contract::config::{LogTail, MemoryPolicy, Readiness};
use nodeapp_contract::{RUNNER_PORT, RunnerConfig};

use super::memory::Plan;
use super::values::{self, time};
use super::{Problems, launch, logs, policies, probe, redis};
use crate::crd::env::{Effective, effective, is_plain_credential};
use crate::crd::{NodeAppSpec, defaults, probes};

/// The port of the app, if it has one.
pub(super) fn port(spec: &NodeAppSpec, problems: &mut Problems) -> Option<u16> {
    let port = values::port("spec.port", spec.port?, problems)?;
    if port == RUNNER_PORT {
        problems.add("spec.port", &format!("port {RUNNER_PORT} belongs to the runner; take another one"));
    }
    Some(port)
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
    uid: &str,
    spec: &NodeAppSpec,
    port: Option<u16>,
    memory: &Plan,
    problems: &mut Problems,
) -> RunnerConfig {
    let given = spec.probes.clone().unwrap_or_default();
    let mut probe = |name: &str, given: &Option<probes::Probe>| {
        given.as_ref().and_then(|given| probe::probe(&format!("spec.probes.{name}"), given, port, problems))
    };
    let readiness = probe("readiness", &given.readiness);
    let liveness = probe("liveness", &given.liveness);
    let startup = probe("startup", &given.startup);
    if let Some(cwd) = spec.cwd.as_ref().filter(|cwd| !cwd.starts_with('/')) {
        problems.add("spec.cwd", &format!("must be an absolute path such as /app, not {cwd}"));
    }
    RunnerConfig {
        name: name.to_owned(),
        launch: launch::launch(spec, problems),
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
        stop: policies::stop(spec, problems),
        restart: policies::restart(spec, problems),
        memory: memory_policy(spec, memory.restart_above, problems),
        node: launch::node(spec, memory),
        preload: launch::preload(spec, problems),
        log: logs::policy(spec, problems),
        log_files: logs::files(spec, problems),
        log_tail: (spec.status_log_tail != Some(false)).then(|| log_tail(uid, spec)),
    }
}

/// What the runner must know to keep credentials to itself: it alone has their values.
fn log_tail(uid: &str, spec: &NodeAppSpec) -> LogTail {
    let from_secrets = spec.env_from.iter().filter(|source| source.secret_ref.is_some());
    let secret_prefixes: Vec<_> =
        from_secrets.map(|source| source.prefix.clone().unwrap_or_default()).collect();
    let (secrets, mut plain): (Vec<_>, Vec<_>) = effective(spec).into_iter().partition(|entry| {
        let source = entry.variable.value_from.as_ref();
        source.is_some_and(|source| source.secret_key_ref.is_some()) || is_plain_credential(entry.variable)
    });
    plain.retain(|entry| secret_prefixes.iter().any(|prefix| entry.variable.name.starts_with(prefix)));
    let names = |entries: Vec<Effective<'_>>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.variable.name.clone()).collect()
    };
    let mut secrets = names(secrets);
    secrets.extend(redis::secret_variables(spec));
    LogTail { key: uid.to_owned(), secrets, secret_prefixes, plain: names(plain) }
}

fn memory_policy(
    spec: &NodeAppSpec,
    restart_above: Option<u64>,
    problems: &mut Problems,
) -> Option<MemoryPolicy> {
    let heap_snapshot = spec.heap_snapshot.unwrap_or(false);
    if heap_snapshot && spec.max_memory_restart.is_none() {
        problems.add("spec.heapSnapshot", "is written before a memory restart and needs maxMemoryRestart");
    }
    let max_rss = restart_above?;
    Some(MemoryPolicy { max_rss, confirm: defaults::MEMORY_CONFIRM.into(), heap_snapshot })
}
