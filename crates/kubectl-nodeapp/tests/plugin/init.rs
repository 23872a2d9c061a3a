//! `init`: what it writes, and what it leaves.

use std::fs;
use std::path::Path;

use crate::{CONFIG, GOOD, folder, run};

/// Compares with a manifest that an API server is given, too (tests/apiserver/import.rs).
fn compare(golden: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ecosystem/tests/golden").join(golden);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn names_that_are_something_else_in_yaml_stay_names() {
    for name in ["no", "true", "null", "on", "off", "y"] {
        let package = format!(r#"{{"name": "{name}", "main": "a: b #c.js"}}"#);
        let folder = folder(&[("package.json", &package)]);
        let ran = run(&folder, &["init"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let manifest = fs::read_to_string(folder.path().join("nodeapp.yaml")).unwrap();
        let app: serde_json::Value = serde_saphyr::from_str(&manifest).unwrap();
        assert_eq!(app["metadata"]["name"], *name, "{manifest}");
        assert_eq!(app["spec"]["script"], "a: b #c.js", "{manifest}");
        // As a parser of YAML 1.1 reads it, such as kubectl's.
        assert!(
            manifest
                .lines()
                .any(|line| line.trim() == format!("name: \"{name}\"")
                    || line.trim() == format!("name: '{name}'")),
            "{manifest}"
        );
        if name == "no" {
            compare("init-no.yaml", &manifest);
        }
    }
}

#[test]
fn init_writes_what_is_missing_and_never_over_what_is_there() {
    let folder = folder(&[
        (
            "package.json",
            r#"{"name": "@acme/shop", "scripts": {"start": "node a.js"}, "engines": {"node": "20"}}"#,
        ),
        ("package-lock.json", "{}"),
    ]);
    let ran = run(&folder, &["init", "--image", "registry.example/shop"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("Dockerfile").contains("FROM node:20-slim") && read("Dockerfile").contains("RUN npm ci"));
    assert!(read(".dockerignore").lines().any(|line| line == "**/.env"));
    compare("init.yaml", &read("nodeapp.yaml"));
    assert!(read(".github/workflows/nodeapp.yaml").contains("kubectl apply -f nodeapp.yaml"));
    fs::write(folder.path().join("Dockerfile"), "mine").unwrap();
    let again = run(&folder, &["init"]);
    assert!(again.code == Some(1) && again.err.contains("Dockerfile is there already"), "{}", again.err);
    assert_eq!(read("Dockerfile"), "mine");
    assert_eq!(run(&folder, &["init", "--force"]).code, Some(0));
    assert_ne!(read("Dockerfile"), "mine");
}

#[test]
fn init_takes_the_apps_of_an_ecosystem_file() {
    let folder = folder(&[("package.json", "{}"), (CONFIG, GOOD)]);
    let ran = run(&folder, &["init", "--image", "registry.example/api"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let manifest = fs::read_to_string(folder.path().join("nodeapp.yaml")).unwrap();
    assert!(manifest.contains("name: api") && manifest.contains("registry.example/api:latest"), "{manifest}");
    let rendered = run(&folder, &["render", "nodeapp.yaml"]);
    assert_eq!(rendered.code, Some(0), "{}", rendered.err);
}

#[test]
fn init_writes_the_good_apps_and_fails_for_the_bad_one() {
    let config = "module.exports = [{ name: 'good', script: 'a.js' }, { name: 'bad', script: 'a.js', kill_timeout: '5s' }]";
    let folder = folder(&[("package.json", "{}"), (CONFIG, config), (".npmrc", "//r/:_authToken=x")]);
    let ran = run(&folder, &["init"]);
    assert!(ran.code == Some(1) && ran.err.contains("bad: NOT IMPORTED"), "{:?} {}", ran.code, ran.err);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("nodeapp.yaml").contains("name: good") && read("Dockerfile").contains("id=npmrc"));
}
