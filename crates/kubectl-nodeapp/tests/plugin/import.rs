//! `import`: what it reads, what it prints and where.

use std::fs;

use nodeapp_ecosystem::NO_IMAGE;

use crate::{CONFIG, GOOD, folder, run, run_with_input};

/// Imports a file that is bad; what is said.
fn bad(text: &str) -> String {
    let folder = folder(&[(CONFIG, text)]);
    let ran = run(&folder, &["import", CONFIG, "--image", "a:1"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    ran.err
}

#[test]
fn manifests_go_to_standard_output_and_the_report_to_standard_error() {
    let folder = folder(&[(CONFIG, GOOD)]);
    let ran = run(&folder, &["import", CONFIG, "--image", "registry.example/api:1", "-n", "shop"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for line in [
        "---",
        "kind: NodeApp",
        "  name: api",
        "  namespace: shop",
        "  image: \"registry.example/api:1\"",
        "  port: 3000",
    ] {
        let bare = line.replace('"', "");
        assert!(ran.out.lines().any(|it| it == line || it == bare), "{line} is not in\n{}", ran.out);
    }
    assert!(ran.err.contains("1 of 1 apps imported") && ran.err.contains("spec.port"), "{}", ran.err);
}

#[test]
fn an_import_without_an_image_says_that_it_will_be_refused() {
    let folder = folder(&[(CONFIG, GOOD)]);
    let ran = run(&folder, &["import", CONFIG]);
    assert_eq!(ran.code, Some(0));
    let line = format!("  image: \"{NO_IMAGE}\"");
    assert!(ran.out.lines().any(|other| other == line), "{line} is not in\n{}", ran.out);
    assert!(ran.err.contains(NO_IMAGE) && ran.err.contains("import with --image"), "{}", ran.err);
}

#[test]
fn one_file_per_app_is_never_written_over_without_force() {
    let folder = folder(&[(
        CONFIG,
        "module.exports = [{ name: 'a', script: 'a.js' }, { name: 'b', script: 'b.js' }]",
    )]);
    let args = ["import", CONFIG, "--image", "a:1", "-o", "out/manifests", "--report", "report.json"];
    let first = run(&folder, &args);
    assert_eq!((first.code, first.out.as_str(), first.err.as_str()), (Some(0), "", ""));
    let b = folder.path().join("out/manifests/b.yaml");
    assert!(fs::read_to_string(&b).unwrap().contains("name: b"));
    let report = fs::read_to_string(folder.path().join("report.json")).unwrap();
    assert!(report.contains("\"verdict\": \"mapped\""), "{report}");
    fs::write(&b, "mine").unwrap();
    let again = run(&folder, &args);
    assert!(again.code == Some(1) && again.err.contains("--force"), "{}", again.err);
    assert_eq!(fs::read_to_string(&b).unwrap(), "mine");
    assert_eq!(run(&folder, &[&args[..], &["--force"]].concat()).code, Some(0));
    assert_ne!(fs::read_to_string(&b).unwrap(), "mine");
}

#[test]
fn the_report_goes_where_and_has_the_form_that_is_asked_for() {
    let folder = folder(&[(CONFIG, GOOD)]);
    let import = |more: &[&str]| {
        let ran = run(&folder, &[&["import", CONFIG, "--image", "a:1"], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran
    };
    let text = import(&[]).err;
    let ran = import(&["--report", "report.txt"]);
    assert_eq!(ran.err, "");
    assert_eq!(fs::read_to_string(folder.path().join("report.txt")).unwrap(), text);
    let ran = import(&["--report-format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(report["files"][0]["apps"][0]["name"], "api", "{report}");
    import(&["--report", "report.json", "--report-format", "text"]);
    assert_eq!(fs::read_to_string(folder.path().join("report.json")).unwrap(), text);
}

#[test]
fn broken_javascript_is_told_with_file_and_line() {
    let said = bad("module.exports = {\n  apps: [\n    { name: 'a' script: 'a.js' },\n  ],\n}");
    assert!(said.contains("ecosystem.config.js:3: SyntaxError"), "{said}");
}

#[test]
fn a_file_that_calls_out_or_needs_what_is_not_there_is_told_what_to_do() {
    let said = bad("require('https').get('https://example.com'); module.exports = []");
    assert!(said.contains("https.get is not available"), "{said}");
    let said = bad("module.exports = require('./missing')");
    assert!(said.contains("cannot find the module './missing'"), "{said}");
    let said = bad("module.exports = require('@acme/pm2')");
    assert!(said.contains("npm ci"), "{said}");
}

#[test]
fn a_file_that_never_ends_is_stopped() {
    // The second in one step of the engine, which never looks at the clock.
    for text in ["for (;;) {}", "[].join.call({ length: 2 ** 53 - 1 }, '')"] {
        let said = bad(text);
        assert!(said.contains("takes longer than 2 s"), "{said}");
    }
}

#[test]
fn a_file_that_is_too_large_or_none_at_all_is_told() {
    let folder = folder(&[("dump.pm2", &format!("[\"{}\"]", "x".repeat(10 << 20))), ("notes.txt", "hello")]);
    let ran = run(&folder, &["import", "dump.pm2", "notes.txt", "absent.json", "."]);
    assert_eq!(ran.code, Some(1));
    for part in ["has 10 MB", "is no configuration of PM2", "there is no such file", "is a folder"] {
        assert!(ran.err.contains(part), "{part} is not in\n{}", ran.err);
    }
}

#[test]
fn links_that_loop_are_told() {
    let folder = folder(&[]);
    std::os::unix::fs::symlink(CONFIG, folder.path().join(CONFIG)).unwrap();
    let ran = run(&folder, &["import", CONFIG]);
    assert!(ran.code == Some(1) && ran.err.contains("circle"), "{}", ran.err);
}

#[test]
fn broken_json_and_yaml_are_told_without_what_they_hold() {
    let files = [
        ("ecosystem.json", "{\n  \"apps\": [{\"env\": {\"PASSWORD\": \"hunter2hunter2\" \"x\": 1}}]\n}"),
        ("ecosystem.yaml", "apps:\n  - name: a\n    env:\n      PASSWORD: \"hunter2hunter2\n  bad: [\n"),
    ];
    let folder = folder(&files);
    for (name, _) in files {
        let ran = run(&folder, &["import", name]);
        assert_eq!(ran.code, Some(1), "{name}");
        assert!(ran.err.contains(&format!("{name}:")), "{}", ran.err);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
}

#[test]
fn one_bad_app_and_one_bad_file_leave_the_others() {
    let folder = folder(&[
        (
            CONFIG,
            "module.exports = [{ name: 'good', script: 'a.js' }, { name: 'bad', script: 'a.js', max_memory_restart: '1.5G' }]",
        ),
        ("broken.config.js", "module.exports = {"),
    ]);
    let ran = run(&folder, &["import", "broken.config.js", CONFIG, "--image", "a:1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("name: good") && !ran.out.contains("name: bad"), "{}", ran.out);
    assert!(
        ran.err.contains("bad: NOT IMPORTED") && ran.err.contains("broken.config.js: not imported"),
        "{}",
        ran.err
    );
}

#[test]
fn what_pm2_lists_is_imported_from_standard_input() {
    let list = r#"[{"pid": 1, "name": "api", "pm_id": 0, "pm2_env": {"name": "api", "pm_exec_path": "/srv/api/a.js", "pm_cwd": "/srv/api", "env": {"PORT": "3000"}}}]"#;
    let folder = folder(&[]);
    let ran = run_with_input(&folder, &["import", "-", "--image", "a:1"], list);
    assert!(ran.code == Some(0) && ran.out.contains("port: 3000"), "{}\n{}", ran.out, ran.err);
    let ran = run_with_input(&folder, &["import", "-"], "[PM2] no");
    assert!(ran.code == Some(1) && ran.err.contains("pm2 jlist"), "{}", ran.err);
    let long = list.replace("/srv/api/a.js", &"x".repeat(8 << 20));
    let ran = run_with_input(&folder, &["import", "-"], &long);
    assert!(ran.code == Some(1) && ran.err.contains("standard input has more than 8 MB"), "{}", ran.err);
}
