use serde_json::{Value, json};

use super::*;
use crate::controller::desired::desired;
use crate::controller::validate::validate;

fn made(spec: &Value, settings: &Settings) -> NetworkChildren {
    let mut whole = json!({"image": "a:1", "script": "a.js", "port": 3000});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let app = serde_json::from_value(json!({
        "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"}, "spec": whole,
    }));
    desired(&validate(&app.unwrap()).unwrap(), &Observed::default(), settings).network
}

fn rules(policy: Option<&NetworkPolicy>) -> Value {
    let spec = policy.unwrap().spec.as_ref().unwrap();
    serde_json::to_value(spec.ingress.as_ref().unwrap()).unwrap()
}

#[test]
fn an_app_that_asks_for_nothing_gets_nothing() {
    let none = made(&json!({"redis": {"mode": "Shared"}}), &Settings::default());
    let NetworkChildren { headless, ingress, route, route_waits, policy, redis_policy } = none;
    assert!(headless.is_none() && ingress.is_none() && route.is_none() && !route_waits);
    assert!(policy.is_none() && redis_policy.is_none());
}

#[test]
fn a_policy_lets_everyone_reach_the_app_and_the_operator_alone_the_runner() {
    let settings = Settings { namespace: Some("nodeapp-system".to_owned()), ..Settings::default() };
    let policy = made(&json!({"networkPolicy": {}}), &settings).policy;
    let operator = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nodeapp-system"}},
        "podSelector": {"matchLabels": {
            "app.kubernetes.io/component": "operator", "app.kubernetes.io/part-of": "nodeapp-operator",
        }},
    });
    let expected = json!([
        {"ports": [{"port": "http", "protocol": "TCP"}]},
        {"from": [operator], "ports": [{"port": "runner", "protocol": "TCP"}]},
    ]);
    assert_eq!(rules(policy.as_ref()), expected);
    let anywhere = made(&json!({"networkPolicy": {}}), &Settings::default()).policy;
    assert_eq!(rules(anywhere.as_ref())[1]["from"][0]["namespaceSelector"], json!({}));
}

#[test]
fn a_list_of_nobody_is_nobody_and_a_worker_is_reached_by_nobody() {
    for spec in [json!({"networkPolicy": {"from": []}}), json!({"port": null, "networkPolicy": {}})] {
        let rules = rules(made(&spec, &Settings::default()).policy.as_ref());
        assert_eq!(rules.as_array().map(Vec::len), Some(1), "{spec}: {rules}");
        assert_eq!(rules[0]["ports"][0]["port"], "runner");
    }
}

#[test]
fn more_ports_are_open_too_but_never_the_runners_to_those_who_may_reach_the_app() {
    let spec = json!({
        "service": {"ports": [
            {"name": "web", "port": 80, "targetPort": "http"},
            {"name": "metrics", "port": 9615},
            {"name": "named", "port": 9000, "targetPort": "runner"},
            {"name": "game", "port": 7000, "protocol": "UDP"},
        ]},
        "networkPolicy": {"from": [{"podSelector": {}}]},
    });
    let rules = rules(made(&spec, &Settings::default()).policy.as_ref());
    let ports = json!([{"port": "http", "protocol": "TCP"}, {"port": 7000, "protocol": "UDP"}]);
    assert_eq!(rules[0], json!({"from": [{"podSelector": {}}], "ports": ports}));
}

#[test]
fn a_shared_redis_is_for_the_app_and_the_job_before_its_rollouts_and_whom_it_names() {
    let other = json!({"podSelector": {"matchLabels": {"nodeapp.dev/app": "mailer"}}});
    let spec = json!({"redis": {"mode": "Shared"}, "networkPolicy": {"redisFrom": [other]}});
    let policy = made(&spec, &Settings::default()).redis_policy;
    let selector = &policy.as_ref().unwrap().spec.as_ref().unwrap().pod_selector;
    assert_eq!(selector.as_ref().unwrap().match_labels, Some(names::redis_selector("cart")));
    let from = &rules(policy.as_ref())[0]["from"];
    assert_eq!(from[0], json!({"podSelector": {"matchLabels": {"nodeapp.dev/app": "cart"}}}));
    let job: BTreeMap<String, String> =
        serde_json::from_value(from[1]["podSelector"]["matchLabels"].clone()).unwrap();
    let labels = names::job_labels("cart");
    assert!(job.iter().all(|(key, value)| labels.get(key) == Some(value)), "{job:?}");
    assert!(!job.iter().all(|(key, value)| names::labels("cart").get(key) == Some(value)), "{job:?}");
    assert_eq!(from[2], other);
    let sidecar = made(&json!({"redis": {"mode": "Sidecar"}, "networkPolicy": {}}), &Settings::default());
    assert!(sidecar.redis_policy.is_none(), "it listens on localhost alone");
}

#[test]
fn whom_the_pods_may_reach_is_left_alone_unless_it_is_said() {
    let types = |spec: Value| {
        let policy = made(&spec, &Settings::default()).policy.unwrap().spec.unwrap();
        (policy.policy_types.unwrap().join(" "), policy.egress.map(|rules| rules.len()))
    };
    assert_eq!(types(json!({"networkPolicy": {}})), ("Ingress".to_owned(), None));
    assert_eq!(types(json!({"networkPolicy": {"egress": []}})), ("Ingress Egress".to_owned(), None));
    let dns = json!({"ports": [{"port": 53, "protocol": "UDP"}]});
    assert_eq!(types(json!({"networkPolicy": {"egress": [dns]}})), ("Ingress Egress".to_owned(), Some(1)));
}

#[test]
fn a_route_says_all_that_the_api_would_fill_in() {
    let spec = json!({
        "service": {"ports": [{"name": "admin", "port": 8081, "targetPort": 8081}]},
        "httpRoute": {
            "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
            "hostnames": ["shop.example.com"],
            "paths": [{"value": "/"}, {"value": "/admin", "type": "Exact", "port": "admin"}],
        },
    });
    let route = made(&spec, &Settings::default()).route.unwrap();
    let backend =
        |port: i32| json!([{"group": "", "kind": "Service", "name": "cart", "port": port, "weight": 1}]);
    let matches = |type_: &str, value: &str| json!([{"path": {"type": type_, "value": value}}]);
    let expected = json!({
        "parentRefs": [{
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "infra",
            "sectionName": "https",
        }],
        "hostnames": ["shop.example.com"],
        "rules": [
            {"matches": matches("PathPrefix", "/"), "backendRefs": backend(3000)},
            {"matches": matches("Exact", "/admin"), "backendRefs": backend(8081)},
        ],
    });
    assert_eq!(route.spec, expected);
}

#[test]
fn a_route_waits_for_its_api_and_nothing_else_does() {
    let app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
        "spec": {"image": "a:1", "script": "a.js", "port": 3000, "networkPolicy": {},
            "httpRoute": {"parentRefs": [{"name": "edge"}]}},
    });
    let valid = validate(&serde_json::from_value(app).unwrap()).unwrap();
    let mut observed = Observed::default();
    observed.network.lacks_gateway_api = true;
    let children = desired(&valid, &observed, &Settings::default());
    assert!(children.network.route.is_none() && children.network.route_waits);
    assert!(children.network.policy.is_some() && children.deployment.is_some());
}
