//! The `CustomResourceDefinition`, polished for the API server and for `kubectl explain`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{NEVER_OBSERVED, NodeApp};

/// The definition of the API as it is installed.
pub fn definition() -> CustomResourceDefinition {
    let mut crd = serde_json::to_value(NodeApp::crd()).expect("a definition is JSON");
    polish(&mut crd);
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let status = &mut version["schema"]["openAPIV3Schema"]["properties"]["status"];
        status["default"] = json!({"observedGeneration": NEVER_OBSERVED});
    }
    serde_json::from_value(crd).expect("a polished definition is still one")
}

/// Takes out what an API server warns about or what would read badly:
/// `nullable` and the value null of enums, so that null means absent; formats of
/// unsigned numbers, which `OpenAPI` does not know; line breaks inside paragraphs.
/// Numbers with a unit say their types, for validators that know no extension.
fn polish(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                map.remove("format");
            }
            if let Some(Value::String(text)) = map.get_mut("description") {
                let paragraphs: Vec<_> =
                    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
                *text = paragraphs.join("\n\n");
            }
            if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                map.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
            }
            map.values_mut().for_each(polish);
        }
        Value::Array(items) => items.iter_mut().for_each(polish),
        _ => {}
    }
}
