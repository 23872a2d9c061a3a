use super::*;

fn with(change: &Value) -> Value {
    let mut spec = json!({"port": 3000});
    for (field, value) in change.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

#[test]
fn what_leads_to_a_port_needs_one_and_both_fields_are_named() {
    for (field, given) in [
        ("service", json!({"headless": true})),
        ("ingress", json!({"hosts": [{"host": "a.example.com"}]})),
        ("httpRoute", json!({"parentRefs": [{"name": "edge"}]})),
    ] {
        let told = problem(&json!({ field: given }));
        assert!(told.contains(&format!("spec.{field}: ")) && told.contains("spec.port"), "{told}");
        assert!(told.contains("leave this out"), "{told}");
    }
    let told = problem(&json!({"networkPolicy": {"from": [{"podSelector": {}}]}}));
    assert!(told.contains("spec.networkPolicy.from") && told.contains("spec.port is missing"), "{told}");
    valid(&json!({"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}}));
}

#[test]
fn none_of_it_is_about_the_pods() {
    let plain = valid(&with(&json!({}))).source_text();
    let all = with(&json!({
        "service": {"headless": true},
        "ingress": {"hosts": [{"host": "a.example.com"}]},
        "httpRoute": {"parentRefs": [{"name": "edge"}]},
        "networkPolicy": {},
    }));
    assert_eq!(valid(&all).source_text(), plain, "nothing may be rolled out");
}

#[test]
fn ports_that_clash_or_lead_nowhere_are_named_with_the_way_out() {
    for (port, part) in [
        (json!({"name": "http", "port": 80}), "http is the app's own port (spec.port)"),
        (json!({"name": "web", "port": 3000}), "TCP port 3000 is the app's own (spec.port) already"),
        (
            json!({"name": "web", "port": 80, "targetPort": "debug"}),
            "no container of the pods has a port debug",
        ),
        (json!({"name": "web", "port": 80, "targetPort": 70_000}), "must be a port from 1 to 65535"),
        (json!({"name": "web", "port": 80, "nodePort": 30_000}), "needs spec.service.type NodePort"),
    ] {
        let told = problem(&with(&json!({"service": {"ports": [port]}})));
        assert!(told.contains("spec.service.ports[0]") && told.contains(part), "{told}");
    }
    let udp = json!({"name": "game", "port": 3000, "protocol": "UDP"});
    let app = valid(&with(&json!({"service": {"ports": [udp]}})));
    assert_eq!(app.network.service.unwrap().ports.len(), 2, "another protocol is another port");
    let sidecar = json!({"name": "p", "image": "i", "ports": [{"name": "debug", "containerPort": 9229}]});
    let debug = json!({"ports": [{"name": "web", "port": 80, "targetPort": "debug"}]});
    valid(&with(&json!({"service": debug, "pod": {"sidecars": [sidecar]}})));
}

#[test]
fn fields_that_mean_nothing_to_this_type_of_service_are_named() {
    for (service, field, part) in [
        (json!({"nodePort": 30_000}), "nodePort", "NodePort or LoadBalancer"),
        (json!({"externalTrafficPolicy": "Local"}), "externalTrafficPolicy", "NodePort or LoadBalancer"),
        (json!({"type": "NodePort", "loadBalancerClass": "a/b"}), "loadBalancerClass", "LoadBalancer"),
        (json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]}), "loadBalancerSourceRanges", "LoadBalancer"),
        (
            json!({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}),
            "sessionAffinityConfig",
            "sessionAffinity: ClientIP",
        ),
        (
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]}),
            "loadBalancerSourceRanges[0]",
            "10.0.0.0 is no network",
        ),
    ] {
        let told = problem(&with(&json!({ "service": service })));
        assert!(told.starts_with(&format!("spec.service.{field}: ")) && told.contains(part), "{told}");
    }
}

#[test]
fn labels_and_annotations_of_the_operator_stay_its_own() {
    let hosts = json!([{"host": "a.example.com"}]);
    let keys = json!({"labels": {"nodeapp.dev/app": "x"}, "annotations": {"nodeapp.dev/paused": "true"}});
    for (field, mut given) in [
        ("service", json!({})),
        ("ingress", json!({ "hosts": hosts })),
        ("httpRoute", json!({"parentRefs": [{"name": "edge"}]})),
    ] {
        for (key, value) in keys.as_object().unwrap() {
            given[key] = value.clone();
        }
        let expected = [format!("spec.{field}.labels"), format!("spec.{field}.annotations")];
        assert_eq!(problems(&with(&json!({ field: given }))), expected);
    }
}

/// Annotations of Ingress and Service for a cookie.
fn cookies(ingress: &Value) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut given = json!({"hosts": [{"host": "a.example.com"}], "cookieAffinity": {}});
    for (field, value) in ingress.as_object().unwrap() {
        given[field] = value.clone();
    }
    let network = valid(&with(&json!({ "ingress": given }))).network;
    (network.ingress.unwrap().annotations, network.service.unwrap().annotations)
}

#[test]
fn each_controller_is_told_of_the_cookie_in_its_own_way() {
    let (ingress, service) = cookies(&json!({"className": "nginx", "cookieAffinity": {"maxAgeSeconds": 60}}));
    assert_eq!(ingress["nginx.ingress.kubernetes.io/affinity"], "cookie");
    assert_eq!(ingress["nginx.ingress.kubernetes.io/session-cookie-name"], "cart-instance");
    assert_eq!(ingress["nginx.ingress.kubernetes.io/session-cookie-max-age"], "60");
    assert!(service.is_empty());
    let (ingress, service) = cookies(&json!({"className": "traefik", "cookieAffinity": {"name": "at"}}));
    assert!(ingress.is_empty(), "Traefik reads the Service");
    assert_eq!(service["traefik.ingress.kubernetes.io/service.sticky.cookie"], "true");
    assert_eq!(service["traefik.ingress.kubernetes.io/service.sticky.cookie.name"], "at");
    let (ingress, _) = cookies(&json!({"className": "haproxy", "controller": "HAProxyTechnologies"}));
    assert_eq!(ingress["haproxy.org/cookie-persistence"], "cart-instance");
    let (ingress, _) = cookies(&json!({"controller": "HAProxyIngress"}));
    assert_eq!(ingress["haproxy-ingress.github.io/affinity"], "cookie");
    assert_eq!(ingress["haproxy-ingress.github.io/session-cookie-name"], "cart-instance");
}

#[test]
fn a_cookie_that_nobody_would_set_is_refused_and_so_is_one_that_is_set_twice() {
    let ingress = |change: Value| {
        let mut given = json!({"hosts": [{"host": "a.example.com"}], "cookieAffinity": {}});
        for (field, value) in change.as_object().unwrap() {
            given[field] = value.clone();
        }
        problem(&with(&json!({ "ingress": given })))
    };
    let told = ingress(json!({"className": "alb"}));
    assert!(
        told.contains("className alb does not say") && told.contains("spec.ingress.controller"),
        "{told}"
    );
    assert!(ingress(json!({})).contains("without spec.ingress.className it is not known"));
    let told = ingress(json!({"controller": "HAProxyIngress", "cookieAffinity": {"maxAgeSeconds": 1}}));
    assert!(told.contains("HAProxyIngress cannot limit the age"), "{told}");
    let other = json!({"nginx.ingress.kubernetes.io/affinity-mode": "balanced"});
    let told = ingress(json!({"className": "nginx", "annotations": other}));
    assert!(told.contains("spec.ingress.annotations: ") && told.contains("to persistent"), "{told}");
}

#[test]
fn an_ingress_that_makes_no_sense_is_named() {
    for (ingress, part) in [
        (json!({"hosts": []}), "names no host"),
        (json!({"hosts": [{"host": "a"}, {"host": "a"}]}), "spec.ingress.hosts[1]: leads to all paths"),
        (json!({"hosts": [{"paths": [{"path": "api"}]}]}), "must begin with /"),
        (json!({"hosts": [{"paths": [{"path": "/a/../b"}]}]}), "which no request has"),
        (json!({"hosts": [{"paths": [{"path": "/a"}, {"path": "/a"}]}]}), "is there twice"),
        (json!({"hosts": [{"paths": [{"path": "/a", "port": "admin"}]}]}), "those there are: http"),
        (
            json!({"hosts": [{}], "className": "a", "annotations": {"kubernetes.io/ingress.class": "a"}}),
            "take the annotation out",
        ),
    ] {
        let told = problem(&with(&json!({ "ingress": ingress })));
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_route_that_makes_no_sense_is_named() {
    let edge = || json!([{"name": "edge"}]);
    for (route, part) in [
        (json!({"parentRefs": []}), "names no Gateway"),
        (json!({"parentRefs": [{"name": "a"}, {"name": "a"}]}), "another sectionName"),
        (json!({"parentRefs": [{"name": "a"}, {"name": "a", "sectionName": "s"}]}), "another sectionName"),
        (json!({"parentRefs": edge(), "paths": [{"value": "a"}]}), "must begin with /"),
        (json!({"parentRefs": edge(), "paths": [{"value": "/a//b"}]}), "which no request has"),
        (json!({"parentRefs": edge(), "paths": [{"value": "/a"}, {"value": "/a"}]}), "is there twice"),
        (
            json!({"parentRefs": edge(), "paths": [{"value": "/a", "port": "x"}]}),
            "the Service has no TCP port x",
        ),
    ] {
        let told = problem(&with(&json!({ "httpRoute": route })));
        assert!(told.contains(part), "{told}");
    }
    let both = json!([{"name": "a", "sectionName": "s"}, {"name": "a", "sectionName": "t"}]);
    valid(&with(&json!({"httpRoute": {"parentRefs": both}})));
}

#[test]
fn peers_are_read_as_strictly_as_the_api_server_reads_them() {
    for (policy, part) in [
        (json!({"from": [{}]}), "spec.networkPolicy.from[0]: says nobody and everybody"),
        (json!({"from": [{"podSelctor": {}}]}), "podSelctor: is no field of Kubernetes"),
        (json!({"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}), "10.0.0.0 is no network"),
        (json!({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}), "make two items of it"),
        (json!({"metricsFrom": [{"ipBlock": {"cidr": "::/129"}}]}), "::/129 is no network"),
        (json!({"egress": [{"to": [{}]}]}), "spec.networkPolicy.egress[0].to[0]: says nobody"),
        (json!({"redisFrom": [{"podSelector": {}}]}), "set spec.redis.mode: Shared"),
    ] {
        let told = problem(&with(&json!({ "networkPolicy": policy })));
        assert!(told.contains(part), "{told}");
    }
}
