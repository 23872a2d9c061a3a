//! Every option of a PM2 ecosystem entry, and what becomes of it.
//!
//! One table for the reader of files, for the report, for `docs/from-pm2.md` and for `docs/reference.md`, whose generator
//! takes this file in as it is: nothing but the standard library may be used here.

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The same here, under the name that is given.
    Mapped,
    /// There is something for it, and it behaves differently in a way that is told.
    Changed,
    /// It has no meaning in a cluster; what to do instead is told.
    NotApplicable,
}

impl Answer {
    /// The word in the report and in the manual.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Changed => "changed",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// What PM2 takes as the value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// true or false; `"true"` is an error.
    Bool,
    /// A number, or a text that is one.
    Number,
    /// A text.
    Text,
    /// A list of texts, or a text that is split as a shell does.
    List,
    /// A number of bytes, or a text such as `512M`.
    Size,
    /// Milliseconds, or a text such as `10s`.
    Time,
    /// A number, or a text such as `max`.
    Instances,
    /// Numbers, or one.
    Codes,
    /// true or false, a text, or a list of texts.
    Choice,
    /// A text, or true and false.
    Path,
    /// An object.
    Object,
    /// Whatever it is, nothing depends on it.
    Any,
}

/// An option of PM2.
#[derive(Clone, Copy, Debug)]
pub struct Pm2Option {
    /// PM2's main name for it.
    pub name: &'static str,
    /// Its other names, beside the camelCase form that every name has.
    pub aliases: &'static [&'static str],
    /// What PM2 takes as its value.
    pub kind: Kind,
    /// What PM2 does without it.
    pub default: &'static str,
    /// What becomes of it.
    pub answer: Answer,
    /// Where it goes in a `NodeApp`, if anywhere.
    pub field: &'static str,
    /// How it behaves there, or what to do instead.
    pub says: &'static str,
}

const fn option(
    name: &'static str,
    aliases: &'static [&'static str],
    kind: Kind,
    default: &'static str,
    answer: Answer,
    field: &'static str,
    says: &'static str,
) -> Pm2Option {
    Pm2Option { name, aliases, kind, default, answer, field, says }
}

use Answer::{Changed, Mapped, NotApplicable};
use Kind::{Any, Bool, Choice, Codes, Instances, List, Number, Object, Path, Size, Text, Time};

/// The table.
#[rustfmt::skip] // A row per option reads better than six lines.
pub const OPTIONS: &[Pm2Option] = &[
    option("script", &["exec", "cmd", "command"], Text, "none, required", Changed, "script", "relative to the app's folder in the image; an absolute path of the machine is made relative to `cwd` or to the folder of the file; `npm start` and lines for a shell work as before"),
    option("name", &[], Text, "the script's name", Changed, "metadata.name", "becomes a DNS label (lower-case letters, digits, `-`, at most 63); the original stays in the annotation `nodeapp.dev/pm2-name`"),
    option("name_prefix", &[], Text, "none", NotApplicable, "", "PM2 takes it from its command line only; write the whole name"),
    option("append_env_to_name", &[], Bool, "false", Mapped, "metadata.name", "with `--env X` the name ends in `-X`"),
    option("namespace", &[], Text, "default", Changed, "metadata.labels", "PM2's namespace selects processes; it becomes the label `nodeapp.dev/pm2-namespace`, for `kubectl get nodeapps -l`. Namespaces of Kubernetes are another thing: `--namespace`"),
    option("cwd", &[], Text, "the shell's directory", Changed, "cwd", "a folder of a machine; below the folder of the file it becomes that folder in the image (`--workdir`), elsewhere the image's own WORKDIR stands for it"),
    option("args", &[], List, "none", Mapped, "args", "as in PM2, a text is split as a shell does"),
    option("exec_interpreter", &["interpreter"], Text, "by the extension", Changed, "interpreter", "a name is kept and must be in the image; a path or `node@20` becomes `node`, whose version comes with the image"),
    option("node_args", &["interpreter_args"], List, "none", Mapped, "nodeArgs", "before the script, as in PM2"),
    option("exec_mode", &[], Text, "cluster if instances is given, else fork", NotApplicable, "", "each instance is a pod with one process: what cluster mode shares (the port) the Service shares, and fork mode with several instances no longer collides"),
    option("instances", &[], Instances, "1", Mapped, "instances or fillCluster", "a number is kept; `max`, 0 and negative numbers become `fillCluster: {leave: n}`: as many as the cluster has room for, where PM2 counts the CPUs of one machine; a number that follows the load is `autoscaling`"),
    option("instance_var", &[], Text, "NODE_APP_INSTANCE", Mapped, "instanceVar", "as in PM2; numbers are given by `instanceIndex: true`, which is written for several instances"),
    option("increment_var", &[], Text, "none", Mapped, "incrementVar", "as in PM2, but not for PORT: each instance has an address of its own, so all have the same port"),
    option("port", &[], Number, "none", Mapped, "port", "is PORT for the app and the port of its Service"),
    option("env", &[], Object, "none", Changed, "env", "values are texts; what looks like a secret becomes a reference to a Secret; a PORT becomes `port`; pods inherit no variables from a shell"),
    option("env_<name>", &[], Object, "none", Changed, "envProfiles", "becomes the profile of that name; `import --env name` sets `profile`. Objects as values work (PM2 loses them here)"),
    option("filter_env", &[], Choice, "false", NotApplicable, "", "pods inherit no variables from a shell, so there is nothing to filter"),
    option("wait_ready", &[], Bool, "false", Changed, "waitReady", "the same message `ready`; without it the instance gets no traffic, where PM2 calls it online after listen_timeout"),
    option("listen_timeout", &[], Number, "3000", Changed, "listenTimeout", "a late app counts against the rollout and gets traffic once it is ready, where PM2 calls it online and kills the old one"),
    option("kill_timeout", &[], Number, "1600", Mapped, "killTimeout", "after the drain (`drainDelay`, `drainTimeout`), which PM2 does not have"),
    option("kill_retry_time", &[], Number, "100", NotApplicable, "", "the end of a process is seen at once, nothing is polled"),
    option("shutdown_with_message", &[], Bool, "false", Mapped, "shutdownWithMessage", "in rollouts too, where PM2's reload sends the signal"),
    option("treekill", &[], Bool, "true", Mapped, "treekill", "what is left in the end is killed either way"),
    option("autostart", &[], Bool, "true", Changed, "stopped", "`autostart: false` becomes `stopped: true`; start it by `stopped: false`"),
    option("autorestart", &[], Bool, "true", Mapped, "autorestart", "with cron_restart too it is a job: it runs at its times and ends"),
    option("stop_exit_codes", &[], Codes, "none", Changed, "stopExitCodes", "a death by a signal has no exit code, where PM2 takes it for 0"),
    option("min_uptime", &[], Time, "1000", Mapped, "minUptime", "counts over a sliding window, see max_restarts"),
    option("max_restarts", &[], Number, "16", Changed, "maxRestarts", "within a sliding window of `minUptime × maxRestarts`, where PM2 stops counting that long after the first start and delays defeat it"),
    option("restart_delay", &[], Number, "0", Mapped, "restartDelay", "as in PM2"),
    option("exp_backoff_restart_delay", &[], Number, "off", Mapped, "expBackoffRestartDelay", "as in PM2 it grows by half up to 15 s and replaces restart_delay"),
    option("max_memory_restart", &[], Size, "off", Changed, "maxMemoryRestart", "looked at several times a second instead of every 30 s, over the whole process tree, with a drain; it sets the memory limit to 125 % of itself"),
    option("cron_restart", &["cron"], Text, "off", Changed, "cronRestart", "a rolling restart where PM2 restarts all instances at once; a stopped app stays stopped; in UTC unless `timeZone` says otherwise; day of month and day of week are either-or as in cron, where PM2 wants both"),
    option("watch", &[], Choice, "false", NotApplicable, "", "files of an image do not change; for development run the app outside the cluster (`node --watch`), or use Skaffold or Tilt"),
    option("ignore_watch", &[], List, "dotfiles, node_modules", NotApplicable, "", "belongs to watch"),
    option("watch_delay", &[], Number, "0", NotApplicable, "", "belongs to watch"),
    option("watch_options", &[], Object, "none", NotApplicable, "", "belongs to watch"),
    option("out_file", &["out", "output", "out_log"], Path, "~/.pm2/logs/NAME-out.log", Changed, "outFile", "`kubectl logs` has all output anyway; a file lies below `/nodeapp/logs` in the pod and is gone with it, so a path of the machine keeps its last part only"),
    option("error_file", &["error", "err", "err_file", "err_log"], Path, "~/.pm2/logs/NAME-error.log", Changed, "errorFile", "as out_file"),
    option("log_file", &["log"], Path, "none", Changed, "logFile", "as out_file"),
    option("pid_file", &["pid"], Path, "~/.pm2/pids/NAME-ID.pid", NotApplicable, "", "the process is the only child of PID 1 in its own container; in the pod `ctl status` has its id and `ctl signal NAME` reaches it"),
    option("merge_logs", &["combine_logs"], Bool, "true in fork mode", Changed, "mergeLogs", "each pod has its own log, which `kubectl logs -l` merges; `mergeLogs` tags each line with instance and process id, which PM2 never does"),
    option("log_date_format", &[], Text, "none", Changed, "logDateFormat", "before every line in either mode; in UTC unless `timeZone` says otherwise"),
    option("time", &[], Bool, "false", Mapped, "logDateFormat", "`YYYY-MM-DDTHH:mm:ss`, as in PM2"),
    option("log_type", &[], Text, "raw", Changed, "logType", "`json` is one object per line, where PM2 writes one per chunk; lines that are JSON already get fields added"),
    option("disable_logs", &[], Bool, "false", NotApplicable, "", "there is no log file unless one is asked for; `kubectl logs` has the output, and the kubelet rotates it"),
    option("source_map_support", &[], Bool, "on", Mapped, "sourceMapSupport", "on by default in PM2, hence written as true"),
    option("disable_source_map_support", &[], Bool, "false", Mapped, "sourceMapSupport", "true becomes `sourceMapSupport: false`"),
    option("uid", &["user"], Any, "the daemon's", NotApplicable, "", "pods run as 1000:1000, which Pod Security `restricted` accepts; `pod.securityContext: {runAsUser: N, runAsGroup: N, fsGroup: N}` changes it, with numbers, since the names of users are the image's"),
    option("gid", &[], Any, "the user's", NotApplicable, "", "as uid"),
    option("username", &[], Text, "the current user", NotApplicable, "", "PM2 only shows it"),
    option("force", &[], Bool, "false", NotApplicable, "", "a name is there once in a namespace; give a second copy another name"),
    option("execute_command", &[], Bool, "false", NotApplicable, "", "forces fork mode, see exec_mode"),
    option("vizion", &[], Bool, "true", NotApplicable, "", "the version of an app is the tag of its image"),
    option("pmx", &[], Bool, "true", Changed, "pmx", "false leaves the runner's preload out: no held socket, no drain of requests in flight, no metrics from inside"),
    option("automation", &[], Bool, "true", Changed, "pmx", "false is `pmx: false`, as in PM2"),
    option("trace", &[], Any, "off", NotApplicable, "", "PM2 Plus; use OpenTelemetry in the app"),
    option("disable_trace", &[], Any, "off", NotApplicable, "", "PM2 Plus; use OpenTelemetry in the app"),
    option("v8", &[], Any, "off", NotApplicable, "", "PM2 Plus; heap figures are among the runner's metrics"),
    option("event_loop_inspector", &[], Any, "off", NotApplicable, "", "PM2 Plus; event-loop lag is among the runner's metrics"),
    option("deep_monitoring", &[], Any, "off", NotApplicable, "", "PM2 Plus; use OpenTelemetry in the app"),
    option("io", &[], Any, "none", NotApplicable, "", "PM2 Plus; custom metrics and actions of @pm2/io work without settings"),
    option("post_update", &[], List, "none", NotApplicable, "", "commands after `pm2 pull`; they belong into the Dockerfile, the CI job or, once per rollout, into `rollout.before`"),
    option("install_url", &[], Text, "none", NotApplicable, "", "of PM2 modules; an app comes as an image"),
    option("write", &[], Bool, "false", NotApplicable, "", "of PM2's command line; `import` writes the manifest"),
    option("windowsHide", &["windows_hide"], Bool, "true", NotApplicable, "", "of Windows"),
];

/// The option that a key means, with the key's own form: PM2's main name, its
/// camelCase form, or an alias.
pub fn find(key: &str) -> Option<&'static Pm2Option> {
    OPTIONS.iter().find(|option| {
        let names = std::iter::once(&option.name).chain(option.aliases);
        names.into_iter().any(|name| *name == key || camel(name) == key)
    })
}

/// `kill_timeout` as `killTimeout`.
pub fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| {
        let mut letters = word.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
        all + &capital.into_iter().collect::<String>() + letters.as_str()
    })
}

/// Keys of a file beside its apps.
#[rustfmt::skip]
pub const SECTIONS: &[(&str, &str)] = &[
    ("deploy", "PM2 copies a checkout to machines by ssh; here a CI job builds an image and applies the manifest: `kubectl nodeapp init` writes one. Commands of post-deploy belong into the Dockerfile (build, install) or before the rollout (migrations: `rollout.before`). Variables in `deploy.<name>.env` are laid under the profile of that name, as PM2 does with `--env name`"),
    ("static", "PM2's static file server; use an image such as nginx, or a package such as serve with its own Dockerfile"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_meaning() {
        let mut seen = std::collections::BTreeMap::new();
        for option in OPTIONS {
            for name in std::iter::once(&option.name).chain(option.aliases) {
                for key in [(*name).to_owned(), camel(name)] {
                    let owner = seen.entry(key.clone()).or_insert(option.name);
                    assert_eq!(*owner, option.name, "{key}");
                }
            }
            assert!(!option.says.is_empty() && !option.default.is_empty(), "{}", option.name);
            assert!(
                !option.says.contains('|') && !option.default.contains('|'),
                "{} breaks its row",
                option.name
            );
            assert_eq!(option.field.is_empty(), option.answer == NotApplicable, "{}", option.name);
        }
    }

    #[test]
    fn a_key_is_found_under_each_of_its_names() {
        for (key, name) in [
            ("kill_timeout", "kill_timeout"),
            ("killTimeout", "kill_timeout"),
            ("interpreter", "exec_interpreter"),
            ("interpreterArgs", "node_args"),
            ("err", "error_file"),
            ("cmd", "script"),
        ] {
            assert_eq!(find(key).map(|option| option.name), Some(name), "{key}");
        }
        assert!(find("kill-timeout").is_none());
    }
}
