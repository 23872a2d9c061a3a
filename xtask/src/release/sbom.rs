//! What each program is made of, as `CycloneDX`, by cargo-sbom; and a look whether it is all of it.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{cache, paths, sh};

/// Programs that are published.
const PROGRAMS: [&str; 4] = ["nodeapp-operator", "nodeapp-runner", "nodeapp-forwarder", "kubectl-nodeapp"];

/// Writes `target/nodeapp/sbom/<program>.cdx.json`.
///
/// # Errors
/// Names the crates that Cargo links into a program and its list does not have.
pub(super) fn write() -> Result<()> {
    let cargo_sbom = cache::cargo_sbom()?;
    let folder = paths::output().join("sbom");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for program in PROGRAMS {
        let mut list = Command::new(&cargo_sbom);
        list.args(["sbom", "--cargo-package", program, "--output-format", "cyclone_dx_json_1_6"]);
        let text = sh::output(list.current_dir(paths::repo()))?;
        let document: Value = serde_json::from_str(&text).context("cargo-sbom wrote no JSON")?;
        let listed = listed(&document);
        let linked = linked(program)?;
        let missing: Vec<_> = linked.difference(&listed).collect();
        ensure!(missing.is_empty(), "the list of {program} lacks {missing:?}");
        let file = folder.join(format!("{program}.cdx.json"));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        sh::say(&format!("✓ {}: {} crates", file.display(), linked.len()));
    }
    Ok(())
}

/// `name version` of every component.
fn listed(document: &Value) -> BTreeSet<String> {
    // The program itself is what the document is about.
    let lists = [&document["components"], &document["metadata"]["component"]["components"]];
    let components = lists.into_iter().filter_map(Value::as_array).flatten();
    components
        .filter_map(|component| {
            Some(format!("{} {}", component["name"].as_str()?, component["version"].as_str()?))
        })
        .collect()
}

/// `name version` of every crate that Cargo builds for a program on Linux.
fn linked(program: &str) -> Result<BTreeSet<String>> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(paths::repo()).args(["tree", "--locked", "--package", program, "--edges", "normal"]);
    tree.args(["--prefix", "none", "--format", "{p}", "--target", "x86_64-unknown-linux-gnu"]);
    Ok(sh::output(&mut tree)?.lines().filter_map(crate_of).collect())
}

/// `serde v1.0.0 (proc-macro)` as `serde 1.0.0`.
fn crate_of(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (name, version) = (words.next()?, words.next()?);
    Some(format!("{name} {}", version.strip_prefix('v')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_known_by_name_and_version_in_both_lists() {
        assert_eq!(crate_of("serde v1.0.0 (proc-macro) (*)").as_deref(), Some("serde 1.0.0"));
        assert_eq!(crate_of(""), None);
        let document = serde_json::json!({"metadata": {"component": {"components": [{"name": "a", "version": "1"}]}},
            "components": [{"name": "serde", "version": "1.0.0"}]});
        assert_eq!(listed(&document), BTreeSet::from(["a 1".to_owned(), "serde 1.0.0".to_owned()]));
    }
}
