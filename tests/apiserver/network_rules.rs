//! Rules of policies, an Ingress and a route: what is taken out within one is gone, and comes back with
//! the spec. The API server keeps their lists as one value each.

use anyhow::ensure;
use nodeapp_testkit::{Tier, story};
use serde_json::{Value, json};

use crate::gateway;
use crate::network::reached;
use crate::support::{Operator, SOON, Tap, merge, settled};

const KINDS: [&str; 3] = ["NetworkPolicy", "Ingress", "HTTPRoute"];

fn web() -> Value {
    json!({"name": "web", "port": 80, "targetPort": "http"})
}

fn udp() -> Value {
    json!({"name": "udp", "port": 7000, "protocol": "UDP"})
}

/// Less than before: in the spec, in which object, where in its spec, and what is there then.
fn narrowed() -> [(Value, &'static str, &'static str, Value); 6] {
    let ports = |ports: Value| json!({"networkPolicy": {"egress": [{"ports": ports}]}});
    let tcp = |port: i32| json!({"port": port, "protocol": "TCP"});
    let edge = json!({"parentRefs": [{"name": "edge", "namespace": "infra"}]});
    [
        (ports(json!([{"port": 53}])), KINDS[0], "/egress/0/ports", json!([tcp(53)])),
        (ports(json!([{"port": 53}, {"port": 5432}])), KINDS[0], "/egress/0/ports/1", tcp(5432)),
        (
            json!({"service": {"ports": [web(), udp()]}}),
            KINDS[0],
            "/ingress/0/ports",
            json!([{"port": "http", "protocol": "TCP"}, {"port": 7000, "protocol": "UDP"}]),
        ),
        (json!({"networkPolicy": {"from": null}}), KINDS[0], "/ingress/0/from", Value::Null),
        (
            json!({"ingress": {"tls": [{"hosts": ["shop.example.com"]}]}}),
            KINDS[1],
            "/tls",
            json!([{"hosts": ["shop.example.com"]}]),
        ),
        (json!({ "httpRoute": edge }), KINDS[2], "/parentRefs/0/sectionName", Value::Null),
    ]
}

#[test]
fn what_is_taken_out_within_a_rule_is_shut_and_what_is_put_back_is_open_again() {
    story(Tier::Apiserver, |namespace| async move {
        let _there = gateway::there().await?;
        let _operator = Operator::start(&namespace, &Tap::default()).await?;
        let wide = json!({
            "service": {"ports": [web(), udp(), {"name": "debug", "port": 9229}]},
            "ingress": {"tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]},
            "networkPolicy": {"egress": [{"ports": [{"port": 53}, {"port": 5432, "endPort": 5440}]}]},
        });
        namespace.apply(&reached(&wide)).await?;
        settled(&namespace, "shop").await?;
        let spec =
            async |kind: &str| Ok::<_, anyhow::Error>(namespace.get(kind, "shop").await?["spec"].clone());
        let mut first = Vec::new();
        for kind in KINDS {
            first.push(spec(kind).await?);
        }
        for (change, kind, place, expected) in narrowed() {
            let mut narrow = reached(&wide);
            merge(&mut narrow["spec"], &change);
            namespace.apply(&narrow).await?;
            namespace
                .eventually(&format!("the {kind} after {change}"), SOON, async || {
                    let now = spec(kind).await?;
                    ensure!(now.pointer(place).unwrap_or(&Value::Null) == &expected, "{now}");
                    Ok(())
                })
                .await?;
            namespace.apply(&reached(&wide)).await?;
            namespace
                .eventually(&format!("all as it was before {change}"), SOON, async || {
                    for (kind, first) in KINDS.into_iter().zip(&first) {
                        let now = spec(kind).await?;
                        ensure!(now == *first, "{kind}: {now}");
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    });
}
