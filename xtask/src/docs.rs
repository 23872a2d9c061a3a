//! `cargo xtask docs`: the site of the manuals, made by mdBook of what lies in `docs/`.
//!
//! Manuals link to files of the repository, such as examples. These are copied into the site, since it may be
//! served anywhere. At the end each link of the site is followed, as far as it stays within the site.

mod cli;
mod site;

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nodeapp_manual::Page;

use crate::{cache, paths, sh};

/// Folder of the site for files that are no part of the manuals.
const REPOSITORY: &str = "repository";
/// The table of contents of the site.
const CONTENTS: &str = "docs/SUMMARY.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder for the site; target/nodeapp/site if none
    #[arg(long)]
    to: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> Result<()> {
    let mdbook = cache::mdbook()?;
    let book = paths::output().join("book");
    if book.exists() {
        fs::remove_dir_all(&book)?;
    }
    stage(paths::repo(), &book)?;
    cli::fill_in(&book)?;
    let site = args.to.clone().unwrap_or_else(|| paths::output().join("site"));
    let site = std::path::absolute(site)?;
    sh::run("mdbook build", Command::new(mdbook).arg("build").arg(&book).arg("--dest-dir").arg(&site))?;
    let found = site::look(&site)?;
    if !found.broken.is_empty() {
        bail!("links of the site that lead nowhere:\n{}", found.broken.join("\n"));
    }
    println!("{}", site.join("index.html").display());
    println!("{} pages, {} links within the site, none of them broken", found.pages, found.links);
    Ok(())
}

/// Copies the manuals, with the files that they link to.
fn stage(repository: &Path, book: &Path) -> Result<()> {
    copy(&repository.join("book.toml"), &book.join("book.toml"))?;
    copy_folder(&repository.join("docs"), &book.join("docs"))?;
    let pages = nodeapp_manual::pages(repository)?;
    // The table of contents names the files themselves.
    for page in pages.iter().filter(|page| page.path.starts_with("docs/") && page.path != CONTENTS) {
        let (text, linked) = with_links_inside(page);
        fs::write(book.join(&page.path), text)?;
        for (file, copied) in linked {
            copy(&repository.join(file), &book.join("docs").join(copied))?;
        }
    }
    Ok(())
}

/// The page with links to copies in place of those that lead out of the manuals, and these files with their copies.
fn with_links_inside(page: &Page) -> (String, Vec<(String, String)>) {
    let mut text = page.text.clone();
    let mut linked = Vec::new();
    for link in page.links().into_iter().rev().filter(|link| is_relative(&link.target)) {
        let target = link.target.split('#').next().unwrap_or_default();
        let file = resolve(&page.path, target);
        if file.starts_with("docs/") {
            // mdBook makes an index of each README, and changes no link to it.
            text.replace_range(link.at, &link.target.replace("README.md", "index.md"));
        } else if !target.is_empty() {
            let copied = copy_of(&file);
            let up = "../".repeat(page.path.matches('/').count() - 1);
            text.replace_range(link.at, &format!("{up}{copied}"));
            linked.push((file, copied));
        }
    }
    (text, linked)
}

/// Where the copy of a file lies. A page gets another name, or mdBook takes it for one of its own.
fn copy_of(file: &str) -> String {
    match file.strip_suffix(".md") {
        Some(page) => format!("{REPOSITORY}/{page}.txt"),
        None => format!("{REPOSITORY}/{file}"),
    }
}

/// Whether a link leads to a file, and not to another host.
fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

/// Where a link of a page leads, from the top.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.extend(name.to_str()),
            _ => {}
        }
    }
    parts.join("/")
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_folder(&entry.path(), &to)? } else { copy(&entry.path(), &to)? }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_manuals_lead_to_copies() {
        let text = "[a](../../examples/a.yaml) [b](../b.md#x) [c](https://c/) [d](../../D.md) [e](#e) [f](../README.md)";
        let page = Page { path: "docs/dev/page.md".to_owned(), text: text.to_owned() };
        let (text, linked) = with_links_inside(&page);
        assert_eq!(
            text,
            "[a](../repository/examples/a.yaml) [b](../b.md#x) [c](https://c/) [d](../repository/D.txt) [e](#e) [f](../index.md)"
        );
        let copies: Vec<_> = linked.iter().map(|(_, copy)| copy.as_str()).collect();
        assert_eq!(copies, ["repository/D.txt", "repository/examples/a.yaml"]);
    }
}
