//! For code hosts: SARIF 2.1.0.

use std::fmt::Write;
use std::path::{Component, Path};

use serde_json::{Value, json};

use crate::finding::{Finding, Findings, Note, Place};
use crate::rules::RULES;

/// One run, with all rules and every finding; what comments accept is there as suppressed.
pub fn sarif(findings: &Findings) -> String {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": format!("{}: {}.", rule.title, rule.why)},
                "help": {"text": format!("Instead: {}.", rule.instead)},
                "defaultConfiguration": {"level": rule.severity.name()},
            })
        })
        .collect();
    let open = findings.findings.iter().map(result);
    let accepted = findings.suppressed.iter().map(|it| {
        let mut result = result(&it.finding);
        result["suppressions"] = json!([{"kind": "inSource", "justification": it.reason}]);
        result
    });
    let notifications: Vec<Value> = findings.notes.iter().map(notification).collect();
    let value = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kubectl-nodeapp audit",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": notifications}],
            "results": open.chain(accepted).collect::<Vec<_>>(),
        }],
    });
    format!("{value:#}\n")
}

fn result(finding: &Finding) -> Value {
    let index = RULES.iter().position(|rule| rule.id == finding.rule);
    let text = format!("{}. Why: {}. Instead: {}.", finding.message, finding.why, finding.instead);
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": finding.severity.name(),
        "message": {"text": text},
        "locations": [location(&finding.place)],
    });
    if !finding.related.is_empty() {
        let related = finding.related.iter().map(|it| {
            let mut place = location(&it.place);
            place["message"] = json!({"text": it.message});
            place
        });
        result["relatedLocations"] = related.collect();
    }
    result
}

fn location(place: &Place) -> Value {
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(&place.file)},
        "region": {"startLine": place.line, "startColumn": place.column},
    }})
}

fn notification(note: &Note) -> Value {
    let mut physical = json!({"artifactLocation": {"uri": uri(&note.file)}});
    if let Some(line) = note.line {
        physical["region"] = json!({"startLine": line});
    }
    json!({"level": "note", "message": {"text": note.message}, "locations": [{"physicalLocation": physical}]})
}

/// A relative reference stays relative, so that a code host finds the file; bytes that a URI must not have are escaped.
fn uri(path: &Path) -> String {
    let mut uri = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::ParentDir => Some("..".to_owned()),
        _ => None,
    });
    for (number, name) in names.enumerate() {
        if number > 0 || path.is_absolute() {
            uri.push('/');
        }
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~@+,".contains(&byte) {
                uri.push(char::from(byte));
            } else {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}
