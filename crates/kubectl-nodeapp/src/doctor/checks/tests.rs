//! Each check both ways, and what its command does to it.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

use super::super::facts::{
    Audited, Budget, Facts, Longest, Monitors, OperatorFacts, PodFacts, REHEARSED_ANNOTATION, Rehearsed,
    Rights,
};
use super::super::line::{Line, Verdict};
use super::findings;

fn pod(name: &str, node: &str) -> PodFacts {
    let runner = json!({
        "state": "online", "ready": true, "restarts": 0, "startedAt": 1_760_000_000_000_u64,
        "rss": 100 << 20, "heap": {"used": 1, "total": 2, "limit": 420 << 20},
    });
    PodFacts {
        name: name.to_owned(),
        node: Some(node.to_owned()),
        ready: true,
        runner: Some(serde_json::from_value(runner).expect("a status of the runner")),
        longest: Some(Longest { above: 0.1, below: Some(0.25) }),
    }
}

fn template(annotations: &Value) -> PodTemplateSpec {
    let template = json!({
        "metadata": {"annotations": annotations},
        "spec": {"containers": [], "terminationGracePeriodSeconds": 22},
    });
    serde_json::from_value(template).expect("a pod template")
}

fn healthy_app() -> NodeApp {
    let app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "shop", "namespace": "web", "generation": 3},
        "spec": {
            "image": "shop:1", "script": "server.js", "port": 3000, "instances": 2, "waitReady": true,
            "maxMemoryRestart": "400M", "expBackoffRestartDelay": 100, "mergeLogs": true,
            "redis": {"mode": "Shared"},
            "resources": {"requests": {"cpu": "250m"}},
        },
        "status": {
            "observedGeneration": 3, "revision": "shop-1", "desiredReplicas": 2,
            "conditions": [{"type": "Ready", "status": "True", "reason": "AllInstancesReady",
                "message": "2 of 2 instances are ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    });
    serde_json::from_value(app).expect("a NodeApp")
}

fn healthy() -> Facts {
    let rehearsed =
        Rehearsed { revision: "shop-1".to_owned(), requests: 900, p99: 12.0, ..Rehearsed::default() };
    let mut app = healthy_app();
    annotate(&mut app, REHEARSED_ANNOTATION, &json!(rehearsed).to_string());
    Facts {
        app,
        now: "2026-01-02T00:00:00Z".parse().expect("a time"),
        flags: " -n web".to_owned(),
        template: Ok(Some(template(&json!({})))),
        pods: Ok(vec![pod("shop-a", "n1"), pod("shop-b", "n2")]),
        budgets: Ok(vec![Budget { name: "shop".to_owned(), own: true, allowed: 1 }]),
        nodes: Ok(3),
        monitors: Ok(Monitors { known: true, matching: vec!["apps".to_owned()] }),
        operator: Ok(Some(OperatorFacts {
            namespace: "nodeapp-system".to_owned(),
            name: "nodeapp-operator".to_owned(),
            wanted: 1,
            ready: 1,
            lease: Some((2, 15)),
        })),
        lacking: Ok(vec![]),
        rights: Ok(Rights { user: "ann".to_owned(), denied: vec![] }),
        audit: None,
    }
}

fn annotate(app: &mut NodeApp, name: &str, value: &str) {
    app.metadata.annotations.get_or_insert_default().insert(name.to_owned(), value.to_owned());
}

fn runner(facts: &mut Facts, change: &Value) {
    let Ok(pods) = &mut facts.pods else { return };
    let mut status = json!(pods[0].runner);
    merge(&mut status, change);
    pods[0].runner = Some(serde_json::from_value(status).expect("a status of the runner"));
}

fn spec(facts: &mut Facts, change: &Value) {
    let mut app = json!(facts.app);
    merge(&mut app["spec"], change);
    facts.app = serde_json::from_value(app).expect("a NodeApp");
}

/// As RFC 7386 says: null takes away.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, value) in change {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn found(facts: &Facts, check: &str) -> Option<Line> {
    findings(facts).into_iter().find(|line| line.check == check)
}

/// What ails an app, the check that finds it, and how bad it is.
type Ill = (&'static str, Verdict, fn(&mut Facts));

/// What a `kubectl patch` mends.
const PATCHED: &[Ill] = &[
    ("state", Verdict::Warn, |it| spec(it, &json!({"stopped": true}))),
    ("waitReady", Verdict::Warn, |it| spec(it, &json!({"waitReady": null}))),
    ("waitReady", Verdict::Warn, |it| spec(it, &json!({"waitReady": null, "port": null}))),
    ("shutdown", Verdict::Fail, |it| {
        let exit = json!({"reason": "StopOrdered", "signal": "SIGKILL", "message": "m", "at": 1});
        runner(it, &json!({"lastExit": exit}));
    }),
    ("shutdown", Verdict::Fail, |it| spec(it, &json!({"pmx": false}))),
    ("shutdown", Verdict::Fail, |it| spec(it, &json!({"drainDelay": "0s"}))),
    ("shutdown", Verdict::Fail, |it| spec(it, &json!({"drainTimeout": "0s"}))),
    ("shutdown", Verdict::Warn, |it| spec(it, &json!({"killTimeout": 0}))),
    ("sharedState", Verdict::Warn, |it| spec(it, &json!({"redis": {"mode": "Sidecar"}}))),
    ("logRotation", Verdict::Warn, |it| spec(it, &json!({"outFile": "out.log"}))),
    ("mergedLogs", Verdict::Warn, |it| spec(it, &json!({"mergeLogs": null}))),
    ("maxMemoryRestart", Verdict::Warn, |it| spec(it, &json!({"maxMemoryRestart": null}))),
    ("maxMemoryRestart", Verdict::Warn, |it| {
        spec(it, &json!({"maxMemoryRestart": null, "resources": {"limits": {"memory": "600Mi"}}}));
    }),
    ("maxMemoryRestart", Verdict::Fail, |it| {
        spec(it, &json!({"maxMemoryRestart": "590M", "resources": {"limits": {"memory": "600Mi"}}}));
    }),
    ("maxMemoryRestart", Verdict::Fail, |it| {
        spec(it, &json!({"maxMemoryRestart": null}));
        runner(it, &json!({"restartsByReason": {"OutOfMemory": 1}}));
    }),
    ("maxMemoryRestart", Verdict::Warn, |it| runner(it, &json!({"restartsByReason": {"MemoryLimit": 2}}))),
    ("maxMemoryRestart", Verdict::Warn, |it| {
        spec(it, &json!({"resources": {"limits": {"memory": "500Mi"}}}));
        runner(it, &json!({"rss": 390 << 20}));
    }),
    ("heap", Verdict::Fail, |it| {
        without_pods(it);
        spec(it, &json!({"nodeArgs": ["--max-old-space-size=4096"]}));
    }),
    ("heap", Verdict::Warn, |it| {
        without_pods(it);
        spec(
            it,
            &json!({"env": [{"name": "NODE_OPTIONS", "value": "--no-warnings --max_old_space_size=256"}]}),
        );
    }),
    ("requests", Verdict::Warn, |it| spec(it, &json!({"resources": null}))),
    ("requests", Verdict::Warn, |it| {
        spec(it, &json!({"resources": {"requests": {"memory": "64Mi"}}}));
    }),
    ("restartLimits", Verdict::Warn, |it| spec(it, &json!({"expBackoffRestartDelay": null}))),
    ("restartLimits", Verdict::Warn, |it| spec(it, &json!({"erroredRetryDelay": "0s"}))),
    ("restartLimits", Verdict::Warn, |it| spec(it, &json!({"autorestart": false}))),
    ("monitoring", Verdict::Warn, |it| {
        it.monitors = Ok(Monitors::default());
        // Else the template of the Deployment is asked, which follows the spec later.
        it.template = Ok(None);
    }),
    ("instances", Verdict::Warn, |it| {
        spec(it, &json!({"instances": 1, "autoscaling": {"maxInstances": 1, "cpu": "70%"}}));
    }),
    ("instances", Verdict::Warn, |it| {
        spec(it, &json!({"instances": 1, "fillCluster": {}}));
        it.app.status.as_mut().expect("a status").desired_replicas = 1;
    }),
    ("spread", Verdict::Warn, |it| spec(it, &json!({"pod": {"topologySpreadConstraints": []}}))),
];

/// What another command mends: a word of it, and how things are after that.
type Mended = (&'static str, Verdict, fn(&mut Facts), &'static str, fn(&mut Facts));

const OTHERS: &[Mended] = &[
    (
        "state",
        Verdict::Warn,
        |it| annotate(&mut it.app, "nodeapp.dev/paused", "true"),
        "annotate nodeapp shop -n web nodeapp.dev/paused-",
        |it| it.app.metadata.annotations = None,
    ),
    (
        "state",
        Verdict::Warn,
        |it| spec(it, &json!({"instances": 0})),
        "scale nodeapp shop -n web --replicas=2",
        |it| spec(it, &json!({"instances": 2})),
    ),
    (
        "terminationGracePeriod",
        Verdict::Fail,
        |it| spec(it, &json!({"killTimeout": "20s"})),
        "annotate nodeapp shop -n web nodeapp.dev/restartedAt=2026-01-02T00:00:00Z --overwrite",
        |it| spec(it, &json!({"killTimeout": null})),
    ),
    (
        "killTimeout",
        Verdict::Warn,
        |it| {
            without_pods(it);
            it.app.metadata.annotations = None;
        },
        "kubectl nodeapp rehearse shop -n web",
        |it| it.pods = healthy().pods,
    ),
    (
        "sharedState",
        Verdict::Warn,
        |it| spec(it, &json!({"redis": null})),
        "kubectl nodeapp doctor shop -n web --audit . --record",
        |it| it.audit = Some(Audited::default()),
    ),
    (
        "sharedState",
        Verdict::Fail,
        |it| it.audit = Some(Audited { errors: 1, first: Some("a.js: x".to_owned()), ..Audited::default() }),
        "kubectl nodeapp audit .",
        |it| it.audit = Some(Audited::default()),
    ),
    (
        "loadTested",
        Verdict::Warn,
        |it| it.app.metadata.annotations = None,
        "kubectl nodeapp rehearse shop -n web",
        |it| it.app = healthy().app,
    ),
    (
        "loadTested",
        Verdict::Warn,
        |it| it.app.status.as_mut().expect("a status").revision = Some("shop-2".to_owned()),
        "kubectl nodeapp rehearse shop -n web",
        |it| it.app = healthy().app,
    ),
    (
        "loadTested",
        Verdict::Fail,
        |it| annotate(&mut it.app, REHEARSED_ANNOTATION, r#"{"revision":"shop-1","requests":9,"failed":1}"#),
        "kubectl nodeapp rehearse shop -n web",
        |it| it.app = healthy().app,
    ),
    (
        "loadTested",
        Verdict::Fail,
        |it| {
            annotate(
                &mut it.app,
                REHEARSED_ANNOTATION,
                r#"{"revision":"shop-1","requests":9,"state":false}"#,
            );
        },
        "kubectl nodeapp rehearse shop -n web",
        |it| it.app = healthy().app,
    ),
    (
        "monitoring",
        Verdict::Warn,
        |it| it.monitors = Ok(Monitors { known: true, matching: vec![] }),
        r#""kind":"PodMonitor""#,
        |it| it.monitors = healthy().monitors,
    ),
    (
        "instances",
        Verdict::Warn,
        |it| spec(it, &json!({"instances": 1})),
        "scale nodeapp shop -n web --replicas=2",
        |it| spec(it, &json!({"instances": 2})),
    ),
    (
        "instances",
        Verdict::Fail,
        |it| spec(it, &json!({"instances": 1, "env": [{"name": "NODE_ENV", "value": "production"}]})),
        "scale nodeapp shop -n web --replicas=2",
        |it| spec(it, &json!({"instances": 2})),
    ),
    (
        "disruptionBudget",
        Verdict::Fail,
        |it| it.budgets = Ok(vec![]),
        "kubectl rollout restart deployment nodeapp-operator -n nodeapp-system",
        |it| it.budgets = healthy().budgets,
    ),
    (
        "disruptionBudget",
        Verdict::Fail,
        |it| {
            let foreign = Budget { name: "all".to_owned(), own: false, allowed: 1 };
            it.budgets.as_mut().expect("budgets").push(foreign);
        },
        "kubectl delete poddisruptionbudget all -n web",
        |it| it.budgets = healthy().budgets,
    ),
    (
        "disruptionBudget",
        Verdict::Fail,
        |it| it.budgets = Ok(vec![Budget { name: "all".to_owned(), own: false, allowed: 0 }]),
        "kubectl delete poddisruptionbudget all -n web",
        |it| it.budgets = healthy().budgets,
    ),
    (
        "spread",
        Verdict::Warn,
        |it| it.pods = Ok(vec![pod("shop-a", "n1"), pod("shop-b", "n1")]),
        "annotate nodeapp shop -n web nodeapp.dev/restartedAt=",
        |it| it.pods = healthy().pods,
    ),
    (
        "rights",
        Verdict::Warn,
        |it| {
            let denied = vec![("create pods/exec".to_owned(), vec!["trigger", "flush"])];
            it.flags = " -n web --as 'ann'".to_owned();
            it.rights = Ok(Rights { user: "ann@example.com".to_owned(), denied });
        },
        "kubectl create rolebinding nodeapp-ann-example-com -n web --clusterrole=nodeapp-operator-user \
         --user='ann@example.com'",
        |it| it.rights = healthy().rights,
    ),
    (
        "rights",
        Verdict::Warn,
        |it| {
            let user = "system:serviceaccount:ci:deployer".to_owned();
            it.rights = Ok(Rights { user, denied: vec![("list pods".to_owned(), vec!["ls"])] });
        },
        "--serviceaccount=ci:deployer",
        |it| it.rights = healthy().rights,
    ),
    (
        "operator",
        Verdict::Fail,
        |it| *operator(it) = OperatorFacts { wanted: 0, ready: 0, ..operator(it).clone() },
        "kubectl scale deployment nodeapp-operator -n nodeapp-system --replicas=1",
        |it| it.operator = healthy().operator,
    ),
    (
        "operator",
        Verdict::Fail,
        |it| operator(it).ready = 0,
        "kubectl rollout restart deployment nodeapp-operator -n nodeapp-system",
        |it| it.operator = healthy().operator,
    ),
    (
        "operator",
        Verdict::Fail,
        |it| operator(it).lease = Some((40, 15)),
        "kubectl rollout restart deployment nodeapp-operator -n nodeapp-system",
        |it| it.operator = healthy().operator,
    ),
    (
        "operator",
        Verdict::Fail,
        |it| {
            it.operator = Err("you may not list deployments".to_owned());
            it.app.metadata.generation = Some(4);
        },
        "helm upgrade --install nodeapp-operator",
        |it| it.app.metadata.generation = Some(3),
    ),
    (
        "definition",
        Verdict::Warn,
        |it| it.lacking = Ok(vec!["spec.redis".to_owned()]),
        "deployment/nodeapp-operator -- /nodeapp-operator crd | kubectl apply --server-side -f -",
        |it| it.lacking = Ok(vec![]),
    ),
];

fn operator(facts: &mut Facts) -> &mut OperatorFacts {
    facts.operator.as_mut().expect("an operator").as_mut().expect("an operator")
}

fn without_pods(facts: &mut Facts) {
    facts.pods = Ok(vec![]);
}

/// The patch in `kubectl patch … -p 'PATCH'`.
fn patch_of(command: &str) -> Option<Value> {
    let patch =
        command.strip_prefix("kubectl patch nodeapp shop -n web --type merge -p '")?.strip_suffix('\'')?;
    serde_json::from_str(patch).ok()
}

#[test]
fn a_healthy_app_passes_every_check() {
    let lines = findings(&healthy());
    let ill: Vec<&Line> = lines.iter().filter(|line| line.verdict != Verdict::Pass).collect();
    assert!(ill.is_empty(), "{ill:#?}");
    assert_eq!(lines.len(), super::CHECKS.len(), "{lines:#?}");
}

#[test]
fn every_check_finds_what_is_wrong() {
    let all = PATCHED.iter().map(|(check, verdict, ail)| (check, verdict, ail));
    for (check, verdict, ail) in
        all.chain(OTHERS.iter().map(|(check, verdict, ail, ..)| (check, verdict, ail)))
    {
        let mut facts = healthy();
        ail(&mut facts);
        let line = found(&facts, check).unwrap_or_else(|| panic!("{check} says nothing"));
        assert_eq!(line.verdict, *verdict, "{line:?}");
        assert!(line.command.is_some(), "{line:?}");
    }
    let ill: std::collections::BTreeSet<_> =
        PATCHED.iter().map(|(check, ..)| check).chain(OTHERS.iter().map(|(check, ..)| check)).collect();
    assert!(
        findings(&healthy()).iter().all(|line| line.check == "heap" || ill.contains(&line.check)),
        "{ill:?}"
    );
}

#[test]
fn the_patch_that_is_printed_mends_what_was_found() {
    for (check, _, ail) in PATCHED {
        let mut facts = healthy();
        ail(&mut facts);
        let command = found(&facts, check).and_then(|line| line.command).expect("a command");
        let patch = patch_of(&command).unwrap_or_else(|| panic!("{check}: {command}"));
        // The pods of another spec are new ones, and none has run yet.
        without_pods(&mut facts);
        spec(&mut facts, &patch["spec"]);
        if let Some(line) = found(&facts, check) {
            assert_eq!(line.verdict, Verdict::Pass, "{command}\n{line:?}");
        }
    }
}

#[test]
fn every_other_command_is_the_one_for_what_was_found() {
    for (check, _, ail, word, mend) in OTHERS {
        let mut facts = healthy();
        ail(&mut facts);
        let command = found(&facts, check).and_then(|line| line.command).expect("a command");
        assert!(command.contains(word), "{check}: {command} without {word}");
        mend(&mut facts);
        assert_eq!(found(&facts, check).map(|line| line.verdict), Some(Verdict::Pass), "{check}");
    }
}

#[test]
fn a_drain_shorter_than_the_longest_request_is_told_by_how_sure_it_is() {
    let with = |above: f64, below: Option<f64>, drain: &str| {
        let mut facts = healthy();
        let Ok(pods) = &mut facts.pods else { unreachable!() };
        pods[1].longest = Some(Longest { above, below });
        spec(&mut facts, &json!({"drainTimeout": drain}));
        let line = found(&facts, "killTimeout").expect("a line");
        (line.verdict, line.command.unwrap_or_default())
    };
    assert_eq!(with(2.5, Some(5.0), "10s").0, Verdict::Pass);
    let (verdict, command) = with(2.5, Some(5.0), "4s");
    assert_eq!(verdict, Verdict::Warn, "it may have taken 3 s");
    assert!(command.contains(r#"{"spec":{"drainTimeout":"8s"}}"#), "{command}");
    assert_eq!(with(2.5, Some(5.0), "2s").0, Verdict::Fail);
    assert_eq!(with(10.0, None, "10s").0, Verdict::Fail, "it took longer than the histogram knows");
    assert_eq!(with(10.0, None, "30s").0, Verdict::Warn);
    assert_eq!(with(10.0, None, "60s").0, Verdict::Pass);
}

#[test]
fn an_app_that_never_says_ready_is_told_once_its_time_is_over() {
    let launching = |started_at: i64| {
        let mut facts = healthy();
        runner(&mut facts, &json!({"state": "launching", "ready": false, "startedAt": started_at}));
        found(&facts, "waitReady").expect("a line")
    };
    let now = healthy().now.as_millisecond();
    assert_eq!(launching(now - 59_000).verdict, Verdict::Pass);
    let late = launching(now - 61_000);
    assert_eq!(late.verdict, Verdict::Fail, "{late:?}");
    assert!(
        late.message.starts_with("shop-a has not said process.send('ready') within listenTimeout (60 s)"),
        "{late:?}"
    );
}

#[test]
fn an_audit_that_was_recorded_counts_for_the_image_it_was_about() {
    let recorded = |image: &str| {
        let mut facts = healthy();
        spec(&mut facts, &json!({"redis": null}));
        let audited = json!(Audited { image: image.to_owned(), ..Audited::default() });
        annotate(&mut facts.app, super::super::facts::AUDITED_ANNOTATION, &audited.to_string());
        found(&facts, "sharedState").expect("a line").verdict
    };
    assert_eq!(recorded("shop:1"), Verdict::Pass);
    assert_eq!(recorded("shop:0"), Verdict::Warn);
}

#[test]
fn what_does_not_concern_an_app_is_not_told() {
    let checks = |change: &Value| -> Vec<&'static str> {
        let mut facts = healthy();
        spec(&mut facts, change);
        findings(&facts).iter().map(|line| line.check).collect()
    };
    let worker = checks(&json!({"port": null}));
    assert!(!worker.contains(&"loadTested") && !worker.contains(&"killTimeout"), "{worker:?}");
    assert!(worker.contains(&"shutdown") && worker.contains(&"instances"), "{worker:?}");
    let job = checks(&json!({"autorestart": false, "cronRestart": "@daily", "port": null, "instances": 1}));
    let expected = [
        "state",
        "terminationGracePeriod",
        "sharedState",
        "logRotation",
        "maxMemoryRestart",
        "heap",
        "requests",
        "rights",
        "operator",
        "definition",
    ];
    assert_eq!(job, expected);
}

#[test]
fn what_may_not_be_seen_is_left_out_and_fails_nothing() {
    let mut facts = healthy();
    let refused = || "you may not".to_owned();
    facts.template = Err(refused());
    facts.pods = Err(refused());
    facts.budgets = Err(refused());
    facts.nodes = Err(refused());
    facts.rights = Err(refused());
    facts.lacking = Err(refused());
    facts.operator = Err(refused());
    let lines = findings(&facts);
    assert!(lines.iter().all(|line| line.verdict == Verdict::Pass), "{lines:#?}");
    let checks: Vec<_> = lines.iter().map(|line| line.check).collect();
    assert!(!checks.contains(&"disruptionBudget") && !checks.contains(&"rights"), "{checks:?}");
}

#[test]
fn a_quote_in_a_patch_survives_the_shell() {
    let command = healthy().patch(&json!({"script": "it's"}));
    assert!(command.ends_with(r#"-p '{"spec":{"script":"it'\''s"}}'"#), "{command}");
}
