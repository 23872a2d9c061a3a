//! Numbered lines, written at a steady pace while the log files rotate.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use crate::bench::ours::Setup;
use crate::bench::pm2::Pm2;
use crate::bench::rig::{Rig, wait_for};
use crate::bench::stat::{count, float, megabytes, ratio};
use crate::bench::table::Line;
use crate::sh::{self, Step};

pub(super) const HOW: &str = "One app writes numbered lines of 100 bytes, 50,000 a second. Ours rotates by size; \
pm2-logrotate looks once a second (`workerInterval` 1) and rotates whatever has come, which makes about as many \
rotations. Compression is ordered in both (`pm2 set pm2-logrotate:compress true`). All files are read at the end, and \
each number is looked for.";

const LENGTH: u64 = 100;
const PER_10_MS: u64 = 500;
const PATIENCE: Duration = Duration::from_mins(2);

/// What is in the files.
#[derive(Default)]
struct Found {
    lost: u64,
    twice: u64,
    rotated: usize,
    compressed: usize,
    bytes: u64,
}

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let lines = rig.times(400_000, 100_000);
    let ours = ours(rig, lines)?;
    step.note(&format!("ours: {}", words(&ours)));
    let theirs = pm2(rig, lines)?;
    step.note(&format!("PM2: {}", words(&theirs)));
    let bad = ours.lost + ours.twice;
    let mut missed = (bad > 0).then(|| count(bad));
    if ours.compressed < ours.rotated {
        missed = Some(format!("{} plain files", ours.rotated - ours.compressed));
    }
    let line = Line::new(format!("{} lines", count(lines)))
        .ours(words(&ours))
        .beside(words(&theirs))
        .ratio(ratio(float(ours.lost), float(theirs.lost)));
    Ok(vec![line.goal("0 lost, all compressed", missed)])
}

fn words(found: &Found) -> String {
    let twice = if found.twice > 0 { format!(", {} twice", count(found.twice)) } else { String::new() };
    format!(
        "{} lost{twice}; {} rotations, {} compressed, {} on disk",
        count(found.lost),
        found.rotated,
        found.compressed,
        megabytes(float(found.bytes))
    )
}

fn ours(rig: &Rig, lines: u64) -> Result<Found> {
    let setup = Setup::new(rig, &Rig::app("chatty.js"), None)?;
    let logs = setup.path("logs");
    // 8 rotations of what there is, and a file that is not full yet.
    let size = lines * LENGTH / 9;
    let runner = setup
        .with("logFiles", json!({"dir": logs, "maxSize": size, "retain": 100, "compress": true}))
        .env("LINES", lines)
        .env("LENGTH", LENGTH)
        .env("PER_10_MS", PER_10_MS)
        .start()?;
    runner.wait_output(lines * LENGTH, PATIENCE)?;
    wait_for("all rotated files to be compressed", PATIENCE, || {
        let names = rotated(&logs).ok()?;
        names.iter().all(|name| name.ends_with(".log.gz")).then_some(())
    })?;
    read_back(&logs, lines)
}

fn pm2(rig: &Rig, lines: u64) -> Result<Found> {
    let pm2 = Pm2::new(rig)?;
    // What `pm2 set` writes.
    let settings = json!({"pm2-logrotate": {
        "max_size": "1K", "retain": "100", "compress": "true", "workerInterval": "1", "rotateModule": "false",
    }});
    std::fs::write(pm2.path("module_conf.json"), settings.to_string())?;
    let logs = pm2.path("app-logs");
    std::fs::create_dir(&logs)?;
    pm2.start(&json!([
        {"name": "pm2-logrotate", "script": rig.module("pm2-logrotate/app.js")},
    ]))?;
    pm2.start(&json!([{
        "name": "bench", "script": Rig::app("chatty.js"), "exec_mode": "fork", "merge_logs": true,
        "out_file": logs.join("bench-out.log"), "error_file": "/dev/null",
        "env": {"LINES": lines, "LENGTH": LENGTH, "PER_10_MS": PER_10_MS},
    }]))?;
    // The last line goes the way of the others: it may be in any file, or lost.
    let mut last = 0;
    let mut still = 0;
    wait_for("the end of the output under PM2", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        let now = size(&logs);
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
        (still >= 6).then_some(())
    })?;
    read_back(&logs, lines)
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// Names of the files that are no longer written to, of standard output.
fn rotated(dir: &Path) -> Result<Vec<String>> {
    let mut names = vec![];
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.contains("-out__") {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_gzip(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "gz")
}

fn read_back(dir: &Path, lines: u64) -> Result<Found> {
    let names = rotated(dir)?;
    let compressed = names.iter().filter(|name| is_gzip(name)).count();
    let mut found = Found { rotated: names.len(), compressed, bytes: size(dir), ..Found::default() };
    let mut seen = vec![0_u32; usize::try_from(lines)?];
    for name in names.iter().map(String::as_str).chain(["bench-out.log"]) {
        let path = dir.join(name);
        let text = if is_gzip(name) {
            sh::output(Command::new("gzip").arg("-dc").arg(&path))?
        } else {
            String::from_utf8_lossy(&std::fs::read(&path)?).into_owned()
        };
        // A torn line is a lost one.
        for line in text.lines().filter(|line| line.len() as u64 == LENGTH - 1) {
            let number: Option<usize> = line.split(' ').nth(1).and_then(|number| number.parse().ok());
            if let Some(times) = number.and_then(|number| seen.get_mut(number)) {
                *times += 1;
            }
        }
    }
    found.lost = seen.iter().filter(|times| **times == 0).count() as u64;
    found.twice = seen.iter().filter(|times| **times > 1).count() as u64;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_lost_torn_or_doubled_are_told_apart() {
        let dir = tempfile::tempdir().expect("a folder");
        let line = |number: u64| format!("{:x<width$}\n", format!("line {number} "), width = 99);
        let text = line(0) + &line(1) + "line 2 torn\n" + &line(1);
        std::fs::write(dir.path().join("bench-out.log"), text).expect("write");
        std::fs::write(dir.path().join("bench-out__1.log"), line(4)).expect("write");
        let found = read_back(dir.path(), 5).expect("readable");
        assert_eq!((found.lost, found.twice, found.rotated, found.compressed), (2, 1, 1, 0));
    }
}
