//! Words and figures that stand in the manuals and somewhere else.

use std::collections::BTreeSet;
use std::fs;

use nodeapp_operator::crd::ConditionType;

use crate::{code, nothing_of, page, repository};

fn source(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The first cells of the tables below a heading of the page on Events.
fn told(heading: &str) -> BTreeSet<String> {
    let rows = page("docs/events.md").rows(heading);
    rows.iter().flat_map(|row| code(&row[0]).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The variants of an enum, in this source.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).expect("the enum is there");
    let (body, _) = rest.split_once("\n}").expect("it ends");
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.map(|line| line.trim_end_matches(',').to_owned()).collect()
}

#[test]
fn every_condition_and_reason_is_explained_and_no_other() {
    let types: BTreeSet<_> = ConditionType::ALL.iter().map(|type_| type_.name().to_owned()).collect();
    assert_eq!(told("Conditions"), types);
    assert_eq!(told("Reasons"), variants(&source("src/crd/conditions.rs"), "Reason"));
}

#[test]
fn every_event_is_explained() {
    let events = source("src/controller/events.rs");
    let (code, _) = events.split_once("#[cfg(test)]").expect("tests at its end");
    let one_word = |text: &&str| text.len() > 3 && text.chars().all(|letter| letter.is_ascii_alphabetic());
    let words = code.split('"').skip(1).step_by(2).filter(one_word);
    let words = words.filter(|text| text.starts_with(|letter: char| letter.is_ascii_uppercase()));
    // Words of the API of Events and of conditions.
    let own =
        words.filter(|word| !["Warning", "Normal", "Reconcile", "Completed", "True", "False"].contains(word));
    let mut expected: BTreeSet<_> = own.map(str::to_owned).collect();
    assert!(expected.contains("Reverted") && expected.contains("ScheduledRestartSkipped"), "{expected:?}");
    expected.extend(variants(&source("crates/contract/src/status.rs"), "ExitReason"));
    assert_eq!(told("Events"), expected);
}

#[test]
fn every_exit_code_of_the_runner_is_told() {
    let codes = source("crates/contract/src/exit.rs");
    let pages = [page("docs/exit-codes.md").text, page("docs/runner.md").text];
    let numbers = codes.lines().filter_map(|line| line.trim().split_once(" = ")?.1.strip_suffix(','));
    let numbers: Vec<_> = numbers.collect();
    assert!(numbers.contains(&"64") && numbers.contains(&"78"), "{numbers:?}");
    for number in numbers {
        assert!(pages.iter().any(|page| page.contains(number)), "no page has exit code {number}");
    }
}

/// A figure is measured once; whoever repeats it has it from there.
#[test]
fn sizes_are_those_of_the_benchmarks() {
    let benchmarks = page("docs/benchmarks.md").text;
    let rows = page("docs/operations.md").rows("Sizing");
    assert!(rows.len() > 5, "{rows:?}");
    let stale = rows.iter().filter(|row| !benchmarks.contains(&row[1]));
    let stale: Vec<_> = stale.map(|row| format!("{}: {}", row[0], row[1])).collect();
    nothing_of(&stale, "figures in docs/operations.md that docs/benchmarks.md no longer has");
}
