use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DeploymentStatus, StatefulSet};
use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

use super::*;
use crate::controller::desired::{Children, Prepared, desired};
use crate::controller::observe::ObservedRedis;
use crate::controller::validate::validate;

fn app(redis: &Value) -> ValidatedApp {
    let app = serde_json::from_value(json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
        "spec": {"image": "a:1", "script": "a.js", "redis": redis},
    }));
    validate(&app.unwrap()).unwrap()
}

fn settings(redis: &str) -> Settings {
    Settings {
        runner_image: "runner:1".into(),
        forwarder_image: "forwarder:1".into(),
        redis_image: redis.into(),
        ..Settings::default()
    }
}

fn made(redis: &Value, observed: &Observed, image: &str) -> Children<Prepared> {
    desired(&app(redis), observed, &settings(image))
}

fn shared(redis: &Value, observed: &Observed, image: &str) -> SharedChildren {
    let RedisChildren::Wanted(children) = made(redis, observed, image).redis else {
        panic!("none for {redis}")
    };
    *children
}

fn seen(stateful_set: StatefulSet) -> Observed {
    let redis = ObservedRedis { stateful_set: Some(Arc::new(stateful_set)), ..ObservedRedis::default() };
    Observed { redis, ..Observed::default() }
}

fn image(stateful_set: &StatefulSet) -> Option<&str> {
    let pod = stateful_set.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.first()?.image.as_deref()
}

fn beside_the_app(children: &Children<Prepared>) -> Vec<Container> {
    let pod = children.template().unwrap().spec.as_ref().unwrap();
    pod.init_containers.iter().flatten().skip(1).cloned().collect()
}

#[test]
fn another_version_of_the_operator_or_of_the_image_restarts_no_redis() {
    let wanted = json!({"mode": "Shared"});
    let mut first = shared(&wanted, &Observed::default(), "redis:1").stateful_set;
    // As an older version would have rendered it.
    let annotations = first.metadata.annotations.as_mut().unwrap();
    let text = annotations.get_mut(names::REDIS_TEMPLATE_ANNOTATION).unwrap();
    *text = text.replace("\"failureThreshold\":3", "\"failureThreshold\":9");
    let again = shared(&wanted, &seen(first.clone()), "redis:2").stateful_set;
    assert_eq!(image(&again), Some("redis:1"));
    assert_eq!(again.metadata.annotations, first.metadata.annotations);
    let probe = again.spec.unwrap().template.spec.unwrap().containers[0].readiness_probe.clone().unwrap();
    assert_eq!(probe.failure_threshold, Some(9));
}

#[test]
fn a_change_of_the_server_is_a_new_template_and_one_of_the_volume_is_none() {
    let first = shared(&json!({"mode": "Shared"}), &Observed::default(), "redis:1").stateful_set;
    let observed = seen(first);
    let of = |redis: Value| shared(&redis, &observed, "redis:2").stateful_set;
    assert_eq!(image(&of(json!({"mode": "Shared", "storage": {"size": "5Gi"}}))), Some("redis:1"));
    assert_eq!(image(&of(json!({"mode": "Shared", "appendFsync": "always"}))), Some("redis:2"));
    assert_eq!(image(&of(json!({"mode": "Shared", "image": "mine:1"}))), Some("mine:1"));
}

#[test]
fn a_password_is_asked_for_only_while_redis_does_not_answer() {
    let wanted = json!({"mode": "Shared"});
    let first = shared(&wanted, &Observed::default(), "redis:1");
    let secret = first.secret.unwrap();
    assert!(secret.data.is_none() && secret.string_data.is_none(), "it is made up by who writes it");
    let mut live = first.stateful_set;
    assert!(shared(&wanted, &seen(live.clone()), "redis:1").secret.is_some());
    live.status = serde_json::from_value(json!({"replicas": 1, "readyReplicas": 1})).unwrap();
    assert!(shared(&wanted, &seen(live), "redis:1").secret.is_none());
}

#[test]
fn what_is_to_be_kept_belongs_to_nobody_and_what_is_to_go_belongs_to_the_app() {
    let owners = |retention: &str| {
        let wanted = json!({"mode": "Shared", "storage": {"retention": retention}});
        shared(&wanted, &Observed::default(), "r").claim.metadata.owner_references.map_or(0, |all| all.len())
    };
    assert_eq!((owners("Retain"), owners("Delete")), (0, 1));
}

#[test]
fn the_pod_of_redis_is_none_of_the_apps() {
    let children = shared(&json!({"mode": "Shared"}), &Observed::default(), "r");
    let labels = children.stateful_set.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels.get(names::APP_LABEL), None, "the app's Service would send requests there");
    assert_eq!(labels.get(names::MANAGED_BY_LABEL), None, "it would be watched as an instance");
    assert_eq!(children.service.spec.unwrap().selector.unwrap(), names::redis_selector("cart"));
    assert_eq!(labels.get(names::REDIS_LABEL).map(String::as_str), Some("cart"));
}

#[test]
fn no_password_stands_in_any_pod() {
    let shared = json!({"mode": "Shared"});
    let external = json!({
        "mode": "External", "address": "r.example:6380", "tls": {},
        "credentials": {"secretName": "mine", "passwordKey": "p", "usernameKey": "u"},
    });
    for (redis, secret) in [(shared, "cart-redis-auth"), (external, "mine")] {
        let children = made(&redis, &Observed::default(), "r");
        let [forwarder] = &*beside_the_app(&children) else { panic!("not one container") };
        assert_eq!(forwarder.restart_policy.as_deref(), Some("Always"));
        assert!(forwarder.resources.as_ref().unwrap().limits.as_ref().unwrap().contains_key("memory"));
        assert_eq!(forwarder.env, None, "credentials are files");
        let volumes = children.template().unwrap().spec.as_ref().unwrap().volumes.clone().unwrap();
        let volume = volumes.iter().find(|volume| volume.name == "redis-credentials").unwrap();
        assert_eq!(volume.secret.as_ref().unwrap().secret_name.as_deref(), Some(secret));
    }
}

#[test]
fn a_certificate_for_a_redis_that_wants_one_lies_beside_the_authorities() {
    let tls = |tls: Value| {
        let redis = json!({"mode": "External", "address": "r.example:6380", "tls": tls});
        let children = made(&redis, &Observed::default(), "r");
        let [forwarder] = &*beside_the_app(&children) else { panic!("not one container") };
        let volumes = children.template().unwrap().spec.as_ref().unwrap().volumes.clone().unwrap();
        let volume = volumes.into_iter().find(|volume| volume.name == "redis-tls");
        (forwarder.args.clone().unwrap().join(" "), serde_json::to_value(volume).unwrap())
    };
    let (args, volume) =
        tls(json!({"clientSecretName": "client", "ca": {"configMapKeyRef": {"name": "c", "key": "k"}}}));
    for file in ["/nodeapp/redis/tls/tls.crt", "/nodeapp/redis/tls/tls.key", "/nodeapp/redis/tls/ca.crt"] {
        assert!(args.contains(file), "{file} is not in {args}");
    }
    let files = json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}]);
    let sources = json!([
        {"secret": {"name": "client", "items": files}},
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "ca.crt"}]}},
    ]);
    assert_eq!(volume["projected"]["sources"], sources);
    let (args, volume) = tls(json!({"clientSecretName": "client"}));
    assert!(!args.contains("ca.crt") && args.contains("tls.key"), "{args}");
    assert_eq!(volume["projected"]["sources"].as_array().map(Vec::len), Some(1));
    let (args, volume) = tls(json!({}));
    assert!(!args.contains("tls.key") && volume.is_null(), "{args}, {volume}");
}

#[test]
fn the_pod_of_a_shared_one_goes_where_the_apps_pods_go() {
    let made = |spec: Value, observed: &Observed| {
        let mut app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
            "spec": {"image": "a:1", "script": "a.js", "redis": {"mode": "Shared"}},
        });
        app["spec"]["pod"] = spec;
        let app = validate(&serde_json::from_value(app).unwrap()).unwrap();
        let settings = Settings { image_pull_secrets: vec!["of-all".into()], ..settings("redis:1") };
        let RedisChildren::Wanted(children) = desired(&app, observed, &settings).redis else {
            panic!("none")
        };
        children.stateful_set
    };
    let pod = |set: &StatefulSet| set.spec.as_ref().unwrap().template.spec.clone().unwrap();
    let given = json!({
        "tolerations": [{"key": "team", "operator": "Exists"}], "nodeSelector": {"disk": "fast"},
        "priorityClassName": "high", "imagePullSecrets": [{"name": "registry"}],
    });
    let first = made(given, &Observed::default());
    let spec = serde_json::to_value(pod(&first)).unwrap();
    assert_eq!(spec["tolerations"], json!([{"key": "team", "operator": "Exists"}]));
    assert_eq!(spec["nodeSelector"], json!({"disk": "fast"}));
    assert_eq!(spec["priorityClassName"], "high");
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}, {"name": "of-all"}]));
    let moved = made(json!({"nodeSelector": {"disk": "slow"}}), &seen(first.clone()));
    assert_eq!(pod(&moved).node_selector.unwrap()["disk"], "slow");
    assert_eq!(pod(&moved).tolerations, None);

    // One that an earlier version has made, which knew nothing of that, runs on as it is.
    let mut old = first;
    let text = old.metadata.annotations.as_mut().unwrap();
    let text = text.get_mut(names::REDIS_TEMPLATE_ANNOTATION).unwrap();
    let mut kept: Value = serde_json::from_str(text).unwrap();
    kept.as_object_mut().unwrap().remove("pod").unwrap();
    *text = kept.to_string();
    let again = made(json!({"nodeSelector": {"disk": "slow"}}), &seen(old.clone()));
    assert_eq!(again.metadata.annotations, old.metadata.annotations);
    assert_eq!(pod(&again).node_selector.unwrap()["disk"], "fast");
}

#[test]
fn a_sidecar_listens_on_localhost_alone_and_keeps_nothing() {
    let children = made(&json!({"mode": "Sidecar", "maxMemory": "10Mi"}), &Observed::default(), "redis:1");
    let [redis] = &*beside_the_app(&children) else { panic!("not one container") };
    assert_eq!((redis.image.as_deref(), redis.restart_policy.as_deref()), (Some("redis:1"), Some("Always")));
    let line = redis.command.clone().unwrap().join(" ");
    for part in ["--bind 127.0.0.1 -::1 --save ", "--appendonly no", "--maxmemory 10485760 "] {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(redis.ports, None);
    assert!(matches!(children.redis, RedisChildren::Unwanted));
}

#[test]
fn variables_come_before_the_apps_own_which_may_refer_to_them() {
    let redis = json!({
        "mode": "External", "address": "[2001:db8::1]:6380", "access": "Env", "tls": {},
        "credentials": {"secretName": "mine", "usernameKey": "u"},
    });
    let children = made(&redis, &Observed::default(), "r");
    assert!(beside_the_app(&children).is_empty());
    let pod = children.template().unwrap().spec.clone().unwrap();
    let env = pod.containers[0].env.clone().unwrap();
    let names: Vec<&str> = env.iter().map(|variable| variable.name.as_str()).take(6).collect();
    assert_eq!(
        names,
        ["REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_TLS", "REDIS_URL"]
    );
    let url = env[5].value.as_deref();
    assert_eq!(url, Some("rediss://$(REDIS_USERNAME):$(REDIS_PASSWORD)@[2001:db8::1]:6380"));
}

/// What there is after an app that shares a Redis has let go of it, its rollout done and known.
fn let_go(change: impl FnOnce(&mut Observed)) -> RedisChildren {
    let before = shared(&json!({"mode": "Shared"}), &Observed::default(), "r");
    let after = made(&json!(null), &Observed::default(), "r");
    let mut live = after.deployment.unwrap();
    live.metadata.generation = Some(2);
    live.status = status(2, 2, 2);
    let mut observed = Observed { deployment: Some(Arc::new(live)), ..seen(before.stateful_set) };
    observed.history.stable = after.course.running;
    change(&mut observed);
    made(&json!(null), &observed, "r").redis
}

fn status(observed: i64, replicas: i32, updated: i32) -> Option<DeploymentStatus> {
    let status = json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated});
    serde_json::from_value(status).unwrap()
}

fn still(redis: &RedisChildren) -> bool {
    matches!(redis, RedisChildren::StillUsed)
}

/// A pod of the Deployment with this beside the app, changed by `change`.
fn pod(beside: &str, change: &Value) -> Arc<AppPod> {
    let mut pod = json!({
        "metadata": {"name": "cart-x", "labels": {"pod-template-hash": "7d"}},
        "spec": {},
        "status": {"phase": "Running", "initContainerStatuses": [{"name": "install-runner"}, {"name": beside}]},
    });
    for (part, fields) in change.as_object().into_iter().flatten() {
        for (field, value) in fields.as_object().into_iter().flatten() {
            pod[part][field] = value.clone();
        }
    }
    Arc::new(serde_json::from_value(pod).unwrap())
}

#[test]
fn a_redis_stays_until_the_last_pod_that_uses_it_is_gone() {
    assert!(matches!(let_go(|_| ()), RedisChildren::Unwanted));
    let with = |status: Option<DeploymentStatus>| {
        let_go(|observed| {
            let mut live = observed.deployment.as_deref().cloned().unwrap();
            live.status = status;
            observed.deployment = Some(Arc::new(live));
        })
    };
    assert!(still(&with(status(1, 2, 2))), "that is told of the template before");
    assert!(still(&with(status(2, 3, 1))), "two old pods");
    let before = made(&json!({"mode": "Shared"}), &Observed::default(), "r").deployment.map(Arc::new);
    assert!(still(&let_go(|observed| observed.deployment = before)), "all of its pods use it");
    // The Deployment counts no pod that is on its way out.
    let of = |pod: Arc<AppPod>| let_go(|observed| observed.pods = vec![pod]);
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert!(still(&of(pod("redis-forwarder", &leaving))), "it finishes its requests");
    assert!(!still(&of(pod("redis-forwarder", &json!({})))), "a new one with a Redis elsewhere");
    assert!(!still(&of(pod("proxy", &leaving))), "it never used it");
    let mut over = leaving;
    over["status"] = json!({"phase": "Failed"});
    assert!(!still(&of(pod("redis-forwarder", &over))), "it has ended");
}

#[test]
fn a_redis_stays_until_the_rollout_that_leaves_it_cannot_be_taken_back() {
    assert!(still(&let_go(|observed| observed.history.stable = Some("cart-before".into()))));
    assert!(still(&let_go(|observed| observed.history.stable = None)));
    // Of a stopped app nothing is rolled out.
    let stopped = let_go(|observed| {
        let mut live = observed.deployment.as_deref().cloned().unwrap();
        live.spec.get_or_insert_default().replicas = Some(0);
        live.status = status(2, 0, 0);
        observed.deployment = Some(Arc::new(live));
        observed.history.stable = None;
    });
    assert!(matches!(stopped, RedisChildren::Unwanted));
}

#[test]
fn a_redis_stays_while_the_run_of_a_job_uses_it() {
    let job = |redis: &Value| {
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
            "spec": {
                "image": "a:1", "script": "a.js", "redis": redis, "autorestart": false, "cronRestart": "0 0 * * *",
            },
        });
        validate(&serde_json::from_value(app).unwrap()).unwrap()
    };
    let before = shared(&json!({"mode": "Shared"}), &Observed::default(), "r");
    let with = |pod: Arc<AppPod>| {
        let observed = Observed { pods: vec![pod], ..seen(before.stateful_set.clone()) };
        desired(&job(&json!(null)), &observed, &settings("r")).redis
    };
    assert!(still(&with(pod("redis-forwarder", &json!({})))), "it runs");
    assert!(still(&with(pod("", &json!({"status": {"initContainerStatuses": []}})))), "nobody knows yet");
    assert!(!still(&with(pod("redis-forwarder", &json!({"status": {"phase": "Succeeded"}})))));
    assert!(!still(&with(pod("proxy", &json!({})))), "a run without");
}

#[test]
fn a_job_before_a_rollout_that_uses_the_redis_keeps_it() {
    let migrating = |redis: Value| {
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
            "spec": {
                "image": "a:1", "script": "a.js", "redis": redis, "rollout": {"before": {"script": "migrate.js"}},
            },
        });
        validate(&serde_json::from_value(app).unwrap()).unwrap()
    };
    let job =
        desired(&migrating(json!({"mode": "Shared"})), &Observed::default(), &settings("r")).job.unwrap();
    assert!(still(&let_go(|observed| observed.jobs = vec![Arc::new(job.clone())])));
    let mut over = job;
    over.status =
        serde_json::from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).unwrap();
    assert!(!still(&let_go(|observed| observed.jobs = vec![Arc::new(over)])));
}

#[test]
fn pods_that_are_to_use_a_redis_that_is_gone_are_told_of() {
    let before = made(&json!({"mode": "Shared"}), &Observed::default(), "r");
    let wanted = made(&json!(null), &Observed::default(), "r").revision.metadata.name.unwrap();
    let back = |observed: Observed| {
        let to = before.revision.metadata.name.clone().unwrap();
        let mut app = app(&json!(null));
        app.rollback_to = Some(to.clone());
        let rollback = Some(crate::crd::RollbackByHand { to, from: wanted.clone() });
        let revisions = vec![Arc::new(before.revision.clone())];
        desired(&app, &Observed { revisions, rollback, ..observed }, &settings("r"))
    };
    let gone = back(Observed::default());
    assert_eq!(gone.course.running, before.revision.metadata.name);
    assert!(matches!(gone.redis, RedisChildren::Missing));
    let set = shared(&json!({"mode": "Shared"}), &Observed::default(), "r").stateful_set;
    assert!(still(&back(seen(set)).redis));
}

#[test]
fn a_job_before_a_rollout_has_the_apps_redis_too() {
    let app = serde_json::from_value(json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
        "spec": {
            "image": "a:1", "script": "a.js", "redis": {"mode": "Shared"},
            "rollout": {"before": {"script": "migrate.js"}},
        },
    }));
    let app = validate(&app.unwrap()).unwrap();
    let job = desired(&app, &Observed::default(), &settings("r")).job.unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    let names: Vec<_> = pod.init_containers.iter().flatten().map(|it| it.name.as_str()).collect();
    assert_eq!(names, [names::FORWARDER_CONTAINER]);
    assert!(pod.volumes.unwrap().iter().any(|volume| volume.name == "redis-credentials"));
}
