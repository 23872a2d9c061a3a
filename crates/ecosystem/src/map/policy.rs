//! When an app is ready, how it is stopped, when it is restarted.

use nodeapp_contract::Cron;
use nodeapp_operator::crd::notation::Time;
use serde_json::{Value, json};

use super::Work;
use crate::report::Verdict;

/// PM2's own defaults where ours differ, in milliseconds.
pub(crate) const LISTEN_TIMEOUT: i64 = 3_000;
/// How long PM2 waits for an app to end.
pub(crate) const KILL_TIMEOUT: i64 = 1_600;
/// The longest time that any field takes.
const LONGEST: f64 = 86_400_000.0;
/// The most restarts that the API takes.
const MOST_RESTARTS: f64 = 1_000_000.0;

#[allow(clippy::cast_possible_truncation)] // Both ends are checked.
fn within(number: f64, most: f64) -> i64 {
    number.clamp(0.0, most).round() as i64
}

impl Work<'_> {
    /// A time in milliseconds.
    fn millis(&mut self, name: &str, field: &str, default: Option<i64>) {
        let path = format!("spec.{field}");
        match self.number(name) {
            Some(number) => {
                self.set(field, within(number, LONGEST));
                if (0.0..=LONGEST).contains(&number) {
                    self.say_table(name, &path);
                } else {
                    self.say(name, Verdict::Changed, &path, "must be between 0 and a day");
                }
            }
            None => {
                if let Some(default) = default {
                    self.set(field, default);
                    self.say(
                        name,
                        Verdict::Mapped,
                        &path,
                        format!("PM2's default of {default} ms, since ours differs"),
                    );
                }
            }
        }
    }

    fn boolean(&mut self, name: &str, field: &str, default: bool) {
        let Some(value) = self.flag(name) else { return };
        if value != default {
            self.set(field, value);
            self.say_table(name, &format!("spec.{field}"));
        } else if !self.origin.recorded {
            self.say(name, Verdict::Mapped, "", "the default here too");
        }
    }

    pub(super) fn policies(&mut self) {
        self.boolean("wait_ready", "waitReady", false);
        self.millis("listen_timeout", "listenTimeout", Some(LISTEN_TIMEOUT));
        self.millis("kill_timeout", "killTimeout", Some(KILL_TIMEOUT));
        self.boolean("shutdown_with_message", "shutdownWithMessage", false);
        self.boolean("treekill", "treekill", true);
        self.boolean("autorestart", "autorestart", true);
        if self.flag("autostart") == Some(false) {
            self.set("stopped", true);
            self.say_table("autostart", "spec.stopped");
        } else {
            self.boolean("autostart", "stopped", true);
        }
        self.exit_codes();
        self.min_uptime();
        self.max_restarts();
        self.millis("restart_delay", "restartDelay", None);
        self.millis("exp_backoff_restart_delay", "expBackoffRestartDelay", None);
        // PM2 gives an errored app no further chance.
        self.set("erroredRetryDelay", "0s");
        self.say(
            "max_restarts",
            Verdict::Mapped,
            "spec.erroredRetryDelay",
            "0s: an errored app stays so, as in PM2; take it out for a try every 5 minutes",
        );
        self.max_memory();
    }

    fn exit_codes(&mut self) {
        let Some(value) = self.value("stop_exit_codes") else { return };
        let items = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let mut codes: Vec<i64> = Vec::new();
        let mut beyond = false;
        for item in items {
            let number = item.as_f64().or_else(|| item.as_str()?.trim().parse().ok()).unwrap_or(-1.0);
            if (0.0..=255.0).contains(&number) {
                let code = within(number, 255.0);
                if !codes.contains(&code) {
                    codes.push(code);
                }
            } else {
                beyond = true;
            }
        }
        codes.truncate(256);
        if beyond {
            self.say(
                "stop_exit_codes",
                Verdict::IgnoredByPm2,
                "",
                "exit codes lie between 0 and 255; others never occur",
            );
        }
        if !codes.is_empty() {
            self.set("stopExitCodes", codes);
            self.say_table("stop_exit_codes", "spec.stopExitCodes");
        }
    }

    fn min_uptime(&mut self) {
        match self.value("min_uptime").cloned() {
            Some(Value::String(text)) => {
                if Time::from(text.as_str()).parse().is_err() {
                    self.set("minUptime", "24h");
                    self.say("min_uptime", Verdict::Changed, "spec.minUptime", "24h is the most");
                    return;
                }
                self.set("minUptime", text);
            }
            Some(value) => self.set("minUptime", within(value.as_f64().unwrap_or(0.0), LONGEST)),
            None => return,
        }
        self.say_table("min_uptime", "spec.minUptime");
    }

    fn max_restarts(&mut self) {
        let Some(number) = self.number("max_restarts") else { return };
        if number < 0.0 {
            self.say("max_restarts", Verdict::Refused, "", "PM2 refuses the file: it must be 0 or more");
            return;
        }
        self.set("maxRestarts", within(number, MOST_RESTARTS));
        if number > MOST_RESTARTS {
            self.say(
                "max_restarts",
                Verdict::Changed,
                "spec.maxRestarts",
                "1000000 is the most, which no app reaches within its window",
            );
        } else {
            self.say_table("max_restarts", "spec.maxRestarts");
        }
    }

    fn max_memory(&mut self) {
        let Some(value) = self.value("max_memory_restart").cloned() else { return };
        let bytes = match &value {
            Value::String(text) => json!(text.trim_start_matches('0')),
            other => json!(within(other.as_f64().unwrap_or(0.0), 9e18)),
        };
        let nothing = bytes == json!(0)
            || bytes.as_str().is_some_and(|text| !text.starts_with(|letter: char| letter.is_ascii_digit()));
        if nothing {
            self.say("max_memory_restart", Verdict::IgnoredByPm2, "", "0 means off");
            return;
        }
        self.set("maxMemoryRestart", bytes);
        self.say_table("max_memory_restart", "spec.maxMemoryRestart");
    }

    /// Whether the app ends by itself and is started by the clock.
    pub(super) fn is_job(&self) -> bool {
        let schedule = self.text("cron_restart");
        self.flag("autorestart") == Some(false)
            && schedule.is_some_and(|schedule| !["", "0"].contains(&schedule.trim()))
    }

    /// Takes out what has no meaning for a job, which serves nobody and runs once at a time.
    pub(super) fn job(&mut self) {
        if !self.is_job() || !self.spec.contains_key("cronRestart") {
            return;
        }
        let note = "with autorestart: false it is a job, which PM2 runs at its first start, too: kubectl create job --from=cronjob/NAME NAME-now";
        self.say("cron_restart", Verdict::Changed, "spec.cronRestart", note);
        let mut left = Vec::new();
        for field in ["port", "fillCluster", "instanceIndex", "instanceVar", "incrementVar"] {
            left.extend(self.spec.remove(field).map(|_| field));
        }
        if self.spec.get("instances").and_then(Value::as_i64).is_some_and(|number| number > 1) {
            self.set("instances", 1);
            left.push("instances");
        }
        if !left.is_empty() {
            let note =
                format!("{}: left out, since a job serves nobody and runs once at a time", left.join(", "));
            self.say("autorestart", Verdict::NotApplicable, "", note);
        }
    }

    pub(super) fn schedule(&mut self) {
        let Some(schedule) = self.text("cron_restart").map(|text| text.trim().to_owned()) else { return };
        if schedule == "0" || schedule.is_empty() {
            self.say("cron_restart", Verdict::Mapped, "", "off");
            return;
        }
        let mut fields: Vec<&str> = schedule.split_whitespace().collect();
        let seconds = (fields.len() == 6).then(|| fields.remove(0));
        let minutes = fields.join(" ");
        let problem = match (seconds, Cron::parse(&minutes)) {
            (_, Err(error)) => error,
            (_, Ok(cron)) if self.is_job() && cron.for_kubernetes().is_err() => {
                format!("a job cannot have {}", cron.for_kubernetes().err().unwrap_or_default())
            }
            (Some(seconds), Ok(_)) if seconds.parse::<u8>().is_err() => {
                "a schedule counts in minutes".to_owned()
            }
            (seconds, Ok(_)) => {
                self.set("cronRestart", minutes);
                self.say_table("cron_restart", "spec.cronRestart");
                if seconds.is_some_and(|seconds| seconds != "0" && seconds != "00") {
                    self.say(
                        "cron_restart",
                        Verdict::Changed,
                        "spec.cronRestart",
                        "at the full minute, without the field of the seconds",
                    );
                }
                return;
            }
        };
        let note = format!("{schedule} is no schedule here: {problem}; write spec.cronRestart by hand");
        self.say("cron_restart", Verdict::NotApplicable, "", note);
    }
}
