//! The page with the help of every verb of the plugin. It is made with the site, so it is never older than that.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{paths, sh};

/// The page, and what stands where the help belongs.
const PAGE: &str = "docs/cli.md";
const MARK: &str = "<!-- help of every verb -->\n";

/// Puts the help into the page of the book.
pub(super) fn fill_in(book: &Path) -> Result<()> {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(paths::repo()).args(["build", "--package", "kubectl-nodeapp"]);
    sh::run("build kubectl-nodeapp", &mut build)?;
    let plugin = paths::target().join("debug/kubectl-nodeapp");
    let help = |words: &[&str]| sh::output(Command::new(&plugin).args(words).arg("--help"));
    let verbs = verbs(&help(&[])?);
    if verbs.is_empty() {
        bail!("the help of the plugin names no verbs");
    }
    let mut text = String::new();
    for verb in verbs {
        let _ = writeln!(text, "## {verb}\n\n```text\n{}\n```\n", help(&[&verb])?.trim_end());
    }
    let page = book.join(PAGE);
    let old = std::fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    if !old.contains(MARK) {
        bail!("{PAGE} has no line {MARK}");
    }
    Ok(std::fs::write(page, old.replace(MARK, &text))?)
}

/// The first words of the list of commands in a help text.
fn verbs(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.trim().is_empty());
    // What a verb is for may go on in a deeper line.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_from_the_help() {
        let help = "About\n\nUsage: x\n\nCommands:\n  audit   Find\n            more\n  ls      List\n  help    Print\n\nOptions:\n  -h";
        assert_eq!(verbs(help), ["audit", "ls"]);
    }
}
