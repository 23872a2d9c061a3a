//! What is audited: 5,000 files from npm.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{paths, sh};

/// What the tree is made of: servers and libraries of servers, in plain JavaScript, TypeScript's output and bundles.
const PACKAGES: [&str; 8] = [
    "@nestjs/core@11.1.6",
    "express@5.1.0",
    "fastify@5.6.0",
    "json-server@0.17.4",
    "mongoose@8.18.1",
    "parse-server@8.2.4",
    "socket.io@4.8.1",
    "typeorm@0.3.26",
];
/// Files in the tree.
pub(super) const FILES: usize = 5_000;
/// One package alone must not be the tree.
const PER_PACKAGE: usize = 400;

/// A folder with the files, copied once: folders of the name `node_modules` would be left out.
pub(super) fn tree() -> Result<PathBuf> {
    let npm = paths::cache()?.join("npm");
    let dir = npm.join("audit-tree-1");
    if dir.is_dir() {
        return Ok(dir);
    }
    let part = npm.join(".part-audit-tree");
    let _ = std::fs::remove_dir_all(&part);
    std::fs::create_dir_all(part.join("from")).with_context(|| format!("cannot make {}", part.display()))?;
    let mut fetch = Command::new("npm");
    fetch
        .current_dir(part.join("from"))
        .args([
            "install",
            "--silent",
            "--no-save",
            "--ignore-scripts",
            "--omit=dev",
            "--legacy-peer-deps",
            "--prefix",
        ])
        .arg(part.join("from"))
        .args(PACKAGES);
    sh::run("fetch packages to audit from npm", &mut fetch)?;
    let modules = part.join("from/node_modules");
    let mut files = vec![];
    collect(&modules, &mut files)?;
    ensure!(files.len() >= FILES, "the packages have {} files, {FILES} are needed", files.len());
    let tree = part.join("tree");
    for file in files.iter().take(FILES) {
        let name = file.strip_prefix(&modules)?.to_string_lossy().replace("node_modules", "modules");
        let to = tree.join(name);
        std::fs::create_dir_all(to.parent().unwrap_or(&tree))?;
        std::fs::copy(file, &to).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    std::fs::rename(&tree, &dir)?;
    std::fs::remove_dir_all(&part)?;
    Ok(dir)
}

/// Sources of every package, sorted, some of each.
fn collect(modules: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for package in sorted(modules)? {
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !package.is_dir() || name.starts_with('.') {
            continue;
        }
        if name.starts_with('@') {
            collect(&package, files)?;
            continue;
        }
        let mut own = vec![];
        below(&package, &mut own)?;
        own.truncate(PER_PACKAGE);
        files.append(&mut own);
    }
    Ok(())
}

fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in sorted(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            below(&path, files)?;
        } else if is_source(&name) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_source(name: &str) -> bool {
    let ends = |endings: &[&str]| endings.iter().any(|it| name.ends_with(it));
    ends(&[".js", ".mjs", ".cjs", ".ts"])
        && !ends(&[".d.ts", ".min.js", ".min.mjs"])
        && !name.contains(".test.")
        && !name.contains(".spec.")
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Bytes of everything below a folder.
pub(super) fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in sorted(folder)? {
        bytes += if path.is_dir() { size(&path)? } else { path.metadata()?.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_gives_sources_and_none_gives_more_than_its_share() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: String| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "1;").expect("written");
        };
        (0..PER_PACKAGE + 5).for_each(|number| write(format!("large/lib/{number}.js")));
        write("@scope/small/index.mjs".to_owned());
        write("@scope/small/index.d.ts".to_owned());
        write(".bin/tool.js".to_owned());
        let mut files = vec![];
        collect(dir.path(), &mut files).expect("readable");
        assert_eq!(files.len(), PER_PACKAGE + 1);
    }
}
