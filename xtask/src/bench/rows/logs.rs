//! CPU time of the supervisor while an app writes as fast as it can.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bench::ours::Setup;
use crate::bench::pm2::Pm2;
use crate::bench::proc;
use crate::bench::rig::{Rig, wait_for};
use crate::bench::stat::{count, median, ratio, seconds};
use crate::bench::table::{Line, above};
use crate::sh::Step;

pub(super) const HOW: &str = "User and system time of the supervisor alone, from before the app starts until its last \
line is in the file, the median of the runs. PM2's daemon in fork mode writes the files; the runner writes the files \
and a copy to the container's output, a pipe that is read. Ours is JSON per line; PM2's is one object per piece that it \
read. Without log files and format the app has the container's output itself, and the runner no part in it.";

const LENGTH: u64 = 206;
const DATE: &str = "YYYY-MM-DD HH:mm:ss";
const PATIENCE: Duration = Duration::from_mins(2);
const SHARE: f64 = 0.2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Date,
    Json,
}

pub(super) fn run(rig: &Rig, step: &Step) -> Result<Vec<Line>> {
    let lines = rig.times(500_000, 100_000);
    let runs = rig.times(3, 1);
    let mut table = vec![];
    for form in [Form::Raw, Form::Date, Form::Json] {
        let (mut ours, mut theirs) = (vec![], vec![]);
        let mut problem = None;
        for _ in 0..runs {
            theirs.push(pm2(rig, form, lines)?);
            match self::ours(rig, form, lines) {
                Ok(time) => ours.push(time),
                Err(error) => problem = Some(format!("{error:#}")),
            }
        }
        let theirs = median(&seconds(&theirs));
        let line = Line::new(format!("{form:?}, {} lines", count(lines))).beside(format!("{theirs:.2} s"));
        let line = if let Some(problem) = problem {
            line.ours(format!("not measured: {problem}"))
        } else {
            let ours = median(&seconds(&ours));
            let missed = above(ours, theirs * SHARE, |by| format!("{by:.2} s"));
            line.ours(format!("{ours:.2} s")).ratio(ratio(ours, theirs)).goal("≤ 0.20×", missed)
        };
        step.note(&format!("{form:?}: ours {}, PM2 {}", line.ours, line.beside));
        table.push(line);
    }
    let bare = inherited(rig, lines)?;
    table.push(Line::new("no log files, raw: the default").ours(format!("{:.2} s", bare.as_secs_f64())));
    Ok(table)
}

fn ours(rig: &Rig, form: Form, lines: u64) -> Result<Duration> {
    let setup = Setup::new(rig, &Rig::app("chatty.js"), None)?;
    let logs = setup.path("logs");
    let format = match form {
        Form::Raw => json!({}),
        Form::Date => json!({"dateFormat": DATE}),
        Form::Json => json!({"format": "json"}),
    };
    let runner = setup
        .with("logFiles", json!({"dir": logs, "maxSize": 1_u64 << 40, "retain": 1, "compress": false}))
        .with("log", format)
        .env("LINES", lines)
        .env("LENGTH", LENGTH)
        .start()?;
    let file = logs.join("bench-out.log");
    wait_done(&file)?;
    runner.wait_output(std::fs::metadata(&file)?.len(), PATIENCE)?;
    let time = proc::cpu(runner.pid())?;
    check(&file, form)?;
    Ok(time)
}

fn inherited(rig: &Rig, lines: u64) -> Result<Duration> {
    let setup = Setup::new(rig, &Rig::app("chatty.js"), None)?.env("LINES", lines).env("LENGTH", LENGTH);
    let runner = setup.start()?;
    runner.wait_output(lines * LENGTH, PATIENCE)?;
    proc::cpu(runner.pid())
}

fn pm2(rig: &Rig, form: Form, lines: u64) -> Result<Duration> {
    let pm2 = Pm2::new(rig)?;
    let file = pm2.path("bench-out.log");
    let mut app = json!({
        "name": "bench", "script": Rig::app("chatty.js"), "exec_mode": "fork", "merge_logs": true, "out_file": file,
        "error_file": "/dev/null", "env": {"LINES": lines, "LENGTH": LENGTH},
    });
    match form {
        Form::Raw => {}
        Form::Date => app["log_date_format"] = DATE.into(),
        Form::Json => app["log_type"] = "json".into(),
    }
    // The daemon's own start does not count.
    pm2.run(&["ping", "--silent"])?;
    let daemon = wait_for("PM2's daemon", PATIENCE, || pm2.daemon().ok())?;
    std::thread::sleep(Duration::from_millis(500));
    let before = proc::cpu(daemon)?;
    pm2.start(&json!([app]))?;
    wait_done(&file)?;
    Ok(proc::cpu(daemon)?.saturating_sub(before))
}

/// Waits until the app's last line is at the end of the file.
fn wait_done(file: &Path) -> Result<()> {
    wait_for("the app's last line in its log file", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(20));
        let mut file = std::fs::File::open(file).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(300))).ok()?;
        let mut end = String::new();
        file.read_to_string(&mut end).ok()?;
        end.contains("done").then_some(())
    })
}

/// Whether the lines have the form that was asked for: the time for something else says nothing.
fn check(file: &Path, form: Form) -> Result<()> {
    let mut begin = vec![0_u8; 64 * 1024];
    let length = std::fs::File::open(file)?.read(&mut begin)?;
    let text = String::from_utf8_lossy(&begin[..length]);
    let first = text.lines().next().context("no line")?;
    let fits = match form {
        Form::Raw => first.starts_with("line 0 "),
        Form::Date => first.starts_with("20") && first.contains("line 0 "),
        Form::Json => serde_json::from_str::<Value>(first)
            .is_ok_and(|line| line["message"].as_str().is_some_and(|message| message.starts_with("line 0 "))),
    };
    ensure!(fits, "a line in the form {form:?} looks like this: {first:.60}");
    Ok(())
}
