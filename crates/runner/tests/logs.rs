//! Log files: nothing is lost over rotations.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::io::Read;
use std::process::Command;

use serde_json::json;
use support::{Runner, Setup, has_node};

/// Lines of the chatty app.
const MANY: usize = 400_000;
/// Lines of an app whose output nobody reads at first: more than pipes hold.
const BLOCKED: usize = 400_000;

/// Rotated files of one stream from the oldest to the newest.
fn names(runner: &Runner, stem: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(runner.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.starts_with(&format!("{stem}__")));
    names.sort();
    names
}

/// Files of one stream from the oldest to the one in use, as one text.
fn all(runner: &Runner, stem: &str) -> (String, usize) {
    let dir = runner.path("logs");
    let names = names(runner, stem);
    let rotated = names.len();
    let mut text = String::new();
    for name in names.iter().chain([&format!("{stem}.log")]) {
        let path = dir.join(name);
        let bytes = if path.extension().is_some_and(|extension| extension == "gz") {
            Command::new("gzip").args(["-dc"]).arg(&path).output().unwrap().stdout
        } else {
            std::fs::read(&path).unwrap()
        };
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    (text, rotated)
}

fn lines(all: impl Iterator<Item = String>) -> String {
    all.flat_map(|line| [line, "\n".to_owned()]).collect()
}

fn with_logs(setup: Setup, max_size: u64, retain: u32, compress: bool) -> Setup {
    let dir = setup.dir.path().join("logs");
    setup.with("logFiles", json!({"dir": dir, "maxSize": max_size, "retain": retain, "compress": compress}))
}

#[test]
fn a_chatty_apps_logs_rotate_and_lose_no_line() {
    if !has_node() {
        return;
    }
    let source = format!(
        "let i = 0;
         const go = () => {{
           while (i < {MANY}) {{
             const more = process.stdout.write(`line ${{i}} ${{'x'.repeat(i % 90)}}\\n`);
             if (i % 10 === 0) process.stderr.write(`error ${{i}}\\n`);
             i++;
             if (!more) return void process.stdout.once('drain', go);
           }}
           process.send('ready');
         }};
         go(); setInterval(() => {{}}, 1e6);"
    );
    let setup = Setup::script(&source).worker().with("readiness", json!({"waitReady": true}));
    let mut runner = with_logs(setup, 2_000_000, 50, true).start().ready();
    // In the background, and the end of the runner does not wait for it.
    let zipped = runner.wait_for("all rotated files to be compressed", || {
        let names = names(&runner, "web-out");
        names.iter().all(|name| name.ends_with(".log.gz")).then_some(names)
    });
    assert!(runner.stop().success());

    let expected = lines((0..MANY).map(|i| format!("line {i} {}", "x".repeat(i % 90))));
    let (text, rotated) = all(&runner, "web-out");
    assert!(rotated >= 8, "only {rotated} rotations");
    assert!(text == expected, "{} bytes of {}", text.len(), expected.len());
    let errors = lines((0..MANY).step_by(10).map(|i| format!("error {i}")));
    assert!(all(&runner, "web-error").0 == errors);
    assert!(runner.output("stdout") == expected, "kubectl logs shows the same");
    assert_eq!(zipped.len(), rotated, "{zipped:?}");
}

#[test]
fn only_as_many_files_as_told_are_kept() {
    if !has_node() {
        return;
    }
    let source = "for (let i = 0; i < 20000; i++) console.log('a line of some length, number ' + i);
                  process.send('ready'); setInterval(() => {}, 1e6);";
    let setup = Setup::script(source).worker().with("readiness", json!({"waitReady": true}));
    let logs = setup.dir.path().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let foreign = logs.join("my-web-out__2000-01-01_00-00-00.log");
    std::fs::write(&foreign, "of another app").unwrap();
    let mut runner = with_logs(setup, 50_000, 3, false).start().ready();
    assert!(runner.stop().success());
    let (text, rotated) = all(&runner, "web-out");
    assert_eq!(rotated, 3);
    assert!(text.ends_with("number 19999\n"), "the newest are kept");
    assert!(foreign.exists());
}

#[test]
fn the_last_words_of_a_crash_are_kept_and_a_line_is_never_cut() {
    if !has_node() {
        return;
    }
    let source =
        "process.stdout.write('no end of line'); process.stderr.write('the reason'); process.exit(1);";
    let setup =
        Setup::script(source).worker().with("restart", json!({"maxRestarts": 1, "minUptime": 20_000}));
    let runner = with_logs(setup, 10_000, 3, false).start();
    runner.wait_for("the end", || runner.status()?.last_exit);
    assert_eq!(all(&runner, "web-out").0, "no end of line\n");
    assert_eq!(all(&runner, "web-error").0, "the reason\n");
    assert!(runner.output("stderr").contains("\nthe reason\n"), "{}", runner.output("stderr"));
}

#[test]
fn nobody_reading_the_containers_output_stops_the_app_and_not_the_runner() {
    if !has_node() {
        return;
    }
    let source = format!(
        "let text = ''; for (let i = 0; i < {BLOCKED}; i++) text += 'line ' + i + '\\n';
         require('node:fs').writeSync(1, 'first\\n'); process.stdout.write(text, () => process.send('ready'));
         setInterval(() => {{}}, 1e6);"
    );
    let setup = Setup::script(&source).worker().with("readiness", json!({"waitReady": true}));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut runner = with_logs(setup, 10_000_000, 3, false).start_with_stdout(writer.into());
    runner.wait_for("the endpoint, while the output is full", || {
        runner.page("/live").filter(|_| !all(&runner, "web-out").0.is_empty())
    });
    assert!(!runner.status().unwrap().ready);
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    runner.wait_ready();
    assert!(runner.stop().success());
    let text = rest.join().unwrap();
    assert_eq!(text.lines().count(), BLOCKED + 1);
    assert_eq!(text, all(&runner, "web-out").0);
}

#[test]
fn the_last_words_reach_the_files_also_while_nobody_reads_the_containers_output() {
    if !has_node() {
        return;
    }
    let source = "const { writeSync } = require('node:fs');
                  for (let i = 0; i < 5000; i++) writeSync(1, `${i} ${'x'.repeat(99)}\\n`);
                  writeSync(2, 'the reason\\n');
                  process.exit(1);";
    let setup =
        Setup::script(source).worker().with("restart", json!({"maxRestarts": 1, "minUptime": 20_000}));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut runner = with_logs(setup, 10_000_000, 3, false).start_with_stdout(writer.into());
    runner.wait_for("the end", || runner.status()?.last_exit);
    let expected = lines((0..5000).map(|i| format!("{i} {}", "x".repeat(99))));
    let (text, _) = all(&runner, "web-out");
    assert!(text == expected, "{} bytes of {}", text.len(), expected.len());
    assert_eq!(all(&runner, "web-error").0, "the reason\n");
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    assert!(runner.stop().success());
    assert!(rest.join().unwrap() == expected, "kubectl logs gets them as soon as somebody reads");
}

#[test]
fn a_line_of_ten_megabytes_goes_through_whole() {
    if !has_node() {
        return;
    }
    let source = "process.stdout.write('x'.repeat(10e6) + '\\nnext\\n', () => process.send('ready'));
                  setInterval(() => {}, 1e6);";
    let setup = Setup::script(source).worker().with("readiness", json!({"waitReady": true}));
    let mut runner = with_logs(setup, 100_000_000, 3, false).start().ready();
    let rss = std::fs::read_to_string(format!("/proc/{}/status", runner.pid())).unwrap();
    let rss: u64 = rss
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(rss < 8_000, "the runner needed {rss} kB");
    assert!(runner.stop().success());
    let (text, _) = all(&runner, "web-out");
    assert!(text.len() == 10_000_006 && text.ends_with("x\nnext\n"), "{} bytes", text.len());
}
