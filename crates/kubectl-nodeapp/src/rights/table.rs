//! The table: a row for each verb, in the order of the alphabet.

use super::{Row, Rule};

const fn rule(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Rule {
    Rule { group, resource, verbs }
}

const fn row(verb: &'static str, rules: &'static [Rule]) -> Row {
    Row { verb, rules }
}

/// One app is got by its name; patterns, `all` and names that are near need the list.
const APPS: Rule = rule("nodeapp.dev", "nodeapps", &["get", "list"]);
const APPS_LISTED: Rule = rule("nodeapp.dev", "nodeapps", &["list"]);
const APPS_CHANGED: Rule = rule("nodeapp.dev", "nodeapps", &["get", "list", "patch"]);
const DEPLOYMENTS: Rule = rule("apps", "deployments", &["get"]);
const REVISIONS: Rule = rule("apps", "controllerrevisions", &["list"]);
const EVENTS: Rule = rule("", "events", &["list"]);
const LOGS: Rule = rule("", "pods/log", &["get"]);
const PODS: Rule = rule("", "pods", &["list"]);
/// The pages of the runner.
const PAGES: Rule = rule("", "pods/proxy", &["get"]);
/// By a WebSocket, which is a GET; newer versions of Kubernetes ask for the right to create too.
const EXEC: Rule = rule("", "pods/exec", &["create", "get"]);
const FORWARD: Rule = rule("", "pods/portforward", &["create", "get"]);
/// Without it the figures are missing, and everything else is there.
const USAGE: Rule = rule("metrics.k8s.io", "pods", &["list"]);

/// A child that is tried out.
const fn tried(group: &'static str, resource: &'static str) -> Rule {
    rule(group, resource, &["create", "get", "list", "patch"])
}

/// What each verb needs in the namespace of the app, beside what everybody may who is logged in.
pub(crate) const TABLE: &[Row] = &[
    row("audit", &[]),
    row("completion", &[APPS_LISTED]),
    row("cpu-profile", &[APPS, PODS, EXEC]),
    row("delete", &[rule("nodeapp.dev", "nodeapps", &["delete", "get", "list"]), PODS]),
    row("describe", &[APPS, REVISIONS, EVENTS, PODS, EXEC, USAGE]),
    row("dev", &[APPS, PODS, EXEC]),
    row(
        "diff",
        &[
            rule("nodeapp.dev", "nodeapps", &["create", "get", "patch"]),
            rule("", "configmaps", &["list"]),
            tried("", "persistentvolumeclaims"),
            PODS,
            tried("", "serviceaccounts"),
            tried("", "services"),
            REVISIONS,
            tried("apps", "deployments"),
            tried("apps", "statefulsets"),
            tried("autoscaling", "horizontalpodautoscalers"),
            tried("batch", "cronjobs"),
            tried("batch", "jobs"),
            tried("gateway.networking.k8s.io", "httproutes"),
            tried("networking.k8s.io", "ingresses"),
            tried("networking.k8s.io", "networkpolicies"),
            tried("policy", "poddisruptionbudgets"),
        ],
    ),
    row(
        "doctor",
        &[APPS_CHANGED, DEPLOYMENTS, PODS, PAGES, rule("policy", "poddisruptionbudgets", &["list"])],
    ),
    row("env", &[APPS]),
    row("flush", &[APPS, PODS, EXEC]),
    row("heap-snapshot", &[APPS, PODS, EXEC]),
    row("history", &[APPS, REVISIONS]),
    row("import", &[]),
    row("init", &[]),
    row("inspect", &[APPS, PODS, EXEC, FORWARD]),
    row("jlist", &[APPS_LISTED]),
    row("logs", &[APPS, rule("", "pods", &["list", "watch"]), LOGS]),
    row("ls", &[APPS_LISTED, USAGE]),
    row(
        "monit",
        &[
            rule("nodeapp.dev", "nodeapps", &["get", "list"]),
            rule("", "pods", &["get", "list", "watch"]),
            PAGES,
            LOGS,
            EVENTS,
            EXEC,
        ],
    ),
    row("pause", &[APPS_CHANGED]),
    row(
        "rehearse",
        &[
            APPS_CHANGED,
            DEPLOYMENTS,
            rule("", "pods", &["delete", "get", "list"]),
            rule("", "pods/eviction", &["create"]),
            LOGS,
            rule("batch", "jobs", &["create", "delete"]),
        ],
    ),
    row("reload", &[APPS_CHANGED, DEPLOYMENTS]),
    row("render", &[]),
    row(
        "report",
        &[
            APPS,
            EVENTS,
            PODS,
            LOGS,
            EXEC,
            REVISIONS,
            rule("", "persistentvolumeclaims", &["list"]),
            rule("", "serviceaccounts", &["list"]),
            rule("", "services", &["list"]),
            rule("apps", "deployments", &["list"]),
            rule("apps", "replicasets", &["list"]),
            rule("apps", "statefulsets", &["list"]),
            rule("autoscaling", "horizontalpodautoscalers", &["list"]),
            rule("batch", "cronjobs", &["list"]),
            rule("batch", "jobs", &["list"]),
            rule("discovery.k8s.io", "endpointslices", &["list"]),
            rule("networking.k8s.io", "ingresses", &["list"]),
            rule("networking.k8s.io", "networkpolicies", &["list"]),
            rule("policy", "poddisruptionbudgets", &["list"]),
        ],
    ),
    row("reset", &[APPS, rule("", "pods", &["list", "patch"])]),
    row("restart", &[APPS_CHANGED, PODS, EXEC]),
    row("resume", &[APPS_CHANGED]),
    row("rights", &[]),
    row("rollback", &[APPS_CHANGED, REVISIONS]),
    row("scale", &[APPS, rule("nodeapp.dev", "nodeapps/scale", &["get", "patch"])]),
    row("send-signal", &[APPS, PODS, EXEC]),
    row("start", &[rule("nodeapp.dev", "nodeapps", &["create", "get", "list", "patch"])]),
    row("stop", &[APPS_CHANGED, PODS]),
    row("trigger", &[APPS, PODS, EXEC]),
    row("version", &[]),
    row("wait", &[APPS]),
];
