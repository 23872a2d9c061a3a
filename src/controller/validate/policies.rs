//! How the app is stopped and when it is started again.

use std::time::Duration;

use nodeapp_contract::config::{RestartPolicy, StopPolicy};

use super::Problems;
use super::values::{count, delay, time};
use crate::crd::{NodeAppSpec, defaults};

/// How the app is stopped.
pub(super) fn stop(spec: &NodeAppSpec, problems: &mut Problems) -> StopPolicy {
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
        treekill: spec.treekill.unwrap_or(defaults::TREEKILL),
        shutdown_with_message: spec.shutdown_with_message.unwrap_or(false),
    }
}

/// What happens when it ends by itself.
pub(super) fn restart(spec: &NodeAppSpec, problems: &mut Problems) -> RestartPolicy {
    let exp_backoff_restart_delay = spec
        .exp_backoff_restart_delay
        .as_ref()
        .map(|given| time("spec.expBackoffRestartDelay", Some(given), Duration::ZERO, problems).into());
    if spec.exp_backoff_reset_time.is_some() && exp_backoff_restart_delay.is_none() {
        problems.add(
            "spec.expBackoffResetTime",
            "needs expBackoffRestartDelay, whose growth it resets; set both or none",
        );
    }
    RestartPolicy {
        autorestart: spec.autorestart.unwrap_or(defaults::AUTORESTART),
        stop_exit_codes: stop_exit_codes(spec, problems),
        min_uptime: time("spec.minUptime", spec.min_uptime.as_ref(), defaults::MIN_UPTIME, problems).into(),
        max_restarts: count("spec.maxRestarts", spec.max_restarts, defaults::MAX_RESTARTS, 0, problems),
        restart_delay: time(
            "spec.restartDelay",
            spec.restart_delay.as_ref(),
            defaults::RESTART_DELAY,
            problems,
        )
        .into(),
        exp_backoff_restart_delay,
        exp_backoff_reset: delay(
            "spec.expBackoffResetTime",
            spec.exp_backoff_reset_time.as_ref(),
            defaults::EXP_BACKOFF_RESET_TIME,
            problems,
        )
        .into(),
        errored_retry: delay(
            "spec.erroredRetryDelay",
            spec.errored_retry_delay.as_ref(),
            defaults::ERRORED_RETRY_DELAY,
            problems,
        )
        .into(),
        // Decided by who knows whether it is a job.
        exit_when_done: false,
    }
}

fn stop_exit_codes(spec: &NodeAppSpec, problems: &mut Problems) -> Vec<i32> {
    for (index, code) in spec.stop_exit_codes.iter().enumerate() {
        let field = format!("spec.stopExitCodes[{index}]");
        if !(0..=255).contains(code) {
            problems.add(&field, "must be an exit code from 0 to 255");
        } else if spec.stop_exit_codes[..index].contains(code) {
            problems.add(&field, &format!("{code} is there twice"));
        }
    }
    spec.stop_exit_codes.clone()
}
