//! `npm start` and its like without npm, where that is the same: the IPC channel
//! and the signals then reach the app itself.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::settings::Env;

use super::find::{Place, path_with_packages};
use super::words;

/// A script that runs another one by npm, and so on, is left to npm from here on.
const MAX_DEPTH: usize = 4;

/// Who runs scripts of a `package.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Npm,
    Yarn,
    Pnpm,
}

/// A call such as `npm run dev -- --port 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    manager: Manager,
    script: String,
    args: Vec<String>,
}

/// What to execute instead of the package manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Direct {
    pub(super) words: Vec<String>,
    /// What the package manager would set.
    pub(super) vars: Vec<(OsString, OsString)>,
    /// It runs scripts where their `package.json` is.
    pub(super) dir: PathBuf,
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It runs no package script.
    Other,
    /// It can be done without the package manager.
    Direct(Direct),
    /// It cannot, for this reason.
    Indirect(String),
}

/// Looks at a command; `words` has its program first.
pub(super) fn look(words: &[String], place: Place<'_>) -> Found {
    let Some(call) = call(words) else { return Found::Other };
    let mut vars = place.vars.clone();
    match resolve(&call, place.dir, &mut vars, MAX_DEPTH) {
        Ok((words, dir)) => {
            let changed = vars.into_iter().filter(|(name, value)| place.vars.get(name) != Some(value));
            Found::Direct(Direct { words, vars: changed.collect(), dir })
        }
        Err(why) => Found::Indirect(why),
    }
}

/// Understands the call of a package manager, if it is one that runs a script.
fn call(words: &[String]) -> Option<Call> {
    let (program, rest) = words.split_first()?;
    let manager = match program.rsplit('/').next()? {
        "npm" => Manager::Npm,
        "yarn" => Manager::Yarn,
        "pnpm" => Manager::Pnpm,
        _ => return None,
    };
    let mut rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let quiet = |word: &&str| matches!(*word, "-s" | "--silent");
    while rest.first().is_some_and(quiet) {
        rest.remove(0);
    }
    let explicit = matches!(rest.first(), Some(&("run" | "run-script")));
    if explicit {
        rest.remove(0);
        while rest.first().is_some_and(quiet) {
            rest.remove(0);
        }
    }
    let (script, args) = rest.split_first()?;
    // npm has verbs of its own; the others take any script for one.
    if script.starts_with('-') || (manager == Manager::Npm && !explicit && *script != "start") {
        return None;
    }
    let args = match (manager, args) {
        (Manager::Npm | Manager::Yarn, ["--", args @ ..]) => args,
        // npm takes options for its own.
        (Manager::Npm, args) if args.iter().any(|arg| arg.starts_with('-')) => return None,
        (_, args) => args,
    };
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    Some(Call { manager, script: (*script).to_owned(), args })
}

/// The words that a call comes down to, and where; `vars` gets what is set on the way.
fn resolve(call: &Call, from: &Path, vars: &mut Env, depth: usize) -> Result<(Vec<String>, PathBuf), String> {
    let file = from.ancestors().map(|dir| dir.join("package.json")).find(|path| path.is_file());
    let file = file.ok_or_else(|| format!("there is no package.json in {}", from.display()))?;
    let dir = file.parent().unwrap_or(from).to_owned();
    let text = fs::read(&file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let package: Value =
        serde_json::from_slice(&text).map_err(|error| format!("{} is no JSON: {error}", file.display()))?;
    let command = command(call, &package, &dir)?;
    special(&dir, vars)?;
    let simple = words::simple(&command).ok_or_else(|| format!("its script takes a shell: {command}"))?;
    lifecycle(vars, call, &command, &package, &file);
    vars.insert("PATH".into(), path_with_packages(vars, &dir));
    vars.extend(simple.vars.into_iter().map(|(name, value)| (name.into(), value.into())));
    let words = [simple.words, call.args.clone()].concat();
    match self::call(&words) {
        Some(inner) if depth > 0 => resolve(&inner, &dir, vars, depth - 1),
        Some(_) => Err(format!("its scripts run each other more than {MAX_DEPTH} times")),
        None => {
            let known = Place { vars, dir: &dir }.program(&words[0]).is_some();
            if known { Ok((words, dir)) } else { Err(format!("its script takes a shell: {command}")) }
        }
    }
}

/// The text of the script.
fn command(call: &Call, package: &Value, dir: &Path) -> Result<String, String> {
    let Call { manager, script, .. } = call;
    let scripts = package.get("scripts").and_then(Value::as_object);
    let text = |name: &str| scripts.and_then(|all| all.get(name)).and_then(Value::as_str);
    for hook in [format!("pre{script}"), format!("post{script}")] {
        if text(&hook).is_some() {
            return Err(format!("there is a hook, {hook}"));
        }
    }
    match text(script) {
        Some(text) => Ok(text.to_owned()),
        None if *manager == Manager::Npm && script == "start" && dir.join("server.js").is_file() => {
            Ok("node server.js".to_owned())
        }
        None => Err(format!("package.json has no script {script}")),
    }
}

/// Settings under which the package manager does something else.
fn special(dir: &Path, vars: &Env) -> Result<(), String> {
    if dir.join(".pnp.cjs").exists() {
        return Err("packages are found by Yarn (.pnp.cjs)".to_owned());
    }
    let settings = fs::read_to_string(dir.join(".npmrc")).unwrap_or_default();
    let named = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        matches!(name, "script-shell" | "node-options" | "ignore-scripts" | "shell-emulator")
    };
    if settings.lines().any(named) {
        return Err(".npmrc sets how scripts are run".to_owned());
    }
    let by_variable = vars.keys().filter_map(|name| name.to_str()).any(|name| {
        let name = name.to_ascii_lowercase().replace('-', "_");
        matches!(name.as_str(), "npm_config_script_shell" | "npm_config_node_options")
    });
    if by_variable { Err("a variable npm_config_ sets how scripts are run".to_owned()) } else { Ok(()) }
}

/// What scripts may read of the package manager.
fn lifecycle(vars: &mut Env, call: &Call, command: &str, package: &Value, file: &Path) {
    let mut set = |name: &str, value: OsString| vars.insert(name.into(), value);
    let verb = if call.script == "start" && call.manager == Manager::Npm { "start" } else { "run-script" };
    set("npm_command", verb.into());
    set("npm_lifecycle_event", call.script.as_str().into());
    set("npm_lifecycle_script", command.into());
    set("npm_package_json", file.into());
    for name in ["name", "version"] {
        if let Some(value) = package.get(name).and_then(Value::as_str) {
            set(&format!("npm_package_{name}"), value.into());
        }
    }
    for group in ["config", "engines"] {
        let values = package.get(group).and_then(Value::as_object);
        for (name, value) in values.unwrap_or(&Map::new()) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            set(&format!("npm_package_{group}_{name}"), text.into());
        }
    }
    let node = Place { vars, dir: file }.program("node");
    if let Some(node) = node {
        vars.insert("npm_node_execpath".into(), node.path.clone().into());
        vars.insert("NODE".into(), node.path.into());
    }
    let dir = file.parent().unwrap_or(file);
    vars.entry("INIT_CWD".into()).or_insert_with(|| dir.into());
}

#[cfg(test)]
mod tests {
    use super::super::find::tests::{put, vars};
    use super::*;

    fn list(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    fn package(json: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "bin/node", "");
        fs::write(dir.path().join("package.json"), json).unwrap();
        dir
    }

    fn looked_up(dir: &tempfile::TempDir, words: &str) -> Found {
        look(&list(words), Place { vars: &vars(dir.path()), dir: dir.path() })
    }

    fn words_of(found: Found) -> Vec<String> {
        match found {
            Found::Direct(direct) => direct.words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_of_each_manager_are_understood_as_that_manager_does() {
        let understood = |words: &str| call(&list(words)).map(|call| (call.script, call.args.join(" ")));
        for (words, script, args) in [
            ("npm start", "start", ""),
            ("/usr/bin/npm run dev", "dev", ""),
            ("npm run-script -s dev -- --port 1", "dev", "--port 1"),
            ("npm run dev some file", "dev", "some file"),
            ("yarn dev --port 1", "dev", "--port 1"),
            ("yarn run dev -- --port 1", "dev", "--port 1"),
            ("pnpm start", "start", ""),
            ("pnpm run dev -- x", "dev", "-- x"),
        ] {
            assert_eq!(understood(words), Some((script.to_owned(), args.to_owned())), "{words}");
        }
        for words in
            ["npm ci", "npm", "npm run", "npm run dev --port 1", "npm --prefix x start", "node npm start"]
        {
            assert_eq!(understood(words), None, "{words}");
        }
    }

    #[test]
    fn a_plain_script_is_executed_directly_with_what_npm_sets() {
        let json = r#"{"name":"shop","version":"1.2.3","config":{"port":8080},
                       "scripts":{"start":"NODE_ENV=production node server.js"}}"#;
        let dir = package(json);
        let below = dir.path().join("src");
        let vars = vars(dir.path());
        let Found::Direct(direct) = look(&list("npm start -- --a"), Place { vars: &vars, dir: &below })
        else {
            panic!("not direct");
        };
        assert_eq!(direct.words, ["node", "server.js", "--a"]);
        assert_eq!(direct.dir, dir.path());
        let get = |name: &str| {
            let found = direct.vars.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        for (name, value) in [
            ("NODE_ENV", "production"),
            ("npm_lifecycle_event", "start"),
            ("npm_lifecycle_script", "NODE_ENV=production node server.js"),
            ("npm_package_name", "shop"),
            ("npm_package_version", "1.2.3"),
            ("npm_package_config_port", "8080"),
            ("npm_command", "start"),
        ] {
            assert_eq!(get(name), value, "{name}");
        }
        assert!(get("PATH").starts_with(dir.path().join("node_modules/.bin").to_str().unwrap()));
        assert!(get("PATH").ends_with(dir.path().join("bin").to_str().unwrap()));
        assert!(get("npm_node_execpath").ends_with("/bin/node"));
    }

    #[test]
    fn scripts_that_run_each_other_are_followed_but_not_in_circles() {
        let json = r#"{"scripts":{"start":"npm run serve -- a","serve":"node x.js","loop":"yarn loop"}}"#;
        let dir = package(json);
        assert_eq!(words_of(looked_up(&dir, "npm start")), ["node", "x.js", "a"]);
        assert!(matches!(looked_up(&dir, "yarn loop"), Found::Indirect(why) if why.contains("each other")));
    }

    #[test]
    fn npm_starts_server_js_where_there_is_no_start_script() {
        let dir = package("{}");
        assert!(matches!(looked_up(&dir, "npm start"), Found::Indirect(_)));
        put(dir.path(), "server.js", "");
        assert_eq!(words_of(looked_up(&dir, "npm start")), ["node", "server.js"]);
        assert!(matches!(looked_up(&dir, "pnpm start"), Found::Indirect(_)));
    }

    #[test]
    fn what_npm_alone_can_do_is_left_to_it_and_the_reason_is_told() {
        for (json, part) in [
            (r#"{"scripts":{"start":"node a.js | pino"}}"#, "takes a shell"),
            (r#"{"scripts":{"start":"cd src"}}"#, "takes a shell"),
            (r#"{"scripts":{"start":"node a.js","prestart":"tsc"}}"#, "prestart"),
            (r#"{"scripts":{"start":"node a.js","poststart":"x"}}"#, "poststart"),
            (r#"{"scripts":{}}"#, "no script start"),
            ("{", "no JSON"),
        ] {
            let found = looked_up(&package(json), "npm start");
            assert!(matches!(&found, Found::Indirect(why) if why.contains(part)), "{json}: {found:?}");
        }
        let dir = package(r#"{"scripts":{"start":"node a.js"}}"#);
        fs::write(dir.path().join(".npmrc"), "script-shell = bash\n").unwrap();
        assert!(matches!(looked_up(&dir, "npm start"), Found::Indirect(why) if why.contains(".npmrc")));
    }

    #[test]
    fn a_program_of_a_package_may_be_what_the_script_runs() {
        let dir = package(r#"{"scripts":{"start":"next start -p 3000"}}"#);
        assert!(matches!(looked_up(&dir, "npm start"), Found::Indirect(_)), "it is not installed");
        put(dir.path(), "node_modules/.bin/next", "#!/usr/bin/env node\n");
        assert_eq!(words_of(looked_up(&dir, "npm start")), ["next", "start", "-p", "3000"]);
    }
}
