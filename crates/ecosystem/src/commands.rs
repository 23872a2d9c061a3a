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
    command("start FILE --env NAME", "`kubectl nodeapp import FILE --env NAME --image IMAGE \\| kubectl apply -f -`", "apps that left the file are not stopped, as in PM2; `kubectl apply --prune` or GitOps does that"),
    command("start SCRIPT", "`kubectl nodeapp init`, then `kubectl apply -f nodeapp.yaml`", "an image has to be built first"),
    command("start NAME", "`kubectl patch nodeapp NAME --type merge -p '{\"spec\":{\"stopped\":false}}'`", ""),
    command("stop NAME", "`kubectl patch nodeapp NAME --type merge -p '{\"spec\":{\"stopped\":true}}'`", "drains first; a schedule does not start it again"),
    command("restart NAME", "`kubectl annotate nodeapp NAME nodeapp.dev/restartedAt=$(date -u +%FT%TZ) --overwrite`; in one pod alone `ctl restart`", "PM2 restarts two at a time with an outage each"),
    command("reload, gracefulReload, startOrReload", "any change of the spec rolls", "the old instance stays until the new one is ready, and drains; a broken build stops there, where PM2 takes the app down"),
    command("scale NAME N", "`kubectl scale nodeapp NAME --replicas N`", "`+N` needs the sum; the last instances go first, where PM2 takes the oldest"),
    command("delete NAME", "`kubectl delete nodeapp NAME`", ""),
    command("list, ls, ps, status", "`kubectl get nodeapps`", "rows are apps; `kubectl get pods -l nodeapp.dev/app=NAME` shows instances"),
    command("jlist, prettylist", "`kubectl get nodeapps -o json`", "no variables from Secrets in it"),
    command("describe, show, info", "`kubectl describe nodeapp NAME`; of one instance `ctl status`", ""),
    command("logs NAME", "`kubectl logs -l nodeapp.dev/app=NAME -c app -f --prefix`", "the last lines of a crash are kept by `--previous` and in the log file, if there is one"),
    command("flush", "nothing to do, or `ctl flush`", "files are rotated within a limit, and gone with the pod"),
    command("reloadLogs, logrotate", "nothing to do, or `ctl reopen-logs`", "the runner rotates its own files and loses no line"),
    command("monit, dashboard, imonit", "`kubectl top pods -l nodeapp.dev/app=NAME`, and the metrics of each pod at port 9615", ""),
    command("env ID", "`kubectl get nodeapp NAME -o jsonpath='{.spec.env}'`", "values from Secrets are not shown"),
    command("id, pid", "`kubectl get pods -l nodeapp.dev/app=NAME`", "the process id is in `ctl status`"),
    command("reset NAME", "`ctl restart` in the pod starts the count anew", "counters of metrics only grow, as Prometheus wants it"),
    command("sendSignal SIGNAL NAME", "`ctl signal NAME` in the pod", ""),
    command("trigger NAME ACTION", "`ctl trigger ACTION` in the pod; `ctl actions` lists them", ""),
    command("attach, send", "`kubectl exec -it POD -c app -- ...`", "standard input of the app is closed"),
    command("save, dump, resurrect", "nothing to do", "the API server keeps what was applied"),
    command("startup, unstartup", "nothing to do", "the cluster starts pods after a failure of a machine, elsewhere if need be"),
    command("cleardump", "nothing to do", "there is no dump"),
    command("update", "`helm upgrade`", "an upgrade of the operator restarts no app"),
    command("ping, kill, report", "`kubectl -n nodeapp-system get pods`; `helm uninstall`", "apps run on without the operator"),
    command("ecosystem, init", "`kubectl nodeapp init`", ""),
    command("deploy FILE ENV", "the CI job that `kubectl nodeapp init` writes", "an image per commit, applied by kubectl; a failed rollout stops by itself"),
    command("pull, forward, backward", "another `image`, by commit", "`kubectl annotate nodeapp NAME nodeapp.dev/rollback-to=REVISION` goes back, `rollout.autoRollback` by itself"),
    command("install, uninstall, set, get, unset, conf", "fields of the spec: `logRotate`; metrics need no module", "modules of PM2 do not run here"),
    command("serve PATH PORT", "an image with a static server, such as nginx", ""),
    command("web", "`kubectl get --raw`, or Prometheus at port 9615 of the pods", "read-only, and shows no variables"),
    command("inspect, profile:cpu, profile:mem", "`ctl cpu-profile` and `ctl heap-snapshot` in the pod", "profiles the app and not a daemon"),
    command("slist, sysinfos, link, plus, monitor, unmonitor", "Prometheus and Grafana", "PM2 Plus is a service of PM2's makers"),
    command("pm2-runtime, pm2-docker", "leave it out: the runner is PID 1", "an image that starts pm2-runtime by itself still needs `script`"),
    command("--only NAME", "`kubectl nodeapp import -o DIR`, then apply one file", ""),
    command("--update-env", "nothing to do", "the environment is what the spec says, nothing else"),
    command("--watch", "`node --watch` outside the cluster", "see the option watch"),
    command("--no-daemon, --attach, --silent, --mini-list, --sort, --parallel", "kubectl has its own", "`rollout.maxSurge` is how many are replaced at a time"),
];
