//! JSON schemas for kubeconform, made from Kubernetes' own `OpenAPI` document and from the CRD.
//!
//! The published schemas would need the network; the document lies in the Go module that the local cluster is
//! built from, so the schemas are always those of the version that the tests run against.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::{paths, sh};

/// All definitions lie in one file, to which the file of each kind refers.
const DEFINITIONS: &str = "_definitions.json";

/// Writes one file per kind into `dir`, named as kubeconform asks for them: `deployment-apps-v1.json`.
pub(super) fn write(dir: &Path, crd: &Value) -> Result<PathBuf> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let document = module()?.join("api/openapi-spec/swagger.json");
    let text = std::fs::read(&document).with_context(|| format!("cannot read {}", document.display()))?;
    let document: Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", document.display()))?;
    let definitions =
        document["definitions"].as_object().context("Kubernetes' OpenAPI has no definitions")?;
    let mut strict: Map<String, Value> =
        definitions.iter().map(|(name, schema)| (name.clone(), strict(schema))).collect();
    // The document says string, but the API server takes `cpu: 0.5` as well.
    strict.insert(
        "io.k8s.apimachinery.pkg.api.resource.Quantity".to_owned(),
        json!({ "type": ["number", "string"] }),
    );
    put(&dir.join(DEFINITIONS), &json!({ "definitions": strict }))?;
    for (name, schema) in definitions {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let file = dir.join(file_name(&kind["group"], &kind["version"], &kind["kind"]));
            put(&file, &json!({ "allOf": [{ "$ref": format!("{DEFINITIONS}#/definitions/{name}") }] }))?;
        }
    }
    for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
        let names = &crd["spec"]["names"];
        let file = dir.join(file_name(&crd["spec"]["group"], &version["name"], &names["kind"]));
        put(&file, &custom(&version["schema"]["openAPIV3Schema"]))?;
    }
    Ok(dir.to_owned())
}

/// The Go module that holds the document; downloaded when it is not in Go's cache.
fn module() -> Result<PathBuf> {
    let answer = sh::output(
        Command::new("go")
            .args(["mod", "download", "-json", "k8s.io/kubernetes"])
            .current_dir(paths::repo().join("hack/local-cluster")),
    )?;
    let answer: Value = serde_json::from_str(&answer).context("`go mod download -json` answered no JSON")?;
    Ok(answer["Dir"].as_str().context("`go mod download -json` named no folder")?.into())
}

/// kubeconform's name of a kind's schema: the group's first label stands for the group.
fn file_name(group: &Value, version: &Value, kind: &Value) -> String {
    let group = group.as_str().unwrap_or_default().split('.').next().unwrap_or_default();
    let version = version.as_str().unwrap_or_default();
    let kind = kind.as_str().unwrap_or_default();
    let parts: Vec<&str> = [kind, group, version].into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}.json", parts.join("-").to_lowercase())
}

/// The schema of an object as users write it: the parts that every object has are added to the CRD's own.
fn custom(schema: &Value) -> Value {
    let mut schema = strict(schema);
    let metadata = format!("{DEFINITIONS}#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    for (name, part) in [
        ("apiVersion", json!({ "type": "string" })),
        ("kind", json!({ "type": "string" })),
        ("metadata", json!({ "$ref": metadata })),
    ] {
        schema["properties"][name] = part;
    }
    schema
}

/// A schema that refuses fields it does not name, and says in JSON Schema what `OpenAPI` says by extensions.
fn strict(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => Value::Array(items.iter().map(strict).collect()),
        Value::Object(object) => Value::Object(strict_object(object)),
        other => other.clone(),
    }
}

fn strict_object(object: &Map<String, Value>) -> Map<String, Value> {
    let mut result: Map<String, Value> = object
        .iter()
        .filter(|(name, value)| !(name.starts_with("x-") || *name == "description" && value.is_string()))
        .map(|(name, value)| match (name.as_str(), value) {
            // Below stand names of fields, which may be any word.
            ("properties", Value::Object(fields)) => {
                let fields = fields.iter().map(|(field, schema)| (field.clone(), strict(schema)));
                (name.clone(), Value::Object(fields.collect()))
            }
            _ => (name.clone(), strict(value)),
        })
        .collect();
    if object.get("format") == Some(&json!("int-or-string"))
        || object.get("x-kubernetes-int-or-string") == Some(&json!(true))
    {
        result.remove("format");
        result.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let open = object.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if result.contains_key("properties") && !result.contains_key("additionalProperties") && !open {
        result.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if object.get("nullable") == Some(&Value::Bool(true))
        && let Some(kind) = result.get("type").cloned()
    {
        result.insert("type".to_owned(), json!([kind, "null"]));
    }
    result
}

fn put(file: &Path, schema: &Value) -> Result<()> {
    std::fs::write(file, schema.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_refuse_fields_they_do_not_name() {
        let schema = strict(&json!({"properties": {"a": {"properties": {"description": {"type": "string",
            "description": "x"}}}, "free": {"type": "object"}}}));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["additionalProperties"], false);
        assert_eq!(schema["properties"]["a"]["properties"]["description"], json!({"type": "string"}));
        assert_eq!(schema["properties"]["free"], json!({"type": "object"}));
    }

    #[test]
    fn maps_and_open_objects_stay_open() {
        let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
        assert_eq!(strict(&map), map);
        let open = json!({"properties": {}, "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(strict(&open), json!({"properties": {}}));
    }

    #[test]
    fn extensions_become_json_schema() {
        assert_eq!(
            strict(&json!({"type": "string", "format": "int-or-string"})),
            json!({"type": ["integer", "string"]})
        );
        let quantity = json!({"x-kubernetes-int-or-string": true, "pattern": "^[0-9]+$"});
        assert_eq!(strict(&quantity), json!({"type": ["integer", "string"], "pattern": "^[0-9]+$"}));
        assert_eq!(strict(&json!({"type": "string", "nullable": true}))["type"], json!(["string", "null"]));
    }

    #[test]
    fn files_are_named_as_kubeconform_asks_for_them() {
        let name = |group, version, kind| file_name(&json!(group), &json!(version), &json!(kind));
        assert_eq!(name("", "v1", "Service"), "service-v1.json");
        assert_eq!(name("rbac.authorization.k8s.io", "v1", "ClusterRole"), "clusterrole-rbac-v1.json");
        assert_eq!(name("nodeapp.dev", "v1alpha1", "NodeApp"), "nodeapp-nodeapp-v1alpha1.json");
    }
}
