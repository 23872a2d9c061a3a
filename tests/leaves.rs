//! Every field of the API has an effect: a table with two values for each leaf of
//! the schema, which must lead to different children. A leaf without a row fails,
//! and so does a row without a leaf.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nodeapp_operator::controller::cache::AppKey;
use nodeapp_operator::controller::capacity::{Known, NodeRoom, Room, Survey};
use nodeapp_operator::controller::desired::{Children, History, Prepared, Settings, desired};
use nodeapp_operator::controller::observe::Observed;
use nodeapp_operator::controller::references::{Content, Contents};
use nodeapp_operator::controller::validate::{Referent, validate};
use nodeapp_operator::crd::{self, NodeApp};
use serde_json::{Value, json};

/// Paths of all leaves: lists of objects as `env[]`, maps as `requests.*`.
fn leaves() -> BTreeSet<String> {
    let crd = serde_json::to_value(crd::definition()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut leaves = BTreeSet::new();
    walk("", spec, &mut leaves);
    leaves
}

fn walk(path: &str, schema: &Value, leaves: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, below) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(&path, below, leaves);
        }
    } else if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], leaves);
    } else if schema["additionalProperties"].is_object() {
        walk(&format!("{path}.*"), &schema["additionalProperties"], leaves);
    } else {
        leaves.insert(path.to_owned());
    }
}

/// Puts a value at a path into a spec.
fn put(spec: &mut Value, path: &str, value: &Value) {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (name, list) = head.strip_suffix("[]").map_or((head, false), |name| (name, true));
    // Some key of a map of lists.
    let name = if name == "*" { "main" } else { name };
    let slot = &mut spec[name];
    let slot = if list {
        if !slot.is_array() {
            *slot = json!([null]);
        }
        &mut slot[0]
    } else {
        slot
    };
    match rest {
        Some("*") => *slot = json!({ value["key"].as_str().unwrap(): value["value"] }),
        Some(rest) => {
            if !slot.is_object() {
                *slot = json!({});
            }
            put(slot, rest, value);
        }
        None => *slot = value.clone(),
    }
}

/// A spec that a leaf makes sense in, and two values of the leaf.
struct Row {
    leaf: &'static str,
    around: Value,
    values: [Value; 2],
}

fn row(leaf: &'static str, one: Value, other: Value) -> Row {
    Row { leaf, around: json!({}), values: [one, other] }
}

fn within(leaf: &'static str, around: Value, one: Value, other: Value) -> Row {
    Row { leaf, around, values: [one, other] }
}

/// An app that refers to a `ConfigMap`, which the tests do not have.
fn refers() -> Value {
    json!({"envFrom": [{"configMapRef": {"name": "c", "optional": true}}]})
}

fn migrating() -> Value {
    json!({"args": ["new"], "rollout": {"before": {"script": "m.js"}}})
}

fn top_level() -> Vec<Row> {
    let quantity = |name: &str, value: &str| json!({"key": name, "value": value});
    vec![
        row("stopped", json!(false), json!(true)),
        row("cronRestart", json!("0 3 * * *"), json!("0 4 * * *")),
        row("rollout.maxSurge", json!(1), json!("50%")),
        row("rollout.maxUnavailable", json!(0), json!("10%")),
        row("rollout.minReadySeconds", json!(0), json!(5)),
        row("rollout.progressDeadline", json!("2m"), json!("3m")),
        row("rollout.paused", json!(false), json!(true)),
        within("rollout.autoRollback", json!({"args": ["bad"]}), json!(false), json!(true)),
        within("rollout.onConfigChange", refers(), json!(false), json!(true)),
        within("rollout.before.command[]", json!({"args": ["new"]}), json!("a"), json!("b")),
        within("rollout.before.script", json!({"args": ["new"]}), json!("a"), json!("b")),
        within("rollout.before.args[]", migrating(), json!("a"), json!("b")),
        within("rollout.before.timeout", migrating(), json!("1s"), json!("2s")),
        within("rollout.before.retries", migrating(), json!(0), json!(1)),
        row("image", json!("a:1"), json!("a:2")),
        row("script", json!("a.js"), json!("b.js")),
        within("command[]", json!({"script": null}), json!("a"), json!("b")),
        row("args[]", json!("a"), json!("b")),
        row("nodeArgs[]", json!("--a"), json!("--b")),
        row("cwd", json!("/a"), json!("/b")),
        row("instances", json!(1), json!(2)),
        within("fillCluster.leave", json!({"fillCluster": {}}), json!(0), json!(2)),
        within("fillCluster.maxInstances", json!({"fillCluster": {}}), json!(2), json!(3)),
        row("instanceIndex", json!(false), json!(true)),
        within("instanceVar", json!({"instanceIndex": true}), json!("A"), json!("B")),
        within("incrementVar", json!({"instanceIndex": true}), json!("A"), json!("B")),
        row("port", json!(1), json!(2)),
        row("waitReady", json!(false), json!(true)),
        row("listenTimeout", json!("1s"), json!("2s")),
        row("killTimeout", json!(1000), json!(2000)),
        row("killSignal", json!("SIGINT"), json!("SIGTERM")),
        row("drainDelay", json!("1s"), json!("2s")),
        row("drainTimeout", json!("1s"), json!("2s")),
        row("minUptime", json!(1), json!(2)),
        row("maxRestarts", json!(1), json!(2)),
        row("restartDelay", json!(1), json!(2)),
        row("expBackoffRestartDelay", json!(1), json!(2)),
        row("maxMemoryRestart", json!("100M"), json!("200M")),
        row("resources.requests.*", quantity("cpu", "1m"), quantity("cpu", "2m")),
        row("resources.limits.*", quantity("cpu", "1"), quantity("cpu", "2")),
        row("autorestart", json!(false), json!(true)),
        row("stopExitCodes[]", json!(0), json!(1)),
        row("erroredRetryDelay", json!("0s"), json!("1s")),
        within("expBackoffResetTime", json!({"expBackoffRestartDelay": 100}), json!("1s"), json!("2s")),
        row("treekill", json!(false), json!(true)),
        row("shutdownWithMessage", json!(false), json!(true)),
        row("interpreter", json!("node"), json!("none")),
        row("unhandledRejections", json!("warn"), json!("strict")),
        row("sourceMapSupport", json!(false), json!(true)),
        row("pmx", json!(false), json!(true)),
        row("holdSocket", json!(false), json!(true)),
        row("hangTimeout", json!("1s"), json!("2s")),
        within("heapSnapshot", json!({"maxMemoryRestart": "100M"}), json!(false), json!(true)),
        row("writablePaths[]", json!("/a"), json!("/b")),
    ]
}

fn autoscaling() -> Vec<Row> {
    let policy = json!({"type": "Pods", "value": 1, "periodSeconds": 15});
    let rules = json!({"policies": [policy]});
    let behavior = json!({"scaleUp": rules, "scaleDown": rules});
    let around = json!({"autoscaling": {"maxInstances": 4, "cpu": "70%", "behavior": behavior}});
    let mut rows = vec![
        within("autoscaling.minInstances", around.clone(), json!(1), json!(2)),
        within("autoscaling.maxInstances", around.clone(), json!(4), json!(5)),
        within("autoscaling.cpu", around.clone(), json!("70%"), json!("80%")),
        within("autoscaling.memory", around.clone(), json!("70%"), json!("70M")),
    ];
    for direction in ["scaleUp", "scaleDown"] {
        for (field, values) in [
            ("stabilizationWindowSeconds", [json!(1), json!(2)]),
            ("selectPolicy", [json!("Min"), json!("Disabled")]),
            ("policies[].type", [json!("Pods"), json!("Percent")]),
            ("policies[].value", [json!(1), json!(2)]),
            ("policies[].periodSeconds", [json!(15), json!(16)]),
        ] {
            let leaf: &'static str = format!("autoscaling.behavior.{direction}.{field}").leak();
            rows.push(Row { leaf, around: around.clone(), values });
        }
    }
    rows
}

fn logs() -> Vec<Row> {
    vec![
        row("logDateFormat", json!("HH"), json!("mm")),
        row("statusLogTail", json!(false), json!(true)),
        row("logType", json!("raw"), json!("json")),
        row("mergeLogs", json!(false), json!(true)),
        row("outFile", json!("a.log"), json!("b.log")),
        row("errorFile", json!("a.log"), json!("b.log")),
        row("logFile", json!("a.log"), json!("b.log")),
        row("timeZone", json!("Europe/Berlin"), json!("Asia/Tokyo")),
        row("logRotate.rotateInterval", json!("0 0 * * *"), json!("0 1 * * *")),
        row("logRotate.dateFormat", json!("YYYY"), json!("MM")),
        row("logRotate.maxSize", json!("1M"), json!("2M")),
        row("logRotate.retain", json!(1), json!(2)),
        row("logRotate.compress", json!(false), json!(true)),
    ]
}

fn env() -> Vec<Row> {
    let from = |kind: &str| json!({"envFrom": [{ kind: {"name": "s"} }]});
    let profiles = json!({"a": [{"name": "A", "value": "1"}], "b": [{"name": "A", "value": "2"}]});
    let mut rows = variables("env[]", |variable| json!({"env": [variable]}));
    rows.extend(variables(
        "envProfiles.*[]",
        |variable| json!({"profile": "main", "envProfiles": {"main": [variable]}}),
    ));
    rows.extend([
        within("profile", json!({"envProfiles": profiles}), json!("a"), json!("b")),
        within("envFrom[].prefix", from("secretRef"), json!("A_"), json!("B_")),
        within("envFrom[].secretRef.name", from("secretRef"), json!("a"), json!("b")),
        within("envFrom[].secretRef.optional", from("secretRef"), json!(false), json!(true)),
        within("envFrom[].configMapRef.name", from("configMapRef"), json!("a"), json!("b")),
        within("envFrom[].configMapRef.optional", from("configMapRef"), json!(false), json!(true)),
    ]);
    rows
}

/// The rows of a list of variables, given a spec that has one in it.
fn variables(list: &str, around: impl Fn(Value) -> Value) -> Vec<Row> {
    let taken = |source: &str, from: Value| json!({"name": "A", "valueFrom": { source: from }});
    let key = || json!({"name": "s", "key": "k"});
    let (named, secret, config, resource) = (
        json!({"name": "A"}),
        taken("secretKeyRef", key()),
        taken("configMapKeyRef", key()),
        taken("resourceFieldRef", json!({"resource": "limits.cpu"})),
    );
    let fields = [
        ("name", &named, json!("A"), json!("B")),
        ("value", &named, json!("1"), json!("2")),
        ("valueFrom.secretKeyRef.name", &secret, json!("a"), json!("b")),
        ("valueFrom.secretKeyRef.key", &secret, json!("a"), json!("b")),
        ("valueFrom.secretKeyRef.optional", &secret, json!(false), json!(true)),
        ("valueFrom.configMapKeyRef.name", &config, json!("a"), json!("b")),
        ("valueFrom.configMapKeyRef.key", &config, json!("a"), json!("b")),
        ("valueFrom.configMapKeyRef.optional", &config, json!(false), json!(true)),
        ("valueFrom.fieldRef.fieldPath", &named, json!("metadata.name"), json!("metadata.uid")),
        ("valueFrom.resourceFieldRef.resource", &resource, json!("limits.cpu"), json!("requests.cpu")),
        ("valueFrom.resourceFieldRef.divisor", &resource, json!("1"), json!("1m")),
    ];
    let row = |(field, variable, one, other): (&str, &Value, Value, Value)| {
        within(format!("{list}.{field}").leak(), around(variable.clone()), one, other)
    };
    fields.into_iter().map(row).collect()
}

fn redis() -> Vec<Row> {
    let mode = |mode: &str| json!({"redis": {"mode": mode}});
    let external = |more: Value| {
        let mut redis = json!({"mode": "External", "address": "r:1"});
        merge(&mut redis, &more);
        json!({ "redis": redis })
    };
    let quantity = |value: &str| json!({"key": "cpu", "value": value});
    let secret = || external(json!({"tls": {"ca": {"secretKeyRef": {"name": "s", "key": "k"}}}}));
    let config = || external(json!({"tls": {"ca": {"configMapKeyRef": {"name": "s", "key": "k"}}}}));
    let login = || external(json!({"credentials": {"secretName": "s"}}));
    vec![
        row("redis.mode", json!("Sidecar"), json!("Shared")),
        within("redis.image", mode("Sidecar"), json!("r:1"), json!("r:2")),
        within("redis.resources.requests.*", mode("Shared"), quantity("10m"), quantity("20m")),
        within("redis.resources.limits.*", mode("Shared"), quantity("1"), quantity("2")),
        within("redis.maxMemory", mode("Sidecar"), json!("10Mi"), json!("20Mi")),
        within("redis.maxMemoryPolicy", mode("Sidecar"), json!("noeviction"), json!("volatile-ttl")),
        within("redis.appendFsync", mode("Shared"), json!("always"), json!("no")),
        within("redis.storage.size", mode("Shared"), json!("1Gi"), json!("2Gi")),
        within("redis.storage.storageClassName", mode("Shared"), json!("fast"), json!("slow")),
        within("redis.storage.retention", mode("Shared"), json!("Retain"), json!("Delete")),
        within("redis.address", external(json!({})), json!("r:1"), json!("r:2")),
        within("redis.access", external(json!({})), json!("Forwarder"), json!("Env")),
        within("redis.credentials.secretName", login(), json!("a"), json!("b")),
        within("redis.credentials.passwordKey", login(), json!("a"), json!("b")),
        within("redis.credentials.usernameKey", login(), json!("a"), json!("b")),
        within("redis.tls.serverName", external(json!({"tls": {}})), json!("a"), json!("b")),
        within("redis.tls.clientSecretName", external(json!({"tls": {}})), json!("a"), json!("b")),
        within("redis.tls.ca.secretKeyRef.name", secret(), json!("a"), json!("b")),
        within("redis.tls.ca.secretKeyRef.key", secret(), json!("a"), json!("b")),
        within("redis.tls.ca.configMapKeyRef.name", config(), json!("a"), json!("b")),
        within("redis.tls.ca.configMapKeyRef.key", config(), json!("a"), json!("b")),
    ]
}

fn serving() -> Value {
    json!({"port": 3000})
}

fn serving_with(field: &str, given: impl Into<Value>) -> Value {
    json!({"port": 3000, field: given.into()})
}

fn of_a(value: &str) -> Value {
    json!({"key": "a", "value": value})
}

fn service() -> Vec<Row> {
    let (port, with, pair) = (serving, serving_with, of_a);
    let open = || with("service", json!({"type": "LoadBalancer"}));
    let client = || with("service", json!({"sessionAffinity": "ClientIP"}));
    let more = || with("service", json!({"type": "NodePort", "ports": [{"name": "a", "port": 80}]}));
    let policies = || json!("Local");
    vec![
        within("service.type", port(), json!("ClusterIP"), json!("NodePort")),
        within("service.sessionAffinity", port(), json!("None"), json!("ClientIP")),
        within("service.sessionAffinityConfig.clientIP.timeoutSeconds", client(), json!(1), json!(2)),
        within("service.appProtocol", port(), json!("http"), json!("kubernetes.io/ws")),
        within("service.nodePort", open(), json!(30_000), json!(30_001)),
        within("service.ports[].name", more(), json!("a"), json!("b")),
        within("service.ports[].port", more(), json!(80), json!(81)),
        within("service.ports[].targetPort", more(), json!("http"), json!(8080)),
        within("service.ports[].protocol", more(), json!("TCP"), json!("UDP")),
        within("service.ports[].appProtocol", more(), json!("http"), json!("kubernetes.io/ws")),
        within("service.ports[].nodePort", more(), json!(30_000), json!(30_001)),
        within("service.headless", port(), json!(false), json!(true)),
        within("service.internalTrafficPolicy", port(), json!("Cluster"), policies()),
        within("service.externalTrafficPolicy", open(), json!("Cluster"), policies()),
        within("service.trafficDistribution", port(), Value::Null, json!("PreferClose")),
        within("service.loadBalancerClass", open(), json!("a/b"), json!("a/c")),
        within("service.loadBalancerSourceRanges[]", open(), json!("10.0.0.0/8"), json!("10.0.0.0/9")),
        within("service.labels.*", port(), pair("1"), pair("2")),
        within("service.annotations.*", port(), pair("1"), pair("2")),
    ]
}

fn network() -> Vec<Row> {
    let (port, with, pair) = (serving, serving_with, of_a);
    let peer = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let host = |given: Value| with("ingress", json!({ "hosts": [given] }));
    let any = || host(json!({"host": "a"}));
    let path = || host(json!({"paths": [{"path": "/a"}]}));
    let served = |kind: &str, given: Value| json!({"port": 3000, "service": {"ports": [{"name": "b", "port": 80}]}, kind: given});
    let cookie = || with("ingress", json!({"hosts": [{}], "className": "nginx", "cookieAffinity": {}}));
    let ingress = vec![
        within("ingress.className", any(), json!("a"), json!("b")),
        within("ingress.controller", cookie(), json!("IngressNginx"), json!("Traefik")),
        within("ingress.hosts[].host", any(), json!("a"), json!("b")),
        within("ingress.hosts[].paths[].path", path(), json!("/a"), json!("/b")),
        within("ingress.hosts[].paths[].pathType", path(), json!("Prefix"), json!("Exact")),
        within(
            "ingress.hosts[].paths[].port",
            served("ingress", json!({"hosts": [{"paths": [{"path": "/a"}]}]})),
            json!("http"),
            json!("b"),
        ),
        within("ingress.tls[].hosts[]", any(), json!("a"), json!("b")),
        within("ingress.tls[].secretName", any(), json!("a"), json!("b")),
        within("ingress.cookieAffinity.name", cookie(), json!("a"), json!("b")),
        within("ingress.cookieAffinity.maxAgeSeconds", cookie(), json!(1), json!(2)),
        within("ingress.labels.*", any(), pair("1"), pair("2")),
        within("ingress.annotations.*", any(), pair("1"), pair("2")),
    ];
    let edge = || with("httpRoute", json!({"parentRefs": [{"name": "a"}]}));
    let one = || json!({"parentRefs": [{"name": "a"}], "paths": [{"value": "/a"}]});
    let route = vec![
        within("httpRoute.parentRefs[].name", edge(), json!("a"), json!("b")),
        within("httpRoute.parentRefs[].namespace", edge(), json!("a"), json!("b")),
        within("httpRoute.parentRefs[].sectionName", edge(), json!("a"), json!("b")),
        within("httpRoute.parentRefs[].port", edge(), json!(80), json!(443)),
        within("httpRoute.hostnames[]", edge(), json!("a"), json!("b")),
        within("httpRoute.paths[].type", with("httpRoute", one()), json!("Exact"), json!("PathPrefix")),
        within("httpRoute.paths[].value", with("httpRoute", one()), json!("/a"), json!("/b")),
        within("httpRoute.paths[].port", served("httpRoute", one()), json!("http"), json!("b")),
        within("httpRoute.labels.*", edge(), pair("1"), pair("2")),
        within("httpRoute.annotations.*", edge(), pair("1"), pair("2")),
    ];
    let shared = json!({"redis": {"mode": "Shared"}});
    let to = |app: &str| json!({ "to": [peer(app)] });
    let policy = vec![
        within("networkPolicy.from[]", port(), peer("a"), peer("b")),
        row("networkPolicy.metricsFrom[]", peer("a"), peer("b")),
        within("networkPolicy.redisFrom[]", shared, peer("a"), peer("b")),
        row("networkPolicy.egress[]", to("a"), to("b")),
    ];
    [service(), ingress, route, policy].into_iter().flatten().collect()
}

fn pod() -> Vec<Row> {
    let of = |pod: Value| json!({"pod": pod});
    let pair = |key: &str, value: &str| json!({"key": key, "value": value});
    let hosts = of(json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}));
    let option = of(json!({"dnsConfig": {"options": [{"name": "ndots"}]}}));
    let spread = |fields: Value| of(json!({"topologySpreadConstraints": [fields]}));
    let host = json!({"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway"});
    let term = |key: &str| json!({"topologyKey": key});
    let near =
        |key: &str| json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term(key)]}});
    let labelled = |value: &str| json!({"metadata": {"labels": {"team": value}}});
    vec![
        row("pod.labels.*", pair("a", "1"), pair("a", "2")),
        row("pod.annotations.*", pair("a", "1"), pair("a", "2")),
        row("pod.nodeSelector.*", pair("a", "1"), pair("a", "2")),
        row("pod.affinity", near("a"), near("b")),
        row("pod.tolerations[].key", json!("a"), json!("b")),
        row("pod.tolerations[].operator", json!("Exists"), json!("Equal")),
        row("pod.tolerations[].value", json!("a"), json!("b")),
        row("pod.tolerations[].effect", json!("NoSchedule"), json!("NoExecute")),
        row("pod.tolerations[].tolerationSeconds", json!(1), json!(2)),
        within("pod.topologySpreadConstraints[].topologyKey", spread(host.clone()), json!("a"), json!("b")),
        within(
            "pod.topologySpreadConstraints[].whenUnsatisfiable",
            spread(host),
            json!("ScheduleAnyway"),
            json!("DoNotSchedule"),
        ),
        row("pod.priorityClassName", json!("a"), json!("b")),
        row("pod.runtimeClassName", json!("a"), json!("b")),
        row("pod.serviceAccountName", json!("a"), json!("b")),
        row("pod.automountServiceAccountToken", json!(false), json!(true)),
        row("pod.imagePullSecrets[].name", json!("a"), json!("b")),
        row("pod.securityContext", json!({"runAsUser": 1}), json!({"runAsUser": 2})),
        within("pod.volumes[].name", of(json!({"volumes": [{"emptyDir": {}}]})), json!("a"), json!("b")),
        within(
            "pod.initContainers[].name",
            of(json!({"initContainers": [{"image": "i"}]})),
            json!("a"),
            json!("b"),
        ),
        within("pod.sidecars[].name", of(json!({"sidecars": [{"image": "i"}]})), json!("a"), json!("b")),
        row("pod.dnsPolicy", json!("Default"), json!("ClusterFirst")),
        row("pod.dnsConfig.nameservers[]", json!("10.0.0.1"), json!("10.0.0.2")),
        row("pod.dnsConfig.searches[]", json!("a"), json!("b")),
        within("pod.dnsConfig.options[].name", option.clone(), json!("ndots"), json!("rotate")),
        within("pod.dnsConfig.options[].value", option, json!("1"), json!("2")),
        within("pod.hostAliases[].ip", hosts.clone(), json!("10.0.0.1"), json!("10.0.0.2")),
        within("pod.hostAliases[].hostnames[]", hosts, json!("a"), json!("b")),
        within(
            "volumeMounts[].mountPath",
            json!({"volumeMounts": [{"name": "v"}], "pod": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!("/a"),
            json!("/b"),
        ),
        row("securityContext", json!({"runAsUser": 1}), json!({"runAsUser": 2})),
        row("podTemplate", labelled("a"), labelled("b")),
    ]
}

fn probes() -> Vec<Row> {
    let fields: [(&str, Value, [Value; 2]); 12] = [
        ("http.path", json!({"http": {}}), [json!("/a"), json!("/b")]),
        ("http.port", json!({"http": {}}), [json!(1), json!(2)]),
        (
            "http.headers[].name",
            json!({"http": {"headers": [{"name": "A", "value": "1"}]}}),
            [json!("A"), json!("B")],
        ),
        (
            "http.headers[].value",
            json!({"http": {"headers": [{"name": "A", "value": "1"}]}}),
            [json!("1"), json!("2")],
        ),
        ("tcp.port", json!({"tcp": {}}), [json!(1), json!(2)]),
        ("grpc.port", json!({"grpc": {}}), [json!(1), json!(2)]),
        ("grpc.service", json!({"grpc": {}}), [json!("a"), json!("b")]),
        ("exec.command[]", json!({"exec": {"command": ["a"]}}), [json!("a"), json!("b")]),
        ("initialDelay", json!({"tcp": {}}), [json!("1s"), json!("2s")]),
        ("period", json!({"tcp": {}}), [json!("1s"), json!("2s")]),
        ("timeout", json!({"tcp": {}}), [json!("1s"), json!("2s")]),
        ("failureThreshold", json!({"tcp": {}}), [json!(1), json!(2)]),
    ];
    let mut rows = Vec::new();
    for kind in ["readiness", "liveness", "startup"] {
        for (field, around, values) in fields.clone() {
            let leaf: &'static str = format!("probes.{kind}.{field}").leak();
            rows.push(Row { leaf, around: json!({"port": 3000, "probes": { kind: around }}), values });
        }
        // Above 1 only readiness takes it; the rule is in the schema.
        let leaf: &'static str = format!("probes.{kind}.successThreshold").leak();
        let around = json!({"port": 3000, "probes": { kind: {"tcp": {}} }});
        rows.push(Row { leaf, around, values: [json!(1), json!(2)] });
    }
    rows
}

fn merge(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in change {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

/// The children of a spec whose rollout has failed, without the record of the spec
/// itself, which differs for any two specs.
fn children(row: &Row, value: &Value) -> String {
    let mut spec = json!({"image": "a:1", "script": "a.js"});
    let good = made(row, &spec, &Observed::default()).revision;
    merge(&mut spec, &row.around);
    put(&mut spec, row.leaf, value);
    let failed = made(row, &spec, &Observed::default()).revision.metadata.name;
    let history = History { stable: good.metadata.name.clone(), failed };
    let observed = Observed {
        revisions: vec![Arc::new(good)],
        history,
        nodes: nodes(),
        contents: contents(),
        ..Observed::default()
    };
    let children = made(row, &spec, &observed);
    let pods = (children.deployment, children.cron_job, children.autoscaler);
    let around = (children.service_account, children.service, children.disruption_budget);
    let redis = children.redis.wanted().map(|redis| (&redis.claim, &redis.service, &redis.stateful_set));
    let network = &children.network;
    let network =
        (&network.headless, &network.ingress, &network.route, &network.policy, &network.redis_policy);
    serde_json::to_string(&(around, pods, children.restarts.status, children.job, redis, network)).unwrap()
}

/// A node for those that fill it.
fn nodes() -> Known {
    let allocatable = Room { cpu: 16_000, memory: 64 << 30, pods: 110 };
    let node = NodeRoom { allocatable, ..NodeRoom::default() };
    let apps = [AppKey { namespace: "storefront".into(), name: "cart".into() }].into();
    Known::Room(Arc::new(Survey { nodes: [("one".to_owned(), node)].into(), apps }))
}

/// What the rows refer to: nothing of it is there.
fn contents() -> Contents {
    [(Referent::ConfigMap("c".to_owned()), Content::Missing)].into()
}

fn made(row: &Row, spec: &Value, observed: &Observed) -> Children<Prepared> {
    let app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
        "spec": spec,
    });
    let app: NodeApp = serde_json::from_value(app).unwrap_or_else(|error| panic!("{}: {error}", row.leaf));
    let valid = validate(&app).unwrap_or_else(|problems| panic!("{}: {problems}", row.leaf));
    desired(&valid, observed, &Settings { runner_image: "runner:1".to_owned(), ..Settings::default() })
}

#[test]
fn every_field_changes_what_is_made() {
    let rows: Vec<Row> = [top_level(), autoscaling(), logs(), env(), probes(), redis(), network(), pod()]
        .into_iter()
        .flatten()
        .collect();
    for row in &rows {
        let [one, other] = &row.values;
        assert_ne!(children(row, one), children(row, other), "{} has no effect", row.leaf);
    }
    let known: BTreeSet<String> = rows.iter().map(|row| row.leaf.to_owned()).collect();
    let leaves = leaves();
    let without_row: Vec<_> = leaves.difference(&known).collect();
    let without_leaf: Vec<_> = known.difference(&leaves).collect();
    assert!(without_row.is_empty(), "give these a row: {without_row:?}");
    assert!(without_leaf.is_empty(), "these are no fields any more: {without_leaf:?}");
}

#[test]
fn every_field_says_what_it_is() {
    fn walk(path: &str, schema: &Value, mute: &mut Vec<String>) {
        if schema["description"].as_str().is_none_or(|text| text.len() < 5) {
            mute.push(path.to_owned());
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), below, mute);
        }
        for (name, below) in schema["items"]["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}[].{name}"), below, mute);
        }
    }
    let crd = serde_json::to_value(crd::definition()).unwrap();
    let mut mute = Vec::new();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for part in ["spec", "status"] {
        walk(part, &schema["properties"][part], &mut mute);
    }
    assert_eq!(mute, Vec::<String>::new());
}

#[test]
fn defaults_in_the_schema_are_the_defaults_of_the_code() {
    fn walk(path: &str, schema: &Value, found: &mut BTreeMap<String, Value>) {
        if !schema["default"].is_null() {
            found.insert(path.to_owned(), schema["default"].clone());
        }
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), below, found);
        }
    }
    let crd = serde_json::to_value(crd::definition()).unwrap();
    let mut found = BTreeMap::new();
    walk("", &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut found);
    let status = [
        ".status.availableReplicas",
        ".status.desiredReplicas",
        ".status.readyReplicas",
        ".status.replicas",
        ".status.restarts",
        ".status.updatedReplicas",
    ];
    let mut expected: BTreeMap<String, Value> =
        status.into_iter().map(|path| (path.to_owned(), json!(0))).collect();
    expected.insert(".spec.instances".to_owned(), json!(crd::defaults::instances()));
    expected.insert(".status".to_owned(), json!({"observedGeneration": crd::NEVER_OBSERVED}));
    assert_eq!(found, expected);
}
