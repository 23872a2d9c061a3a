//! Every option of PM2's configuration file with what answers it here: the part of the reference for whoever
//! comes from PM2. The options, their other names and their defaults are those of PM2 7.0.
//!
//! Included by `tests/generated.rs` of the operator as well, see [`super::render`].

use std::fmt::Write as _;

use serde_json::Value;

/// What there is for an option.
#[derive(Clone, Copy)]
enum Here {
    /// A field, with what it does where it is left out.
    Field(&'static str, &'static str),
    /// No field: what is done instead.
    Instead(&'static str),
}

use Here::{Field, Instead};

/// Option with its other names, PM2's default, answer. Sorted as PM2's users meet them: what runs, how often, how it
/// starts and ends, what it writes.
#[rustfmt::skip] // One line per option.
const OPTIONS: &[(&str, &str, Here)] = &[
    ("script (exec, cmd, command)", "none, required", Field("script", "none: `script` or `command` is required")),
    ("name", "the script's name", Instead("`metadata.name` of the NodeApp; it is the name of its Service, so it is unique in its namespace")),
    ("name_prefix", "none", Instead("write it into `metadata.name`, or use a namespace")),
    ("append_env_to_name", "false", Instead("one NodeApp per environment, each in its namespace or with its own name")),
    ("namespace", "default", Instead("a namespace of Kubernetes, or labels of the NodeApp for `kubectl get -l`")),
    ("cwd", "the shell's directory", Field("cwd", "the image's `WORKDIR`")),
    ("args", "none", Field("args", "none")),
    ("exec_interpreter (interpreter)", "by the extension", Field("interpreter", "by the extension")),
    ("node_args (interpreter_args, interpreterArgs)", "none", Field("nodeArgs", "none")),
    ("exec_mode", "cluster if instances is given, else fork", Instead("one process per pod; the Service spreads connections over the pods as the cluster module does over workers")),
    ("instances", "1", Field("instances", "1")),
    ("instance_var", "NODE_APP_INSTANCE", Field("instanceVar", "NODE_APP_INSTANCE")),
    ("increment_var", "none", Field("incrementVar", "none")),
    ("port", "none", Field("port", "none: a worker without a Service")),
    ("env", "none", Field("env", "none; what the shell of the machine has is no part of it")),
    ("env_<name>", "none", Field("envProfiles", "none; `profile` says which is in force, as `--env` does")),
    ("filter_env", "false", Instead("nothing to filter: no environment but the image's is inherited")),
    ("wait_ready", "false", Field("waitReady", "false")),
    ("listen_timeout", "3000", Field("listenTimeout", "60s, and then it is a failure")),
    ("kill_timeout", "1600", Field("killTimeout", "5s")),
    ("kill_retry_time", "100", Instead("the runner learns of the end of a process at once, without polling")),
    ("shutdown_with_message", "false", Field("shutdownWithMessage", "false")),
    ("treekill", "true", Field("treekill", "true")),
    ("autostart", "true", Field("stopped", "false; `autostart: false` is `stopped: true`")),
    ("autorestart", "true", Field("autorestart", "true")),
    ("stop_exit_codes", "none", Field("stopExitCodes", "none")),
    ("min_uptime", "1000", Field("minUptime", "1s")),
    ("max_restarts", "16", Field("maxRestarts", "16, counted over a sliding window")),
    ("restart_delay", "0", Field("restartDelay", "0")),
    ("exp_backoff_restart_delay", "off", Field("expBackoffRestartDelay", "off")),
    ("max_memory_restart", "off", Field("maxMemoryRestart", "off")),
    ("cron_restart (cron)", "off", Field("cronRestart", "off")),
    ("watch", "false", Instead("an image does not change: a new image is a new `image`; for development, run the app outside of the cluster")),
    ("ignore_watch", "dotfiles, node_modules", Instead("as `watch`")),
    ("watch_delay", "0", Instead("as `watch`")),
    ("watch_options", "none", Instead("as `watch`")),
    ("out_file (out, output, out_log)", "~/.pm2/logs/NAME-out.log", Field("outFile", "none: `kubectl logs` has the lines")),
    ("error_file (error, err, err_file, err_log)", "~/.pm2/logs/NAME-error.log", Field("errorFile", "none: `kubectl logs` has the lines")),
    ("log_file (log)", "none", Field("logFile", "none")),
    ("pid_file (pid)", "~/.pm2/pids/NAME-ID.pid", Instead("the process is in `/status` of the runner; signals go by `kubectl exec … ctl`")),
    ("merge_logs (combine_logs)", "true in fork mode", Field("mergeLogs", "false; files of instances are apart in their pods anyway")),
    ("log_date_format", "none", Field("logDateFormat", "none")),
    ("time", "false", Instead("`logDateFormat: YYYY-MM-DDTHH:mm:ss`, which is what it stands for")),
    ("log_type", "raw", Field("logType", "raw")),
    ("disable_logs", "false", Instead("`outFile` and `errorFile` at `/dev/null` for no files; what a process writes always reaches `kubectl logs`")),
    ("source_map_support (disable_source_map_support)", "on", Field("sourceMapSupport", "false")),
    ("uid (user)", "the daemon's", Field("pod.securityContext", "1000:1000, which Pod Security `restricted` accepts: `runAsUser`, `runAsGroup`")),
    ("gid", "the user's", Field("pod.securityContext", "as `uid`")),
    ("username", "the current user", Instead("nothing but display; the app reads `username`, as in PM2")),
    ("force", "false", Instead("another NodeApp with the same script")),
    ("execute_command", "false", Field("command", "none: `script` or `command` is required")),
    ("vizion", "true", Instead("the tag or digest of `image` says what runs")),
    ("pmx (automation)", "true", Field("pmx", "true")),
    ("trace", "off", Instead("OpenTelemetry of your own: `nodeArgs: [--require, …]` and `env`")),
    ("disable_trace", "off", Instead("as `trace`")),
    ("v8", "off", Instead("the runner's `/metrics` has heap and event loop of each process")),
    ("event_loop_inspector", "off", Instead("as `v8`; `kubectl exec … ctl` takes processor profiles and heap snapshots")),
    ("deep_monitoring", "off", Instead("as `trace`")),
    ("io", "none", Instead("the settings of a paid service; metrics are Prometheus' here")),
    ("post_update", "none", Field("rollout.before", "none; else a step of the build of the image")),
    ("install_url", "none", Instead("there are no modules; log rotation and metrics are built in")),
    ("write", "false", Instead("the NodeApp is the file: `kubectl get nodeapp NAME -o yaml`")),
    ("windowsHide", "true", Instead("pods run on Linux")),
];

/// The section of the reference, given the schema of `spec`.
pub(crate) fn section(page: &mut String, spec: &Value) {
    let has = |field: &str| {
        let below = |schema: &Value, name: &str| schema["properties"][name].clone();
        field.split('.').fold(spec.clone(), |schema, name| below(&schema, name)).is_object()
    };
    page.push_str(
        "\n## PM2's options\n\nEvery option of an `ecosystem.config.js`, with its other names. Each can be written in \
         camel case too. Defaults are what holds when it is left out.\n\n| PM2 | default | here | default |\n|---|---|---|---|\n",
    );
    for (option, default, here) in OPTIONS {
        let option = option.replace('<', "\\<");
        let (field, ours) = match here {
            Field(field, ours) if has(field) => (format!("`{field}`"), *ours),
            Field(..) => ("no field in this version".to_owned(), ""),
            Instead(instead) => (format!("no field: {instead}"), ""),
        };
        let rest = match option.as_str() {
            "instances" => more(&has),
            _ => String::new(),
        };
        let _ = writeln!(page, "| {option} | {default} | {field}{rest} | {ours} |");
    }
}

/// Where `max`, 0 and negative numbers go, and a number that follows the load.
fn more(has: &dyn Fn(&str) -> bool) -> String {
    let ways =
        [("fillCluster", "`max`, 0 and negative numbers"), ("autoscaling", "a number that follows the load")];
    let ways = ways.iter().filter(|(field, _)| has(field));
    ways.fold(String::new(), |text, (field, what)| text + "; " + what + ": `" + field + "`")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The keys of PM2 7.0's schema, and what its command line takes beside them from a file.
    const PM2: &str = "script name name_prefix append_env_to_name namespace cwd args exec_interpreter node_args \
        exec_mode instances instance_var increment_var port env env_<name> filter_env wait_ready listen_timeout \
        kill_timeout kill_retry_time shutdown_with_message treekill autostart autorestart stop_exit_codes min_uptime \
        max_restarts restart_delay exp_backoff_restart_delay max_memory_restart cron_restart watch ignore_watch \
        watch_delay watch_options out_file error_file log_file pid_file merge_logs log_date_format time log_type \
        disable_logs source_map_support uid gid username force execute_command vizion pmx trace disable_trace v8 \
        event_loop_inspector deep_monitoring io post_update install_url write windowsHide";

    #[test]
    fn every_option_of_pm2_is_answered_once() {
        let first = |option: &&str| option.split(' ').next().unwrap_or_default().to_owned();
        let answered: Vec<String> = OPTIONS.iter().map(|(option, _, _)| first(option)).collect();
        let wanted: BTreeSet<String> = PM2.split_whitespace().map(str::to_owned).collect();
        assert_eq!(answered.iter().cloned().collect::<BTreeSet<_>>(), wanted);
        assert_eq!(answered.len(), wanted.len());
    }

    #[test]
    fn what_is_no_field_has_another_way() {
        for (option, _, here) in OPTIONS {
            let text = match here {
                Field(_, ours) => ours,
                Instead(instead) => instead,
            };
            assert!(!text.is_empty() && !text.contains('|'), "{option}");
        }
    }
}
