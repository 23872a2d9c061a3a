//! Follows the links of a site that lies in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{is_relative, resolve};

/// Pages whose links count from where the site is served, which is nobody's knowledge here.
const UNPLACED: [&str; 2] = ["404.html", "toc.html"];

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pages: usize,
    pub(super) links: usize,
    /// Page and target of each link that leads nowhere.
    pub(super) broken: Vec<String>,
}

/// Looks at each link that stays within the site.
pub(super) fn look(site: &Path) -> Result<Found> {
    let mut files = BTreeMap::new();
    read(site, "", &mut files)?;
    let mut found = Found::default();
    for (page, text) in &files {
        let Some(text) = text.as_ref().filter(|_| !UNPLACED.contains(&page.as_str())) else { continue };
        found.pages += 1;
        for target in attributes(text, "href").into_iter().chain(attributes(text, "src")) {
            if !is_relative(target) || target.starts_with("data:") {
                continue;
            }
            found.links += 1;
            if !leads_somewhere(page, target, &files) {
                found.broken.push(format!("{page}: {target}"));
            }
        }
    }
    Ok(found)
}

/// All files below a folder, by their paths from there; of pages with what is in them.
fn read(folder: &Path, path: &str, files: &mut BTreeMap<String, Option<String>>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &path, files)?;
        } else {
            let is_page = entry.path().extension().is_some_and(|extension| extension == "html");
            let text = is_page.then(|| fs::read_to_string(entry.path())).transpose()?;
            files.insert(path, text);
        }
    }
    Ok(())
}

fn leads_somewhere(page: &str, target: &str, files: &BTreeMap<String, Option<String>>) -> bool {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let file = if path.is_empty() { page.to_owned() } else { resolve(page, path) };
    match (files.get(&file), anchor) {
        (None, _) => false,
        (Some(_), None | Some("")) => true,
        (Some(text), Some(anchor)) => {
            let ids: BTreeSet<_> =
                attributes(text.as_deref().unwrap_or_default(), "id").into_iter().collect();
            ids.contains(anchor)
        }
    }
}

/// The values of an attribute.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!(" {name}=\"");
    let values = html.split(begin.as_str()).skip(1).filter_map(|rest| rest.split_once('"'));
    values.map(|(value, _)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_missing_files_and_anchors_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("can be made");
            fs::write(file, text).expect("can be written");
        };
        write("a.css", "");
        write("404.html", "<a href=\"/nowhere.html\">");
        write("in/b.html", "<h1 id=\"here\"><a href=\"#there\"> <img src=\"../no.svg\">");
        write(
            "index.html",
            "<a href=\"in/b.html#here\"> <a href=\"in/b.html#x\"> <link href=\"a.css\"> <a href=\"https://x/\">",
        );
        let found = look(folder.path()).expect("a site");
        assert_eq!((found.pages, found.links), (2, 5));
        assert_eq!(found.broken, ["in/b.html: #there", "in/b.html: ../no.svg", "index.html: in/b.html#x"]);
    }
}
