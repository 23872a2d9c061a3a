//! Every command of PM2, and what takes its place.

/// A command of PM2.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// The command with its other names.
    pub pm2: &'static str,
    /// What to do here.
    pub here: &'static str,
    /// Where it behaves differently.
    pub difference: &'static str,
}

const fn command(pm2: &'static str, here: &'static str, difference: &'static str) -> Command {
    Command { pm2, here, difference }
}

/// The table, for `docs/from-pm2.md`. Only what works today stands in it.
#[rustfmt::skip] // A row per command reads better than five lines.
pub const COMMANDS: &[Command] = &[
    command("start FILE --env NAME", "`kubectl nodeapp start FILE --env NAME --image IMAGE`", "apps that left the file are not stopped, as in PM2; `kubectl apply --prune` or GitOps does that"),
    command("start SCRIPT", "`kubectl nodeapp init`, then `kubectl nodeapp start nodeapp.yaml`", "an image has to be built first"),
    command("start NAME", "`kubectl nodeapp start NAME`", "one that runs is left as it is, where PM2 restarts it"),
    command("stop NAME", "`kubectl nodeapp stop NAME`", "drains first; a schedule does not start it again"),
    command("restart NAME", "`kubectl nodeapp restart NAME`", "each process drains before it ends; stops at the first that does not come back"),
    command("reload, gracefulReload", "`kubectl nodeapp reload NAME`", "the old instance stays until the new one is ready, and drains; a broken build stops there with exit code 1, where PM2 takes the app down"),
    command("startOrRestart, startOrReload, startOrGracefulReload", "`kubectl nodeapp start FILE`", "what has changed is rolled over"),
    command("scale NAME N", "`kubectl nodeapp scale NAME N`", "`+N` and `-N` too; the last instances go first, where PM2 takes the oldest"),
    command("delete NAME", "`kubectl nodeapp delete NAME`", "`all` needs `--yes`"),
    command("list, ls, l, ps, status", "`kubectl nodeapp ls`", "rows are apps; `describe` shows instances"),
    command("jlist, prettylist", "`kubectl nodeapp jlist`", "NodeApps; no values of Secrets in it"),
    command("describe, show, info, desc", "`kubectl nodeapp describe NAME`", ""),
    command("logs NAME", "`kubectl nodeapp logs NAME`", "goes on over pods that come and go; `--previous` of kubectl has those of a container before"),
    command("logs --lines, --nostream, --raw, --json, --format, --timestamp, --err, --out, --highlight", "the same flags of `kubectl nodeapp logs`", "`--out` and `--err` need `logType: json`, since a pod's log has both streams in one"),
    command("flush", "`kubectl nodeapp flush`", "empties log files; what `kubectl logs` shows is the node's, which rotates it"),
    command("reloadLogs, logrotate", "nothing to do, or `ctl reopen-logs`", "the runner rotates its own files and loses no line"),
    command("monit, dashboard, imonit", "`kubectl nodeapp monit`", "figures of Prometheus too at port 9615 of each pod"),
    command("env ID", "`kubectl nodeapp env NAME`", "values from Secrets are not shown"),
    command("id, pid", "`kubectl nodeapp describe NAME`", "each instance is a pod"),
    command("reset NAME", "`kubectl nodeapp reset NAME`", "counters of metrics go on, as Prometheus wants it"),
    command("sendSignal SIGNAL NAME", "`kubectl nodeapp send-signal SIGNAL NAME`", ""),
    command("trigger NAME ACTION", "`kubectl nodeapp trigger NAME ACTION`", "each instance has 30 s to answer; `describe` lists the actions"),
    command("attach, send", "`kubectl exec -it POD -c app -- ...`", "standard input of the app is closed"),
    command("save, dump, resurrect", "nothing to do", "the API server keeps what was applied"),
    command("startup, unstartup", "nothing to do", "the cluster starts pods after a failure of a machine, elsewhere if need be"),
    command("cleardump", "nothing to do", "there is no dump"),
    command("update", "`helm upgrade`", "an upgrade of the operator restarts no app"),
    command("ping, kill", "`kubectl nodeapp version`; `helm uninstall`", "apps run on without the operator"),
    command("report", "`kubectl nodeapp report NAME`", "a zip, with secrets taken out"),
    command("ecosystem, init", "`kubectl nodeapp init`", ""),
    command("deploy FILE ENV", "the CI job that `kubectl nodeapp init` writes", "an image per commit, applied by kubectl; a failed rollout stops by itself"),
    command("deploy FILE ENV setup", "nothing to do", "no folders are made on machines; the cluster pulls the image"),
    command("deploy FILE ENV REF", "another `image`, by commit", ""),
    command("deploy FILE ENV revert N", "`kubectl nodeapp rollback NAME`, with `--to REVISION` to any of them", "without a build and without a checkout, by a rollout like any other"),
    command("deploy FILE ENV current, deploy FILE ENV previous, deploy FILE ENV list", "`kubectl nodeapp history NAME`", "revisions of the app instead of commits of a checkout"),
    command("deploy FILE ENV exec LINE, deploy FILE ENV run LINE", "`kubectl exec POD -c app -- LINE`; before each rollout `rollout.before`", "in a container of the app, not on a machine"),
    command("pull, forward, backward", "another `image`, by commit", "`kubectl nodeapp rollback NAME` goes back, `rollout.autoRollback` by itself"),
    command("install, uninstall, set, get, unset, conf", "fields of the spec: `logRotate`; metrics need no module", "modules of PM2 do not run here"),
    command("serve PATH PORT", "an image with a static server, such as nginx", ""),
    command("serve --spa, --ftp, --basic-auth-username, --basic-auth-password", "settings of that server", ""),
    command("web", "`kubectl nodeapp jlist`, or Prometheus at port 9615 of the pods", "read-only, and shows no values of Secrets"),
    command("inspect, profile:cpu, profile:mem", "`kubectl nodeapp inspect`, `cpu-profile`, `heap-snapshot`", "of the app and not of a daemon"),
    command("slist, sysinfos, link, plus, monitor, unmonitor", "Prometheus and Grafana", "PM2 Plus is a service of PM2's makers"),
    command("pm2-runtime, pm2-docker", "leave it out: the runner is PID 1", "an image that starts pm2-runtime by itself still needs `script`"),
    command("pm2-runtime --json, --format, --formatted, --raw", "`logType: json`, or nothing", "lines reach `kubectl logs` raw unless the spec asks for more"),
    command("pm2-runtime --web, --delay", "nothing to do", "metrics are at port 9615 of each pod; there is no list of apps to start one after the other"),
    command("pm2-runtime --no-auto-exit", "nothing to do", "PM2 ends with exit code 2 once no app has been online for a while, and the container is started anew; here a pod whose app has ended for good stays, gets no traffic, and `ls` says why"),
    command("--only NAME", "`kubectl nodeapp start FILE --only NAME`", ""),
    command("all, /regex/, several names", "the same, for the verbs of `kubectl nodeapp`", "no numbers of processes; PM2's namespaces are a label, see the option namespace"),
    command("--force, -f", "nothing to do", "no lock is left behind by a reload; a second copy of a script is another NodeApp"),
    command("--name NAME, -i N", "`metadata.name`, `instances`", "PM2 reads them for a script alone, and passes over them with a file"),
    command("--update-env", "nothing to do", "the environment is what the spec says, nothing else"),
    command("--watch", "`kubectl nodeapp dev DIR`, or `node --watch` outside the cluster", "see the option watch"),
    command("--sort, --parallel", "`ls --sort`, `restart --parallel`", "`rollout.maxSurge` is how many a reload replaces at a time"),
    command("--no-daemon, --attach, --silent, --mini-list", "nothing to do", "there is no daemon, and a pipe gets plain text"),
];
