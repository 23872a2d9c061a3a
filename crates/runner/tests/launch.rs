//! What is executed for what a person writes, with real programs.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Runner, Setup, has_node};

/// Says that it is ready, what it is, and ends with 5 when asked to.
const READY: &str = "process.on('SIGINT', () => process.exit(5)); setInterval(() => {}, 1e6);
    console.log(JSON.stringify({ argv: process.argv.slice(2), event: process.env.npm_lifecycle_event,
      version: process.env.npm_package_version, mode: process.env.MODE }));
    process.send('ready');";

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: no `{program}` in PATH");
    }
    found
}

/// A worker in a directory with these files, started by `launch`.
fn app(files: &[(&str, &str)], launch: Value) -> Setup {
    let setup = Setup::script(READY).worker();
    for (name, text) in files {
        std::fs::write(setup.dir.path().join(name), text).unwrap();
    }
    let dir = setup.dir.path().to_str().unwrap().to_owned();
    let stop = json!({"killSignal": "SIGINT", "drainDelay": 0, "drainTimeout": 0, "killTimeout": 20_000});
    setup.with("cwd", json!(dir)).with("stop", stop).with("launch", launch)
}

fn wait_ready(setup: Setup) -> Runner {
    setup.with("readiness", json!({"waitReady": true})).start().ready()
}

fn said(runner: &Runner) -> Value {
    serde_json::from_str(runner.output("stdout").lines().next().unwrap()).unwrap()
}

#[test]
fn behind_npm_start_the_message_ready_and_the_signal_arrive() {
    if !has_node() || !has("npm") {
        return;
    }
    let package = r#"{"name":"shop","version":"1.2.3","scripts":{"start":"MODE=live node app.js"}}"#;
    for launch in [
        json!({"command": {"argv": ["npm", "start", "--", "--port", "1"]}}),
        json!({"script": {"script": "npm", "args": ["start", "--", "--port", "1"]}}),
        json!({"script": {"script": "npm start -- --port 1"}}),
    ] {
        let mut runner = wait_ready(app(&[("package.json", package)], launch));
        let expected = json!({"argv": ["--port", "1"], "event": "start", "version": "1.2.3", "mode": "live"});
        assert_eq!(said(&runner), expected);
        assert!(runner.output("stderr").contains("without npm)"), "{}", runner.output("stderr"));
        assert_eq!(runner.stop().code(), Some(5), "the app's own handler");
    }
}

#[test]
fn npm_start_needs_no_npm_in_the_image() {
    if !has_node() {
        return;
    }
    let package = r#"{"name":"shop","version":"1.2.3","scripts":{"start":"MODE=live node app.js"}}"#;
    let which = Command::new("sh").args(["-c", "command -v node"]).env("PATH", support::node_path()).output();
    let node = String::from_utf8(which.unwrap().stdout).unwrap();
    for launch in [
        json!({"command": {"argv": ["npm", "start"]}}),
        json!({"script": {"script": "npm", "args": ["start"]}}),
        json!({"script": {"script": "npm start"}}),
    ] {
        let setup = app(&[("package.json", package)], launch);
        let only_node = setup.dir.path().join("only-node");
        std::fs::create_dir(&only_node).unwrap();
        std::os::unix::fs::symlink(node.trim(), only_node.join("node")).unwrap();
        let mut runner = wait_ready(setup.var("PATH", only_node.to_str().unwrap()));
        assert_eq!(said(&runner)["mode"], "live");
        assert_eq!(runner.stop().code(), Some(5), "the app's own handler");
    }
}

#[test]
fn npm_itself_sets_what_the_runner_sets_in_its_place() {
    if !has_node() || !has("npm") {
        return;
    }
    let source = "const all = Object.entries(process.env).filter(([name]) =>
          /^npm_(package|lifecycle|command)/.test(name) || name === 'INIT_CWD');
        console.log(JSON.stringify(Object.fromEntries(all))); setInterval(() => {}, 1e6);";
    let package = |more: &str| {
        format!(
            r#"{{"name":"shop","version":"1.2.3","config":{{"port":8080}},"engines":{{"node":">=18"}},
                 "scripts":{{{more}"start":"node env.js"}}}}"#
        )
    };
    let told = |more: &str| {
        let files = [("package.json", package(more)), ("env.js", source.to_owned())];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let runner = app(&files, json!({"command": {"argv": ["npm", "start"]}})).start().ready();
        let dir = runner.setup.dir.path().to_str().unwrap().to_owned();
        let line = runner.wait_for("the environment", || {
            runner.output("stdout").lines().find(|line| line.starts_with('{')).map(str::to_owned)
        });
        let stderr = runner.output("stderr");
        (line.replace(&dir, "DIR"), stderr)
    };
    let parse = |text: &str| serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap();
    let (ours, how) = told("");
    assert!(how.contains("without npm)"), "{how}");
    // A hook makes npm necessary.
    let (npms, how) = told(r#""poststart":"true","#);
    assert!(how.contains("there is a hook, poststart") && how.contains("process.send('ready')"), "{how}");
    assert_eq!(parse(&ours), parse(&npms));
}

#[test]
fn a_script_with_a_pipe_is_run_by_a_shell() {
    if !has_node() {
        return;
    }
    let runner =
        app(&[], json!({"script": {"script": "echo one two | tr a-z A-Z; exec sleep 614"}})).start().ready();
    runner.wait_for("its output", || (runner.output("stdout") == "ONE TWO\n").then_some(()));
    assert!(runner.output("stderr").contains("is run by a shell"), "{}", runner.output("stderr"));
}

#[test]
fn scripts_of_other_languages_are_run_by_what_pm2_takes() {
    if !has_node() {
        return;
    }
    let python = "import os, time\nprint('python', os.environ['PYTHONUNBUFFERED'])\ntime.sleep(615)\n";
    let files = [
        ("a.sh", "echo shell\nexec sleep 615\n"),
        ("a.py", python),
        ("tool", "#!/bin/sh\necho tool\nexec sleep 615\n"),
    ];
    for (script, output) in [("a.sh", "shell\n"), ("a.py", "python 1\n"), ("tool", "tool\n")] {
        if script == "a.py" && !has("python3") {
            continue;
        }
        let setup = app(&files, json!({"script": {"script": script}}));
        let tool = setup.dir.path().join("tool");
        std::fs::set_permissions(tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let runner = setup.start().ready();
        runner.wait_for("its output, unbuffered", || (runner.output("stdout") == output).then_some(()));
    }
}

#[test]
fn node_is_told_its_options_and_starts_with_them() {
    if !has_node() {
        return;
    }
    let source = "const heap = require('node:v8').getHeapStatistics().heap_size_limit;
        Promise.reject(new Error('not handled'));
        setTimeout(() => { console.log(heap < 400 * 2 ** 20, process.env.NODE_OPTIONS); process.send('ready'); }, 100);
        setInterval(() => {}, 1e6);";
    let node = json!({"maxOldSpaceSize": 128, "unhandledRejections": "warn", "sourceMaps": true});
    let setup = app(&[("a.js", source)], json!({"script": {"script": "a.js"}})).with("node", node);
    let runner = wait_ready(setup);
    let text = runner.output("stdout");
    assert!(text.starts_with("true --require"), "{text}");
    assert_eq!(runner.status().unwrap().restarts, 0, "an unhandled rejection is only a warning");
}

#[test]
fn without_pmx_the_app_runs_unobserved_and_stops_by_its_own_handler() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer((q, r) => r.end(String(process.env.NODE_OPTIONS)))
        .listen(process.env.PORT); process.on('SIGINT', () => process.exit(5));";
    let mut runner = Setup::script(source).with("preload", json!({"enabled": false})).start().ready();
    assert_eq!(runner.get("/").1, "undefined");
    assert_eq!(runner.stop().code(), Some(5));
}
