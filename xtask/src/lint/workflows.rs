//! The workflows of GitHub Actions under actionlint's eyes: they run nowhere but there.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{cache, paths, sh};

const FOLDER: &str = ".github/workflows";

/// actionlint has nothing to say, and every action of others is pinned by its commit.
pub(super) fn check() -> Result<()> {
    let step = sh::Step::start("workflows");
    let folder = paths::repo().join(FOLDER);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {FOLDER}"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut lint = Command::new(cache::actionlint()?);
    // What it would find by other programs depends on whether these are there.
    let found = lint.args(["-no-color", "-shellcheck=", "-pyflakes="]).args(&files).output()?;
    ensure!(
        found.status.success(),
        "{}{}",
        String::from_utf8_lossy(&found.stdout),
        String::from_utf8_lossy(&found.stderr)
    );
    for file in &files {
        let text = std::fs::read_to_string(file)?;
        let loose = unpinned(&text);
        ensure!(loose.is_empty(), "{}: pin by commit, with the version behind it: {loose:?}", file.display());
    }
    step.done_with(&format!("{} files", files.len()));
    Ok(())
}

/// Actions that a tag names, which whoever owns it can move.
fn unpinned(workflow: &str) -> Vec<&str> {
    let uses =
        workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
    uses.filter(|action| {
        let commit =
            action.split_once('@').map_or("", |(_, rest)| rest.split(' ').next().unwrap_or_default());
        let pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        !(action.starts_with("./") || pinned && action.contains(" # v"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_named_by_a_tag_is_found() {
        let good = "a/b@0123456789012345678901234567890123456789 # v1";
        let text = format!("  - uses: {good}\n    uses: ./own\n  - uses: c/d@v2\n");
        assert_eq!(unpinned(&text), ["c/d@v2"]);
    }
}
