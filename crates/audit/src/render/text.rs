//! For people.

use std::fmt::Write;

use crate::finding::{Finding, Findings, Severity};

/// One paragraph per finding, notes after them, and a sum at the end.
pub fn text(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in &findings.findings {
        write_finding(&mut text, finding);
    }
    for note in &findings.notes {
        let line = note.line.map(|line| format!(":{line}")).unwrap_or_default();
        let _ = writeln!(text, "{}{line}: {}", note.file.display(), note.message);
    }
    if !findings.notes.is_empty() {
        text.push('\n');
    }
    text.push_str(&sum(findings));
    text
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
