//! Variables: as texts, by profile, secrets kept apart.

use std::collections::{BTreeMap, BTreeSet};

use nodeapp_contract::env::is_credential;
use serde_json::{Map, Value, json};

use super::Work;
use crate::report::{SecretPlan, Verdict};
use crate::{names, secrets};

/// The longest value that the API takes.
const LONGEST: usize = 65_536;

/// Variables that PM2 or the runner gives to each process.
const GIVEN: [&str; 12] = [
    "NODE_APP_INSTANCE",
    "pm_id",
    "name",
    "namespace",
    "exec_mode",
    "instances",
    "status",
    "pm_uptime",
    "unique_id",
    "PM2_HOME",
    "PM2_USAGE",
    "PM2_JSON_PROCESSING",
];
/// Variables that only PM2's daemon reads, at its own start.
const DAEMON: [&str; 15] = [
    "PM2_KILL_SIGNAL",
    "PM2_KILL_TIMEOUT",
    "PM2_KILL_USE_MESSAGE",
    "PM2_GRACEFUL_LISTEN_TIMEOUT",
    "PM2_GRACEFUL_TIMEOUT",
    "PM2_CONCURRENT_ACTIONS",
    "PM2_RELOAD_LOCK_TIMEOUT",
    "PM2_WORKER_INTERVAL",
    "EXP_BACKOFF_RESET_TIMER",
    "PM2_LOG_DATE_FORMAT",
    "PM2_PROCESS_INSTANCE_VAR",
    "PM2_NODE_OPTIONS",
    "PM2_ENABLE_GIT_PARSING",
    "PM2_API_PORT",
    "PM2_SILENT",
];
/// Variables of a machine and of who was logged in, which PM2 records with every process.
const MACHINE: [&str; 44] = [
    "PATH",
    "HOME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "USER",
    "LOGNAME",
    "USERNAME",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TERM_PROGRAM",
    "COLORTERM",
    "SHLVL",
    "_",
    "HOSTNAME",
    "MAIL",
    "LS_COLORS",
    "LSCOLORS",
    "LESSOPEN",
    "LESSCLOSE",
    "PAGER",
    "EDITOR",
    "DISPLAY",
    "TMPDIR",
    "MOTD_SHOWN",
    "HISTCONTROL",
    "HISTSIZE",
    "MANPATH",
    "INFOPATH",
    "WINDOWID",
    "PS1",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NODE",
    "INIT_CWD",
    "VISUAL",
    "WHICH_DECLARE",
    "DEBUGINFOD_URLS",
    "SYSTEMD_EXEC_PID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "XAUTHORITY",
    "GPG_AGENT_INFO",
];
const MACHINE_BEGINNINGS: [&str; 18] = [
    "LC_",
    "SSH_",
    "XDG_",
    "DBUS_",
    "NVM_",
    "npm_",
    "SUDO_",
    "VSCODE_",
    "GNOME_",
    "GTK_",
    "WSL",
    "BASH_FUNC_",
    "FNM_",
    "VOLTA_",
    "HOMEBREW_",
    "GIT_",
    "TMUX",
    "PM2_",
];

fn is_of_the_machine(name: &str) -> bool {
    MACHINE.contains(&name) || MACHINE_BEGINNINGS.iter().any(|start| name.starts_with(start))
}

/// A value as PM2 gives it to a process.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn port(value: &str) -> Option<i64> {
    value.trim().parse().ok().filter(|port| (1..=65_535).contains(port))
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // Kubernetes keeps what would lead out of a folder out of names.
    let leads_out = name == "." || name.starts_with("..");
    let begins = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    begins && !leads_out && name.len() <= 253 && name.bytes().all(letter)
}

/// Bounds of the API.
const MOST_PROFILES: usize = 8;
const MOST_IN_PROFILE: usize = 100;

fn is_profile(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name.len() <= 63 && name.bytes().all(letter)
}

type Variables = BTreeMap<String, String>;

impl Work<'_> {
    pub(super) fn environment(&mut self) {
        let base = self.value("env").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut base = self.variables("env", &base);
        let profiles = self.normal.profiles.clone();
        let mut profiles: BTreeMap<String, Variables> = profiles
            .iter()
            .map(|(name, variables)| (name.clone(), self.variables(&format!("env_{name}"), variables)))
            .collect();
        let has_port = base.contains_key("PORT");
        self.port(&mut base, &mut profiles);
        // All of them first: a secret of one list may stand in another under any name.
        for (name, value) in profiles.values().chain([&base]).flatten() {
            self.masks.extend(secrets::hidden(name, value));
        }
        if base.is_empty() && has_port {
            self.say("env", Verdict::Mapped, "spec.port", "its PORT, and nothing else");
        } else if !base.is_empty() {
            let list = self.list_of(&base, "env", &format!("{}-env", self.name));
            self.set("env", list);
            self.say("env", Verdict::Mapped, "spec.env", "");
        }
        self.profiles(&profiles);
    }

    fn profiles(&mut self, profiles: &BTreeMap<String, Variables>) {
        let mut written = Map::new();
        let mut room =
            MOST_PROFILES - usize::from(self.wishes.profile.is_some_and(|it| profiles.contains_key(it)));
        for (profile, variables) in profiles {
            let option = format!("env_{profile}");
            let selected = self.wishes.profile == Some(profile);
            if !is_profile(profile) || variables.len() > MOST_IN_PROFILE || (room == 0 && !selected) {
                let note = format!(
                    "left out: a NodeApp has at most {MOST_PROFILES} profiles of {MOST_IN_PROFILE} variables, with names of at most 63 \
                     letters, digits, '-', '_' and '.'; put the others into a ConfigMap and envFrom"
                );
                self.say(&option, Verdict::NotApplicable, "", note);
                continue;
            }
            room -= usize::from(!selected);
            let secret = format!("{}-env-{}", self.name, names::label(profile));
            let list = self.list_of(variables, &option, &secret);
            written.insert(profile.clone(), Value::Array(list));
            let note = if selected { "selected" } else { "set spec.profile to use it, as --env does" };
            self.say(&option, Verdict::Mapped, &format!("spec.envProfiles.{profile}"), note);
        }
        if written.is_empty() {
            if self.wishes.profile.is_some() && !self.origin.recorded {
                let wished = self.wishes.profile.unwrap_or_default();
                let note =
                    format!("the app has no env_{wished}; PM2 warns and takes env alone, so does this");
                self.say(&format!("env_{wished}"), Verdict::IgnoredByPm2, "", note);
            }
            return;
        }
        let written_names: BTreeSet<String> = written.keys().cloned().collect();
        self.set("envProfiles", written);
        if let Some(profile) = self.wishes.profile {
            if written_names.contains(profile) {
                self.set("profile", profile);
            } else {
                let note =
                    format!("the app has no env_{profile}; PM2 warns and takes env alone, so does this");
                self.say(&format!("env_{profile}"), Verdict::IgnoredByPm2, "", note);
            }
        }
    }

    /// The variables of an object that an app in a pod has a use for.
    fn variables(&mut self, option: &str, object: &Map<String, Value>) -> Variables {
        let mut kept = Variables::new();
        let mut left: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, value) in object {
            let Some(value) = text(value) else { continue };
            let inherited = self.origin.shell.is_some_and(|shell| shell.get(name) == Some(&value));
            let numbered = self.spec.get("instanceVar").is_some_and(|variable| variable == name);
            let reason = if GIVEN.contains(&name.as_str()) || numbered {
                "given to each process anyway"
            } else if DAEMON.contains(&name.as_str()) {
                "read by PM2's daemon alone, when it starts"
            } else if name.starts_with("NODEAPP_") {
                "belong to the operator; the app needs another name"
            } else if !is_name(name) {
                "no name that Kubernetes takes for a variable"
            } else if (self.origin.recorded || inherited) && is_of_the_machine(name) {
                "of the machine and not of the app"
            } else if inherited {
                "taken over from the shell as a whole; write those that the app needs into env"
            } else if value.len() > LONGEST {
                "too long (65536 bytes are the most); put it into a file of the image or into a ConfigMap"
            } else {
                kept.insert(name.clone(), value);
                continue;
            };
            // Names alone: what a shell holds is nobody's business.
            left.entry(reason).or_default().push(name.clone());
        }
        for (reason, names) in left {
            let quiet = self.origin.recorded && reason != "no name that Kubernetes takes for a variable";
            let list = if quiet { format!("{} of its variables", names.len()) } else { names.join(", ") };
            self.say(option, Verdict::NotApplicable, "", format!("{list}: {reason}"));
        }
        kept
    }

    /// PORT has a field of its own, since the Service has the same port.
    fn port(&mut self, base: &mut Variables, profiles: &mut BTreeMap<String, Variables>) {
        let selected = self.wishes.profile.and_then(|profile| profiles.get(profile)?.get("PORT").cloned());
        let option = self.number("port").map(|port| port.to_string());
        let of_profiles: BTreeSet<&String> =
            profiles.values().filter_map(|variables| variables.get("PORT")).collect();
        let only =
            (of_profiles.len() == 1).then(|| of_profiles.first().map(|port| (*port).clone())).flatten();
        let source =
            [("env_*", selected), ("port", option), ("env", base.get("PORT").cloned()), ("env_*", only)];
        let Some((from, value)) = source.into_iter().find_map(|(from, value)| Some((from, value?))) else {
            if !self.origin.recorded {
                self.say(
                    "port",
                    Verdict::NotApplicable,
                    "",
                    "nothing sets PORT, so this is a worker without a Service; if it listens, add `port: N`",
                );
            }
            return;
        };
        let Some(port) = port(&value) else {
            if from == "port" {
                self.say("port", Verdict::Refused, "", "must be a port from 1 to 65535");
            } else {
                self.say(from, Verdict::Changed, "spec.env", "PORT is no number, so there is no Service");
            }
            return;
        };
        if port == 9615 {
            self.say(
                "port",
                Verdict::Refused,
                "",
                "port 9615 belongs to the runner; let the app listen on another one",
            );
            return;
        }
        let others: BTreeSet<String> = profiles
            .values_mut()
            .chain([base])
            .filter_map(|variables| variables.remove("PORT"))
            .filter(|other| *other != port.to_string())
            .collect();
        self.set("port", port);
        let note = if from == "port" { "" } else { "PORT of the app and of its Service" };
        self.say("port", Verdict::Mapped, "spec.port", note);
        if !others.is_empty() {
            let note = format!(
                "{} elsewhere in the file is left out: an app has one port whatever its profile, and apps do not share a machine's ports",
                others.into_iter().collect::<Vec<_>>().join(", ")
            );
            self.say("port", Verdict::Changed, "spec.port", note);
        }
    }

    /// Variables as the API takes them; secrets as references to one Secret.
    fn list_of(&mut self, variables: &Variables, option: &str, secret: &str) -> Vec<Value> {
        // What the operator would warn about is kept out, too.
        let is_secret = |name: &str, value: &str| {
            secrets::is_secret(name, value)
                || (is_credential(name) && !value.is_empty())
                || self.masks.are_in(value)
        };
        let keys: Vec<String> = variables
            .iter()
            .filter(|(name, value)| is_secret(name, value))
            .map(|(name, _)| name.clone())
            .collect();
        self.masks.extend(keys.iter().map(|key| variables[key].clone()));
        let list = variables.iter().map(|(name, value)| {
            if keys.contains(name) {
                json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}})
            } else {
                // Kubernetes would put a variable in for $(NAME).
                json!({"name": name, "value": value.replace("$(", "$$(")})
            }
        });
        let list = list.collect();
        if !keys.is_empty() {
            self.say(
                option,
                Verdict::Changed,
                "",
                format!(
                    "{}: values that look secret are not shown; they come from the Secret {secret}",
                    keys.join(", ")
                ),
            );
            let command = command(secret, &keys, self.wishes.namespace);
            self.secrets.push(SecretPlan { name: secret.to_owned(), keys, from: option.to_owned(), command });
        }
        list
    }
}

/// The command that makes a Secret from variables of the shell.
fn command(secret: &str, keys: &[String], namespace: Option<&str>) -> String {
    let namespace = namespace.map(|name| format!(" --namespace {name}")).unwrap_or_default();
    let in_shell = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    keys.iter().fold(format!("kubectl create secret generic {secret}{namespace}"), |command, key| {
        let value = if in_shell(key) { format!("\"${{{key}}}\"") } else { "'...'".to_owned() };
        format!("{command} \\\n  --from-literal={key}={value}")
    })
}
