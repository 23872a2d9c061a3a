//! The steps that decide are plain functions: no client, no clock, no
//! environment, no waiting. A text scan, but it keeps the rule from eroding.

use std::path::{Path, PathBuf};

use anyhow::Result;

const PURE: [&str; 6] = [
    "crd",
    "controller/validate",
    "controller/desired",
    "controller/status",
    "controller/names.rs",
    "controller/compare.rs",
];
const IMPURE: [&str; 7] = ["Client", "Api<", "async ", ".await", "::now()", "std::env", "tokio"];

fn sources(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        sources(&entry?.path(), found)?;
    }
    Ok(())
}

/// Whether the line has this word, and not only as the start of a longer name.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let next = line[at + word.len()..].chars().next();
        let open = word.ends_with(|c: char| c.is_alphanumeric());
        !(open && next.is_some_and(|c| c.is_alphanumeric() || c == '_'))
    })
}

#[test]
fn a_longer_name_is_no_side_effect() {
    assert!(!says("assert!(start.awaits_nodes)", ".await"));
    assert!(says("start.await?", ".await"));
    assert!(says("let pods: Api<Pod> = ...", "Api<"));
}

#[test]
fn steps_that_decide_have_no_side_effects() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for path in PURE {
        sources(&root.join(path), &mut files)?;
    }
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for (number, line) in code.enumerate() {
            for word in IMPURE {
                assert!(
                    !says(line, word),
                    "{}, code line {}: `{word}` in: {line}",
                    file.display(),
                    number + 1
                );
            }
        }
    }
    Ok(())
}
