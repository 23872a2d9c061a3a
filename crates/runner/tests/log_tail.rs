//! The last lines of a process: who gets them, and what is never in them.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use serde_json::json;
use support::{Setup, has_node};

const SECRET: &str = "p4ss-of-the-database";
/// Tells its secret, in one write, in pieces and on standard output, and crashes.
const CRASHES: &str = "
    console.log('on standard output: ' + process.env.DB_URL);
    console.error('first line');
    process.stderr.write('half of it: p4ss-of-');
    process.stderr.write('the-database\\n');
    console.error(`token ${process.env.API_TOKEN}, level ${process.env.LOG_LEVEL}`);
    throw new Error('no access with ' + process.env.DB_URL);";

fn setup(tail: &serde_json::Value) -> Setup {
    let mut setup =
        Setup::script(CRASHES).with("logTail", tail.clone()).with("preload", json!({"enabled": false}));
    setup.config["restart"] = json!({"maxRestarts": 0, "minUptime": 60_000, "erroredRetry": 0});
    let vars = [("DB_URL", SECRET), ("API_TOKEN", "t0ken"), ("LOG_LEVEL", "debug")];
    setup.vars.extend(vars.map(|(name, value)| (name.into(), value.into())));
    setup
}

#[test]
fn the_last_lines_of_a_crash_are_told_to_who_knows_the_key_and_without_credentials() {
    if !has_node() {
        return;
    }
    let tail = json!({"key": "u1", "secrets": ["DB_URL"]});
    let runner = setup(&tail).start();
    let told = runner.wait_for("the last lines", || {
        let (code, body) = runner.page("/last-exit/u1")?;
        (code == 200 && body != "null\n").then_some(body)
    });
    let exit: nodeapp_contract::LastExit = serde_json::from_str(&told).unwrap();
    let lines = exit.log_tail.join("\n");
    assert!(lines.contains("Error: no access with ***"), "{lines}");
    assert!(lines.contains("half of it: ***") || !lines.contains("half of it"), "{lines}");
    assert_eq!(exit.code, Some(1));
    assert!(lines.len() <= 2_048 && exit.log_tail.len() <= 10, "{lines}");
    assert_eq!(runner.termination(), exit, "the kubelet is told the same");
    let state = std::fs::read_to_string(runner.path("run").join("state.json")).unwrap_or_default();
    for (what, text) in [("page", told), ("state", state)] {
        assert!(!text.contains(SECRET) && !text.contains("t0ken"), "{what}: {text}");
    }
    // Everyone may ask for these.
    for path in ["/status", "/metrics", "/last-exit/u2", "/last-exit/", "/last-exit"] {
        let (_, body) = runner.page(path).unwrap();
        assert!(!body.contains("no access"), "{path}: {body}");
    }
    // The app's own output is as it was.
    assert!(runner.output("stderr").contains(&format!("half of it: {SECRET}")));
    assert!(runner.output("stdout").contains(&format!("on standard output: {SECRET}")));
}

#[test]
fn without_a_word_about_it_no_line_is_kept() {
    if !has_node() {
        return;
    }
    let mut setup = setup(&json!(null));
    setup.config.as_object_mut().unwrap().remove("logTail");
    let runner = setup.start();
    let exit = runner.wait_for("the end", || runner.status()?.last_exit);
    assert_eq!((exit.code, exit.log_tail.len()), (Some(1), 0));
    assert!(runner.termination().log_tail.is_empty());
    assert_eq!(runner.page("/last-exit/").unwrap().0, 404);
}
