//! For people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::finding::{Finding, Findings, Note, Severity};

/// More notes of a folder than this are told together.
const MANY: usize = 3;

/// One paragraph per finding, notes after them, and a sum at the end.
pub fn text(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in &findings.findings {
        write_finding(&mut text, finding);
    }
    write_notes(&mut text, &findings.notes);
    if !findings.notes.is_empty() {
        text.push('\n');
    }
    text.push_str(&sum(findings));
    text
}

/// Many files of one folder with the same note are one line.
fn write_notes(text: &mut String, notes: &[Note]) {
    let mut groups: BTreeMap<(&Path, &str), Vec<&Note>> = BTreeMap::new();
    for note in notes {
        let folder = note.file.parent().unwrap_or(Path::new(""));
        groups.entry((folder, &note.message)).or_default().push(note);
    }
    for ((folder, message), notes) in groups {
        if notes.len() > MANY {
            let _ = writeln!(text, "{}: {message} ({} files)", folder.join("*").display(), notes.len());
            continue;
        }
        for note in notes {
            let line = note.line.map(|line| format!(":{line}")).unwrap_or_default();
            let _ = writeln!(text, "{}{line}: {message}", note.file.display());
        }
    }
}

fn write_finding(text: &mut String, finding: &Finding) {
    let place = &finding.place;
    let _ = writeln!(
        text,
        "{}:{}:{}: {}: {} [{}]",
        place.file.display(),
        place.line,
        place.column,
        finding.severity.name(),
        finding.message,
        finding.rule
    );
    for related in &finding.related {
        let at = &related.place;
        let _ = writeln!(text, "    {}:{}: {}", at.file.display(), at.line, related.message);
    }
    let _ = writeln!(text, "    why: {}", finding.why);
    let _ = writeln!(text, "    instead: {}\n", finding.instead);
}

fn sum(findings: &Findings) -> String {
    let count = |severity| findings.findings.iter().filter(|it| it.severity == severity).count();
    let plural = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let levels = Severity::ALL.iter().rev().map(|severity| plural(count(*severity), severity.name()));
    let accepted = match findings.suppressed.len() {
        0 => String::new(),
        number => format!(", {number} accepted by comments"),
    };
    format!("{}: {}{accepted}\n", plural(findings.files, "file"), levels.collect::<Vec<_>>().join(", "))
}
