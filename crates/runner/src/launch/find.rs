//! Where programs and scripts are in the image.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::settings::Env;

use super::LaunchError;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A first line that is longer names no interpreter.
const MAX_FIRST_LINE: usize = 256;
/// Where packages put their programs.
const BIN: &str = "node_modules/.bin";

/// The container's environment and the directory that paths are relative to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) vars: &'a Env,
    pub(super) dir: &'a Path,
}

/// A program, and what comes before its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) before: Vec<OsString>,
}

impl Place<'_> {
    /// Looks a program up as a shell would, then among those of the packages.
    pub(super) fn program(&self, name: &str) -> Option<Program> {
        let direct = |path| Program { path, before: vec![] };
        find_in(name, self.vars, self.dir).map(direct).or_else(|| self.package_program(name))
    }

    /// A program of `node_modules/.bin` here or in a directory above. One that is
    /// written for Node.js is run by it, since the image may have no `env`.
    pub(super) fn package_program(&self, name: &str) -> Option<Program> {
        if name.contains('/') {
            return None;
        }
        let path = self.dir.ancestors().map(|dir| dir.join(BIN).join(name)).find(|path| path.is_file())?;
        if names_node(&first_line(&path)) {
            let node = find_in("node", self.vars, self.dir)?;
            return Some(Program { path: node, before: vec![path.into()] });
        }
        executable(&path).then_some(Program { path, before: vec![] })
    }

    /// The directories with programs, as a message shows them.
    pub(super) fn search_path(&self) -> String {
        search_path(self.vars).to_string_lossy().into_owned()
    }
}

/// Looks a program up as a shell would.
pub(crate) fn find_program(name: &str, vars: &Env, cwd: Option<&Path>) -> Option<PathBuf> {
    find_in(name, vars, &base(cwd))
}

fn find_in(name: &str, vars: &Env, base: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(base.join(name)).filter(|path| executable(path));
    }
    search_path(vars)
        .as_bytes()
        .split(|byte| *byte == b':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| base.join(OsStr::from_bytes(dir)).join(name))
        .find(|path| executable(path))
}

/// Whether it is a program.
pub(super) fn executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// The working directory of the app.
pub(super) fn base(cwd: Option<&Path>) -> PathBuf {
    cwd.map(Path::to_owned).or_else(|| std::env::current_dir().ok()).unwrap_or_else(|| "/".into())
}

/// `PATH`, or what stands for it.
pub(super) fn search_path(vars: &Env) -> &OsStr {
    vars.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), |path| path)
}

/// `PATH` with the programs of the packages of `dir` in front.
pub(super) fn path_with_packages(vars: &Env, dir: &Path) -> OsString {
    let mut path = OsString::new();
    for bin in dir.ancestors().map(|dir| dir.join(BIN)) {
        path.push(bin);
        path.push(":");
    }
    path.push(search_path(vars));
    path
}

/// The first line of a file that begins with `#!`, without that; else nothing.
pub(super) fn first_line(path: &Path) -> String {
    let mut start = vec![];
    let Ok(file) = std::fs::File::open(path) else { return String::new() };
    if file.take(MAX_FIRST_LINE as u64).read_to_end(&mut start).is_err() {
        return String::new();
    }
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_prefix(b"#!").map(|line| String::from_utf8_lossy(line).trim().to_owned()).unwrap_or_default()
}

/// Whether a first line asks for Node.js: `/usr/bin/env node`, `/usr/bin/node`,
/// `/usr/bin/env -S node --flag`.
pub(super) fn names_node(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    match words.next() {
        // Flags would be lost.
        Some("env") => words.eq(["node"]),
        Some("node") => words.next().is_none(),
        _ => false,
    }
}

/// Node.js tries these extensions itself, and looks into directories.
pub(super) fn node_script(path: &Path) -> Option<PathBuf> {
    let candidates = ["", ".js", ".json", ".node"].map(|extension| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    });
    candidates.into_iter().find(|path| path.exists())
}

/// Says why a script cannot be run, if it cannot.
pub(super) fn check_script(path: &Path, found: Option<&Path>) -> Result<(), LaunchError> {
    let Some(found) = found else {
        return Err(LaunchError::script(format!(
            "the script {} does not exist in the image; check script and cwd",
            path.display()
        )));
    };
    rustix::fs::access(found, Access::READ_OK).map_err(|_| {
        let uid = rustix::process::getuid().as_raw();
        LaunchError::script(format!(
            "the script {} cannot be read by user {uid}; check its mode",
            found.display()
        ))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Writes an executable file, with its directories.
    pub(crate) fn put(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// An environment whose `PATH` is `dir/bin`.
    pub(crate) fn vars(dir: &Path) -> Env {
        Env::from([("PATH".into(), dir.join("bin").into())])
    }

    #[test]
    fn a_program_of_a_package_is_found_from_a_directory_below_and_run_by_node() {
        let dir = tempfile::tempdir().unwrap();
        let node = put(dir.path(), "bin/node", "");
        let tsx = put(dir.path(), "node_modules/.bin/tsx", "#!/usr/bin/env node\nrun()");
        let shim = put(dir.path(), "node_modules/.bin/shim", "#!/bin/sh\nexec node x");
        let below = dir.path().join("a/b");
        let vars = vars(dir.path());
        let place = Place { vars: &vars, dir: &below };
        assert_eq!(place.program("tsx"), Some(Program { path: node, before: vec![tsx.into()] }));
        assert_eq!(place.program("shim"), Some(Program { path: shim, before: vec![] }));
        assert_eq!(place.program("no-such"), None);
        assert_eq!(place.program("./tsx"), None);
    }

    #[test]
    fn what_is_in_the_path_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let bun = put(dir.path(), "bin/bun", "");
        put(dir.path(), "node_modules/.bin/bun", "#!/bin/sh\n");
        let vars = vars(dir.path());
        let place = Place { vars: &vars, dir: dir.path() };
        assert_eq!(place.program("bun").unwrap().path, bun);
    }

    #[test]
    fn only_a_first_line_that_asks_for_node_without_flags_is_nodes() {
        for (line, nodes) in [
            ("/usr/bin/env node", true),
            ("/usr/local/bin/node", true),
            ("/usr/bin/env -S node --flag", false),
            ("/usr/bin/node --flag", false),
            ("/usr/bin/env nodejs-like", false),
            ("/bin/sh", false),
            ("", false),
        ] {
            assert_eq!(names_node(line), nodes, "{line}");
        }
    }
}
