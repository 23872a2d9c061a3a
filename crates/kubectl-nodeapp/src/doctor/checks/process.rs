//! How the process gets ready, stops and starts again.

use std::time::Duration;

use nodeapp_contract::ExitReason;
use nodeapp_contract::status::ProcessState;
use nodeapp_operator::controller::names::{PAUSED_ANNOTATION, RESTARTED_ANNOTATION};
use nodeapp_operator::crd::NodeAppSpec;
use nodeapp_operator::crd::conditions::ConditionType;
use nodeapp_operator::crd::defaults;
use nodeapp_operator::crd::notation::{Delay, Time};
use nodeapp_operator::crd::status::Condition;
use serde_json::json;

use super::super::facts::{Audited, Facts};
use super::super::line::Line;

/// The times of a stop, as far as they can be read.
pub(super) struct Stop {
    pub(super) drain_delay: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) kill_timeout: Duration,
}

pub(super) fn stop(spec: &NodeAppSpec) -> Stop {
    Stop {
        drain_delay: delay(spec.drain_delay.as_ref(), defaults::DRAIN_DELAY),
        drain_timeout: delay(spec.drain_timeout.as_ref(), defaults::DRAIN_TIMEOUT),
        kill_timeout: time(spec.kill_timeout.as_ref(), defaults::KILL_TIMEOUT),
    }
}

fn delay(given: Option<&Delay>, default: Duration) -> Duration {
    given.and_then(|given| given.parse().ok()).unwrap_or(default)
}

fn time(given: Option<&Time>, default: Duration) -> Duration {
    given.and_then(|given| given.parse().ok()).unwrap_or(default)
}

/// A time as people write it.
pub(super) fn spoken(time: Duration) -> String {
    let millis = time.as_millis();
    if millis.is_multiple_of(1000) { format!("{} s", millis / 1000) } else { format!("{millis} ms") }
}

/// Whether the app runs at all.
pub(super) fn state(facts: &Facts) -> Line {
    const CHECK: &str = "state";
    if facts.is_paused() {
        let command = facts.kubectl("annotate", &format!("{PAUSED_ANNOTATION}-"));
        return Line::warn(
            CHECK,
            "the operator is told to leave it alone: no change is carried out",
            command,
        );
    }
    if facts.is_stopped() {
        return Line::warn(CHECK, "it is stopped", facts.patch(&json!({"stopped": null})));
    }
    if facts.instances() == 0 {
        let command = format!("kubectl scale nodeapp {}{} --replicas=2", facts.name(), facts.flags);
        return Line::warn(CHECK, "no instance is wanted", command);
    }
    let look = facts.kubectl("describe", "");
    let condition = |wanted: ConditionType| -> Option<&Condition> {
        let conditions = &facts.app.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == wanted.name())
    };
    let told = |condition: &Condition| format!("{}: {}", condition.reason, condition.message);
    match (condition(ConditionType::Valid), condition(ConditionType::Ready)) {
        (Some(valid), _) if valid.status == "False" => Line::fail(CHECK, told(valid), look),
        (_, Some(ready)) if ready.status == "True" => Line::pass(CHECK, ready.message.clone()),
        (_, Some(ready)) => Line::fail(CHECK, told(ready), look),
        (_, None) => Line::fail(CHECK, "no operator has looked at it yet", look),
    }
}

/// PM2's `wait_ready` and `process.send('ready')`.
pub(super) fn wait_ready(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "waitReady";
    let spec = &facts.app.spec;
    if facts.is_job() {
        return None;
    }
    if spec.wait_ready != Some(true) {
        let command = facts.patch(&json!({"waitReady": true}));
        let line = match (spec.probes.as_ref().and_then(|probes| probes.readiness.as_ref()), spec.port) {
            (Some(_), _) => Line::pass(CHECK, "the readiness probe decides when traffic comes"),
            (None, Some(port)) => Line::warn(
                CHECK,
                format!(
                    "traffic comes as soon as port {port} listens; if the app has to warm up, let it call \
                     process.send('ready') and then"
                ),
                command,
            ),
            (None, None) => Line::warn(
                CHECK,
                "it counts as ready as soon as it runs; let it call process.send('ready') when it works, and then",
                command,
            ),
        };
        return Some(line);
    }
    let limit = time(spec.listen_timeout.as_ref(), defaults::LISTEN_TIMEOUT);
    let late = facts.runners().find(|(_, runner)| {
        let since = runner.started_at.map_or(0, |at| i64::try_from(at.0).unwrap_or(i64::MAX));
        let age = facts.now.as_millisecond().saturating_sub(since);
        runner.state == ProcessState::Launching && u128::try_from(age).unwrap_or(0) > limit.as_millis()
    });
    Some(match late {
        Some((pod, _)) => Line::fail(
            CHECK,
            format!(
                "{pod} has not said process.send('ready') within listenTimeout ({}); let the app call it, or",
                spoken(limit)
            ),
            facts.patch(&json!({"waitReady": null})),
        ),
        None => Line::pass(CHECK, "traffic waits for process.send('ready')"),
    })
}

/// What happens to requests in flight when the app is stopped.
pub(super) fn shutdown(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "shutdown";
    if facts.is_job() {
        return None;
    }
    let spec = &facts.app.spec;
    let Stop { drain_delay, drain_timeout, kill_timeout } = stop(spec);
    let killed = facts.runners().find(|(_, runner)| {
        runner.last_exit.as_ref().is_some_and(|exit| {
            exit.reason == ExitReason::StopOrdered && exit.signal.as_deref() == Some("SIGKILL")
        })
    });
    if let Some((pod, _)) = killed {
        let longer = format!("{}s", (kill_timeout.as_secs() * 2).clamp(2, 3600));
        let message = format!(
            "{pod} had to be killed at its last stop: it did not end within killTimeout ({}); let it end on \
             {}, or give it more time",
            spoken(kill_timeout),
            spec.kill_signal.unwrap_or_default().name(),
        );
        return Some(Line::fail(CHECK, message, facts.patch(&json!({"killTimeout": longer}))));
    }
    let handles = facts.audited().is_some_and(|Audited { handles_signals, .. }| handles_signals);
    let serves = spec.port.is_some();
    let line = if serves && spec.pmx == Some(false) && !handles {
        let message = "pmx is off, so that the runner drains no requests, and nobody knows of a SIGINT handler in the app";
        Line::fail(CHECK, message, facts.patch(&json!({"pmx": null})))
    } else if serves && drain_delay.is_zero() {
        let message = "drainDelay is 0: the cluster still sends connections when they are refused already";
        Line::fail(CHECK, message, facts.patch(&json!({"drainDelay": null})))
    } else if serves && drain_timeout.is_zero() && !handles {
        let message = "drainTimeout is 0: what is in flight is cut off by the signal";
        Line::fail(CHECK, message, facts.patch(&json!({"drainTimeout": null})))
    } else if kill_timeout.is_zero() {
        let message = "killTimeout is 0: the app is killed before it can clear up";
        Line::warn(CHECK, message, facts.patch(&json!({"killTimeout": null})))
    } else {
        Line::pass(CHECK, order(spec, &stop(spec)))
    };
    Some(line)
}

/// The order of a stop in a sentence.
fn order(spec: &NodeAppSpec, stop: &Stop) -> String {
    let end = if spec.shutdown_with_message == Some(true) {
        "the message `shutdown`"
    } else {
        spec.kill_signal.unwrap_or_default().name()
    };
    let kill = spoken(stop.kill_timeout);
    if spec.port.is_none() {
        return format!("a stop is {end}, then {kill} to end");
    }
    let (delay, drain) = (spoken(stop.drain_delay), spoken(stop.drain_timeout));
    format!(
        "a stop serves on for {delay}, waits up to {drain} for requests in flight, then {end} and {kill} to end"
    )
}

/// Whether Kubernetes waits as long as the stop may take.
pub(super) fn grace_period(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "terminationGracePeriod";
    let template = facts.template.as_ref().ok()?.as_ref()?;
    let grace = template.spec.as_ref()?.termination_grace_period_seconds.unwrap_or(30);
    let Stop { drain_delay, drain_timeout, kill_timeout } = stop(&facts.app.spec);
    let delay = if facts.app.spec.port.is_some() { drain_delay } else { Duration::ZERO };
    let needed = (delay + drain_timeout + kill_timeout).as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "seconds are few")]
    let enough = grace as f64 >= needed;
    Some(if enough {
        Line::pass(CHECK, format!("Kubernetes waits {grace} s, the stop takes {needed} s at most"))
    } else {
        let time = facts.now.strftime("%Y-%m-%dT%H:%M:%SZ");
        let command = facts.kubectl("annotate", &format!("{RESTARTED_ANNOTATION}={time} --overwrite"));
        let message = format!("Kubernetes kills after {grace} s, but the stop may take {needed} s");
        Line::fail(CHECK, message, command)
    })
}

/// PM2's `max_restarts` and `restart_delay`.
pub(super) fn restart_limits(facts: &Facts) -> Option<Line> {
    const CHECK: &str = "restartLimits";
    let spec = &facts.app.spec;
    if facts.is_job() {
        return None;
    }
    if spec.autorestart == Some(false) {
        let message = "autorestart is false: after a crash the instance is down";
        return Some(Line::warn(CHECK, message, facts.patch(&json!({"autorestart": null}))));
    }
    if delay(spec.errored_retry_delay.as_ref(), defaults::ERRORED_RETRY_DELAY).is_zero() {
        let message =
            "erroredRetryDelay is 0: an instance that crashed too often stays down until somebody comes";
        return Some(Line::warn(CHECK, message, facts.patch(&json!({"erroredRetryDelay": null}))));
    }
    let most = spec.max_restarts.map_or(i64::from(defaults::MAX_RESTARTS), i64::from);
    let growing = spec.exp_backoff_restart_delay.as_ref().map(|given| time(Some(given), Duration::ZERO));
    let wait = growing.unwrap_or_else(|| time(spec.restart_delay.as_ref(), defaults::RESTART_DELAY));
    let uptime = spoken(time(spec.min_uptime.as_ref(), defaults::MIN_UPTIME));
    let limit = format!("{most} ends sooner than {uptime} are the limit");
    Some(if wait.is_zero() {
        let message = format!("{limit}, and there is no wait between restarts");
        Line::warn(CHECK, message, facts.patch(&json!({"expBackoffRestartDelay": 100})))
    } else {
        let how = if growing.is_some() { "growing from " } else { "" };
        Line::pass(CHECK, format!("{limit}, with a wait {how}{} before each restart", spoken(wait)))
    })
}
