//! `kubectl nodeapp audit` as CI runs it: what it prints, where, and with which exit code.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const STATE: &str = "const seen = {};\napp.get('/', (req, res) => { seen[req.ip] = 1; res.end(); });\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Exit code, standard output and standard error.
fn audit(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-nodeapp"));
    let output = command.arg("audit").args(args).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn finding_is_printed_and_ends_with_1() {
    let folder = folder(&[("app.js", STATE)]);
    let (code, out, err) = audit(folder.path(), &[]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert!(out.starts_with("./app.js:1:7: warning: `seen`, an object in memory"), "{out}");
    assert!(out.ends_with("1 file: 0 errors, 1 warning, 0 notes\n"), "{out}");
}

#[test]
fn ci_chooses_the_level_that_fails() {
    let folder = folder(&[("app.js", STATE)]);
    assert_eq!(audit(folder.path(), &["--fail-on", "error"]).0, Some(0));
    assert_eq!(audit(folder.path(), &["--fail-on", "never"]).0, Some(0));
    assert_eq!(audit(folder.path(), &["--fail-on", "note"]).0, Some(1));
}

#[test]
fn clean_code_ends_with_0() {
    let folder = folder(&[("app.js", "const config = require('./config');\n")]);
    let (code, out, _) = audit(folder.path(), &["."]);
    assert_eq!((code, out.as_str()), (Some(0), "1 file: 0 errors, 0 warnings, 0 notes\n"));
}

#[test]
fn what_cannot_be_read_ends_with_2_and_says_what_to_do() {
    let folder = folder(&[("README.md", "text")]);
    let (code, out, err) = audit(folder.path(), &["missing"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("missing") && err.contains("give a folder or a file that exists"), "{err}");
    let (code, _, err) = audit(folder.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("no JavaScript or TypeScript below ."), "{err}");
}

#[test]
fn sarif_goes_to_a_file() {
    let folder = folder(&[("app.js", STATE)]);
    let (code, out, _) = audit(folder.path(), &["--format", "sarif", "-o", "audit.sarif"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let sarif = fs::read_to_string(folder.path().join("audit.sarif")).unwrap();
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "app.js");
}

#[test]
fn rules_are_listed() {
    let folder = folder(&[]);
    let (code, out, _) = audit(folder.path(), &["--rules"]);
    assert_eq!(code, Some(0));
    assert!(out.lines().count() >= 12 && out.contains("memory-session   error"), "{out}");
}
