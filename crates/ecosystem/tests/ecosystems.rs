//! Ecosystem files of many shapes: what they become, and what is said about them.
//!
//! `UPDATE_GOLDEN=1` writes the results anew.

// Helpers of tests are no test functions for the lint.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodeapp_ecosystem::read::Reading;
use nodeapp_ecosystem::{Import, Wishes, read, stream, yaml};
use nodeapp_operator::crd::NodeApp;

const IMAGE: &str = "registry.example/app:1";

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The file of PM2 in each folder of fixtures.
fn fixtures() -> Vec<(String, PathBuf)> {
    let folders = std::fs::read_dir(tests().join("ecosystems")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = folders
        .map(|folder| {
            let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            let is_config = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                ["ecosystem.", "process.", "dump.pm2", "jlist."].iter().any(|start| name.starts_with(start))
            };
            let file = files.into_iter().find(is_config).unwrap_or_else(|| panic!("{}", folder.display()));
            (folder.file_name().unwrap().to_string_lossy().into_owned(), file)
        })
        .collect();
    found.sort();
    found
}

/// The shell of who imports.
fn shell() -> BTreeMap<String, String> {
    [
        ("HOME", "/home/dev"),
        ("PATH", "/usr/bin"),
        ("npm_config_user_agent", "npm"),
        ("DEPLOY_TOKEN", "hunter2hunter2shell"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Imports a file as `import --image … --env …` does.
fn import(file: &Path) -> Import {
    let text = std::fs::read_to_string(file).unwrap();
    let profile = text.lines().next().and_then(|line| line.strip_prefix("// env: ")).map(str::to_owned);
    let env = shell();
    let reading = Reading {
        env: &env,
        profile: profile.as_deref(),
        root: None,
        use_node: false,
        time_limit: Duration::from_secs(20),
    };
    let mut source =
        read(file, &reading).unwrap_or_else(|failure| panic!("{}: {}", file.display(), failure.message));
    source.file = file.file_name().unwrap().to_string_lossy().into_owned();
    let mut import = Import::default();
    let wishes = Wishes { image: Some(IMAGE), profile: profile.as_deref(), workdir: "/app", namespace: None };
    import.add(&source, wishes);
    import
}

fn manifests(import: &Import) -> String {
    stream(&import.apps)
}

/// Wherever the repository lies, the folder of the fixtures has one name.
fn compare(path: &Path, text: &str) {
    let text = text.replace(&*tests().to_string_lossy(), "/home/node");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn ecosystem_files_of_many_shapes_become_what_is_written_down() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 30, "{}", fixtures.len());
    for (name, file) in fixtures {
        let import = import(&file);
        compare(&tests().join(format!("golden/{name}.yaml")), &manifests(&import));
        compare(&tests().join(format!("golden/{name}.report.txt")), &import.shown().text());
    }
}

#[test]
fn no_secret_of_any_file_is_in_any_output() {
    for (name, file) in fixtures() {
        let import = import(&file);
        let output = manifests(&import) + &import.report.text() + &import.report.json();
        // Every secret of the fixtures begins so.
        assert!(!output.contains("hunter2"), "{name}:\n{output}");
    }
}

#[test]
fn every_field_that_is_written_is_one_of_the_api() {
    for (name, file) in fixtures() {
        let report = import(&file).report.text();
        assert!(!report.contains("has no such field"), "{name}:\n{report}");
    }
}

#[test]
fn the_manifests_read_back_as_the_same_apps() {
    for (name, file) in fixtures() {
        for app in import(&file).apps {
            let back: NodeApp = serde_saphyr::from_str(&yaml(&app)).unwrap();
            assert_eq!(back, app, "{name}");
        }
    }
}

#[test]
fn one_bad_app_among_good_ones_is_named_and_the_good_ones_are_imported() {
    let import = import(&tests().join("ecosystems/one-bad/ecosystem.config.js"));
    let names: Vec<_> = import.apps.iter().filter_map(|app| app.metadata.name.as_deref()).collect();
    assert_eq!(names, ["good", "also-good"]);
    assert!(import.report.has_failures());
}
