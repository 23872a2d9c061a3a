//! `import`: no secret is anywhere in what it prints.

use std::fs;

use crate::{CONFIG, command, folder, ran, run};

#[test]
fn no_secret_is_printed_wherever_it_comes_from() {
    let config = "console.log('connecting with', process.env.DB_PASSWORD);
        module.exports = { apps: [{ name: 'a', script: 'a.js', env: { PASSWORD: process.env.DB_PASSWORD, KEY: 'hunter2hunter2file' } }] }";
    let folder =
        folder(&[(CONFIG, config), ("throws.config.js", "throw new Error(`no ${process.env.DB_PASSWORD}`)")]);
    let mut command = command(&folder, &["import", CONFIG, "throws.config.js", "--image", "a:1"]);
    let ran = ran(command.env("DB_PASSWORD", "hunter2hunter2").output().unwrap());
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{}\n{}", ran.out, ran.err);
    assert!(ran.err.contains("connecting with ********"), "{}", ran.err);
    assert!(ran.err.contains("kubectl create secret generic a-env"), "{}", ran.err);
    assert!(ran.out.contains("secretKeyRef"), "{}", ran.out);
}

/// Imports an app with secrets that begin with `hunter2`, in a shell that knows one,
/// and returns the manifests and both forms of the report. None of them is anywhere.
fn kept(app: &str, options: &[&str]) -> (Option<i32>, String, String, serde_json::Value) {
    let folder = folder(&[(CONFIG, &format!("module.exports = {{ apps: [{app}] }}"))]);
    let args = [&["import", CONFIG, "--image", "a:1"], options].concat();
    let mut command = command(&folder, &args);
    let text =
        ran(command.env("DB_PASSWORD", "hunter2").env("API_TOKEN", "hunter2/long/enough").output().unwrap());
    command.args(["--report", "report.json"]);
    let json = ran(command.output().unwrap());
    let report = fs::read_to_string(folder.path().join("report.json")).unwrap();
    for output in [&text.out, &text.err, &json.out, &json.err, &report] {
        assert!(!output.contains("hunter2"), "{app}:\n{output}");
    }
    (text.code, text.out, text.err, serde_json::from_str(&report).unwrap())
}

#[test]
fn a_secret_in_a_line_or_among_arguments_is_refused_and_not_shown_by_the_refusal() {
    for app in [
        "{ script: 'DB_PASSWORD=hunter2 node app.js' }",
        "{ script: 'node worker --token hunter2' }",
        "{ script: 'node worker.js --token hunter2.abc' }",
        "{ script: 'a.js', args: 'worker PASSWORD=hunter2' }",
        "{ script: 'sh', interpreter: 'none', args: ['-c', 'API_KEY=hunter2 node a.js'] }",
        "{ script: 'a.js', args: ['worker', process.env.DB_PASSWORD] }",
        "{ script: 'a.js', args: [`--auth=${process.env.API_TOKEN}`] }",
        "{ script: 'a.js', node_args: `--title=x${process.env.API_TOKEN}` }",
        "{ script: 'a.js', name: process.env.DB_PASSWORD }",
    ] {
        let (code, out, err, report) = kept(app, &[]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{app}");
        assert!(err.contains("looks like a secret") && err.contains("NOT IMPORTED"), "{app}: {err}");
        assert!(report["files"][0]["apps"][0]["pm2Name"].is_string(), "{report}");
    }
}

#[test]
fn a_secret_among_variables_becomes_a_reference_whatever_its_form_and_name() {
    for variable in [
        "DB: { host: 'db', password: 'hunter2' }",
        "GCP: JSON.stringify({ private_key: '-----BEGIN PRIVATE KEY-----\\nhunter2' })",
        "DB_CONNECTION: 'Server=db;User Id=sa;Password=hunter2'",
        "STORAGE: 'AccountName=a;AccountKey=hunter2=='",
        "CONN: process.env.DB_PASSWORD",
        "CONN: `id:${process.env.API_TOKEN}`",
        "QUOTED_SECRET: 'hunter2 \"with\\\\ quotes\"\\nand lines'",
    ] {
        let (code, out, err, report) =
            kept(&format!("{{ name: 'a', script: 'a.js', env: {{ {variable} }} }}"), &[]);
        assert_eq!(code, Some(0), "{variable}: {err}");
        assert!(out.contains("secretKeyRef"), "{variable}: {out}");
        assert!(err.contains("kubectl create secret generic a-env"), "{variable}: {err}");
        assert_eq!(report["files"][0]["apps"][0]["secrets"][0]["name"], "a-env", "{report}");
    }
}

#[test]
fn the_command_that_makes_a_secret_makes_it_where_the_app_is() {
    let app = "{ name: 'a', script: 'a.js', env: { PASSWORD: 'hunter2' } }";
    let (_, out, err, report) = kept(app, &["-n", "shop"]);
    assert!(out.contains("  namespace: shop"), "{out}");
    let command = "kubectl create secret generic a-env --namespace shop \\";
    assert!(err.lines().any(|line| line.trim() == command), "{command} is not in {err}");
    let command = &report["files"][0]["apps"][0]["secrets"][0]["command"];
    assert!(command.as_str().is_some_and(|command| command.contains(" --namespace shop ")), "{command}");
    let (_, _, err, _) = kept(app, &[]);
    assert!(err.contains("a-env") && !err.contains("--namespace"), "{err}");
}

#[test]
fn a_path_with_a_secret_in_it_is_not_shown() {
    let (code, ..) = kept(
        "{ script: 'a.js', cwd: '/srv/' + process.env.API_TOKEN, out_file: '/x/' + process.env.API_TOKEN + '/o.log' }",
        &[],
    );
    assert_eq!(code, Some(0));
}

#[test]
fn a_secret_of_one_list_is_kept_out_of_the_other_under_any_name() {
    let app = "{ name: 'a', script: 'a.js', env: { CONN: 'x-hunter2/and/more' }, env_production: { DB_PASSWORD: 'hunter2/and/more' } }";
    let (_, out, ..) = kept(app, &[]);
    assert_eq!(out.matches("secretKeyRef").count(), 2, "{out}");
}

#[test]
fn a_secret_that_is_an_ordinary_word_leaves_the_report_whole_and_untold() {
    for word in ["secret", "name", "apps", "postgres", "generic"] {
        let config = format!(
            "console.log('with {word}'); module.exports = {{ apps: [{{ name: 'postgres', script: 'a.js', env: {{ JWT_SECRET: '{word}' }} }}] }}"
        );
        let folder = folder(&[(CONFIG, &config)]);
        let args = ["import", CONFIG, "--image", "a:1"];
        let ran = run(&folder, &args);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("kubectl create secret generic postgres-env"), "{}", ran.err);
        assert_eq!(ran.err.matches("********").count(), 1, "what the file prints: {}", ran.err);
        run(&folder, &[&args[..], &["--report", "report.json"]].concat());
        let report = fs::read_to_string(folder.path().join("report.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["files"][0]["apps"][0]["secrets"][0]["keys"][0], "JWT_SECRET", "{report}");
    }
}
