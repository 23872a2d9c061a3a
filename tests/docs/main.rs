//! What the manuals say is so: links lead somewhere, YAML is taken, names that they give are there.
//!
//! Command lines are held against the programs beside these: in `xtask/src/main.rs` and in
//! `crates/kubectl-nodeapp/src/manual.rs`. NodeApps are looked at by `tests/examples.rs`.

mod fields;
mod links;
mod listed;
mod names;
mod words;
mod yaml;

use std::path::Path;

use nodeapp_manual::Page;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages.
fn pages() -> Vec<Page> {
    nodeapp_manual::pages(repository()).expect("the manuals can be read")
}

/// One of them.
fn page(path: &str) -> Page {
    Page::read(repository(), path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The words in backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Fails with all that was found to be wrong.
fn nothing_of(wrong: &[String], what: &str) {
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}
