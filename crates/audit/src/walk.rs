//! Which files are audited.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

use crate::finding::{Note, Place};
use crate::rules::wait_ready::is_of_pm2;
use crate::{AuditError, Options};

const ENDINGS: [&str; 8] = ["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"];
/// Folders that hold no code of the project.
const NEVER: [&str; 6] =
    ["node_modules", "bower_components", "jspm_packages", ".git", ".yarn", ".pnpm-store"];
/// Folders of what is built from other files.
const BUILT: [&str; 12] = [
    "dist",
    "build",
    "out",
    "output",
    "coverage",
    ".next",
    ".nuxt",
    ".output",
    ".svelte-kit",
    ".turbo",
    "vendor",
    "vendors",
];
/// Folders of tests, and of what only tests use.
const TESTS: [&str; 14] = [
    "test",
    "tests",
    "__tests__",
    "__mocks__",
    "spec",
    "specs",
    "e2e",
    "cypress",
    "fixtures",
    "__fixtures__",
    "mocks",
    "benchmark",
    "benchmarks",
    "testing",
];
/// Files of settings that may say `waitReady`; longer ones are something else.
const LONGEST_SETTINGS: u64 = 256 << 10;

/// What was found below the folders.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) sources: Vec<PathBuf>,
    /// Folders with a package.json.
    pub(crate) package_roots: HashSet<PathBuf>,
    /// Where a NodeApp or a file of PM2 says that the app tells when it is ready.
    pub(crate) wants_ready: Vec<Place>,
    pub(crate) notes: Vec<Note>,
}

pub(crate) fn walk(paths: &[PathBuf], options: &Options) -> Result<Walked, AuditError> {
    let mut walked = Walked::default();
    let mut seen = HashSet::new();
    let roots: Vec<PathBuf> = paths.iter().filter_map(|it| it.canonicalize().ok()).collect();
    for path in paths {
        let unreadable = |source| AuditError::Unreadable { path: path.clone(), source };
        let kind = std::fs::metadata(path).map_err(unreadable)?;
        if kind.is_file() {
            take(&mut walked, &mut seen, path, path.clone());
            continue;
        }
        std::fs::read_dir(path).map_err(unreadable)?;
        let options = options.clone();
        let mut builder = WalkBuilder::new(path);
        // Links are followed, and those that loop are told.
        builder.follow_links(true).require_git(false).hidden(true);
        builder.sort_by_file_name(std::ffi::OsStr::cmp);
        builder.filter_entry(move |entry| entry.depth() == 0 || is_wanted(entry, &options));
        for entry in builder.build() {
            match entry {
                Ok(entry) => visit(&mut walked, &mut seen, &roots, &entry),
                Err(error) => walked.notes.push(note(path, &error)),
            }
        }
    }
    walked.sources.sort();
    Ok(walked)
}

fn is_wanted(entry: &DirEntry, options: &Options) -> bool {
    let Some(name) = entry.file_name().to_str() else { return true };
    let is_folder = entry.file_type().is_some_and(|it| it.is_dir());
    if is_folder {
        let tests = TESTS.contains(&name) && !options.include_tests;
        let built = BUILT.contains(&name) && !options.include_built;
        return !NEVER.contains(&name) && !tests && !built;
    }
    (options.include_tests || !is_test(name)) && (options.include_built || !is_built(name))
}

fn is_test(name: &str) -> bool {
    [".test.", ".spec.", ".e2e.", ".bench.", ".stories.", "-test.", "_test.", ".e2e-spec."]
        .iter()
        .any(|it| name.contains(it))
        || matches!(
            name,
            "test.js"
                | "test.ts"
                | "tests.js"
                | "jest.config.js"
                | "jest.setup.js"
                | "Gruntfile.js"
                | "gulpfile.js"
        )
}

fn is_built(name: &str) -> bool {
    [".min.js", ".min.mjs", ".min.cjs", ".bundle.js", ".umd.js", ".iife.js"]
        .iter()
        .any(|it| name.ends_with(it))
}

fn visit(walked: &mut Walked, seen: &mut HashSet<PathBuf>, roots: &[PathBuf], entry: &DirEntry) {
    if !entry.file_type().is_some_and(|it| it.is_file()) {
        return;
    }
    let real = if is_below_link(entry) { entry.path().canonicalize().ok() } else { None };
    // What a link leads to is visited under its own name if it is below one of the folders.
    if real.as_ref().is_some_and(|real| roots.iter().any(|root| real.starts_with(root))) {
        return;
    }
    take(walked, seen, entry.path(), real.unwrap_or_else(|| entry.path().to_owned()));
}

fn is_below_link(entry: &DirEntry) -> bool {
    let ancestors = entry.path().ancestors().take(entry.depth());
    entry.path_is_symlink() || ancestors.skip(1).any(Path::is_symlink)
}

/// Takes a file in, under the first of the names that lead to it.
fn take(walked: &mut Walked, seen: &mut HashSet<PathBuf>, path: &Path, real: PathBuf) {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    if name == "package.json" {
        walked.package_roots.insert(path.parent().unwrap_or(Path::new("")).to_owned());
    } else if ENDINGS.contains(&ending) {
        let is_declaration = [".d.ts", ".d.mts", ".d.cts"].iter().any(|it| name.ends_with(it));
        if !is_declaration && seen.insert(real) {
            walked.sources.push(path.to_owned());
        }
    } else if matches!(ending, "yaml" | "yml" | "json") {
        walked.wants_ready.extend(wants_ready(path, name));
    }
}

/// `waitReady: true` of a NodeApp, `wait_ready: true` of an ecosystem file that is no JavaScript.
fn wants_ready(path: &Path, name: &str) -> Vec<Place> {
    let of_pm2 = is_of_pm2(path);
    let is_json = name.ends_with("json");
    if is_json && !of_pm2 || std::fs::metadata(path).is_ok_and(|it| it.len() > LONGEST_SETTINGS) {
        return vec![];
    }
    let Ok(text) = std::fs::read_to_string(path) else { return vec![] };
    if !of_pm2 && !text.contains("kind: NodeApp") {
        return vec![];
    }
    let says = |line: &str| {
        let plain: String = line.chars().filter(|it| !matches!(it, '"' | '\'' | ' ' | '\t' | ',')).collect();
        matches!(plain.trim_start_matches('-'), "waitReady:true" | "wait_ready:true")
    };
    let found = text.lines().enumerate().filter(|(_, line)| says(line));
    found
        .map(|(number, line)| {
            let column = line.len() - line.trim_start().len() + 1;
            let (line, column) = (u32::try_from(number + 1).unwrap_or(0), u32::try_from(column).unwrap_or(1));
            Place { file: path.to_owned(), line, column }
        })
        .collect()
}

fn note(root: &Path, error: &ignore::Error) -> Note {
    let (file, message) = explain(error);
    Note { file: file.unwrap_or_else(|| root.to_owned()), line: None, message }
}

fn explain(error: &ignore::Error) -> (Option<PathBuf>, String) {
    match error {
        ignore::Error::Loop { ancestor, child } => {
            (Some(child.clone()), format!("left out: this link leads back to {}", ancestor.display()))
        }
        ignore::Error::WithPath { path, err } => {
            let (inner, message) = explain(err);
            (inner.or_else(|| Some(path.clone())), message)
        }
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => explain(err),
        ignore::Error::Io(error) => (None, format!("left out: it cannot be read ({error})")),
        other => (None, format!("left out: {other}")),
    }
}
