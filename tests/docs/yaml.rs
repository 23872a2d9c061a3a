//! YAML that the manuals show: fragments of a spec, and objects of Kubernetes beside the NodeApps, at which
//! `tests/examples.rs` looks.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use nodeapp_operator::crd::{NodeApp, definition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{nothing_of, pages};

/// Objects of others, which no type here knows; they are YAML.
const OTHERS: [&str; 5] = ["Kustomization", "PodMonitor", "PrometheusRule", "HTTPRoute", "Gateway"];

/// Keys of documents that are looked at elsewhere: Prometheus' configuration by promtool.
const ELSEWHERE: [&str; 1] = ["scrape_configs"];

/// Every document in YAML that is shown, with its place.
fn documents() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for page in pages() {
        for block in page.blocks().into_iter().filter(|block| block.language == "yaml") {
            let place = format!("{}:{}", page.path, block.line);
            let documents: Vec<Value> = serde_saphyr::from_multiple(&block.text)
                .unwrap_or_else(|error| panic!("{place} is no YAML: {error}"));
            found.extend(documents.into_iter().map(|document| (place.clone(), document)));
        }
    }
    found
}

/// The schema of a NodeApp's spec.
fn schema() -> Value {
    let definition = serde_json::to_value(definition()).expect("a definition is JSON");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// The part of a spec that a document shows, if it does.
fn fragment<'a>(document: &'a Value, schema: &Value) -> Option<&'a Value> {
    let fields = document.as_object().filter(|fields| !fields.contains_key("kind"))?;
    match fields.get("spec") {
        Some(spec) if fields.len() == 1 => Some(spec),
        _ => fields.keys().all(|name| schema["properties"][name].is_object()).then_some(document),
    }
}

/// What is wrong with a part of a spec, if anything is.
pub(crate) fn problem_of_fragment(fragment: &Value) -> Option<String> {
    let mut spec = json!({"image": "registry.example/a:1"});
    let fields = fragment.as_object()?;
    if !["script", "command"].iter().any(|name| fields.contains_key(*name)) {
        spec["script"] = "a.js".into();
    }
    spec.as_object_mut()?.extend(fields.clone());
    let app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "a"},
        "spec": spec,
    });
    same_again::<NodeApp>(&app)
}

/// What a type does not know or does not keep of an object.
fn same_again<T: Serialize + DeserializeOwned>(object: &Value) -> Option<String> {
    let typed: T = match serde_json::from_value(object.clone()) {
        Ok(typed) => typed,
        Err(error) => return Some(error.to_string()),
    };
    let back = serde_json::to_value(typed).expect("objects are JSON");
    let mut lost = Vec::new();
    missing(object, &back, "", &mut lost);
    (!lost.is_empty()).then(|| format!("there is no such field: {}", lost.join(", ")))
}

/// Paths of the first that the second does not have.
fn missing(object: &Value, back: &Value, path: &str, lost: &mut Vec<String>) {
    match (object, back) {
        (Value::Object(fields), Value::Object(_)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match back.get(name) {
                    Some(back) => missing(value, back, &path, lost),
                    // Kept by leaving it out.
                    None if value.is_null() || *value == json!({}) || *value == json!([]) => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(items), Value::Array(others)) => {
            for (item, other) in items.iter().zip(others) {
                missing(item, other, &format!("{path}[]"), lost);
            }
        }
        _ => {}
    }
}

fn problem_of_object(kind: &str, object: &Value) -> Option<String> {
    match kind {
        "NodeApp" => None,
        "ClusterRole" => same_again::<ClusterRole>(object),
        "ConfigMap" => same_again::<core::ConfigMap>(object),
        "HorizontalPodAutoscaler" => same_again::<HorizontalPodAutoscaler>(object),
        "NetworkPolicy" => same_again::<NetworkPolicy>(object),
        "PersistentVolumeClaim" => same_again::<core::PersistentVolumeClaim>(object),
        "Role" => same_again::<Role>(object),
        "RoleBinding" => same_again::<RoleBinding>(object),
        "Secret" => same_again::<core::Secret>(object),
        "Service" => same_again::<core::Service>(object),
        other if OTHERS.contains(&other) => None,
        other => Some(format!("nobody looks at {other}; give it a line here")),
    }
}

#[test]
fn every_part_of_a_spec_that_is_shown_has_fields_that_exist() {
    let schema = schema();
    let mut wrong = Vec::new();
    let mut parts = 0;
    for (place, document) in documents() {
        let Some(part) = fragment(&document, &schema) else { continue };
        parts += 1;
        wrong.extend(problem_of_fragment(part).map(|problem| format!("{place}: {problem}")));
    }
    assert!(parts >= 8, "only {parts} parts were found");
    nothing_of(&wrong, "parts of a spec");
}

#[test]
fn every_object_of_kubernetes_that_is_shown_is_one() {
    let mut wrong = Vec::new();
    for (place, document) in documents() {
        let Some(kind) = document["kind"].as_str() else { continue };
        wrong.extend(problem_of_object(kind, &document).map(|problem| format!("{place}: {problem}")));
    }
    nothing_of(&wrong, "objects of Kubernetes");
}

#[test]
fn every_document_is_a_part_of_a_spec_an_object_or_a_job_of_ci() {
    let schema = schema();
    let known = |document: &Value| {
        document["kind"].is_string() || document["jobs"].is_object() || fragment(document, &schema).is_some()
    };
    let unknown = documents().into_iter().filter(|(_, document)| !known(document));
    let unknown: Vec<_> = unknown
        .filter(|(_, document)| !ELSEWHERE.iter().any(|key| !document[*key].is_null()))
        .map(|(place, document)| format!("{place}: {document}"))
        .collect();
    nothing_of(&unknown, "nobody looks at these");
}

#[test]
fn a_field_that_there_is_not_is_found() {
    assert_eq!(problem_of_fragment(&json!({"instances": 2, "rollout": {"maxSurge": 1}})), None);
    assert!(problem_of_fragment(&json!({"instances": "two"})).is_some());
    assert!(problem_of_fragment(&json!({"rollout": {"maxSurges": 1}})).is_some());
    let role = json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "a"},
        "rules": [{"apiGroup": [""], "verbs": ["get"]}]});
    assert!(problem_of_object("Role", &role).is_some());
}
