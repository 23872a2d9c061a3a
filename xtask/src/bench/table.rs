//! The table in `docs/benchmarks.md`.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use super::machine::Machine;
use crate::paths;

const END: &str = "<!-- to here -->";

/// What a command measures, and beside what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// The command's last word.
    pub(crate) command: &'static str,
    /// Heads of the two columns with figures.
    pub(crate) ours: &'static str,
    pub(crate) beside: &'static str,
}

impl Subject {
    fn begin(self) -> String {
        format!("<!-- written by `cargo xtask bench {}` from here -->", self.command)
    }
}

/// A row of a command, as the page says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    /// As on the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What was done.
    pub(crate) how: &'static str,
}

/// What a line compares with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) beside: String,
    pub(crate) ratio: String,
    pub(crate) goal: String,
}

impl Line {
    /// A line without a goal.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        let none = || "–".to_owned();
        Self { what: what.into(), ours: none(), beside: none(), ratio: none(), goal: none() }
    }

    #[must_use]
    pub(crate) fn ours(mut self, text: impl Into<String>) -> Self {
        self.ours = text.into();
        self
    }

    #[must_use]
    pub(crate) fn beside(mut self, text: impl Into<String>) -> Self {
        self.beside = text.into();
        self
    }

    #[must_use]
    pub(crate) fn ratio(mut self, text: impl Into<String>) -> Self {
        self.ratio = text.into();
        self
    }

    /// What was promised, and by how much it is missed, if it is.
    #[must_use]
    pub(crate) fn goal(mut self, promise: &str, missed_by: Option<String>) -> Self {
        self.goal = match missed_by {
            None => format!("{promise}: met"),
            Some(by) => format!("{promise}: **missed by {by}**"),
        };
        self
    }
}

/// How much a value is above its limit.
pub(crate) fn above(value: f64, limit: f64, show: impl Fn(f64) -> String) -> Option<String> {
    (value > limit).then(|| show(value - limit))
}

/// A row that was run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    name: &'static str,
    title: &'static str,
    how: &'static str,
    lines: Vec<Line>,
    /// Why there are no lines.
    error: Option<String>,
}

impl Measured {
    pub(crate) fn new(topic: Topic, result: Result<Vec<Line>>) -> Self {
        let (lines, error) = match result {
            Ok(lines) => (lines, None),
            Err(error) => (vec![], Some(format!("{error:#}"))),
        };
        let Topic { name, title, how } = topic;
        Self { name, title, how, lines, error }
    }
}

/// The part between the markers.
pub(crate) fn render(
    subject: Subject,
    machine: &Machine,
    rows: &[Measured],
    options: &str,
    minutes: f64,
) -> String {
    let Subject { command, ours, beside } = subject;
    let mut text = format!(
        "`cargo xtask bench {command}{options}`, {}, commit {}, {minutes:.0} minutes.\n\
         Machine: {}, {}, Linux {}; load average before the run {}.\n\
         {}\n",
        machine.date,
        machine.commit,
        machine.cpu,
        machine.memory,
        machine.kernel,
        machine.load,
        machine.programs,
    );
    for row in rows {
        let _ = write!(text, "\n### {} (`--only {}`)\n\n{}\n\n", row.title, row.name, row.how);
        if let Some(error) = &row.error {
            let _ = writeln!(text, "Not measured: {}", error.replace('\n', " "));
            continue;
        }
        let _ = writeln!(text, "| what | {ours} | {beside} | ratio | goal |\n|---|---|---|---|---|");
        for line in &row.lines {
            let Line { what, ours, beside, ratio, goal } = line;
            let _ = writeln!(text, "| {what} | {ours} | {beside} | {ratio} | {goal} |");
        }
    }
    text
}

/// Replaces what stands between the markers.
pub(crate) fn put_into_docs(subject: Subject, text: &str) -> Result<()> {
    let path = paths::repo().join("docs/benchmarks.md");
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let page = replaced(&page, &subject.begin(), text)
        .with_context(|| format!("{} has lost its markers", path.display()))?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

fn replaced(page: &str, begin: &str, text: &str) -> Option<String> {
    let (head, rest) = page.split_once(begin)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{begin}\n\n{}\n\n{END}{tail}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let begin = Subject { command: "operator", ours: "o", beside: "b" }.begin();
        let page = format!("# Head\n<!-- other -->\nstays\n{END}\n{begin}\nold\n{END}\ntail\n");
        let page = replaced(&page, &begin, "new").expect("markers");
        let head = format!("# Head\n<!-- other -->\nstays\n{END}\n");
        assert_eq!(page, format!("{head}{begin}\n\nnew\n\n{END}\ntail\n"));
        assert_eq!(replaced("# none", &begin, "new"), None);
    }

    #[test]
    fn goal_that_is_missed_says_by_how_much() {
        let line = Line::new("x").goal("≤ 2", above(3.5, 2.0, |by| format!("{by:.1}")));
        assert_eq!(line.goal, "≤ 2: **missed by 1.5**");
        assert_eq!(Line::new("x").goal("≤ 2", above(2.0, 2.0, |by| by.to_string())).goal, "≤ 2: met");
    }
}
