//! Comments that accept a finding:
//! `// nodeapp-audit-ignore-next-line RULE -- reason` and `// nodeapp-audit-ignore-file RULE -- reason`.

use std::path::Path;

use crate::finding::{Finding, Note};
use crate::model::parsed::Parsed;

const NEXT_LINE: &str = "nodeapp-audit-ignore-next-line";
const FILE: &str = "nodeapp-audit-ignore-file";

/// What the comments of a file accept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suppressions {
    all: Vec<Suppression>,
}

#[derive(Clone, Debug)]
struct Suppression {
    rules: Vec<String>,
    /// The line that it is for; `None` for the whole file.
    line: Option<u32>,
    reason: String,
}

impl Suppressions {
    /// Reads the comments; those that do not work are told.
    pub(crate) fn read(path: &Path, parsed: &Parsed) -> (Self, Vec<Note>) {
        let mut all = vec![];
        let mut notes = vec![];
        for comment in parsed.semantic.comments() {
            let text = parsed.text(comment.content_span()).trim().trim_start_matches('*').trim();
            let at = parsed.lines.line(comment.span.start);
            let (rest, line) = match (text.strip_prefix(NEXT_LINE), text.strip_prefix(FILE)) {
                (Some(rest), _) => (rest, Some(parsed.lines.line(comment.span.end.saturating_sub(1)) + 1)),
                (_, Some(rest)) => (rest, None),
                _ => continue,
            };
            let (rules, reason) = rest.split_once("--").unwrap_or((rest, ""));
            let split = rules.split([',', ' ', '\t', '\n', '*']);
            let rules: Vec<String> = split.filter(|it| !it.is_empty()).map(ToOwned::to_owned).collect();
            if let Some(message) = problem(&rules) {
                notes.push(Note { file: path.to_owned(), line: Some(at), message });
            }
            all.push(Suppression { rules, line, reason: reason.trim().to_owned() });
        }
        (Self { all }, notes)
    }

    /// The reason, if a comment accepts this finding.
    pub(crate) fn accepts(&self, finding: &Finding) -> Option<&str> {
        let fits = |it: &&Suppression| {
            let here = it.line.is_none_or(|line| line == finding.place.line);
            here && it.rules.iter().any(|rule| rule == finding.rule)
        };
        self.all.iter().find(fits).map(|it| it.reason.as_str())
    }
}

fn problem(rules: &[String]) -> Option<String> {
    let known = || crate::rules::RULES.iter().map(|it| it.id).collect::<Vec<_>>().join(", ");
    if rules.is_empty() {
        return Some(format!("this comment accepts nothing: name the rules, one or more of {}", known()));
    }
    let unknown = rules.iter().find(|name| !crate::rules::RULES.iter().any(|it| it.id == **name))?;
    Some(format!("there is no rule `{unknown}`; the rules are {}", known()))
}
