use k8s_openapi::api::autoscaling::v2::HPAScalingPolicy;

use super::*;
use crate::crd::notation::Share;

fn scaled(autoscaling: &Value, change: &Value) -> Value {
    let mut spec = json!({"autoscaling": {"maxInstances": 5, "cpu": "70%"}});
    for (key, value) in autoscaling.as_object().unwrap() {
        spec["autoscaling"][key] = value.clone();
    }
    for (key, value) in change.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

#[test]
fn autoscaling_has_kubernetes_defaults_and_one_instance_at_least() {
    let app = valid(&scaled(&json!({}), &json!({})));
    let policy = app.autoscaling.unwrap();
    assert_eq!((policy.least, policy.most, policy.cpu, policy.memory), (1, 5, Some(70), None));
    assert_eq!(policy.behavior, None);
    let memory = valid(&scaled(&json!({"cpu": null, "memory": "100M"}), &json!({})));
    let policy = memory.autoscaling.unwrap();
    assert_eq!((policy.cpu, policy.memory), (None, Some(Share::Bytes(100 << 20))));
}

#[test]
fn the_speed_of_autoscaling_is_passed_on_and_nothing_is_added() {
    let policies = json!([{"type": "Percent", "value": 50, "periodSeconds": 30}]);
    let behavior = json!({"scaleUp": {"policies": policies}, "scaleDown": {"selectPolicy": "Disabled"}});
    let app = valid(&scaled(&json!({"behavior": behavior}), &json!({})));
    let behavior = app.autoscaling.unwrap().behavior.unwrap();
    let (up, down) = (behavior.scale_up.unwrap(), behavior.scale_down.unwrap());
    let expected = HPAScalingPolicy { type_: "Percent".to_owned(), value: 50, period_seconds: 30 };
    assert_eq!((up.policies, up.select_policy), (Some(vec![expected]), None));
    assert_eq!((down.policies, down.select_policy.as_deref()), (None, Some("Disabled")));
}

#[test]
fn autoscaling_takes_the_place_of_instances() {
    for instances in [0, 2] {
        let told = problem(&scaled(&json!({}), &json!({"instances": instances})));
        assert!(told.contains("leave instances out"), "{told}");
        assert!(told.contains("autoscaling.minInstances"), "{told}");
    }
}

#[test]
fn autoscaling_and_filling_the_cluster_exclude_each_other() {
    let told = problem(&scaled(&json!({}), &json!({"fillCluster": {}})));
    assert!(told.contains("leave one of them out"), "{told}");
}

#[test]
fn limits_that_cross_or_stop_the_app_are_named() {
    let told = problem(&scaled(&json!({"minInstances": 6}), &json!({})));
    assert!(told.contains("6 is above maxInstances (5)"), "{told}");
    let told = problem(&scaled(&json!({"minInstances": 0}), &json!({})));
    assert!(told.contains("spec.stopped: true"), "{told}");
}

#[test]
fn autoscaling_needs_something_to_go_by() {
    let told = problem(&scaled(&json!({"cpu": null}), &json!({})));
    assert!(told.contains("set cpu, memory or both"), "{told}");
}

#[test]
fn a_percentage_of_nothing_is_none() {
    for resource in ["cpu", "memory"] {
        let autoscaling = json!({"cpu": "70%", "memory": "80%"});
        let resources = json!({"requests": { resource: "0" }});
        let told = problem(&scaled(&autoscaling, &json!({"resources": resources})));
        assert!(told.contains(&format!("spec.autoscaling.{resource}: is a percentage of")), "{told}");
    }
    // A size is one whatever is requested.
    let resources = json!({"requests": {"memory": "0"}});
    valid(&scaled(&json!({"memory": "80M"}), &json!({"resources": resources})));
}

#[test]
fn memory_must_lie_below_the_line_where_instances_are_restarted() {
    let line = json!({"maxMemoryRestart": "200M"});
    valid(&scaled(&json!({"memory": "199M"}), &line));
    valid(&scaled(&json!({"memory": "80%"}), &line));
    for memory in ["200M", "100%", "1G"] {
        let told = problem(&scaled(&json!({ "memory": memory }), &line));
        assert!(told.contains("is not below spec.maxMemoryRestart (200M)"), "{told}");
        assert!(told.contains("lower it, or raise maxMemoryRestart"), "{told}");
    }
    let limit = json!({"resources": {"limits": {"memory": "200Mi"}}});
    let told = problem(&scaled(&json!({"memory": "200M"}), &limit));
    assert!(told.contains("spec.resources.limits.memory"), "{told}");
}

#[test]
fn cpu_must_lie_below_what_the_limit_lets_an_instance_use() {
    let limit = json!({"resources": {"requests": {"cpu": "200m"}, "limits": {"cpu": "0.3"}}});
    valid(&scaled(&json!({"cpu": "149%"}), &limit));
    let told = problem(&scaled(&json!({"cpu": "150%"}), &limit));
    assert!(told.contains("150% of spec.resources.requests.cpu (200m)"), "{told}");
    assert!(told.contains("spec.resources.limits.cpu (0.3)"), "{told}");
}

#[test]
fn a_bare_number_of_memory_could_be_percent_or_bytes() {
    let told = problem(&scaled(&json!({"memory": 80}), &json!({})));
    assert!(told.contains("percent or bytes"), "{told}");
}
