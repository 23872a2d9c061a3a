use std::time::Duration;

use nodeapp_contract::config::{Check, Launch, Millis};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod autoscaling;
mod env;
mod logs;
mod network;
mod pod;
mod process;
mod redis;

fn app(spec: &Value) -> NodeApp {
    let mut whole = json!({"image": "registry.example/acme/cart:1", "script": "server.js"});
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let metadata = json!({"name": "cart", "namespace": "storefront", "uid": "u1"});
    let object =
        json!({"apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp", "metadata": metadata, "spec": whole});
    serde_json::from_value(object).unwrap()
}

fn valid(spec: &Value) -> ValidatedApp {
    validate(&app(spec)).unwrap_or_else(|problems| panic!("{spec}: {problems}"))
}

fn problems(spec: &Value) -> Vec<String> {
    let problems = validate(&app(spec)).map(|_| ()).unwrap_err();
    problems.iter().map(|problem| problem.field.clone()).collect()
}

/// What is said about a spec that has exactly this one problem.
fn problem(spec: &Value) -> String {
    let problems = validate(&app(spec)).map(|_| ()).unwrap_err();
    assert_eq!(problems.iter().count(), 1, "{spec}: {problems}");
    problems.to_string()
}

fn quantity(
    quantities: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
    name: &str,
) -> String {
    quantities
        .and_then(|quantities| quantities.get(name))
        .map(|quantity| quantity.0.clone())
        .unwrap_or_default()
}

#[test]
fn a_short_spec_gets_the_documented_defaults() {
    let app = valid(&json!({}));
    assert_eq!(app.instances, 1);
    assert_eq!(app.runner.readiness.listen_timeout, Millis(60_000));
    assert_eq!(app.runner.stop.total(), Duration::from_secs(20));
    assert_eq!(app.runner.stop.kill_signal, "SIGINT");
    assert_eq!((app.runner.restart.min_uptime, app.runner.restart.max_restarts), (Millis(1000), 16));
    assert_eq!(quantity(app.resources.requests.as_ref(), "cpu"), "100m");
    assert_eq!(quantity(app.resources.requests.as_ref(), "memory"), "128Mi");
    assert_eq!(app.resources.limits, None);
}

#[test]
fn all_problems_are_found_at_once() {
    let found = problems(&json!({
        "image": " ",
        "script": null,
        "instances": -1,
        "port": 70000,
        "killTimeout": "8 s",
        "drainDelay": 5,
        "maxMemoryRestart": "512Mi",
        "env": [{"name": "1"}, {"name": "A"}, {"name": "A"}],
        "logRotate": {"maxSize": "big", "retain": -1},
        "writablePaths": ["cache"],
        "cwd": "app",
    }));
    for field in [
        "spec",
        "spec.image",
        "spec.instances",
        "spec.port",
        "spec.killTimeout",
        "spec.drainDelay",
        "spec.maxMemoryRestart",
        "spec.env[0].name",
        "spec.env[2].name",
        "spec.logRotate.maxSize",
        "spec.logRotate.retain",
        "spec.writablePaths[0]",
        "spec.cwd",
    ] {
        assert!(found.contains(&field.to_owned()), "{field} is not in {found:?}");
    }
}

#[test]
fn the_memory_limit_leaves_room_for_a_graceful_restart() {
    let app = valid(&json!({"maxMemoryRestart": "512M"}));
    assert_eq!(app.runner.memory.unwrap().max_rss, 512 << 20);
    assert_eq!(quantity(app.resources.limits.as_ref(), "memory"), "640Mi");
    assert_eq!(quantity(app.resources.requests.as_ref(), "memory"), "512Mi");
}

#[test]
fn a_memory_line_above_nine_tenths_of_the_limit_is_refused() {
    let with_limit =
        |limit: &str| json!({"maxMemoryRestart": "450M", "resources": {"limits": {"memory": limit}}});
    assert_eq!(problems(&with_limit("499Mi")), ["spec.maxMemoryRestart"]);
    valid(&with_limit("500Mi"));
}

#[test]
fn requests_never_pass_the_limits() {
    let app = valid(&json!({"resources": {"limits": {"memory": "64Mi", "cpu": "50m"}}}));
    assert_eq!(quantity(app.resources.requests.as_ref(), "memory"), "64Mi");
    assert_eq!(quantity(app.resources.requests.as_ref(), "cpu"), "50m");
    let found = problems(&json!({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1001m"}}}));
    assert_eq!(found, ["spec.resources.requests.cpu"]);
}

#[test]
fn a_resource_that_no_node_has_is_named() {
    let limits = |name: &str| json!({"resources": {"limits": {name: "1"}}});
    assert_eq!(problems(&limits("ram")), ["spec.resources.limits.ram"]);
    valid(&limits("nvidia.com/gpu"));
}

#[test]
fn a_port_variable_may_repeat_the_port_but_not_contradict_it() {
    let with_port = |value: &str| json!({"port": 3000, "env": [{"name": "PORT", "value": value}]});
    valid(&with_port("3000"));
    assert_eq!(problems(&with_port("8080")), ["spec.env[0].value"]);
    valid(&json!({"env": [{"name": "PORT", "value": "8080"}]}));
}

#[test]
fn a_port_variable_that_would_be_lost_is_refused_wherever_it_comes_from() {
    let source = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let from = |port: Value| json!({"port": port, "env": [{"name": "PORT", "valueFrom": source}]});
    let refused = validate(&app(&from(json!(3000)))).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "spec.env[0].valueFrom: PORT is taken from elsewhere here but spec.port is 3000; leave PORT out, \
         spec.port sets it"
    );
    valid(&from(Value::Null));
    assert_eq!(problems(&json!({"port": 3000, "env": [{"name": "PORT"}]})), ["spec.env[0]"]);
}

#[test]
fn a_configuration_that_no_variable_can_hold_is_refused_with_both_sizes() {
    let args = |last: usize| {
        let mut args = vec!["a".repeat(32_768); 3];
        args.push("a".repeat(last));
        json!({"args": args})
    };
    let rest = config_text(&valid(&args(0)).runner).len();
    let most = 120 * 1024;
    valid(&args(most - rest));
    let refused = validate(&app(&args(most - rest + 1))).map(|_| ()).unwrap_err().to_string();
    assert!(refused.starts_with("spec: args, command"), "{refused}");
    assert!(refused.contains("122881 bytes") && refused.contains("at most 122880"), "{refused}");
}

#[test]
fn the_account_of_the_namespace_is_no_apps() {
    let mut taken = app(&json!({}));
    taken.metadata.name = Some("default".to_owned());
    let refused = validate(&taken).map(|_| ()).unwrap_err().to_string();
    assert!(refused.starts_with("metadata.name: names the ServiceAccount too"), "{refused}");
}

#[test]
fn a_probe_needs_a_port_from_somewhere() {
    let probe = |port: Value| json!({"port": port, "probes": {"liveness": {"http": {"path": "/healthz"}}}});
    assert_eq!(problems(&probe(Value::Null)), ["spec.probes.liveness.http.port"]);
    let check = valid(&probe(json!(3000))).runner.liveness.unwrap().check;
    assert_eq!(check, Check::Http { port: 3000, path: "/healthz".into(), headers: vec![] });
}

#[test]
fn arguments_follow_a_command() {
    let app = valid(&json!({"script": null, "command": ["npm", "start"], "args": ["--", "-v"]}));
    assert_eq!(
        app.runner.launch,
        Launch::Command { argv: ["npm", "start", "--", "-v"].map(Into::into).to_vec() }
    );
}

#[test]
fn directories_of_the_runner_and_the_system_are_not_the_apps() {
    for path in ["/nodeapp", "/nodeapp/bin", "/proc", "/dev/shm", "/tmp", "/a/../b", "/a//b", "/", "/a:b"] {
        assert_eq!(problems(&json!({"writablePaths": [path]})), ["spec.writablePaths[0]"], "{path}");
    }
    valid(&json!({"writablePaths": ["/nodeapps", "/tmp2", "/app/.next/cache"]}));
    assert_eq!(problems(&json!({"writablePaths": ["/a", "/a"]})), ["spec.writablePaths[1]"]);
}

#[test]
fn scaling_is_no_change_of_the_template() {
    let one = valid(&json!({"instances": 1}));
    assert_eq!(one.source_text(), valid(&json!({"instances": 5})).source_text());
    assert_ne!(one.source_text(), valid(&json!({"instances": 1, "args": ["a"]})).source_text());
}

#[test]
fn a_default_written_out_is_another_text_but_the_same_pod() {
    let bare = valid(&json!({}));
    let written = valid(&json!({"killTimeout": 5000}));
    assert_ne!(bare.source_text(), written.source_text());
    assert_eq!(bare.runner, written.runner);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|number| json!(number)),
        "[ -~]{0,12}".prop_map(|text| json!(text)),
    ];
    leaf.boxed()
}

proptest! {
    #[test]
    fn no_spec_makes_validation_or_building_panic(
        instances: i32,
        port: Option<i32>,
        times in proptest::collection::vec(any_json(), 6),
        sizes in proptest::collection::vec(any_json(), 5),
        retain: Option<i32>,
        paths in proptest::collection::vec("[/a-z.]{0,8}", 0..3),
        name in "[a-zA-Z0-9_.-]{0,8}",
        command in proptest::option::of(proptest::collection::vec("[a-z]{0,3}", 0..3)),
    ) {
        let spec = json!({
            "instances": instances, "port": port, "command": command, "writablePaths": paths,
            "listenTimeout": times[0], "killTimeout": times[1], "drainDelay": times[2],
            "drainTimeout": times[3], "minUptime": times[4], "restartDelay": times[5],
            "maxMemoryRestart": sizes[0], "logRotate": {"maxSize": sizes[1], "retain": retain},
            "resources": {"requests": {"memory": sizes[2]}, "limits": {"memory": sizes[3], "cpu": sizes[4]}},
            "env": [{"name": name, "value": "x"}],
        });
        if let Ok(valid) = validate(&app(&spec)) {
            let settings = crate::controller::desired::Settings { runner_image: "r".into(), ..Default::default() };
            let children = crate::controller::desired::desired(&valid, &crate::controller::observe::Observed::default(), &settings);
            let job = children.cron_job.map(|job| job.spec.unwrap().job_template.spec.unwrap().template);
            let template = job.or(children.deployment.map(|deployment| deployment.spec.unwrap().template));
            let grace = template.unwrap().spec.unwrap().termination_grace_period_seconds;
            prop_assert!(grace.unwrap() >= 2);
        }
    }
}
