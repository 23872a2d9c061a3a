use serde_json::{Value, json};

use super::*;
use crate::controller::desired::{Pods, Settings, desired};
use crate::controller::observe::Observed;
use crate::controller::restarts::Restarts;
use crate::controller::status::{Findings, compute, good_for};
use crate::controller::validate::validate;

fn app(change: &Value) -> NodeApp {
    let mut spec = json!({
        "image": "a:1", "script": "a.js", "port": 3000,
        "httpRoute": {"parentRefs": [{"name": "edge", "namespace": "infra"}], "hostnames": ["shop.example.com"]},
    });
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({
        "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "storefront", "generation": 1, "uid": "u"}, "spec": spec,
    }))
    .unwrap()
}

/// Children as the API server has them: all instances there, and this of the route.
fn children(app: &NodeApp, parents: &Value, gateway_api: bool) -> Children<Applied> {
    let mut observed = Observed::default();
    observed.network.lacks_gateway_api = !gateway_api;
    let mut made = desired(&validate(app).unwrap(), &observed, &Settings::default());
    let mut deployment = made.deployment.unwrap();
    deployment.metadata.generation = Some(1);
    deployment.status = serde_json::from_value(json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
    }))
    .unwrap();
    if let Some(route) = &mut made.network.route {
        route.metadata.generation = Some(2);
        route.status = serde_json::from_value(json!({ "parents": parents })).unwrap();
    }
    let course = crate::controller::desired::Course {
        running: made.revision.metadata.name.clone(),
        ..Default::default()
    };
    let pods = Pods { deployment: Some(deployment), ..Pods::default() };
    let children = Children::new(
        made.service_account,
        made.revision,
        course,
        made.service,
        None,
        pods,
        Restarts::default(),
    );
    Children { network: made.network, ..children }
}

fn parent(conditions: &Value) -> Value {
    json!([{
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "infra"},
        "controllerName": "example.com/gateway", "conditions": conditions,
    }])
}

fn said(type_: &str, status: &str, reason: &str, generation: i64) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": "in its own words.",
        "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn told(previous: &NodeAppStatus, parents: &Value, gateway_api: bool, now: i64) -> NodeAppStatus {
    let app = app(&json!({}));
    compute(&app, previous, Findings::Applied(&children(&app, parents, gateway_api)), at(now))
}

fn of(status: &NodeAppStatus, type_: ConditionType) -> (&str, &str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_.name()).unwrap();
    (&found.status, &found.reason)
}

fn message(status: &NodeAppStatus) -> &str {
    status.http_route.as_ref().unwrap().message.as_deref().unwrap()
}

#[test]
fn an_app_whose_gateway_takes_its_route_is_ready_and_reached_there() {
    let parents =
        parent(&json!([said("Accepted", "True", "Accepted", 2), said("ResolvedRefs", "True", "R", 2)]));
    let status = told(&NodeAppStatus::default(), &parents, true, 100);
    assert_eq!(of(&status, ConditionType::Ready), ("True", "AllInstancesReady"));
    let route = status.http_route.unwrap();
    assert!(route.exists && route.accepted && route.message.is_none() && route.not_accepted_since.is_none());
    assert_eq!(status.url.as_deref(), Some("http://shop.example.com"));
}

#[test]
fn a_gateway_that_nobody_answers_for_degrades_after_a_minute_and_the_way_out_is_told() {
    let first = told(&NodeAppStatus::default(), &json!([]), true, 100);
    assert_eq!(of(&first, ConditionType::Ready), ("False", "RouteNotAccepted"));
    assert_eq!(of(&first, ConditionType::Available).0, "True", "it serves all the same");
    assert_eq!(of(&first, ConditionType::Degraded).0, "False", "controllers take seconds");
    assert!(message(&first).contains("kubectl get gateway edge -n infra"), "{}", message(&first));
    assert_eq!(first.url.as_deref(), Some("http://cart.storefront.svc:3000"), "nobody comes from outside");
    let app = app(&json!({}));
    let again = good_for(&app, &first, Findings::Applied(&children(&app, &json!([]), true)), at(100));
    assert_eq!(again, Some(LOOK_AGAIN));
    let late = told(&first, &json!([]), true, 161);
    assert_eq!(of(&late, ConditionType::Degraded), ("True", "RouteNotAccepted"));
    let since = |status: &NodeAppStatus| status.http_route.as_ref().unwrap().not_accepted_since.clone();
    assert_eq!(since(&late), since(&first));
}

#[test]
fn a_gateway_that_says_no_is_quoted_at_once_with_what_to_do() {
    for (type_, reason, hint) in [
        ("Accepted", "NotAllowedByListeners", "routes from the namespace storefront"),
        ("Accepted", "NoMatchingListenerHostname", "spec.httpRoute.hostnames"),
        ("Accepted", "NoMatchingParent", "sectionName"),
        ("ResolvedRefs", "BackendNotFound", "Correct spec.httpRoute"),
    ] {
        let accepted = said("Accepted", "True", "Accepted", 2);
        let no = said(type_, "False", reason, 2);
        let conditions = if type_ == "Accepted" { json!([no]) } else { json!([accepted, no]) };
        let status = told(&NodeAppStatus::default(), &parent(&conditions), true, 100);
        assert_eq!(of(&status, ConditionType::Degraded), ("True", "RouteNotAccepted"), "{reason}");
        let message = message(&status);
        assert!(message.contains(&format!("{reason}: in its own words. ")), "{message}");
        assert!(message.contains(hint), "{message}");
    }
}

#[test]
fn what_was_said_of_an_earlier_route_or_of_another_listener_does_not_count() {
    let old = parent(&json!([said("Accepted", "True", "Accepted", 1)]));
    assert!(
        message(&told(&NodeAppStatus::default(), &old, true, 100)).contains("no controller has answered")
    );
    let mut other = parent(&json!([said("Accepted", "True", "Accepted", 2)]));
    other[0]["parentRef"]["sectionName"] = json!("https");
    assert!(
        message(&told(&NodeAppStatus::default(), &other, true, 100)).contains("no controller has answered")
    );
}

#[test]
fn without_the_api_there_is_no_route_and_nothing_else_is_missing() {
    let status = told(&NodeAppStatus::default(), &json!([]), false, 100);
    assert_eq!(of(&status, ConditionType::Ready), ("False", "GatewayApiMissing"));
    assert_eq!(of(&status, ConditionType::Degraded).0, "False", "it may come at once");
    assert_eq!(of(&status, ConditionType::Valid).0, "True");
    assert!(!status.http_route.as_ref().unwrap().exists);
    assert!(message(&status).contains("take spec.httpRoute out"), "{}", message(&status));
    let late = told(&status, &json!([]), false, 161);
    assert_eq!(of(&late, ConditionType::Degraded), ("True", "GatewayApiMissing"));
}

#[test]
fn the_address_is_the_one_that_people_use() {
    let url = |change: Value| {
        let app = app(&change);
        let children = children(&app, &json!([]), true);
        compute(&app, &NodeAppStatus::default(), Findings::Applied(&children), at(100)).url.unwrap()
    };
    let inside = "http://cart.storefront.svc:3000";
    let tls = json!([{"hosts": ["*.example.com"], "secretName": "s"}]);
    for (ingress, expected) in [
        (json!({"hosts": [{"host": "a.example.com"}]}), "http://a.example.com"),
        (
            json!({"hosts": [{"host": "a.example.com", "paths": [{"path": "/shop/"}]}]}),
            "http://a.example.com/shop",
        ),
        (json!({"hosts": [{"host": "a.example.com"}], "tls": tls}), "https://a.example.com"),
        (json!({"hosts": [{"host": "a.b.example.com"}], "tls": tls}), "http://a.b.example.com"),
        (json!({"hosts": [{"host": "*.example.com"}, {"host": "b.example.com"}]}), "http://b.example.com"),
        (json!({"hosts": [{}]}), inside),
    ] {
        assert_eq!(url(json!({"httpRoute": null, "ingress": ingress})), expected, "{ingress}");
    }
    assert_eq!(url(json!({"httpRoute": null})), inside);
}
