//! What the lines of an app look like, in the files and for `kubectl logs`.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use serde_json::{Value, json};
use support::{Runner, Setup, has_node};

/// Runs an app until it is ready and stops it; nothing if there is no Node.js.
fn run(source: &str, change: impl FnOnce(Setup) -> Setup) -> Option<(Runner, u32)> {
    if !has_node() {
        return None;
    }
    // Ready when all of it has gone out.
    let source = format!(
        "{source}; process.stdout.write('', () => process.send('ready')); setInterval(() => {{}}, 1e6);"
    );
    let setup = Setup::script(&source).worker().with("readiness", json!({"waitReady": true}));
    let mut runner = change(setup).start().ready();
    let pid = runner.app_pid();
    assert!(runner.stop().success());
    Some((runner, pid))
}

fn with_files(setup: Setup) -> Setup {
    let dir = setup.dir.path().join("logs");
    setup.with("logFiles", json!({"dir": dir, "maxSize": 10_000_000, "retain": 3, "compress": false}))
}

/// The app's lines on standard error, without the runner's own.
fn errors(runner: &Runner) -> String {
    let text = runner.output("stderr");
    text.split_inclusive('\n').filter(|line| !line.starts_with("nodeapp-runner: ")).collect()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn each_line_has_pm2s_date_in_the_zone_of_the_app_also_without_files() {
    let zone = "<+0530>-5:30";
    let log = json!({"dateFormat": "[at] YYYY-MM-DD HH:mm:ss.SSS Z", "timeZone": zone});
    let Some((runner, _)) =
        run("console.log('one\\ntwo'); console.error('three')", |setup| setup.with("log", log))
    else {
        return;
    };
    for (text, expected) in [(runner.output("stdout"), vec!["one", "two"]), (errors(&runner), vec!["three"])]
    {
        let lines: Vec<(&str, &str)> = text.lines().map(|line| line.rsplit_once(": ").unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), expected, "{text}");
        for (date, _) in lines {
            let form: String =
                date.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
            assert_eq!(form, "at 0000-00-00 00:00:00.000 +00:00");
            assert!(date.ends_with(" +05:30"), "{date}");
        }
    }
}

#[test]
fn merged_lines_say_of_which_pod_and_process_they_are() {
    let source = "console.log('one')";
    let tag = |setup: Setup| setup.with("log", json!({"tag": true})).var("NODEAPP_POD_NAME", "web-7d4-x");
    let Some((runner, pid)) = run(source, |setup| with_files(tag(setup))) else { return };
    assert_eq!(runner.output("stdout"), format!("web-7d4-x|{pid} | one\n"));
    assert_eq!(std::fs::read_to_string(runner.path("logs/web-out.log")).unwrap(), runner.output("stdout"));
    let (runner, pid) = run(source, |setup| setup.with("log", json!({"tag": true}))).unwrap();
    assert_eq!(runner.output("stdout"), format!("0|{pid} | one\n"), "PM2's first instance");
}

#[test]
fn each_line_is_one_json_object_and_an_apps_own_objects_keep_their_fields() {
    let own = r#"{"level":30,"n":12345678901234567890.50,"pid":1,"msg":"own","n":2}"#;
    let source = format!(
        "console.log('one\\n\"two\"'); console.error('three'); process.stdout.write({own:?} + '\\n');
         process.stdout.write(Buffer.from([0x61, 0xff, 0xc3, 0x28, 0, 0x0a]))"
    );
    let json =
        |setup: Setup| setup.with("log", json!({"format": "json"})).var("NODEAPP_POD_NAME", "web-7d4-x");
    let Some((runner, pid)) = run(&source, |setup| with_files(json(setup))) else { return };
    let text = runner.output("stdout");
    let seen = objects(&text);
    let messages: Vec<_> = seen.iter().map(|line| line.get("message").and_then(Value::as_str)).collect();
    assert_eq!(messages, [Some("one"), Some("\"two\""), None, Some("a\u{fffd}\u{fffd}(\0")]);
    let keys: Vec<&str> = text.lines().next().unwrap().split('"').skip(1).step_by(2).collect();
    assert_eq!(keys[..2], ["message", "one"], "{text}");
    let expected = json!({"message": "one", "type": "out", "process_id": 0, "app_name": "web", "pid": pid,
                          "instance": "web-7d4-x", "stream": "stdout"});
    let mut first = seen[0].clone();
    let time = first.as_object_mut().unwrap().remove("timestamp").unwrap();
    assert_eq!(first, expected);
    assert_eq!((time.as_str().unwrap().len(), time.as_str().unwrap().ends_with('Z')), (24, true), "{time}");
    let third = text.lines().nth(2).unwrap();
    assert!(third.starts_with(&format!("{},\"timestamp\":", &own[..own.len() - 1])), "{third}");
    assert!(
        third.ends_with("\"app_name\":\"web\",\"instance\":\"web-7d4-x\",\"stream\":\"stdout\"}"),
        "{third}"
    );
    let error = &objects(&errors(&runner))[0];
    assert_eq!((error["type"].as_str(), error["stream"].as_str()), (Some("err"), Some("stderr")));
    assert_eq!(std::fs::read_to_string(runner.path("logs/web-out.log")).unwrap(), text);
}

#[test]
fn plain_output_goes_through_byte_by_byte_also_where_it_is_no_text() {
    let source = "for (let i = 0; i < 2000; i++) process.stdout.write(Buffer.from(Array.from({length: 256},
                    (_, byte) => byte)));
                  process.stdout.write('\\n')";
    let Some((runner, _)) = run(source, with_files) else { return };
    let mut expected: Vec<u8> = (0..2_000).flat_map(|_| 0..=255_u8).collect();
    expected.push(b'\n');
    assert!(std::fs::read(runner.path("logs/web-out.log")).unwrap() == expected);
    assert!(std::fs::read(runner.path("stdout")).unwrap() == expected, "kubectl logs shows the same");
}

#[test]
fn a_line_of_ten_megabytes_is_a_row_of_json_objects() {
    let source = "process.stdout.write('ä'.repeat(5e6) + '\\nnext\\n')";
    let json = |setup: Setup| setup.with("log", json!({"format": "json"}));
    let Some((runner, _)) = run(source, json) else { return };
    let seen = objects(&runner.output("stdout"));
    let (last, pieces) = seen.split_last().unwrap();
    assert!(last["message"] == "next", "the last one has {} bytes", last.to_string().len());
    let text: String = pieces.iter().map(|piece| piece["message"].as_str().unwrap()).collect();
    assert!(text == "ä".repeat(5_000_000), "{} bytes", text.len());
    let (end, before) = pieces.split_last().unwrap();
    assert!(!before.is_empty() && before.iter().all(|piece| piece["partial"] == true));
    assert!(end.get("partial").is_none());
}

#[test]
fn streams_go_into_the_files_that_they_are_to_have() {
    let files = |setup: Setup| {
        let dir = setup.dir.path().join("logs");
        let own = setup.dir.path().join("other/folder/both.log");
        setup.with(
            "logFiles",
            json!({"dir": dir, "maxSize": 10_000_000, "retain": 3, "compress": false,
                   "outFile": "/dev/null", "errorFile": "my/errors.txt", "logFile": own}),
        )
    };
    let Some((runner, _)) = run("console.log('one'); console.error('two')", files) else { return };
    let read = |name: &str| std::fs::read_to_string(runner.path(name)).unwrap();
    assert_eq!(read("logs/my/errors.txt"), "two\n");
    let both = read("other/folder/both.log");
    assert!(both == "one\ntwo\n" || both == "two\none\n", "{both}");
    assert_eq!(std::fs::read_dir(runner.path("logs")).unwrap().count(), 1, "no file for standard output");
    assert_eq!(runner.output("stdout"), "one\n");
}
