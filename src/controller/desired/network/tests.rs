use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value, json};

use super::*;
use crate::controller::compare::is_applied;
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

#[test]
fn whom_the_pods_may_reach_holds_for_the_job_before_a_rollout_too_and_not_for_redis() {
    let policy = made(&json!({"networkPolicy": {"egress": []}}), &Settings::default()).policy;
    let selector = policy.unwrap().spec.unwrap().pod_selector.unwrap().match_labels.unwrap();
    assert!(!selector.is_empty());
    let takes = |labels: &BTreeMap<String, String>| {
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    assert!(takes(&names::labels("cart")));
    assert!(takes(&names::job_labels("cart")), "it has the same image and the same secrets");
    assert!(!takes(&names::redis_pod_labels("cart")), "it has a policy of its own");
    assert!(!takes(&names::labels("cart-2")) && !takes(&names::job_labels("cart-2")));
}

/// Whether what stands for one spec in the cluster is taken for what another asks for. Who owns it is
/// told as the API server tells it of lists that are one value.
fn passes<K: serde::Serialize>(live: &K, wanted: &K) -> bool {
    let (live, wanted) = (serde_json::to_value(live).unwrap(), serde_json::to_value(wanted).unwrap());
    let whole = |fields: &Value| -> Value {
        fields.as_object().into_iter().flatten().map(|(key, _)| (format!("f:{key}"), json!({}))).collect()
    };
    let (annotations, spec) = (whole(&live["metadata"]["annotations"]), whole(&live["spec"]));
    let ours = json!([{"manager": names::MANAGER, "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:annotations": annotations}, "f:spec": spec}}]);
    let ours: Vec<ManagedFieldsEntry> = serde_json::from_value(ours).unwrap();
    is_applied(&wanted, &live, &ours)
}

fn all_pass(live: &NetworkChildren, wanted: &NetworkChildren) -> bool {
    fn each<K: serde::Serialize>(live: Option<&K>, wanted: Option<&K>) -> bool {
        live.zip(wanted).is_none_or(|(live, wanted)| passes(live, wanted))
    }
    each(live.policy.as_ref(), wanted.policy.as_ref())
        && each(live.ingress.as_ref(), wanted.ingress.as_ref())
        && each(live.route.as_ref(), wanted.route.as_ref())
}

#[test]
fn what_is_taken_out_within_a_list_that_is_one_value_is_a_difference_and_so_is_what_is_put_back() {
    let policy = |change: Value| json!({ "networkPolicy": change });
    let port = |port: Value| policy(json!({"egress": [{"ports": port}]}));
    let from = |peer: Value| policy(json!({"from": [peer]}));
    let nginx = |host: Value, tls: Value| json!({"ingress": {"hosts": [host], "tls": [tls]}});
    let edge = |parent: Value| json!({"httpRoute": {"parentRefs": [parent]}});
    let debug = json!([{"name": "debug", "port": 9229}]);
    let with_ports = |ports: Value| json!({"service": {"ports": ports}, "networkPolicy": {}});
    let both = json!({"namespaceSelector": {}, "podSelector": {}});
    let tls = || json!({"hosts": ["a.example.com"], "secretName": "a"});
    for (with, without) in [
        (port(json!([{"port": 53}, {"port": 5432}])), port(json!([{"port": 53}]))),
        (port(json!([{"port": 53, "endPort": 60}])), port(json!([{"port": 53}]))),
        (with_ports(debug), with_ports(json!([]))),
        (from(json!({"podSelector": {}})), policy(json!({}))),
        (from(both), from(json!({"namespaceSelector": {}}))),
        (
            from(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}})),
            from(json!({"ipBlock": {"cidr": "10.0.0.0/8"}})),
        ),
        (
            policy(json!({"egress": [{"ports": [{"port": 53}], "to": [{"podSelector": {}}]}]})),
            port(json!([{"port": 53}])),
        ),
        (nginx(json!({"host": "a.example.com"}), tls()), nginx(json!({}), tls())),
        (nginx(json!({}), tls()), nginx(json!({}), json!({"hosts": ["a.example.com"]}))),
        (nginx(json!({}), tls()), nginx(json!({}), json!({"secretName": "a"}))),
        (edge(json!({"name": "edge", "sectionName": "https"})), edge(json!({"name": "edge"}))),
        (edge(json!({"name": "edge", "port": 443})), edge(json!({"name": "edge"}))),
        (edge(json!({"name": "edge", "namespace": "infra"})), edge(json!({"name": "edge"}))),
    ] {
        let (more, less) = (made(&with, &Settings::default()), made(&without, &Settings::default()));
        assert!(all_pass(&more, &more) && all_pass(&less, &less), "{with} {without}");
        assert!(!all_pass(&more, &less), "{without} is not carried out after {with}");
        assert!(!all_pass(&less, &more), "{with} is not carried out after {without}");
    }
}
