//! Runs programs with progress a person can follow: one line per step, output only when it fails.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::paths;

/// How long a step runs before it says that it still does, and how often it repeats that.
const STILL_RUNNING: Duration = Duration::from_secs(15);
const TAIL_LINES: usize = 25;

/// A step of work on the terminal. Says what begins, and what it took when it is finished.
pub(crate) struct Step {
    name: String,
    started: Instant,
}

impl Step {
    /// Announces the step. Nothing else prints until it ends, so the name is a line of its own.
    pub(crate) fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        say(&format!("• {name}"));
        Self { name, started: Instant::now() }
    }

    /// Says what has been reached inside of the step: `  … note (1.2 s)`.
    pub(crate) fn note(&self, note: &str) {
        say(&format!("  … {note} ({})", seconds(self.started.elapsed())));
    }

    /// Ends the step: `✓ name (1.2 s)`.
    pub(crate) fn done(self) {
        say(&format!("✓ {} ({})", self.name, seconds(self.started.elapsed())));
    }

    /// Ends the step with a word on the outcome: `✓ name: note (1.2 s)`.
    pub(crate) fn done_with(self, note: &str) {
        say(&format!("✓ {}: {note} ({})", self.name, seconds(self.started.elapsed())));
    }
}

/// Prints one progress line on stderr; stdout belongs to results.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    // A closed terminal is no reason to stop half-way.
    let _ = writeln!(stderr, "{line}");
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f32())
}

/// Runs a program as a step of its own. Its output goes to `target/nodeapp/log/<step>.log`; the end of that file
/// is shown when the program fails, and the last line of it when it takes long.
pub(crate) fn run(step: &str, command: &mut Command) -> Result<()> {
    let announced = Step::start(step);
    run_quiet(step, command)?;
    announced.done();
    Ok(())
}

/// Like [`run`] without the lines at start and end.
pub(crate) fn run_quiet(step: &str, command: &mut Command) -> Result<()> {
    let log = log_path(step)?;
    // It may be root's, from a time when this was.
    let _ = std::fs::remove_file(&log);
    let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| cannot_start(command))?;
    let started = Instant::now();
    let mut reported = Duration::ZERO;
    let mut pause = Duration::from_millis(2);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
        if started.elapsed() >= reported + STILL_RUNNING {
            reported = started.elapsed();
            let line = tail(&log, 1);
            say(&format!("  … {step}: still running after {:.0} s  {}", reported.as_secs_f32(), line.trim()));
        }
    };
    if status.success() {
        return Ok(());
    }
    bail!(
        "{step} failed ({}): {}\n{}\n(all of it: {})",
        ended(status),
        line_of(command),
        tail(&log, TAIL_LINES),
        log.display()
    )
}

/// Runs a program with the terminal left to it, for tests and shells whose output is the point.
pub(crate) fn run_shown(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("{} ended with {}", line_of(command), ended(status));
    }
    Ok(())
}

/// Runs a program and gives its standard output; standard error becomes part of the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}: {}",
            line_of(command),
            ended(output.status),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first place on PATH (and in the sbin folders, which ordinary users lack on theirs) with this program.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The last lines of a file, as far as it can be read.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    let text = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Where the output of a step goes.
pub(crate) fn log_path(step: &str) -> Result<PathBuf> {
    let dir = paths::output().join("log");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let name: String =
        step.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    Ok(dir.join(format!("{}.log", name.trim_matches('-'))))
}

fn cannot_start(command: &Command) -> String {
    format!(
        "cannot start {}; `cargo xtask deps` says what is missing",
        command.get_program().to_string_lossy()
    )
}

fn line_of(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn ended(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_program_shows_the_end_of_its_output() {
        let error =
            run_quiet("unit failing", Command::new("sh").args(["-c", "echo first; echo last >&2; exit 3"]))
                .expect_err("the program fails")
                .to_string();
        assert!(error.contains("exit code 3") && error.contains("last"), "{error}");
    }

    #[test]
    fn missing_program_points_to_deps() {
        let error =
            run_quiet("unit missing", &mut Command::new("no-such-program-here")).expect_err("not there");
        assert!(format!("{error:#}").contains("cargo xtask deps"), "{error:#}");
    }
}
