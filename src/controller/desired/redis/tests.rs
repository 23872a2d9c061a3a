use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
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

#[test]
fn a_redis_stays_until_the_last_pod_that_uses_it_is_gone() {
    let before = made(&json!({"mode": "Shared"}), &Observed::default(), "r");
    let mut live = before.deployment.unwrap();
    live.metadata.generation = Some(1);
    let status = |observed: i64, replicas: i32, updated: i32| json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated});
    let after = |live: &Deployment, status: Value| {
        let mut live = live.clone();
        live.status = serde_json::from_value(status).unwrap();
        made(&json!(null), &Observed { deployment: Some(Arc::new(live)), ..Observed::default() }, "r").redis
    };
    let still = |redis: RedisChildren| matches!(redis, RedisChildren::StillUsed);
    assert!(still(after(&live, status(1, 2, 2))), "all of its pods use it");
    let mut new = made(&json!(null), &Observed::default(), "r").deployment.unwrap();
    new.metadata.generation = Some(2);
    assert!(still(after(&new, status(1, 2, 2))), "that is told of the template before");
    assert!(still(after(&new, status(2, 3, 1))), "two old pods");
    assert!(!still(after(&new, status(2, 2, 2))));
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
