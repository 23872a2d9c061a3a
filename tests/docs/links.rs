//! Links within the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use nodeapp_manual::Page;

use crate::{nothing_of, pages, repository};

/// Where a link of a page leads, from the top of the repository; nowhere if it leaves it.
fn resolve(page: &str, target: &str) -> Option<PathBuf> {
    let mut path = Path::new(page).parent()?.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir if path.pop() => {}
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}

/// What is wrong with a link, if anything is.
fn problem(page: &Page, target: &str, anchors: &BTreeMap<PathBuf, BTreeSet<String>>) -> Option<&'static str> {
    if target.contains("://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = if file.is_empty() { Some(PathBuf::from(&page.path)) } else { resolve(&page.path, file) };
    let Some(file) = file.filter(|file| repository().join(file).is_file()) else {
        return Some("there is no such file");
    };
    let anchor = anchor?;
    let known = anchors.get(&file).is_some_and(|known| known.contains(anchor));
    (!known).then_some("that page has no such heading")
}

#[test]
fn every_link_of_the_manuals_leads_to_a_file_and_a_heading_that_exist() {
    let pages = pages();
    let anchors = pages.iter().map(|page| (PathBuf::from(&page.path), page.anchors())).collect();
    let mut wrong = Vec::new();
    let mut links = 0;
    for page in &pages {
        for link in page.links() {
            links += 1;
            if let Some(problem) = problem(page, &link.target, &anchors) {
                wrong.push(format!("{}:{}: {}: {problem}", page.path, link.line, link.target));
            }
        }
    }
    assert!(links > 200, "only {links} links were found");
    nothing_of(&wrong, "links that lead nowhere");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = Page { path: "docs/a.md".to_owned(), text: "# Here".to_owned() };
    let anchors = BTreeMap::from([(PathBuf::from("docs/README.md"), BTreeSet::from(["here".to_owned()]))]);
    for good in ["README.md#here", "../README.md", "https://example.com/x#y"] {
        assert_eq!(problem(&page, good, &anchors), None, "{good}");
    }
    for bad in ["README.md#there", "no-such.md", "../../etc/hosts", "/etc/hosts", "dev"] {
        assert!(problem(&page, bad, &anchors).is_some(), "{bad}");
    }
}
