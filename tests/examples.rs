//! Every NodeApp that the project shows to people is one that it takes: in `examples/`, in the README, in the
//! manuals, in what Helm prints after an installation.

use std::path::{Path, PathBuf};

use nodeapp_operator::controller::validate::validate;
use nodeapp_operator::crd::{NodeApp, definition};
use serde_json::Value;

/// A YAML text and the place where a reader finds it.
struct Shown {
    place: String,
    yaml: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()))
}

/// All files below a folder with this extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|this| this == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The fenced YAML blocks of all pages.
fn blocks() -> Vec<Shown> {
    let pages = nodeapp_manual::pages(root()).expect("the manuals can be read");
    let of = |page: &nodeapp_manual::Page| {
        let blocks = page.blocks().into_iter().filter(|block| block.language.starts_with("yaml"));
        let shown =
            blocks.map(|block| Shown { place: format!("{}:{}", page.path, block.line), yaml: block.text });
        shown.collect::<Vec<_>>()
    };
    pages.iter().flat_map(of).collect()
}

/// The NodeApp that the chart's notes pass to kubectl.
fn notes() -> Shown {
    let file = root().join("charts/nodeapp-operator/templates/NOTES.txt");
    let text = read(&file);
    let (_, rest) = text.split_once("<<EOF\n").expect("the notes show a NodeApp in a here-document");
    let (indented, _) = rest.split_once("  EOF\n").expect("the here-document ends");
    Shown {
        place: file.display().to_string(),
        yaml: indented
            .lines()
            .map(|line| line.strip_prefix("  ").unwrap_or(line))
            .fold(String::new(), |all, line| all + line + "\n"),
    }
}

/// Everything shown that is a NodeApp, as place and object.
fn node_apps() -> Vec<(String, Value)> {
    let mut shown = vec![notes()];
    for file in files(&root().join("examples"), "yaml") {
        shown.push(Shown { place: file.display().to_string(), yaml: read(&file) });
    }
    shown.extend(blocks());
    let mut found = Vec::new();
    for Shown { place, yaml } in shown {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&yaml).unwrap_or_else(|error| panic!("{place} is no YAML: {error}"));
        found
            .extend(documents.into_iter().filter(|it| it["kind"] == "NodeApp").map(|it| (place.clone(), it)));
    }
    found
}

/// Paths that a schema does not name, which `kubectl` refuses and other clients lose.
fn unknown_fields(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        // Of a type of Kubernetes, which validation reads.
        Value::Object(_) if schema["x-kubernetes-preserve-unknown-fields"] == true => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                let known = [&schema["properties"][name], &schema["additionalProperties"]];
                match known.into_iter().find(|schema| schema.is_object()) {
                    Some(schema) => unknown_fields(value, schema, &path, found),
                    None => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                unknown_fields(item, &schema["items"], &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

fn spec_schema() -> Value {
    let crd = serde_json::to_value(definition()).expect("a definition is JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

#[test]
fn every_node_app_shown_to_people_is_valid() {
    let shown = node_apps();
    for must in [
        "examples/nodeapp.yaml",
        "examples/nodeapp-full.yaml",
        "examples/nodeapp-autoscaling.yaml",
        "examples/nodeapp-redis.yaml",
        "docs/redis.md",
        "README.md",
        "NOTES.txt",
    ] {
        assert!(shown.iter().any(|(place, _)| place.contains(must)), "no NodeApp found in {must}");
    }
    for (place, mut object) in shown {
        // What the API server adds.
        object["metadata"]["namespace"] = "default".into();
        object["metadata"]["uid"] = "0".into();
        let app: NodeApp =
            serde_json::from_value(object).unwrap_or_else(|error| panic!("{place} is no NodeApp: {error}"));
        if let Err(problems) = validate(&app) {
            panic!("{place}: {problems:?}");
        }
    }
}

#[test]
fn no_node_app_shown_to_people_has_a_field_that_does_not_exist() {
    let schema = spec_schema();
    for (place, object) in node_apps() {
        let mut unknown = Vec::new();
        unknown_fields(&object["spec"], &schema, "spec", &mut unknown);
        assert!(unknown.is_empty(), "{place}: {unknown:?}");
        let top: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(top, ["apiVersion", "kind", "metadata", "spec"], "{place}");
        assert_eq!(object["apiVersion"], "nodeapp.dev/v1alpha1", "{place}");
    }
}

#[test]
fn full_example_shows_every_field() {
    let text = read(&root().join("examples/nodeapp-full.yaml"));
    let schema = spec_schema();
    let fields = schema["properties"].as_object().expect("the spec has fields");
    let nested =
        ["probes", "logRotate", "resources", "pod", "service", "ingress", "httpRoute", "networkPolicy"]
            .map(|name| fields[name]["properties"].as_object().expect("fields"));
    for name in fields.keys().chain(nested.into_iter().flat_map(|fields| fields.keys())) {
        let shown =
            text.lines().any(|line| line.trim_start_matches([' ', '#']).starts_with(&format!("{name}:")));
        assert!(shown, "examples/nodeapp-full.yaml does not show `{name}`");
    }
}

#[test]
fn field_that_does_not_exist_is_found() {
    let object = serde_json::json!({"script": "a.js", "killTimout": 1, "probes": {"liveness": {"http": {"pth": "/"}}},
        "env": [{"name": "A", "vale": "b"}], "resources": {"limits": {"memory": "1Gi"}}});
    let mut unknown = Vec::new();
    unknown_fields(&object, &spec_schema(), "spec", &mut unknown);
    unknown.sort();
    assert_eq!(unknown, ["spec.env[].vale", "spec.killTimout", "spec.probes.liveness.http.pth"]);
}
