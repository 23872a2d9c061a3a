//! Comments that accept findings.

use nodeapp_audit::audit_source;

const HANDLER: &str = "app.get('/', (req, res) => { seen[req.ip] = 1; res.end(); });\n";

#[test]
fn comment_before_a_line_accepts_one_rule_with_its_reason() {
    let source = format!(
        "// nodeapp-audit-ignore-next-line module-state -- a copy each is fine\nconst seen = {{}};\n{HANDLER}"
    );
    let findings = audit_source("a.js", &source).unwrap();
    assert_eq!(findings.findings, []);
    let [accepted] = findings.suppressed.as_slice() else { panic!("{:?}", findings.suppressed) };
    assert_eq!((accepted.finding.rule, accepted.reason.as_str()), ("module-state", "a copy each is fine"));
    assert_eq!(findings.notes, []);
}

#[test]
fn comment_for_another_rule_or_line_accepts_nothing() {
    let other = format!("// nodeapp-audit-ignore-next-line local-file -- no\nconst seen = {{}};\n{HANDLER}");
    assert_eq!(audit_source("a.js", &other).unwrap().findings.len(), 1);
    let far =
        format!("// nodeapp-audit-ignore-next-line module-state -- no\n\nconst seen = {{}};\n{HANDLER}");
    assert_eq!(audit_source("a.js", &far).unwrap().findings.len(), 1);
}

#[test]
fn comment_for_a_file_accepts_several_rules() {
    let source = format!(
        "/* nodeapp-audit-ignore-file module-state, fixed-port -- a tool */\nconst seen = {{}};\n{HANDLER}\
                          process.on('SIGINT', stop);\napp.listen(80);\n"
    );
    let findings = audit_source("a.js", &source).unwrap();
    assert_eq!((findings.findings.len(), findings.suppressed.len()), (0, 2));
}

#[test]
fn rule_that_does_not_exist_is_told() {
    let findings = audit_source("a.js", "// nodeapp-audit-ignore-file module-stat -- typing\n1;\n").unwrap();
    let [note] = findings.notes.as_slice() else { panic!("{:?}", findings.notes) };
    assert_eq!(note.line, Some(1));
    assert!(
        note.message.contains("no rule `module-stat`") && note.message.contains("module-state"),
        "{}",
        note.message
    );
    let bare = audit_source("a.js", "// nodeapp-audit-ignore-file\n1;\n").unwrap();
    assert!(bare.notes[0].message.contains("accepts nothing"));
}
