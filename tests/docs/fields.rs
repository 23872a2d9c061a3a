//! Fields, values of the charts, annotations and patches that the manuals name exist.

use std::fs;

use nodeapp_operator::crd::definition;
use serde_json::Value;

use crate::yaml::problem_of_fragment;
use crate::{nothing_of, pages, repository};

/// Paths that are PM2's and Kubernetes' own.
const OF_OTHERS: [&str; 2] = ["env.PORT", "pod.spec"];

/// The schema of a whole NodeApp.
fn schema() -> Value {
    let definition = serde_json::to_value(definition()).expect("a definition is JSON");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// What may be set when the operator is installed.
fn values() -> Value {
    let text = fs::read_to_string(repository().join("charts/nodeapp-operator/values.yaml")).expect("values");
    serde_saphyr::from_str(&text).expect("values are YAML")
}

/// Whether a schema has a field with this path. Below what Kubernetes defines everything counts.
fn has(schema: &Value, path: &str) -> bool {
    let Some((name, rest)) =
        path.split_once('.').map(|(name, rest)| (name, Some(rest))).or(Some((path, None)))
    else {
        return true;
    };
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return true;
    }
    let field = [&schema["properties"][name], &schema["additionalProperties"]];
    let Some(field) = field.into_iter().find(|field| field.is_object()) else { return false };
    rest.is_none_or(|rest| has(field, rest))
}

/// Whether a path is one of the values.
fn is_value(values: &Value, path: &str) -> bool {
    let found = path.split('.').try_fold(values, |value, name| value.get(name.trim_end_matches("[0]")));
    found.is_some()
}

/// Whether a piece of code is a path of fields, such as `rollout.maxSurge`.
fn is_path(code: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_file = matches!(code.rsplit_once('.'), Some((_, "md" | "js")));
    code.contains('.') && code.split('.').all(word) && !is_file
}

#[test]
fn every_field_that_the_manuals_name_by_its_path_exists() {
    let (schema, values) = (schema(), values());
    let spec = &schema["properties"]["spec"];
    let mut found = 0;
    let mut wrong = Vec::new();
    // Decisions are about their time, and the reference is made of the schema.
    let told = |path: &str| !path.starts_with("docs/adr/") && path != "docs/reference.md";
    for page in pages().into_iter().filter(|page| told(&page.path)) {
        for (line, code) in page.spans().into_iter().filter(|(_, code)| !OF_OTHERS.contains(code)) {
            let path = code.trim_start_matches("nodeapp.").trim_start_matches("spec.");
            let first = path.split('.').next().unwrap_or_default();
            let exists = match first {
                "status" if is_path(path) => has(&schema, path),
                _ if is_path(path) && spec["properties"][first].is_object() => {
                    has(spec, path) || is_value(&values, path)
                }
                _ => continue,
            };
            found += 1;
            if !exists {
                wrong.push(format!("{}:{line}: {code}", page.path));
            }
        }
    }
    assert!(found > 60, "{found} paths were found");
    nothing_of(&wrong, "fields that there are not");
}

#[test]
fn every_value_that_the_manuals_set_at_an_installation_exists() {
    let values = values();
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for call in page.calls(&[&["helm", "install"], &["helm", "upgrade"], &["helm", "template"]]) {
            let pairs = call.words.windows(2).filter(|pair| pair[0] == "--set" || pair[0] == "--set-string");
            for pair in pairs {
                found += 1;
                let path = pair[1].split('=').next().unwrap_or_default();
                if !is_value(&values, path) {
                    wrong.push(format!("{}: {path}", call.place));
                }
            }
        }
    }
    assert!(found >= 5, "{found} values were found");
    nothing_of(&wrong, "values that the chart does not have");
}

#[test]
fn every_patch_of_a_nodeapp_that_the_manuals_show_has_fields_that_exist() {
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for call in page.calls(&[&["kubectl", "patch", "nodeapp"]]) {
            let Some(pair) = call.words.windows(2).find(|pair| pair[0] == "-p" || pair[0] == "--patch")
            else {
                continue;
            };
            found += 1;
            match serde_json::from_str::<Value>(&pair[1]) {
                Ok(patch) => wrong
                    .extend(problem_of_fragment(&patch["spec"]).map(|it| call.place.clone() + ": " + &it)),
                Err(error) => wrong.push(format!("{}: {error}", call.place)),
            }
        }
    }
    assert!(found >= 3, "{found} patches were found");
    nothing_of(&wrong, "patches");
}

/// All text of the sources, where annotations and labels are written out.
fn sources() -> String {
    let mut text = String::new();
    for folder in ["src", "crates", "tests", "charts", "examples"] {
        add(&repository().join(folder), &mut text);
    }
    text
}

fn add(folder: &std::path::Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            add(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "yaml") {
            text.push_str(&fs::read_to_string(&path).expect("source is text"));
        }
    }
}

#[test]
fn every_annotation_and_label_that_the_manuals_name_is_in_the_code() {
    let sources = sources();
    let mut found = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        for (at, _) in page.text.match_indices("nodeapp.dev/") {
            let name = page.text[at + "nodeapp.dev/".len()..]
                .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
            let name = format!("nodeapp.dev/{}", name.into_iter().next().unwrap_or_default());
            found += 1;
            if !sources.contains(&name) {
                wrong.push(format!("{}: {name}", page.path));
            }
        }
    }
    assert!(found > 40, "{found} names were found");
    nothing_of(&wrong, "annotations and labels that there are not");
}

#[test]
fn a_field_or_a_value_that_there_is_not_is_found() {
    let (schema, values) = (schema(), values());
    let spec = &schema["properties"]["spec"];
    for path in ["rollout.maxSurge", "env.valueFrom.secretKeyRef", "pod.affinity.nodeAffinity"] {
        assert!(has(spec, path), "{path}");
    }
    for path in ["rollout.maxSurges", "killTimout", "logRotate.size"] {
        assert!(!has(spec, path), "{path}");
    }
    assert!(has(&schema, "status.fillCluster.arithmetic") && !has(&schema, "status.fillCluster.sum"));
    assert!(is_value(&values, "image.repository") && !is_value(&values, "image.repo"));
    assert!(
        is_path("rollout.maxSurge") && !is_path("rollouts.md") && !is_path("a b.c") && !is_path("rollout")
    );
}
