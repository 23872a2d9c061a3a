//! The plugin as a user runs it: what it prints, where, and with which exit code.

// Helpers of tests are no test functions for the lint.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-nodeapp"));
    command
        .current_dir(folder.path())
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(folder: &TempDir, args: &[&str]) -> Ran {
    ran(command(folder, args).output().unwrap())
}

fn run_with_input(folder: &TempDir, args: &[&str], input: &str) -> Ran {
    let mut command = command(folder, args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    ran(child.wait_with_output().unwrap())
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const CONFIG: &str = "ecosystem.config.js";
const GOOD: &str = "module.exports = { apps: [{ name: 'api', script: 'a.js', port: 3000 }] }";

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
    assert!(
        ran.out.contains("<the image of the app") && ran.err.contains("--image"),
        "{}\n{}",
        ran.out,
        ran.err
    );
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

/// Whether there is a Node.js to try `--use-node` with.
fn has_node() -> bool {
    let found = Command::new("node").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "Node.js is missing");
    if !found {
        eprintln!("skipped: no Node.js here");
    }
    found
}

#[test]
fn a_broken_file_in_the_users_own_node_is_told_without_its_lines() {
    if !has_node() {
        return;
    }
    for (text, said) in [
        ("module.exports = {\n  PASSWORD: 'hunter2' 'x'\n}", "ecosystem.config.js:2: SyntaxError"),
        (
            "const PASSWORD = 'hunter2'; missing(PASSWORD)",
            "ecosystem.config.js:1: ReferenceError: missing is not defined",
        ),
        ("const A = 'hunter2'; require('child_process').execSync('exit 3')", "ecosystem.config.js:1: Error"),
        ("process.env.A = 'hunter2'; process.exit(4)", "exit status: 4"),
    ] {
        let folder = folder(&[(CONFIG, text)]);
        let ran = run(&folder, &["import", CONFIG, "--use-node"]);
        assert!(ran.code == Some(1) && ran.err.contains(said), "{text}: {}", ran.err);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{text}: {}", ran.err);
    }
}

#[test]
fn the_users_own_node_keeps_the_shell_out_of_the_manifest_and_sees_the_profile() {
    if !has_node() {
        return;
    }
    let config = "const profile = process.argv[process.argv.indexOf('--env') + 1];
        require('child_process').execSync('true');
        module.exports = { apps: [{ name: 'a', script: 'a.js', env: { ...process.env, NODE_ENV: profile, LANG: 'C' } }] }";
    let folder = folder(&[(CONFIG, config)]);
    let mut command =
        command(&folder, &["import", CONFIG, "--image", "a:1", "--use-node", "--env", "staging"]);
    let ran = ran(command.env("NVM_DIR", "/home/dev/.nvm").env("FLAVOUR", "laptop").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let names: Vec<_> =
        ran.out.lines().filter_map(|line| line.trim_start().strip_prefix("- name: ")).collect();
    assert_eq!(names, ["LANG", "NODE_ENV"], "{}", ran.out);
    assert!(
        ran.out.contains("value: staging") && ran.err.contains("taken over from the shell"),
        "{}",
        ran.err
    );
}

#[test]
fn a_variable_that_the_users_own_node_reads_for_itself_is_not_told() {
    if !has_node() {
        return;
    }
    let config = "require('child_process').execSync('true');
        module.exports = { apps: [{ name: 'a', script: 'a.js', env: { TIER: process.env.TIER || 'x' } }] }";
    let folder = folder(&[(CONFIG, config)]);
    let ran = run(&folder, &["import", CONFIG, "--image", "a:1", "--use-node"]);
    let told: Vec<_> = ran.err.lines().filter(|line| line.contains("process.env")).collect();
    assert!(told.len() == 1 && told[0].contains(" TIER are not set"), "{}", ran.err);
}

#[test]
fn what_pm2_lists_is_imported_from_standard_input() {
    let list = r#"[{"pid": 1, "name": "api", "pm_id": 0, "pm2_env": {"name": "api", "pm_exec_path": "/srv/api/a.js", "pm_cwd": "/srv/api", "env": {"PORT": "3000"}}}]"#;
    let folder = folder(&[]);
    let ran = run_with_input(&folder, &["import", "-", "--image", "a:1"], list);
    assert!(ran.code == Some(0) && ran.out.contains("port: 3000"), "{}\n{}", ran.out, ran.err);
    let ran = run_with_input(&folder, &["import", "-"], "[PM2] no");
    assert!(ran.code == Some(1) && ran.err.contains("pm2 jlist"), "{}", ran.err);
}

#[test]
fn the_users_own_node_does_what_the_engine_does_not_and_is_warned_about() {
    if !has_node() {
        return;
    }
    let config = "const n = require('child_process').execSync('echo 7').toString().trim();
        module.exports = { apps: [{ name: 'a', script: 'a.js', instances: require('os').cpus().length - 1, env: { N: n } }] }";
    let folder = folder(&[(CONFIG, config)]);
    let ran = run(&folder, &["import", CONFIG, "--image", "a:1", "--use-node"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("warning: --use-node"), "{}", ran.err);
    assert!(
        ran.err.contains("spec.fillCluster") && ran.out.contains("value: \"7\""),
        "{}\n{}",
        ran.out,
        ran.err
    );
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
    assert!(
        read("nodeapp.yaml").contains("name: acme-shop")
            && read("nodeapp.yaml").contains("script: npm start")
    );
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

const OBSERVED: &str = "apiVersion: v1
kind: List
items:
- apiVersion: nodeapp.dev/v1alpha1
  kind: NodeApp
  metadata: {name: shop, namespace: team, uid: u-1, generation: 1}
  spec: {image: 'a:1', script: a.js, port: 3000, envFrom: [{configMapRef: {name: common}}]}
  status: {runnerImage: 'runner:of-the-app', observedGeneration: 1}
- apiVersion: nodeapp.dev/v1alpha1
  kind: NodeApp
  metadata: {name: shop, namespace: other, uid: u-2}
  spec: {image: 'a:1', script: a.js}
  status: {runnerImage: 'runner:of-another'}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: common, namespace: team}
  data: {A: '1'}
";

#[test]
fn render_takes_what_the_cluster_has_from_a_file_of_kubectl() {
    let app = "apiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\nmetadata: {name: shop, namespace: team}\n\
        spec: {image: 'a:1', script: a.js, port: 3000, envFrom: [{configMapRef: {name: common}}]}\n";
    let json = serde_saphyr::from_str::<serde_json::Value>(OBSERVED).unwrap().to_string();
    let taken = OBSERVED.to_owned()
        + "- apiVersion: v1\n  kind: Service\n  metadata: {name: shop, namespace: team, labels: {nodeapp.dev/app: shop}}\n";
    let folder =
        folder(&[("app.yaml", app), ("now.yaml", OBSERVED), ("now.json", &json), ("taken.yaml", &taken)]);
    let render = |args: &[&str]| run(&folder, &[&["render", "app.yaml"], args].concat());
    let new = render(&[]);
    assert!(!new.out.contains("ownerReferences") && !new.out.contains("nodeapp.dev/config:"), "{}", new.out);
    let (yaml, json) = (render(&["--observed", "now.yaml"]), render(&["--observed", "now.json"]));
    assert_eq!((yaml.code, &yaml.out), (Some(0), &json.out), "{}", yaml.err);
    for part in ["uid: u-1", "runner:of-the-app", "nodeapp.dev/config:"] {
        assert!(yaml.out.contains(part), "{part} is not in\n{}", yaml.out);
    }
    let given = render(&["--observed", "now.yaml", "--runner-image", "runner:given"]);
    assert!(given.out.contains("runner:given") && !given.out.contains("runner:of-the-app"), "{}", given.out);
    let taken = render(&["--observed", "taken.yaml"]);
    assert!(taken.code == Some(1) && taken.err.contains("Service shop exists"), "{}", taken.err);
    let missing = render(&["--observed", "absent.yaml"]);
    assert!(missing.code == Some(1) && missing.err.contains("absent.yaml"), "{}", missing.err);
}

#[test]
fn render_takes_a_stream_with_other_objects_in_it() {
    let stream = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\napiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\n\
        metadata: {name: shop}\nspec: {image: 'a:1', script: a.js, port: 3000}\n";
    let folder = folder(&[]);
    let ran = run_with_input(&folder, &["render", "-", "--runner-image", "runner:9", "-n", "team"], stream);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let kinds: Vec<_> = ran.out.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds, ["ServiceAccount", "ControllerRevision", "Service", "Deployment"], "{}", ran.out);
    assert!(
        ran.out.contains("runner:9")
            && ran.out.contains("namespace: team")
            && !ran.out.contains("ownerReferences")
    );
    let bad = run_with_input(&folder, &["render", "-"], &stream.replace("port: 3000", "killTimeout: 5 s"));
    assert!(bad.code == Some(1) && bad.err.contains("spec.killTimeout"), "{}", bad.err);
    let none = run_with_input(&folder, &["render", "-"], "kind: ConfigMap\n");
    assert!(none.code == Some(1) && none.err.contains("no NodeApp"), "{}", none.err);
}

#[test]
fn the_same_program_answers_as_kubectl_pm2() {
    let folder = folder(&[]);
    let link = folder.path().join("kubectl-pm2");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-nodeapp"), &link).unwrap();
    let help = |program: &Path| ran(Command::new(program).arg("--help").output().unwrap()).out;
    assert!(help(&link).contains("kubectl pm2 <COMMAND>"), "{}", help(&link));
    assert!(help(Path::new(env!("CARGO_BIN_EXE_kubectl-nodeapp"))).contains("kubectl nodeapp <COMMAND>"));
}
