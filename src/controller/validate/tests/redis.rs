use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::*;
use crate::controller::validate::{RedisPlan, check_volume};
use crate::crd::redis::{AppendFsync, MaxMemoryPolicy};

fn of(redis: &Value) -> Value {
    json!({ "redis": redis })
}

fn server(redis: &Value) -> crate::controller::validate::RedisServer {
    match valid(&of(redis)).redis {
        Some(RedisPlan::Sidecar(server)) => server,
        Some(RedisPlan::Shared(shared)) => shared.server,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sidecar_is_a_small_cache_and_a_shared_one_refuses_rather_than_forgets() {
    for (mode, limit, data, policy) in [
        ("Sidecar", "64Mi", 48 << 20, MaxMemoryPolicy::AllkeysLru),
        ("Shared", "256Mi", (256 << 20) * 60 / 100, MaxMemoryPolicy::Noeviction),
    ] {
        let server = server(&json!({"mode": mode}));
        assert_eq!(quantity(server.resources.limits.as_ref(), "memory"), limit, "{mode}");
        assert_eq!(quantity(server.resources.requests.as_ref(), "memory"), limit, "{mode}");
        assert!(!quantity(server.resources.limits.as_ref(), "cpu").is_empty(), "{mode}");
        assert!(!quantity(server.resources.requests.as_ref(), "cpu").is_empty(), "{mode}");
        assert_eq!((server.max_memory, server.policy), (data, policy), "{mode}");
    }
}

#[test]
fn more_memory_for_data_is_more_memory() {
    let asked = server(&json!({"mode": "Sidecar", "maxMemory": "150Mi"}));
    assert_eq!(quantity(asked.resources.limits.as_ref(), "memory"), "200Mi");
    assert_eq!(asked.max_memory, 150 << 20);
    let told = problem(&of(&json!({
        "mode": "Shared", "maxMemory": "95Mi", "resources": {"limits": {"memory": "100Mi"}},
    })));
    assert!(told.contains("95Mi is more than 90 % of spec.redis.resources.limits.memory (100Mi)"), "{told}");
    let told = problem(&of(&json!({"mode": "Shared", "maxMemory": 0})));
    assert!(told.contains("too little"), "{told}");
}

#[test]
fn data_that_would_not_fit_on_its_volume_is_told() {
    let told = problem(&of(&json!({"mode": "Shared", "maxMemory": "2Gi", "storage": {"size": "1Gi"}})));
    assert!(told.contains("spec.redis.storage.size: 1Gi is less than the memory for data (2Gi)"), "{told}");
}

#[test]
fn a_shared_one_says_how_much_a_crash_may_lose() {
    for (given, fsync) in [
        (json!({"mode": "Shared"}), AppendFsync::Everysec),
        (json!({"mode": "Shared", "appendFsync": "always"}), AppendFsync::Always),
        (json!({"mode": "Shared", "appendFsync": "no"}), AppendFsync::No),
    ] {
        let Some(RedisPlan::Shared(shared)) = valid(&of(&given)).redis else { panic!("{given}") };
        assert_eq!(shared.fsync, fsync);
        assert!(shared.retained, "data is not thrown away unless told so");
    }
}

#[test]
fn an_external_one_without_an_address_is_told_what_to_write() {
    let told = problem(&of(&json!({"mode": "External"})));
    assert!(
        told.contains("spec.redis.address: is missing") && told.contains("redis.example.com:6379"),
        "{told}"
    );
    for address in
        ["redis", "redis:", "redis:0", "redis:65536", ":6379", "::1:6379", "[redis]:1", "redis://r:1"]
    {
        let told = problem(&of(&json!({"mode": "External", "address": address})));
        assert!(told.contains(&format!("{address} is no host and port")), "{told}");
    }
    for (address, host) in
        [("r.example:6380", "r.example"), ("10.0.0.1:6380", "10.0.0.1"), ("[::1]:6380", "::1")]
    {
        let plan = valid(&of(&json!({"mode": "External", "address": address}))).redis;
        let Some(RedisPlan::External(external)) = plan else { panic!("{address}") };
        assert_eq!((external.host.as_str(), external.port), (host, 6380));
    }
}

#[test]
fn a_field_of_another_mode_is_named_with_the_way_out() {
    let external = json!({"mode": "External", "address": "r:1"});
    let with = |base: &Value, field: &str, value: Value| {
        let mut changed = base.clone();
        changed[field] = value;
        problem(&of(&changed))
    };
    let sidecar = json!({"mode": "Sidecar"});
    for (field, value) in [
        ("address", json!("r:1")),
        ("credentials", json!({"secretName": "s"})),
        ("tls", json!({})),
        ("access", json!("Env")),
    ] {
        let told = with(&sidecar, field, value);
        assert!(
            told.contains(&format!("spec.redis.{field}: is about a Redis that somebody else runs")),
            "{told}"
        );
        assert!(told.contains("set spec.redis.mode: External, or leave it out"), "{told}");
    }
    for (field, value) in [("appendFsync", json!("always")), ("storage", json!({}))] {
        for base in [&sidecar, &external] {
            let told = with(base, field, value.clone());
            assert!(told.contains("set spec.redis.mode: Shared, or leave it out"), "{told}");
        }
    }
    for (field, value) in [
        ("image", json!("r:1")),
        ("resources", json!({})),
        ("maxMemory", json!("10Mi")),
        ("maxMemoryPolicy", json!("noeviction")),
    ] {
        let told = with(&external, field, value);
        assert!(told.contains("leave it out with spec.redis.mode External"), "{told}");
    }
}

#[test]
fn the_port_of_redis_and_the_app_cannot_be_one() {
    let told = problem(&json!({"port": 6379, "redis": {"mode": "Sidecar"}}));
    assert!(told.contains("spec.port: port 6379 of localhost is where the app reaches its Redis"), "{told}");
    valid(&json!({"port": 6379}));
    valid(&json!({"port": 6379, "redis": {"mode": "External", "address": "r:6379", "access": "Env"}}));
}

#[test]
fn variables_of_ours_are_not_overruled_in_silence() {
    let redis = json!({"mode": "External", "address": "r:1", "access": "Env"});
    let env = json!([{"name": "REDIS_URL", "value": "redis://other"}]);
    let told = problem(&json!({"redis": redis, "env": env}));
    assert!(told.contains("spec.env[0].name: REDIS_URL is set by spec.redis (access Env)"), "{told}");
    valid(&json!({"redis": {"mode": "Sidecar"}, "env": env}));
    for field in ["serverName", "clientSecretName"] {
        let named = json!({"mode": "External", "address": "r:1", "access": "Env", "tls": {field: "r"}});
        let told = problem(&of(&named));
        assert!(told.contains(&format!("spec.redis.tls.{field}: is used by the forwarder alone")), "{told}");
    }
}

#[test]
fn a_redis_on_localhost_is_not_given_to_the_whole_node() {
    let on_the_node = |redis: Value| json!({"podTemplate": {"spec": {"hostNetwork": true}}, "redis": redis});
    for redis in [json!({"mode": "Shared"}), json!({"mode": "External", "address": "r:1"})] {
        let told = problem(&on_the_node(redis));
        assert!(told.contains("spec.podTemplate.spec.hostNetwork: localhost is the node's then"), "{told}");
    }
    valid(&on_the_node(json!({"mode": "External", "address": "r:1", "access": "Env"})));
    valid(&on_the_node(json!(null)));
}

#[test]
fn the_file_of_authorities_is_said_once() {
    let env = json!([{"name": "NODE_EXTRA_CA_CERTS", "value": "/ca.crt"}]);
    let with = |tls: Value, access: &str| {
        let redis = json!({"mode": "External", "address": "r:1", "access": access, "tls": tls});
        json!({"redis": redis, "env": env})
    };
    let ca = json!({"ca": {"configMapKeyRef": {"name": "c", "key": "k"}}});
    let told = problem(&with(ca.clone(), "Env"));
    assert!(told.contains("spec.env[0].name: NODE_EXTRA_CA_CERTS is set by spec.redis.tls.ca"), "{told}");
    valid(&with(json!({}), "Env"));
    valid(&with(ca, "Forwarder"));
}

#[test]
fn a_name_that_no_certificate_can_have_is_told_before_a_pod_is_made() {
    let external =
        |address: &str, tls: Value| of(&json!({"mode": "External", "address": address, "tls": tls}));
    for name in ["r:1", "redis.example.com:6380", "a..b"] {
        let told = problem(&external("r:1", json!({"serverName": name})));
        assert!(
            told.contains(&format!("spec.redis.tls.serverName: {name} is no name in a certificate")),
            "{told}"
        );
    }
    let told = problem(&external("a..b:6380", json!({})));
    assert!(told.contains("spec.redis.address: a..b is no name in a certificate"), "{told}");
    valid(&external("a..b:6380", json!({"serverName": "redis.example.com"})));
    valid(&external("[::1]:6380", json!({})));
    valid(&external("r:1", json!({"serverName": "::1"})));
}

#[test]
fn what_holds_the_password_is_masked_in_the_last_lines() {
    let redis =
        json!({"mode": "External", "address": "r:1", "access": "Env", "credentials": {"secretName": "s"}});
    let tail = valid(&of(&redis)).runner.log_tail.unwrap();
    assert_eq!(tail.secrets, ["REDIS_PASSWORD", "REDIS_URL"]);
}

#[test]
fn instances_that_fill_the_cluster_need_room_for_their_redis_too() {
    let room = |redis: &Value| valid(&json!({"fillCluster": {}, "redis": redis})).fill.unwrap().needs;
    let (bare, sidecar) = (room(&json!(null)), room(&json!({"mode": "Sidecar"})));
    assert_eq!((sidecar.cpu - bare.cpu, sidecar.memory - bare.memory), (10, 64 << 20));
    let shared = room(&json!({"mode": "Shared"}));
    assert_eq!((shared.cpu - bare.cpu, shared.memory - bare.memory), (10, 16 << 20));
}

#[test]
fn what_is_about_the_volume_or_the_server_of_a_shared_one_replaces_no_instance() {
    let text = |redis: &Value| valid(&of(redis)).source_text();
    let plain = text(&json!({"mode": "Shared"}));
    for other in [
        json!({"mode": "Shared", "appendFsync": "always"}),
        json!({"mode": "Shared", "storage": {"size": "2Gi"}}),
        json!({"mode": "Shared", "image": "r:2"}),
    ] {
        assert_eq!(text(&other), plain, "{other}");
    }
    assert_ne!(text(&json!({"mode": "Sidecar"})), plain);
    assert_ne!(text(&json!({"mode": "Sidecar", "image": "r:2"})), text(&json!({"mode": "Sidecar"})));
}

fn claim(size: &str, class: &str, volume: Option<&str>) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": {"name": "cart-redis"},
        "spec": {
            "resources": {"requests": {"storage": size}}, "storageClassName": class, "volumeName": volume,
        },
    }))
    .unwrap()
}

#[test]
fn a_volume_grows_and_never_shrinks() {
    let app = |size: &str| valid(&of(&json!({"mode": "Shared", "storage": {"size": size}})));
    let live = claim("2Gi", "fast", Some("pv-1"));
    for size in ["2Gi", "2048Mi", "3Gi"] {
        assert!(check_volume(&app(size), Some(&live)).is_ok(), "{size}");
    }
    assert!(check_volume(&app("1Gi"), None).is_ok());
    let told = check_volume(&app("1Gi"), Some(&live)).unwrap_err().to_string();
    assert!(told.contains("spec.redis.storage.size: 1Gi is less than the 2Gi"), "{told}");
    assert!(told.contains("give it 2Gi or more"), "{told}");
    // Without a volume nothing of a claim can be changed, and nothing is lost with it.
    let pending = claim("2Gi", "fast", None);
    assert!(check_volume(&app("2048Mi"), Some(&pending)).is_ok());
    for size in ["1Gi", "3Gi"] {
        let told = check_volume(&app(size), Some(&pending)).unwrap_err().to_string();
        assert!(
            told.contains(&format!("{size} is not the size of the PersistentVolumeClaim cart-redis (2Gi)")),
            "{told}"
        );
        assert!(told.contains("kubectl delete pvc cart-redis"), "{told}");
    }
}

#[test]
fn a_volume_keeps_its_class_and_the_way_out_is_told() {
    let app = |class: &str| valid(&of(&json!({"mode": "Shared", "storage": {"storageClassName": class}})));
    assert!(check_volume(&app("fast"), Some(&claim("1Gi", "fast", Some("pv-1")))).is_ok());
    let told = check_volume(&app("slow"), Some(&claim("1Gi", "fast", Some("pv-1")))).unwrap_err().to_string();
    assert!(told.contains("slow is not the class of the PersistentVolumeClaim cart-redis (fast)"), "{told}");
    let told = check_volume(&app("slow"), Some(&claim("1Gi", "fast", None))).unwrap_err().to_string();
    assert!(told.contains("kubectl delete pvc cart-redis"), "{told}");
}
