//! The verbs of `nodeapp-runner ctl`.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Runner, Setup, has_node};

/// Exit code, standard output, standard error.
fn ctl(runner: &Runner, words: &[&str]) -> (i32, String, String) {
    let output = runner.command("ctl").args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The answer of a verb that has to succeed, as JSON.
fn answer(runner: &Runner, words: &[&str]) -> Value {
    let (code, out, err) = ctl(runner, words);
    assert_eq!(code, 0, "{words:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{words:?}: {error}: {out}"))
}

/// What a verb that has to fail says.
fn refused(runner: &Runner, words: &[&str], with: i32) -> String {
    let (code, out, err) = ctl(runner, words);
    assert_eq!((code, out.as_str()), (with, ""), "{words:?}: {err}");
    err
}

fn wait_for_actions(runner: &Runner, wanted: &[&str]) {
    runner.wait_for("the actions", || {
        let status = runner.status()?;
        wanted.iter().all(|name| status.actions.iter().any(|own| own == name)).then_some(())
    });
}

#[test]
fn what_is_asked_wrongly_is_told_how_to_ask() {
    let mut runner = Setup::command(&["sleep", "1000"]).worker().start().ready();
    let (code, out, _) = ctl(&runner, &["--help"]);
    assert_eq!(code, 0);
    for verb in ["status", "restart", "drain", "trigger ACTION", "heap-snapshot", "flush", "exit codes"] {
        assert!(out.contains(verb), "{verb} is not in\n{out}");
    }
    assert!(refused(&runner, &["dance"], 64).contains("unknown verb \"dance\""));
    assert!(refused(&runner, &["cpu-profile", "soon"], 64).contains("whole seconds"));
    assert!(refused(&runner, &["reopen-logs"], 1).contains("set logRotate"));
    assert!(refused(&runner, &["heap-snapshot"], 1).contains("no Node.js"));
    assert!(refused(&runner, &["trigger", "x"], 1).contains("registered are: none"));
    assert_eq!(answer(&runner, &["actions"]), json!([]));
    assert_eq!(answer(&runner, &["status"])["state"], "online");
    runner.stop();
    assert!(refused(&runner, &["status"], 71).contains("no runner answers"));
}

#[test]
fn actions_and_metrics_of_pm2_apps_work() {
    if !has_node() {
        return;
    }
    for what in ["pm2-io.cjs", "tx2.cjs", "by-hand.cjs"] {
        let Some(setup) = Setup::npm_app("actions", what) else { return };
        let mut runner = setup.worker().start().ready();
        wait_for_actions(&runner, &["hello", "with params"]);
        assert_eq!(answer(&runner, &["trigger", "hello"]), json!({"hello": "world"}), "{what}");
        let call = ["trigger", "with params", r#"{"deep": [1, null]}"#];
        assert_eq!(answer(&runner, &call), json!({"params": {"deep": [1, null]}}), "{what}");
        let text = answer(&runner, &["trigger", "with params", "no JSON"]);
        assert_eq!(text, json!({"params": "no JSON"}), "{what}");
        let actions = answer(&runner, &["actions"]);
        let takes =
            |name: &str| actions.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
        assert_eq!(
            (&takes("hello")["takesParams"], &takes("with params")["takesParams"]),
            (&json!(false), &json!(true))
        );
        runner.wait_for("the metric", || {
            let users = answer(&runner, &["metrics"])["Realtime Users"]["value"].clone();
            (users == json!(42)).then_some(())
        });
        let page = runner.page("/metrics").unwrap().1;
        let users = page.lines().find(|line| line.contains("metric=\"Realtime Users\"")).expect(&page);
        assert!(users.starts_with("nodeapp_custom{") && users.ends_with(" 42"), "{what}: {users}");
        support::prometheus::parse(&page);
        runner.stop();
    }
}

#[test]
fn an_action_gets_its_whole_answer_or_a_reason_why_not() {
    if !has_node() {
        return;
    }
    let source = "const say = (type, data) => process.send({ type: `axm:${type}`, data });
        for (const action_name of ['long', 'crash']) say('action', { action_name });
        process.on('message', (message) => {
          if (message === 'long') say('reply', { action_name: 'long', return: 'x'.repeat(900e3) });
          if (message === 'crash') process.exit(3);
        });";
    let runner = Setup::script(source).worker().start().ready();
    wait_for_actions(&runner, &["long", "crash"]);
    assert_eq!(answer(&runner, &["trigger", "long"]).as_str().unwrap().len(), 900_000);
    let unknown = refused(&runner, &["trigger", "short"], 1);
    assert!(unknown.contains("registered are: crash, long"), "{unknown}");
    let crash = refused(&runner, &["trigger", "crash"], 1);
    assert!(crash.contains("ended meanwhile"), "{crash}");
    runner.wait_for("the next process", || runner.status().filter(|status| status.restarts == 1));
    wait_for_actions(&runner, &["long"]);
}

#[test]
fn a_signal_goes_to_the_main_process() {
    if !has_node() {
        return;
    }
    let source = "process.on('SIGUSR2', () => console.log('got it')); setInterval(() => {}, 1e6);
                  console.log('listens');";
    let runner = Setup::script(source).worker().start().ready();
    runner.wait_for("the handler", || runner.output("stdout").contains("listens").then_some(()));
    let (code, out, err) = ctl(&runner, &["signal", "SIGUSR2"]);
    assert_eq!((code, out), (0, format!("ok: sent to process {}", runner.app_pid())), "{err}");
    runner.wait_for("its line", || runner.output("stdout").contains("got it").then_some(()));
    assert!(refused(&runner, &["signal", "SIGNOT"], 64).contains("SIGUSR2"));
}

#[test]
fn a_heap_snapshot_and_a_processor_profile_are_files_for_the_developer_tools() {
    if !has_node() {
        return;
    }
    let source = "class Findable {} global.it = new Findable();
                  // So deep that V8 does not inline it, and its name stays.
                  function busy(depth) {
                    if (depth > 0) return busy(depth - 1);
                    for (const end = Date.now() + 5; Date.now() < end;);
                  }
                  setInterval(busy, 10, 50);";
    let runner = Setup::script(source).worker().start().ready();
    runner.wait_for("figures of the process", || runner.status()?.heap);
    let file = |answer: &Value| {
        let path = PathBuf::from(answer["path"].as_str().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(answer["bytes"], json!(text.len()));
        (path, text)
    };
    let (_, profile) = file(&answer(&runner, &["cpu-profile", "1"]));
    let profile: Value = serde_json::from_str(&profile).unwrap();
    let names: Vec<_> =
        profile["nodes"].as_array().unwrap().iter().map(|node| &node["callFrame"]["functionName"]).collect();
    let samples = profile["samples"].as_array().unwrap().len();
    assert!(names.contains(&&json!("busy")), "{samples} samples of {names:?}");
    let mut paths = vec![];
    for _ in 0..3 {
        let (path, snapshot) = file(&answer(&runner, &["heap-snapshot"]));
        assert!(snapshot.starts_with("{\"snapshot\":") && snapshot.contains("\"Findable\""));
        assert!(path.starts_with(runner.path("run/profiles")) && path.extension().unwrap() == "heapsnapshot");
        paths.push(path);
    }
    assert!(!paths[0].exists() && paths[1].exists() && paths[2].exists(), "the newest two are kept");
    assert_eq!(runner.status().unwrap().restarts, 0);
}

#[test]
fn log_files_are_opened_anew_and_emptied() {
    if !has_node() {
        return;
    }
    let source = "let n = 0; setInterval(() => console.log(`line ${n += 1}`), 20);";
    let setup = Setup::script(source).worker();
    let dir = setup.dir.path().join("logs");
    let files = json!({"dir": dir, "maxSize": 10_000_000, "retain": 3, "compress": false});
    let runner = setup.with("logFiles", files).start().ready();
    let (file, moved) = (dir.join("web-out.log"), dir.join("moved.log"));
    let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    runner.wait_for("a line", || (length(&file) > 0).then_some(()));
    std::fs::rename(&file, &moved).unwrap();
    assert_eq!(ctl(&runner, &["reopen-logs"]).0, 0);
    runner.wait_for("a line in the new file", || (length(&file) > 0).then_some(()));
    let before = std::fs::read_to_string(&moved).unwrap();
    assert!(before.starts_with("line 1\n") && before.ends_with('\n'));
    runner.wait_for("some lines", || (length(&file) > 100).then_some(()));
    let before = std::fs::read_to_string(&file).unwrap();
    let first = before.lines().next().unwrap();
    assert_eq!(ctl(&runner, &["flush"]).0, 0);
    runner.wait_for("a line after that", || (length(&file) > 0).then_some(()));
    assert!(!std::fs::read_to_string(&file).unwrap().starts_with(first));
}
