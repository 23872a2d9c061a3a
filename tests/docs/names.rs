//! Tests and files that the manuals name are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{code, nothing_of, page, pages, repository};

/// Names of all test functions of the repository.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["src", "crates", "tests", "xtask"] {
        add_tests(&repository().join(folder), &mut found);
    }
    found
}

fn add_tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            add_tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tests_of(&fs::read_to_string(&path).expect("source is text"), found);
        }
    }
}

/// The functions behind an attribute of a test. Between the two there may be other attributes and comments.
fn tests_of(source: &str, found: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        let name = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ");
        if let Some(name) = name {
            if is_test {
                found.extend(name.split(['(', '<']).next().map(str::to_owned));
            }
            is_test = false;
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        }
    }
}

#[test]
fn every_line_of_the_checklist_names_tests_that_exist() {
    let tests = tests();
    assert!(tests.len() > 1000, "{}", tests.len());
    let checklist = page("docs/checklist.md");
    let mut wrong = Vec::new();
    let mut rows = 0;
    for heading in checklist.headings() {
        for row in checklist.rows(heading) {
            rows += 1;
            let names: Vec<_> = row.last().map(|cell| code(cell).collect()).unwrap_or_default();
            if names.is_empty() || row.len() != 3 {
                wrong.push(format!("{row:?}: no test"));
            }
            let missing = names.into_iter().filter(|name| !tests.contains(*name));
            wrong.extend(missing.map(|name| format!("{}: no test {name}", row[0])));
        }
    }
    // The article's checklist alone has eleven.
    assert!(rows >= 70, "{rows} rows");
    assert_eq!(checklist.rows("Production checklist").len(), 12);
    nothing_of(&wrong, "docs/checklist.md");
}

#[test]
fn every_fault_names_tests_that_exist() {
    let tests = tests();
    let mut wrong = Vec::new();
    for row in page("docs/dev/faults.md").rows("What may go wrong, and the test that shows it") {
        // `…_x_…` is short for a name that contains it.
        let is_there = |name: &str| match name.trim_matches('…') {
            whole if whole == name => tests.contains(name),
            part => tests.iter().any(|test| test.contains(part)),
        };
        let missing = code(&row[2]).filter(|name| !is_there(name));
        wrong.extend(missing.map(str::to_owned));
    }
    nothing_of(&wrong, "tests of docs/dev/faults.md that there are not");
}

/// Every block of commands on the pages that people begin with says what runs it: a test, or a file that does.
#[test]
fn commands_of_the_first_pages_are_run() {
    let tests = tests();
    let mut wrong = Vec::new();
    let first = ["README.md", "docs/first-nodeapp.md", "docs/moving.md"];
    for page in pages() {
        for block in page.blocks() {
            let by = block.comment.as_deref().and_then(|comment| comment.strip_prefix("run by: "));
            let place = format!("{}:{}", page.path, block.line);
            match by {
                None if first.contains(&page.path.as_str()) && block.language == "console" => {
                    wrong.push(format!("{place}: no `<!-- run by: … -->` before it"));
                }
                None => {}
                Some(by) => {
                    let missing =
                        by.split(", ").filter(|by| !tests.contains(*by) && !repository().join(by).is_file());
                    wrong.extend(missing.map(|by| format!("{place}: neither a test nor a file: {by}")));
                }
            }
        }
    }
    nothing_of(&wrong, "commands that nothing runs");
}

/// The first words of a path in the repository.
const TOPS: [&str; 12] = [
    "src/",
    "crates/",
    "tests/",
    "xtask/",
    "docs/",
    "examples/",
    "charts/",
    "manifests/",
    "hack/",
    "bench/",
    ".ci/",
    ".github/",
];

#[test]
fn every_file_that_the_source_maps_name_is_there() {
    let mut wrong = Vec::new();
    let mut found = 0;
    for path in ["docs/architecture.md", "docs/exit-codes.md", "CONTRIBUTING.md", "README.md"] {
        for (line, span) in page(path).spans() {
            if TOPS.iter().any(|top| span.starts_with(top)) && !span.contains([' ', '*', '…']) {
                found += 1;
                if !repository().join(span).exists() {
                    wrong.push(format!("{path}:{line}: {span}"));
                }
            }
        }
    }
    assert!(found > 60, "{found} paths");
    nothing_of(&wrong, "paths that there are not");
}

#[test]
fn tests_are_told_from_other_functions() {
    let source = "fn helper() {}\n#[test]\nfn one() {}\n#[tokio::test(start_paused = true)]\n// why\n#[cfg(unix)]\n    \
                  async fn two<T>() {}\nfn three() {}";
    let mut found = BTreeSet::new();
    tests_of(source, &mut found);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["one", "two"]);
}
