//! Which program runs a script.

use std::ffi::OsString;
use std::path::Path;

use super::LaunchError;
use super::find::{Place, Program, check_script, executable, first_line, names_node, node_script};

/// Node.js runs TypeScript by itself from these versions on.
const STRIPS_TYPES: [(u32, u32); 2] = [(22, 18), (23, 6)];

/// A script and what runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) program: Program,
    /// Whether the script follows the interpreter's arguments; else it is the program.
    pub(super) takes_script: bool,
    /// Arguments of the interpreter that nobody has to write.
    pub(super) args: Vec<OsString>,
    pub(super) why: String,
    pub(super) python: bool,
}

/// What has to be asked of a program itself.
pub(super) trait Ask {
    /// Major and minor version of a Node.js.
    fn node_version(&self, node: &Path) -> Option<(u32, u32)>;
}

/// Chooses the interpreter of `script`: the one that was named, else by PM2's table.
pub(super) fn choose(
    script: &str,
    named: Option<&str>,
    node_args: &[String],
    place: Place<'_>,
    ask: &dyn Ask,
) -> Result<Choice, LaunchError> {
    let path = place.dir.join(script);
    match named {
        Some("none") => itself(&path, "interpreter is none"),
        Some(name) => {
            let choice = by_name(name, node_args, place, "named by interpreter")?;
            let found = if is_node(&choice.program.path) { node_script(&path) } else { exact(&path) };
            check_script(&path, found.as_deref())?;
            Ok(choice)
        }
        None => by_extension(script, &path, node_args, place, ask),
    }
}

fn by_extension(
    script: &str,
    path: &Path,
    node_args: &[String],
    place: Place<'_>,
    ask: &dyn Ask,
) -> Result<Choice, LaunchError> {
    let extension = Path::new(script).extension().and_then(|text| text.to_str()).unwrap_or_default();
    let by = |names: &[&str]| {
        check_script(path, exact(path).as_deref())?;
        first_of(names, extension, node_args, place)
    };
    match extension {
        "sh" => by(&["bash", "sh"]),
        "py" => by(&["python3", "python"]),
        "rb" => by(&["ruby"]),
        "php" => by(&["php"]),
        "pl" => by(&["perl"]),
        "coffee" => by(&["coffee"]),
        "ls" => by(&["lsc"]),
        "ts" | "mts" | "cts" | "tsx" => {
            check_script(path, exact(path).as_deref())?;
            typescript(extension, node_args, place, ask)
        }
        _ if speaks_for_itself(path) => itself(path, "it is a program"),
        _ => {
            let choice = by_name("node", node_args, place, "by default")?;
            check_script(path, node_script(path).as_deref())?;
            Ok(choice)
        }
    }
}

/// PM2 takes bun. Where the image has none: Node.js if it can, else tsx.
fn typescript(
    extension: &str,
    node_args: &[String],
    place: Place<'_>,
    ask: &dyn Ask,
) -> Result<Choice, LaunchError> {
    let because = |what: &str| format!("for .{extension}: {what}");
    if place.program("bun").is_some() {
        return by_name("bun", node_args, place, &because("bun is in the image"));
    }
    if let Some(node) = place.program("node").filter(|_| extension != "tsx") {
        let version = ask.node_version(&node.path);
        if version.is_some_and(strips_types) {
            let why = because("no bun, and this Node.js strips types itself");
            return by_name("node", node_args, place, &why);
        }
    }
    if place.program("tsx").is_some() {
        let why = because("no bun, and no Node.js that could run it by itself");
        return by_name("tsx", node_args, place, &why);
    }
    Err(LaunchError::program(format!(
        "nothing in the image runs .{extension}: no bun, no tsx in PATH or node_modules/.bin, and Node.js does it \
         only from 22.18 on (.tsx never); add one of them, or compile to JavaScript"
    )))
}

fn strips_types(version: (u32, u32)) -> bool {
    let [first, second] = STRIPS_TYPES;
    if version.0 == first.0 { version >= first } else { version >= second }
}

fn first_of(
    names: &[&str],
    extension: &str,
    node_args: &[String],
    place: Place<'_>,
) -> Result<Choice, LaunchError> {
    let found = names.iter().find(|name| place.program(name).is_some());
    let name = found.ok_or_else(|| {
        LaunchError::program(format!(
            "scripts that end in .{extension} are run by {}, which is not in the image (PATH is {}); name another \
             one by interpreter",
            names.join(" or "),
            place.search_path()
        ))
    })?;
    by_name(name, node_args, place, &format!("for .{extension}"))
}

fn by_name(name: &str, node_args: &[String], place: Place<'_>, why: &str) -> Result<Choice, LaunchError> {
    let program = place.program(name).ok_or_else(|| missing(name, place))?;
    let base = name.rsplit('/').next().unwrap_or(name);
    let args = if base == "deno" { deno_args(node_args) } else { vec![] };
    let python = base.starts_with("python");
    Ok(Choice { program, takes_script: true, args, why: format!("{name}, {why}"), python })
}

fn missing(name: &str, place: Place<'_>) -> LaunchError {
    let path = place.search_path();
    LaunchError::program(match name {
        "node" => format!(
            "Node.js is not in the image: no executable `node` in PATH ({path}); use an image with Node.js or \
             `command`"
        ),
        _ if name.starts_with("node@") => format!(
            "interpreter `{name}` asks for a version that PM2 would take from nvm; here the version is the image's: \
             use an image with it, and leave interpreter out"
        ),
        _ => format!(
            "the interpreter `{name}` is not in the image: not in PATH ({path}), not in node_modules/.bin"
        ),
    })
}

/// Deno allows nothing to a script unless told, and the pod is the sandbox.
fn deno_args(node_args: &[String]) -> Vec<OsString> {
    let mut args = vec![];
    let named = node_args.first().is_some_and(|arg| !arg.starts_with('-'));
    if !named {
        args.push("run".into());
        let permissions = |arg: &String| {
            ["--allow-", "--deny-", "--permission-set"].iter().any(|flag| arg.starts_with(flag))
                || matches!(arg.as_str(), "-A" | "-R" | "-W" | "-N" | "-E" | "-S" | "-I" | "-P")
                || ["-R=", "-W=", "-N=", "-E=", "-S=", "-I=", "-P="].iter().any(|flag| arg.starts_with(flag))
        };
        if !node_args.iter().any(permissions) {
            args.push("--allow-all".into());
        }
    }
    args
}

fn itself(path: &Path, why: &str) -> Result<Choice, LaunchError> {
    check_script(path, exact(path).as_deref())?;
    if !executable(path) {
        return Err(LaunchError::script(format!(
            "the script {} is not executable; chmod +x it in the image, or name an interpreter",
            path.display()
        )));
    }
    let program = Program { path: path.to_owned(), before: vec![] };
    let why = format!("the script itself, {why}");
    Ok(Choice { program, takes_script: false, args: vec![], why, python: false })
}

/// A machine's program, or an executable text that names another interpreter.
fn speaks_for_itself(path: &Path) -> bool {
    let known =
        path.extension().is_some_and(|end| ["js", "cjs", "mjs", "json", "node"].iter().any(|js| end == *js));
    if known || !executable(path) {
        return false;
    }
    let line = first_line(path);
    let nodes = names_node(&line) || line.contains("node");
    (!line.is_empty() && !nodes) || is_elf(path)
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

fn exact(path: &Path) -> Option<std::path::PathBuf> {
    path.exists().then(|| path.to_owned())
}

/// Whether a program is Node.js, by its name.
pub(super) fn is_node(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "node" || name == "nodejs")
}

#[cfg(test)]
mod tests {
    use super::super::find::tests::{put, vars};
    use super::*;

    struct Version(Option<(u32, u32)>);

    impl Ask for Version {
        fn node_version(&self, _: &Path) -> Option<(u32, u32)> {
            self.0
        }
    }

    /// An image with programs in its PATH, and a script.
    fn image(programs: &[&str], script: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for program in programs {
            put(dir.path(), program, "#!/usr/bin/env node\n");
        }
        std::fs::write(dir.path().join(script), "").unwrap();
        dir
    }

    fn chosen(
        dir: &tempfile::TempDir,
        script: &str,
        named: Option<&str>,
        version: Option<(u32, u32)>,
    ) -> Result<String, String> {
        let vars = vars(dir.path());
        let place = Place { vars: &vars, dir: dir.path() };
        let choice = choose(script, named, &[], place, &Version(version)).map_err(|error| error.message)?;
        let before = choice.program.before.iter().map(Path::new).chain([choice.program.path.as_path()]);
        let files: Vec<_> = before.map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        Ok(files.join(" by "))
    }

    #[test]
    fn the_extension_decides_as_in_pm2() {
        let all =
            ["bin/node", "bin/bash", "bin/sh", "bin/python3", "bin/ruby", "bin/php", "bin/perl", "bin/bun"];
        for (script, program) in [
            ("a.js", "node"),
            ("a.cjs", "node"),
            ("a.mjs", "node"),
            ("a", "node"),
            ("a.sh", "bash"),
            ("a.py", "python3"),
            ("a.rb", "ruby"),
            ("a.php", "php"),
            ("a.pl", "perl"),
            ("a.ts", "bun"),
            ("a.tsx", "bun"),
        ] {
            assert_eq!(chosen(&image(&all, script), script, None, None).unwrap(), program, "{script}");
        }
        let poor = image(&["bin/sh", "bin/python"], "a.sh");
        std::fs::write(poor.path().join("a.py"), "").unwrap();
        assert_eq!(chosen(&poor, "a.sh", None, None).unwrap(), "sh");
        assert_eq!(chosen(&poor, "a.py", None, None).unwrap(), "python");
    }

    #[test]
    fn typescript_is_run_by_what_the_image_has() {
        const TSX: &str = "node_modules/.bin/tsx";
        for (programs, script, version, expected) in [
            (&["bin/node", TSX][..], "a.ts", Some((24, 0)), Some("node")),
            (&["bin/node"], "a.mts", Some((22, 18)), Some("node")),
            (&["bin/node", TSX], "a.ts", Some((22, 17)), Some("tsx by node")),
            (&["bin/node", TSX], "a.ts", Some((23, 5)), Some("tsx by node")),
            (&["bin/node", TSX], "a.ts", None, Some("tsx by node")),
            (&["bin/node", TSX], "a.tsx", Some((24, 0)), Some("tsx by node")),
            (&["bin/node"], "a.tsx", Some((24, 0)), None),
            (&["bin/node"], "a.ts", Some((20, 20)), None),
        ] {
            let found = chosen(&image(programs, script), script, None, version);
            match expected {
                Some(expected) => assert_eq!(found.unwrap(), expected, "{programs:?} {script} {version:?}"),
                None => assert!(found.unwrap_err().contains("compile to JavaScript")),
            }
        }
    }

    #[test]
    fn a_named_interpreter_is_taken_from_the_path_or_the_packages() {
        let dir = image(&["bin/node", "bin/deno", "node_modules/.bin/ts-node"], "a.ts");
        assert_eq!(chosen(&dir, "a.ts", Some("ts-node"), None).unwrap(), "ts-node by node");
        assert_eq!(chosen(&dir, "a.ts", Some("deno"), None).unwrap(), "deno");
        let problem = chosen(&dir, "a.ts", Some("node@20"), None).unwrap_err();
        assert!(problem.contains("use an image with it"), "{problem}");
        let problem = chosen(&dir, "a.ts", Some("bun"), None).unwrap_err();
        assert!(problem.contains("not in node_modules/.bin"), "{problem}");
        let problem = chosen(&dir, "b.ts", Some("deno"), None).unwrap_err();
        assert!(problem.contains("b.ts does not exist"), "{problem}");
    }

    #[test]
    fn a_program_or_a_script_with_its_own_interpreter_is_executed() {
        let dir = image(&["bin/node"], "a.js");
        put(dir.path(), "tool", "#!/usr/bin/env python3\n");
        put(dir.path(), "binary", "\x7fELF...");
        put(dir.path(), "cli", "#!/usr/bin/env node\n");
        put(dir.path(), "flags", "#!/usr/bin/env -S node --x\n");
        for (script, program) in [("tool", "tool"), ("binary", "binary"), ("cli", "node"), ("flags", "node")]
        {
            assert_eq!(chosen(&dir, script, None, None).unwrap(), program, "{script}");
        }
        assert_eq!(chosen(&dir, "tool", Some("none"), None).unwrap(), "tool");
        assert!(chosen(&dir, "a.js", Some("none"), None).unwrap_err().contains("chmod +x"));
    }

    #[test]
    fn deno_gets_its_verb_and_permissions_unless_they_are_given() {
        let args = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|arg| (*arg).to_owned()).collect();
            deno_args(&given)
        };
        assert_eq!(args(&[]), ["run", "--allow-all"]);
        assert_eq!(args(&["--unstable"]), ["run", "--allow-all"]);
        assert_eq!(args(&["--allow-net=:3000"]), ["run"]);
        assert_eq!(args(&["-R"]), ["run"]);
        assert!(args(&["run", "--allow-net"]).is_empty());
        assert!(args(&["serve"]).is_empty());
    }
}
