//! Every page can be found by who does not know its name.

use std::collections::{BTreeMap, BTreeSet};

use crate::{nothing_of, page, pages};

/// The pages below `docs/` that a page there links to.
fn linked_by(path: &str) -> BTreeSet<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let targets = page(path).links().into_iter().map(|link| link.target);
    targets.map(|target| format!("{folder}/{}", target.split('#').next().unwrap_or_default())).collect()
}

fn manuals() -> Vec<String> {
    pages().into_iter().map(|page| page.path).filter(|path| path.starts_with("docs/")).collect()
}

#[test]
fn every_page_is_in_the_table_of_contents_of_the_site() {
    let listed = linked_by("docs/SUMMARY.md");
    let missing: Vec<_> = manuals()
        .into_iter()
        .filter(|path| path != "docs/SUMMARY.md" && !listed.contains(path))
        .map(|path| format!("- [Title]({})", path.trim_start_matches("docs/")))
        .collect();
    nothing_of(&missing, "give these a line in docs/SUMMARY.md, or the site leaves them out");
}

#[test]
fn every_page_is_in_the_list_of_its_folder() {
    let mut lists: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let top = linked_by("docs/README.md");
    let mut missing = Vec::new();
    for path in manuals() {
        let (folder, name) = path.rsplit_once('/').expect("pages lie in folders");
        let list = format!("{folder}/README.md");
        if name == "README.md" && folder != "docs" && !top.contains(&path) {
            missing.push(format!("docs/README.md: {path}"));
        }
        if name == "README.md" || name == "SUMMARY.md" || top.contains(&path) {
            continue;
        }
        let has_list = manuals().contains(&list);
        let listed = has_list.then(|| lists.entry(list.clone()).or_insert_with(|| linked_by(&list)));
        if !listed.is_some_and(|listed| listed.contains(&path)) {
            missing.push(format!("{}: {path}", if has_list { &list } else { "docs/README.md" }));
        }
    }
    nothing_of(&missing, "pages without a line in the list of their folder");
}

#[test]
fn pictures_are_text_since_neither_the_site_nor_a_terminal_draws_them() {
    let drawn =
        pages().into_iter().filter(|page| page.blocks().iter().any(|block| block.language == "mermaid"));
    nothing_of(&drawn.map(|page| page.path).collect::<Vec<_>>(), "write ```text instead of ```mermaid in");
}
