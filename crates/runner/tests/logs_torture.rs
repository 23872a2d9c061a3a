//! Log files and `kubectl logs` when disk, reader or app behave badly.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support::{Runner, Setup, has_node, wait_for};

/// An app that writes a line per millisecond, and says in the line how many there were.
const TICKING: &str = "let i = 0; setInterval(() => console.log('line ' + i++), 1); process.send('ready');";

fn files(setup: Setup, dir: &Path, more: &serde_json::Value) -> Setup {
    let mut files = json!({"dir": dir, "maxSize": 10_000_000, "retain": 3, "compress": false});
    for (name, value) in more.as_object().unwrap() {
        files[name] = value.clone();
    }
    setup.worker().with("readiness", json!({"waitReady": true})).with("logFiles", files)
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

fn rss(runner: &Runner) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runner.pid())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().split(' ').next().unwrap().parse().unwrap()
}

/// A file system of one megabyte, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: no right to mount a small disk; run as root to have this test");
        }
        mounted.then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_lines_in_the_file_alone_and_heals() {
    if !has_node() {
        return;
    }
    let source = "const pad = 'x'.repeat(1000); let i = 0;
                  setInterval(() => { for (let n = 0; n < 20; n++) console.log(`line ${i++} ${pad}`); }, 5);
                  process.send('ready');";
    let setup = Setup::script(source);
    let logs = setup.dir.path().join("small");
    let Some(disk) = SmallDisk::mount(&logs) else { return };
    std::fs::write(logs.join("ballast"), vec![0; 500_000]).unwrap();
    let mut runner = files(setup, &logs, &json!({})).start().ready();
    runner
        .wait_for("the disk to be full", || runner.output("stderr").contains("No space left").then_some(()));
    std::fs::remove_file(logs.join("ballast")).unwrap();
    runner.wait_for("the file to be written again", || {
        runner.output("stderr").contains("bytes are missing").then_some(())
    });
    assert!(runner.stop().success());
    let shown = runner.output("stdout");
    let numbers = shown.lines().map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap());
    assert!(numbers.enumerate().all(|(at, number)| at == number), "kubectl logs has each line");
    let kept = std::fs::read_to_string(logs.join("web-out.log")).unwrap();
    let broken: Vec<&str> = kept.lines().filter(|line| !line.ends_with(&"x".repeat(1_000))).collect();
    assert!(broken.len() <= 1, "only the line that met the end of the disk: {broken:?}");
    assert!(kept.lines().all(|line| count(line, "line ") <= 1), "nothing is glued to it");
    drop(disk);
}

#[test]
fn a_file_that_takes_nothing_is_told_once_and_kubectl_logs_goes_on() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(TICKING);
    let logs = setup.dir.path().join("logs");
    let mut runner = files(setup, &logs, &json!({"outFile": "/dev/full"})).start().ready();
    runner.wait_for("lines after several attempts", || {
        runner.output("stdout").contains("line 2500\n").then_some(())
    });
    assert!(runner.stop().success());
    let told = runner.output("stderr");
    assert_eq!(count(&told, "/dev/full cannot be written: No space left on device"), 1, "{told}");
}

#[test]
fn a_folder_that_cannot_be_made_is_told_once_per_file_and_kubectl_logs_goes_on() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(TICKING);
    let wall = setup.dir.path().join("wall");
    std::fs::write(&wall, "a file where a folder should be").unwrap();
    let mut runner = files(setup, &wall.join("logs"), &json!({})).start().ready();
    runner.wait_for("lines after several attempts", || {
        runner.output("stdout").contains("line 2500\n").then_some(())
    });
    // Mended: the lines go there from then on.
    std::fs::remove_file(&wall).unwrap();
    let file = wall.join("logs/web-out.log");
    runner.wait_for("the file", || std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
    assert!(runner.stop().success());
    let told = runner.output("stderr");
    assert_eq!(count(&told, "web-out.log cannot be written: Not a directory"), 1, "{told}");
}

#[test]
fn a_slow_reader_gets_every_line_dressed_once() {
    if !has_node() {
        return;
    }
    let source = "let text = ''; for (let i = 0; i < 20000; i++) text += `${i}\\n`;
                  process.stdout.write(text, () => process.send('ready')); setInterval(() => {}, 1e6);";
    let setup = Setup::script(source).with("log", json!({"format": "json"}));
    let logs = setup.dir.path().join("logs");
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut runner = files(setup, &logs, &json!({})).start_with_stdout(writer.into());
    let slow = std::thread::spawn(move || {
        let (mut text, mut piece) = (vec![], [0; 1_500]);
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                n => text.extend_from_slice(&piece[..n]),
            }
            std::thread::yield_now();
        }
    });
    runner.wait_ready();
    runner.wait_for("all lines in the file", || {
        let text = std::fs::read_to_string(logs.join("web-out.log")).ok()?;
        (text.lines().count() == 20_000).then_some(())
    });
    assert!(runner.stop().success());
    let text = slow.join().unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 20_000);
    assert!(lines.iter().enumerate().all(|(at, line)| line["message"].as_str() == Some(&at.to_string())));
    assert!(text == std::fs::read_to_string(logs.join("web-out.log")).unwrap());
}

#[test]
fn empty_lines_that_nobody_reads_as_json_take_bounded_memory_and_none_is_lost() {
    if !has_node() {
        return;
    }
    let source = "process.stdout.write('\\n'.repeat(200000), () => process.send('ready'));
                  setInterval(() => {}, 1e6);";
    let setup = Setup::script(source).with("log", json!({"format": "json"}));
    let logs = setup.dir.path().join("logs");
    let more = json!({"maxSize": 100_000_000});
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut runner = files(setup, &logs, &more).start_with_stdout(writer.into());
    runner.wait_ready();
    runner.wait_for("a file, while nobody reads", || {
        std::fs::metadata(logs.join("web-out.log")).ok().filter(|data| data.len() > 100_000)
    });
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    runner.wait_for("all lines in the file", || {
        let text = std::fs::read_to_string(logs.join("web-out.log")).ok()?;
        (text.lines().count() == 200_000).then_some(())
    });
    let most = rss(&runner);
    assert!(most < 9_000, "the runner needed {most} kB");
    assert!(runner.stop().success());
    assert_eq!(rest.join().unwrap().lines().count(), 200_000);
}

#[test]
fn megabytes_without_an_end_of_line_take_bounded_memory() {
    if !has_node() {
        return;
    }
    for format in ["raw", "json"] {
        let source = "let left = 300; const piece = 'ab\"ä'.repeat(20000);
                      const go = () => left-- ? process.stdout.write(piece, go) : process.send('ready');
                      go(); setInterval(() => {}, 1e6);";
        let setup = Setup::script(source).with("log", json!({"format": format, "dateFormat": "ss"}));
        let logs = setup.dir.path().join("logs");
        let more = json!({"maxSize": 5_000_000, "retain": 2});
        let runner = files(setup, &logs, &more).start().ready();
        let most = rss(&runner);
        assert!(most < 8_000, "{format}: the runner needed {most} kB");
    }
}

#[test]
fn what_children_write_after_the_end_of_the_main_process_is_kept() {
    if !has_node() {
        return;
    }
    // The child takes its time with the signal; the main process ends at once.
    let source = "require('node:child_process').spawn('sh', ['-c',
                    `trap 'while kill -0 ${process.ppid} 2>/dev/null && [ -d /proc/${process.pid} ] &&
                       ! grep -q \"State:.Z\" /proc/${process.pid}/status; do :; done; echo late; exit' INT;
                     echo up; while :; do read x < ${__dirname}/never; done`], {stdio: 'inherit'});
                  process.on('SIGINT', () => process.exit(0)); process.send('ready');";
    let setup = Setup::script(source);
    let never = setup.dir.path().join("never");
    assert!(Command::new("mkfifo").arg(&never).status().unwrap().success());
    let logs = setup.dir.path().join("logs");
    let mut runner = files(setup, &logs, &json!({})).start().ready();
    runner.wait_for("the child", || runner.output("stdout").contains("up").then_some(()));
    runner.stop();
    assert_eq!(runner.output("stdout"), "up\nlate\n");
    assert_eq!(std::fs::read_to_string(logs.join("web-out.log")).unwrap(), "up\nlate\n");
}

#[test]
fn files_that_somebody_renames_are_opened_anew_at_sigusr2() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(TICKING);
    let logs = setup.dir.path().join("logs");
    let mut runner = files(setup, &logs, &json!({})).start().ready();
    let (current, moved) = (logs.join("web-out.log"), logs.join("moved"));
    runner.wait_for("lines", || std::fs::metadata(&current).ok().filter(|data| data.len() > 0));
    std::fs::rename(&current, &moved).unwrap();
    Runner::kill(runner.pid(), "USR2");
    runner.wait_for("the new file", || std::fs::metadata(&current).ok().filter(|data| data.len() > 0));
    assert!(runner.stop().success());
    let all = [moved, current].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    assert!(all == runner.output("stdout"), "no line is lost or doubled");
}

#[test]
fn rotation_goes_on_while_a_large_file_is_being_compressed() {
    if !has_node() {
        return;
    }
    let setup = Setup::script("");
    let logs = setup.dir.path().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    // One whose compression lasts as long as the test wants it to.
    let endless = logs.join("web-out__2020-01-01_00-00-00.log");
    assert!(Command::new("mkfifo").arg(&endless).status().unwrap().success());
    let source = "for (let i = 0; i < 5000; i++) console.log('line ' + i);
                  process.stdout.write('', () => process.send('ready')); setInterval(() => {}, 1e6);";
    std::fs::write(setup.dir.path().join("app.js"), source).unwrap();
    let mut runner =
        files(setup, &logs, &json!({"maxSize": 5_000, "retain": 50, "compress": true})).start().ready();
    let mut plug = wait_for("the compression to have begun", || {
        std::fs::OpenOptions::new().write(true).open(&endless).ok()
    });
    plug.write_all(b"an old line\n").unwrap();
    let plain = |ending: &str| {
        let names = std::fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(ending)).count()
    };
    assert!(plain(".log") >= 8, "rotated, and waiting for their compression");
    drop(plug);
    runner.wait_for("all to be compressed", || (plain(".log") == 2).then_some(()));
    assert!(runner.stop().success());
    assert!(plain(".log.gz") >= 8);
    assert_eq!(runner.output("stdout").lines().count(), 5_000);
}
