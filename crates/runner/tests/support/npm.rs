//! Packages from npm for the tests, installed once by their lock file.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::{Setup, node_command};

/// One installation at a time in this process; renames see to the others.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Major version of the Node.js that the apps run on.
pub(crate) fn node_major() -> u32 {
    let output = node_command().arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_start_matches('v').split('.').next().unwrap().parse().unwrap()
}

/// Whether the apps' Node.js is as new as a package asks for.
pub(crate) fn supported(package: &str, least: u32) -> bool {
    let major = node_major();
    if major < least {
        println!("skipped: {package} asks for Node.js {least} or newer, this is {major}");
    }
    major >= least
}

impl Setup {
    /// An app from a folder of `tests` with its packages; `None` where npm is not
    /// there, which is said, and fails in CI.
    pub(crate) fn npm_app(folder: &str, script: &str) -> Option<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let modules = installed(&source)?;
        let setup = Self::script("");
        let dir = setup.dir.path().join("project");
        let copied = Command::new("cp").arg("-r").arg(&source).arg(&dir).status().unwrap();
        assert!(copied.success());
        std::os::unix::fs::symlink(modules, dir.join("node_modules")).unwrap();
        let script = dir.join(script);
        let launch = serde_json::json!({"script": {"script": script}});
        Some(setup.with("launch", launch).with("cwd", dir.to_str().unwrap().into()))
    }
}

/// The `node_modules` that belong to a lock file.
fn installed(source: &Path) -> Option<PathBuf> {
    let _one = INSTALLING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lock = std::fs::read(source.join("package-lock.json")).unwrap();
    let mut hasher = DefaultHasher::new();
    lock.hash(&mut hasher);
    let name = source.file_name().unwrap().to_str().unwrap();
    let cache = cache().join("npm").join(format!("{name}-{:016x}", hasher.finish()));
    if !cache.is_dir() {
        install(source, &cache)?;
    }
    Some(cache.join("node_modules"))
}

fn install(source: &Path, cache: &Path) -> Option<()> {
    let part = cache.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&part).unwrap();
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(file), part.join(file)).unwrap();
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]).current_dir(&part);
    let problem = match npm.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = problem {
        let _ = std::fs::remove_dir_all(&part);
        assert!(std::env::var_os("CI").is_none(), "`npm ci` fails, and CI must not skip: {problem}");
        println!("skipped: `npm ci` in a copy of {} fails: {problem}", source.display());
        return None;
    }
    // Another process may have been faster.
    if std::fs::rename(&part, cache).is_err() {
        let _ = std::fs::remove_dir_all(&part);
    }
    Some(())
}

fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("nodeapp-operator")
}
