//! The checklist on a screen, and for programs.

use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::Checked;
use super::line::{Line, Verdict};
use crate::table::{Colour, Screen};

/// Where the words begin, behind the verdict and the name of the check.
const INDENT: usize = 6;

pub(super) fn json(checked: &[Checked]) -> String {
    let apps = checked.iter().map(|app| {
        let worst = app.lines.iter().map(|line| line.verdict).max().unwrap_or(Verdict::Pass);
        json!({"namespace": app.namespace, "name": app.name, "verdict": worst, "lines": app.lines})
    });
    let all = json!({"version": 1, "apps": apps.collect::<Vec<_>>()});
    format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default())
}

pub(super) fn text(checked: &[Checked], screen: Screen) -> String {
    let all: Vec<String> = checked.iter().map(|app| one(app, screen)).collect();
    all.join("\n")
}

fn one(app: &Checked, screen: Screen) -> String {
    let mut text = format!("{} in namespace {}\n", app.name, app.namespace);
    for line in &app.lines {
        text.push_str(&told(line, screen));
    }
    let count = |verdict| app.lines.iter().filter(|line| line.verdict == verdict).count();
    let (pass, warn, fail) = (count(Verdict::Pass), count(Verdict::Warn), count(Verdict::Fail));
    text + &format!("{pass} pass, {warn} warn, {fail} fail\n")
}

fn told(line: &Line, screen: Screen) -> String {
    let colour = match line.verdict {
        Verdict::Pass => Colour::Green,
        Verdict::Warn => Colour::Yellow,
        Verdict::Fail => Colour::Red,
    };
    let verdict = screen.paint(colour, line.verdict.name());
    let colon = if line.command.is_some() { ":" } else { "" };
    let words = wrapped(&format!("{}: {}{colon}", line.check, line.message), screen.width, INDENT);
    // The command is never broken: it is to be copied.
    let command = line.command.as_ref().map(|command| format!("{:INDENT$}{command}\n", ""));
    format!("{verdict}  {words}\n{}", command.unwrap_or_default())
}

/// Words in lines of at most `width` columns, all but the first line indented; a word that is longer stays whole.
fn wrapped(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(room) = width.map(|width| width.saturating_sub(indent).max(10)) else { return text.to_owned() };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked() -> Vec<Checked> {
        let lines = vec![
            Line::pass("heap", "it fits"),
            Line::warn(
                "mergedLogs",
                "nobody can tell whose lines they are",
                "kubectl patch nodeapp shop".to_owned(),
            ),
        ];
        vec![Checked { namespace: "web".to_owned(), name: "shop".to_owned(), lines }]
    }

    #[test]
    fn a_pipe_gets_plain_lines_each_command_on_its_own() {
        let expected = "shop in namespace web\n\
                        pass  heap: it fits\n\
                        warn  mergedLogs: nobody can tell whose lines they are:\n      \
                        kubectl patch nodeapp shop\n\
                        1 pass, 1 warn, 0 fail\n";
        assert_eq!(text(&checked(), Screen { width: None, colour: false }), expected);
    }

    #[test]
    fn on_forty_columns_words_are_wrapped_and_commands_stay_whole() {
        let told = text(&checked(), Screen { width: Some(40), colour: false });
        let words = told.lines().filter(|line| !line.contains("kubectl"));
        assert!(words.clone().all(|line| line.width() <= 40), "{told}");
        assert!(
            told.contains("\n      lines they are:\n") && told.contains("kubectl patch nodeapp shop\n"),
            "{told}"
        );
    }

    #[test]
    fn programs_get_the_worst_verdict_and_all_lines() {
        let value: serde_json::Value = serde_json::from_str(&json(&checked())).expect("JSON");
        let app = &value["apps"][0];
        assert_eq!((app["name"].as_str(), app["verdict"].as_str()), (Some("shop"), Some("warn")));
        assert_eq!(app["lines"][0], json!({"check": "heap", "verdict": "pass", "message": "it fits"}));
        assert_eq!(app["lines"][1]["command"], "kubectl patch nodeapp shop");
    }
}
