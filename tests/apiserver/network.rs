//! What leads to an app and what keeps others away: made, repaired, taken away, and never anyone else's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Request;
use nodeapp_testkit::{Namespace, Tier, story};
use serde_json::{Value, json};

use crate::gateway;
use crate::support::{
    Operator, SOON, Tap, admin, app, condition, create, install, merge, reported, settled, told, versions,
};

/// Kinds and names of what an app has beside its Service.
const ALL: [(&str, &str); 6] = [
    ("Service", "shop"),
    ("Service", "shop-headless"),
    ("Ingress", "shop"),
    ("HTTPRoute", "shop"),
    ("NetworkPolicy", "shop"),
    ("NetworkPolicy", "shop-redis"),
];

/// An app with all of it.
pub(crate) fn reached(change: &Value) -> Value {
    let mut spec = json!({
        "redis": {"mode": "Shared"},
        "service": {
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 600}},
            "ports": [{"name": "web", "port": 80, "targetPort": "http"}, {"name": "udp", "port": 7000, "protocol": "UDP"}],
            "headless": true, "trafficDistribution": "PreferClose", "annotations": {"example.com/a": "b"},
        },
        "ingress": {
            "className": "nginx",
            "hosts": [{"host": "shop.example.com", "paths": [{"path": "/"}, {"path": "/web", "pathType": "Exact", "port": "web"}]}],
            "tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}],
            "cookieAffinity": {"maxAgeSeconds": 60},
        },
        "httpRoute": {
            "parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
            "hostnames": ["shop.example.net"], "paths": [{"value": "/"}, {"value": "/web", "type": "Exact", "port": "web"}],
        },
        "networkPolicy": {
            "from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {}}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": []}}],
            "metricsFrom": [{"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
            "egress": [{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}],
        },
    });
    merge(&mut spec, change);
    app("shop", &spec)
}

async fn all_versions(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let mut all = versions(namespace, "shop").await?;
    for (kind, name) in ALL {
        let version = namespace.get(kind, name).await?["metadata"]["resourceVersion"].to_string();
        all.insert(format!("{kind} {name}"), version);
    }
    Ok(all)
}

async fn gone(namespace: &Namespace, kind: &str, name: &str) -> Result<()> {
    namespace
        .eventually(&format!("no {kind} {name}"), SOON, async || {
            let left = namespace.list(kind).await?;
            ensure!(left.iter().all(|object| object["metadata"]["name"] != name), "{left:?}");
            Ok(())
        })
        .await
}

#[test]
fn all_of_it_is_made_and_rests_even_when_the_operator_starts_anew() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        create(&namespace, &reached(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        let owner = namespace.get("NodeApp", "shop").await?["metadata"]["uid"].clone();
        for (kind, name) in ALL {
            let made = namespace.get(kind, name).await?;
            ensure!(made["metadata"]["ownerReferences"][0]["uid"] == owner, "{kind} {name}: {made}");
        }
        let service = namespace.get("Service", "shop").await?["spec"].clone();
        ensure!(service["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 600, "{service}");
        let numbers: Vec<_> =
            service["ports"].as_array().context("no ports")?.iter().map(|port| &port["port"]).collect();
        ensure!(numbers == [3000, 80, 7000], "{service}");
        let headless = namespace.get("Service", "shop-headless").await?["spec"].clone();
        ensure!(headless["clusterIP"] == "None" && headless["selector"] == service["selector"], "{headless}");
        let status = namespace.get("NodeApp", "shop").await?["status"].clone();
        ensure!(status["url"] == "https://shop.example.com", "{status}");
        ensure!(tap.warnings().is_empty(), "{:?}", tap.warnings());

        // It waits for nothing more than Redis and a Gateway, which the status tells in its time.
        let before = all_versions(&namespace).await?;
        let children = |mut all: BTreeMap<String, String>| {
            all.retain(|kind, _| kind != "NodeApp");
            all
        };
        operator.kill().await;
        let tap = Tap::default();
        let operator = Operator::start_with(&namespace, &tap, "registry.example/nodeapp-runner:2").await?;
        let known = async || {
            ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
            Ok(())
        };
        namespace.eventually("everything is listed", SOON, known).await?;
        let still = async || {
            let now = children(all_versions(&namespace).await?);
            ensure!(now == children(before.clone()), "was {before:?}\n is {now:?}");
            Ok(())
        };
        namespace.throughout("no child is written", Duration::from_secs(4), still).await
    });
}

#[test]
fn what_someone_changes_in_it_is_put_right_and_what_is_deleted_comes_back() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        create(&namespace, &reached(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        let open = json!([{"ports": [{"port": "runner", "protocol": "TCP"}]}]);
        let service = |name: &str| json!({"service": {"name": name, "port": {"number": 80}}});
        let path = |name: &str| json!([{"path": "/", "pathType": "Prefix", "backend": service(name)}]);
        let mut rules = namespace.get("HTTPRoute", "shop").await?["spec"]["rules"].clone();
        // Nothing that we said is another: something is there beside it.
        rules[0]["filters"] =
            json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}}]);
        for (kind, name, change) in [
            ("Service", "shop", json!({"spec": {"sessionAffinity": "None", "sessionAffinityConfig": null}})),
            ("Service", "shop-headless", json!({"spec": {"publishNotReadyAddresses": true}})),
            (
                "Ingress",
                "shop",
                json!({"spec": {"rules": [{"host": "evil.example.com", "http": {"paths": path("evil")}}]}}),
            ),
            ("Ingress", "shop", json!({"spec": {"defaultBackend": service("evil")}})),
            (
                "Ingress",
                "shop",
                json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/affinity": null}}}),
            ),
            ("HTTPRoute", "shop", json!({"spec": {"hostnames": ["evil.example.com"]}})),
            ("HTTPRoute", "shop", json!({"spec": {"rules": rules}})),
            ("NetworkPolicy", "shop", json!({"spec": {"ingress": open}})),
            ("NetworkPolicy", "shop", json!({"spec": {"podSelector": {"matchLabels": {"track": "canary"}}}})),
            ("NetworkPolicy", "shop-redis", json!({"spec": {"ingress": [{}]}})),
        ] {
            let before = namespace.get(kind, name).await?;
            namespace.patch(kind, name, &change).await?;
            namespace
                .eventually(&format!("{kind} {name} is as it was before {change}"), SOON, async || {
                    let after = namespace.get(kind, name).await?;
                    ensure!(after["spec"] == before["spec"], "{}", after["spec"]);
                    let annotations = |object: &Value| object["metadata"]["annotations"].clone();
                    ensure!(annotations(&after) == annotations(&before), "{}", after["metadata"]);
                    Ok(())
                })
                .await?;
        }
        told(&namespace, "Reverted", "NetworkPolicy shop").await?;
        told(&namespace, "Reverted", "HTTPRoute shop").await?;
        for (kind, name) in ALL {
            let before = namespace.get(kind, name).await?;
            namespace.delete_object(kind, name).await?;
            namespace
                .eventually(&format!("another {kind} {name}"), SOON, async || {
                    let now = namespace.get(kind, name).await?;
                    ensure!(now["metadata"]["uid"] != before["metadata"]["uid"], "the same");
                    Ok(())
                })
                .await?;
        }
        told(&namespace, "Recreated", "Ingress shop").await?;
        told(&namespace, "Recreated", "HTTPRoute shop").await.map(drop)
    });
}

#[test]
fn what_is_taken_out_of_the_spec_goes_and_no_pod_is_replaced_for_any_of_it() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let redis = json!({"redis": {"mode": "Shared"}});
        // As who takes it out later: what somebody else had said would stay.
        namespace.apply(&app("shop", &redis)).await?;
        settled(&namespace, "shop").await?;
        let template = async || {
            Ok::<_, anyhow::Error>(namespace.get("Deployment", "shop").await?["spec"]["template"].clone())
        };
        let before = template().await?;
        namespace.apply(&reached(&json!({}))).await?;
        settled(&namespace, "shop").await?;
        for (kind, name) in ALL {
            namespace.get(kind, name).await?;
        }
        ensure!(template().await? == before, "another template");
        let revisions = namespace.list("ControllerRevision").await?;
        // The pod of Redis has one too.
        let ours = revisions.iter().filter(|it| it["metadata"]["labels"]["nodeapp.dev/app"] == "shop");
        ensure!(ours.count() == 1, "another revision");
        // Back to the annotations that were there, too.
        namespace.apply(&reached(&json!({"ingress": {"className": "traefik"}}))).await?;
        let key = "traefik.ingress.kubernetes.io/service.sticky.cookie";
        namespace
            .eventually("the cookie is Traefik's", SOON, async || {
                let service = namespace.get("Service", "shop").await?["metadata"]["annotations"].clone();
                let ingress = namespace.get("Ingress", "shop").await?["metadata"]["annotations"].clone();
                let of_nginx = &ingress["nginx.ingress.kubernetes.io/affinity"];
                ensure!(service[key] == "true" && of_nginx.is_null(), "{service} {ingress}");
                Ok(())
            })
            .await?;
        namespace.apply(&app("shop", &redis)).await?;
        for (kind, name) in ALL.into_iter().skip(1) {
            gone(&namespace, kind, name).await?;
        }
        namespace
            .eventually("the Service is a plain one", SOON, async || {
                let service = namespace.get("Service", "shop").await?;
                ensure!(service["spec"]["sessionAffinity"] == "None", "{service}");
                ensure!(service["spec"]["ports"].as_array().map(Vec::len) == Some(1), "{service}");
                ensure!(service["metadata"]["annotations"].is_null(), "{service}");
                Ok(())
            })
            .await?;
        ensure!(template().await? == before, "another template");
        // A worker keeps the policy, and nothing that leads to it.
        let worker = json!({"port": null, "networkPolicy": {}});
        namespace.apply(&app("shop", &worker)).await?;
        gone(&namespace, "Service", "shop").await?;
        reported(&namespace, "shop", "True").await?;
        let policy = namespace.get("NetworkPolicy", "shop").await?["spec"]["ingress"].clone();
        ensure!(policy.as_array().map(Vec::len) == Some(1), "{policy}");
        Ok(())
    });
}

#[test]
fn objects_of_others_with_the_same_names_are_never_taken_over() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let backend = json!({"service": {"name": "theirs", "port": {"number": 80}}});
        let theirs = [
            (
                "networking.k8s.io/v1",
                "Ingress",
                "one",
                json!({"defaultBackend": backend}),
                json!({
                    "ingress": {"hosts": [{"host": "a.example.com"}]},
                }),
            ),
            (
                "gateway.networking.k8s.io/v1",
                "HTTPRoute",
                "two",
                json!({"parentRefs": [{"name": "theirs"}]}),
                json!({
                    "httpRoute": {"parentRefs": [{"name": "edge"}]},
                }),
            ),
            (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "three",
                json!({"podSelector": {}}),
                json!({"networkPolicy": {}}),
            ),
            (
                "v1",
                "Service",
                "four-headless",
                json!({"ports": [{"port": 80}]}),
                json!({"service": {"headless": true}}),
            ),
        ];
        for (version, kind, name, spec, change) in theirs {
            let object =
                json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
            let before = namespace.apply(&object).await?;
            let app_name = name.trim_end_matches("-headless");
            create(&namespace, &app(app_name, &change)).await?;
            let told = reported(&namespace, app_name, "False").await?;
            let valid = condition(&told, "Valid");
            ensure!(valid["reason"] == "NameTaken", "{valid}");
            let words = format!("{kind} {name} exists and was not made by the operator; delete or rename it");
            ensure!(valid["message"].as_str().is_some_and(|text| text.contains(&words)), "{valid}");
            let now = namespace.get(kind, name).await?;
            ensure!(now["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], "{now}");
            namespace.delete_object(kind, name).await?;
            reported(&namespace, app_name, "True").await?;
            ensure!(
                namespace.get(kind, name).await?["metadata"]["uid"] != before["metadata"]["uid"],
                "theirs"
            );
        }
        Ok(())
    });
}

#[test]
fn a_route_is_made_when_the_gateway_api_comes_and_nothing_else_waits_for_it() {
    story(Tier::Apiserver, |namespace| async move {
        let _alone = gateway::absent().await?;
        let tap = Tap::default();
        let operator = Operator::start(&namespace, &tap).await?;
        let route = json!({"parentRefs": [{"name": "edge"}]});
        create(&namespace, &app("shop", &json!({ "httpRoute": route, "networkPolicy": {} }))).await?;
        settled(&namespace, "shop").await?;
        let waits = async || {
            let app = namespace.get("NodeApp", "shop").await?;
            let status = &app["status"]["httpRoute"];
            ensure!(status["exists"] == false && status["accepted"] == false, "{status}");
            let message = status["message"].as_str().unwrap_or_default();
            ensure!(message.contains("does not have the Gateway API"), "{message}");
            ensure!(condition(&app, "Valid")["status"] == "True", "{app}");
            Ok(())
        };
        namespace.eventually("that is told", SOON, waits).await?;
        namespace.get("NetworkPolicy", "shop").await?;
        ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());

        gateway::install().await?;
        let made = async || namespace.get("HTTPRoute", "shop").await;
        let made = namespace.eventually("the route", SOON, made).await?;
        ensure!(made["spec"]["rules"][0]["backendRefs"][0]["port"] == 3000, "{made}");
        let events = namespace.list("Event").await?;
        ensure!(
            events.iter().all(|event| event["reason"] != "Recreated"),
            "nobody had deleted it: {events:?}"
        );

        // It may go, with all routes, and come again.
        gateway::remove().await?;
        namespace.eventually("that is told again", SOON, waits).await?;
        ensure!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
        gateway::install().await?;
        namespace
            .eventually("another route", SOON, async || namespace.get("HTTPRoute", "shop").await)
            .await?;
        Ok(())
    });
}

/// What a controller would say of the app's route.
async fn said(namespace: &Namespace, type_: &str, status: &str, reason: &str) -> Result<()> {
    let route = namespace.get("HTTPRoute", "shop").await?;
    let generation = route["metadata"]["generation"].clone();
    let about = |type_: &str, status: &str, reason: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "as it says",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let mut conditions = vec![about(type_, status, reason)];
    if type_ != "Accepted" {
        conditions.push(about("Accepted", "True", "Accepted"));
    }
    let parent = json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
        "controllerName": "example.com/gateway", "conditions": conditions,
    });
    let body = serde_json::to_vec(&json!({"status": {"parents": [parent]}}))?;
    let path = format!(
        "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes/shop/status?fieldManager=gateway",
        namespace.name()
    );
    let request = Request::patch(path).header("content-type", "application/merge-patch+json").body(body)?;
    admin(&Tap::default()).await?.request::<Value>(request).await?;
    Ok(())
}

#[test]
fn a_route_whose_gateway_is_missing_or_refuses_it_is_told_with_the_way_out_until_it_is_taken() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let change = json!({
            "stopped": true, "httpRoute": {"parentRefs": [{"name": "edge"}], "hostnames": ["shop.example.com"]},
        });
        create(&namespace, &app("shop", &change)).await?;
        let ready = async |status: &str, part: &str| {
            namespace
                .eventually(&format!("Ready is {status} and says {part}"), SOON, async || {
                    let app = namespace.get("NodeApp", "shop").await?;
                    let ready = condition(&app, "Ready");
                    ensure!(ready["status"] == status, "{ready}");
                    ensure!(ready["message"].as_str().is_some_and(|text| text.contains(part)), "{ready}");
                    Ok(app)
                })
                .await
        };
        let missing = ready("False", "no controller has answered for the Gateway edge").await?;
        ensure!(condition(&missing, "Ready")["reason"] == "RouteNotAccepted", "{missing}");
        ensure!(condition(&missing, "Valid")["status"] == "True", "{missing}");
        said(&namespace, "Accepted", "False", "NotAllowedByListeners").await?;
        let refused = ready("False", "NotAllowedByListeners: as it says").await?;
        ensure!(condition(&refused, "Degraded")["status"] == "True", "{refused}");
        told(&namespace, "RouteNotAccepted", "allowedRoutes.namespaces").await?;
        said(&namespace, "ResolvedRefs", "False", "BackendNotFound").await?;
        ready("False", "BackendNotFound").await?;
        said(&namespace, "ResolvedRefs", "True", "ResolvedRefs").await?;
        let taken = ready("True", "").await?;
        ensure!(taken["status"]["httpRoute"] == json!({"exists": true, "accepted": true}), "{taken}");
        ensure!(taken["status"]["url"] == "http://shop.example.com", "{taken}");
        Ok(())
    });
}

#[test]
fn what_makes_no_sense_is_refused_or_told_and_changes_nothing_that_runs() {
    story(Tier::Apiserver, |namespace| async move {
        install().await?;
        let hosts = || json!({"hosts": [{"host": "a.example.com"}]});
        let refused = [
            (json!({"port": null, "service": {"headless": true}}), "set port, or leave them out"),
            (json!({"port": null, "ingress": hosts()}), "set port, or leave them out"),
            (json!({"ingress": {}}), "Required value"),
            (json!({"ingress": {"hosts": [{"host": "A b"}]}}), "spec.ingress.hosts[0].host"),
            (json!({"httpRoute": {"parentRefs": []}}), "spec.httpRoute.parentRefs"),
            (json!({"service": {"type": "ExternalName"}}), "supported values"),
            (
                json!({"service": {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 90_000}}}}),
                "timeoutSeconds",
            ),
            (
                json!({"service": {"ports": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]}}),
                "Duplicate value",
            ),
            (json!({"ingress": {"hosts": [{}], "controller": "Nginx"}}), "supported values"),
        ];
        for (change, part) in refused {
            let answer = create(&namespace, &app("shop", &change)).await;
            let Err(error) = answer else { panic!("{change} was taken") };
            ensure!(error.to_string().contains(part), "{change}: {error:#}");
        }
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        create(&namespace, &app("shop", &json!({}))).await?;
        let before = settled(&namespace, "shop").await?;
        let bad = json!({
            "networkPolicy": {"from": [{}]},
            "ingress": {"hosts": [{}], "className": "alb", "cookieAffinity": {}},
        });
        namespace.apply(&app("shop", &bad)).await?;
        let told = reported(&namespace, "shop", "False").await?;
        let message = condition(&told, "Valid")["message"].as_str().unwrap_or_default().to_owned();
        ensure!(message.contains("spec.networkPolicy.from[0]: says nobody and everybody"), "{message}");
        ensure!(message.contains("className alb does not say which one that is"), "{message}");
        let mut now = versions(&namespace, "shop").await?;
        now.insert("NodeApp".to_owned(), before["NodeApp"].clone());
        ensure!(now == before, "something was changed");
        Ok(())
    });
}
