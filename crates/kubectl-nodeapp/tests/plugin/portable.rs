//! The plugin is for Linux, macOS and Windows. Where no compiler for the others is at hand, their most frequent
//! obstacle is looked for in the source: what only one of them has, used without saying so.

use std::path::{Path, PathBuf};

/// Folders with what is compiled into the plugin.
const SOURCES: [&str; 5] =
    ["src", "crates/audit/src", "crates/contract/src", "crates/ecosystem/src", "crates/kubectl-nodeapp/src"];
/// What is not everywhere.
const UNIX: [&str; 6] = ["os::unix", "os::linux", "os::fd", "signal::unix", "rustix::", "libc::"];
/// Lines above in which a condition may stand.
const NEAR: usize = 4;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// Tests of this repository run on Linux.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn what_only_unix_has_stands_under_a_condition() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in SOURCES {
        files(&root.join(folder), &mut found);
    }
    assert!(found.len() > 100, "the sources have moved");
    let (mut uses, mut bare) = (0, Vec::new());
    for path in found.iter().filter(|path| !is_test(path)) {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if !UNIX.iter().any(|word| line.contains(word)) {
                continue;
            }
            uses += 1;
            let near = &lines[at.saturating_sub(NEAR)..at];
            if !near.iter().any(|line| line.contains("#[cfg(unix)]") || line.contains("target_os")) {
                bare.push(format!("{}:{}: {}", path.display(), at + 1, line.trim()));
            }
        }
    }
    assert!(uses > 0, "nothing was looked at");
    assert!(bare.is_empty(), "not on Windows:\n{}", bare.join("\n"));
}
