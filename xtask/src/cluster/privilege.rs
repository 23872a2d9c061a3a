//! Root, which namespaces, mounts and control groups need, and nothing else here should have.
//!
//! An ordinary user builds everything as such, and this program starts itself again by sudo for the rest.

use std::ffi::OsString;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{paths, sh};

/// Whether this is root already.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `xtask <arguments>` as root, with the user's folders.
pub(crate) fn again(arguments: &[&str]) -> Result<()> {
    let Some(sudo) = sh::which("sudo") else {
        bail!(
            "a local cluster needs root, for namespaces, mounts and control groups, and there is no sudo: run this as \
             root, or use kind (`--provider kind`, needs Docker) or a cluster of yours (`--context NAME`)"
        )
    };
    sh::say(&format!("• as root, by sudo: xtask {}", arguments.join(" ")));
    let status = Command::new(sudo)
        .args(["--", "env"])
        .args(environment(|name| std::env::var_os(name)))
        .arg(std::env::current_exe()?)
        .args(arguments)
        // The result is printed here, once.
        .stdout(Stdio::null())
        .status()
        .context("cannot start sudo")?;
    if !status.success() {
        bail!("`xtask {}` did not succeed as root", arguments.join(" "));
    }
    Ok(())
}

/// Makes a file the user's who started this by sudo.
pub(crate) fn give_back(path: &Path) -> Result<()> {
    let id = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    if let (true, Some(user), Some(group)) = (is_root(), id("SUDO_UID"), id("SUDO_GID")) {
        chown(path, Some(user), Some(group))
            .with_context(|| format!("cannot give {} back", path.display()))?;
    }
    Ok(())
}

/// Sudo clears the environment; what says where things are has to stay.
fn environment(get: impl Fn(&str) -> Option<OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["HOME", "PATH", "XDG_CACHE_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, get(name)?)))
        .map(|(name, value)| assignment(name, value))
        .collect();
    // Relative to where this runs, which need not be where it is meant.
    words.push(assignment("CARGO_TARGET_DIR", paths::target().into_os_string()));
    words
}

fn assignment(name: &str, value: OsString) -> OsString {
    let mut word = OsString::from(format!("{name}="));
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_finds_the_users_cache_and_not_its_own() {
        let words = environment(|name| (name == "HOME").then(|| "/home/me".into()));
        assert_eq!(words[0], "HOME=/home/me");
        assert!(!words.iter().any(|word| word.to_string_lossy().starts_with("XDG_CACHE_HOME")), "{words:?}");
    }
}
