//! What is written, for people and programs.

use nodeapp_audit::{audit_source, render};
use serde_json::Value;

const SOURCE: &str = "// nodeapp-audit-ignore-next-line fixed-port -- inside of the mesh\nserver.listen(80);\n\
                      process.on('SIGINT', stop);\nlet hits = 0;\napp.get('/', (req, res) => { hits++; res.end(); });\n";

#[test]
fn text_says_where_what_why_and_what_instead() {
    let text = render::text(&audit_source("src/app.js", SOURCE).unwrap());
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("src/app.js:4:5: warning: `hits`, a number in memory, is changed by requests [module-counter]")
    );
    assert_eq!(lines.next(), Some("    src/app.js:5: changed here, in a function without a name: a route"));
    assert!(lines.next().unwrap().starts_with("    why: each instance counts for itself"), "{text}");
    assert!(lines.next().unwrap().starts_with("    instead: count with INCR in Redis"), "{text}");
    assert!(text.ends_with("1 file: 0 errors, 1 warning, 0 notes, 1 accepted by comments\n"), "{text}");
}

#[test]
fn json_has_all_of_it() {
    let json: Value =
        serde_json::from_str(&render::json(&audit_source("src/app.js", SOURCE).unwrap())).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["findings"][0]["rule"], "module-counter");
    assert_eq!(json["findings"][0]["line"], 4);
    assert_eq!(json["findings"][0]["column"], 5);
    assert_eq!(json["suppressed"][0]["reason"], "inside of the mesh");
}

#[test]
fn sarif_is_what_code_hosts_read() {
    let findings = audit_source("src/my app.js", SOURCE).unwrap();
    let sarif: Value = serde_json::from_str(&render::sarif(&findings)).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), nodeapp_audit::RULES.len());
    let result = &run["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], result["ruleId"]);
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/my%20app.js");
    assert_eq!(place["region"]["startLine"], 4);
    assert_eq!(result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"], 5);
    let accepted = &run["results"][1];
    assert_eq!(accepted["suppressions"][0]["kind"], "inSource");
    assert_eq!(accepted["suppressions"][0]["justification"], "inside of the mesh");
}
