//! The environment of the app: what PM2's apps read, and what Node.js is told.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use nodeapp_contract::RunnerConfig;
use nodeapp_contract::config::LogFiles;
use nodeapp_contract::env;

use crate::hang;
use crate::settings::Env;

use super::{Facts, Run};

/// What Node.js takes for `--unhandled-rejections`; with anything else it does not start.
const REJECTIONS: [&str; 5] = ["throw", "strict", "warn", "none", "warn-with-error-code"];

/// The environment of a probe's program: the container's, without what makes a
/// Node.js part of the app.
pub(crate) fn probe_env(vars: &Env) -> Env {
    let mut all = vars.clone();
    for name in env::RUNNER_ONLY {
        all.remove(OsStr::new(name));
    }
    all
}

/// The container's environment with what PM2's apps read, and without what is
/// between operator and runner.
pub(super) fn app_env(config: &RunnerConfig, vars: &Env, facts: &Facts, run: &Run) -> Env {
    let mut all = probe_env(vars);
    all.extend(run.vars.iter().cloned());
    contract(&mut all, config, facts);
    number(&mut all, vars);
    offers(&mut all, config, vars, facts, run);
    if config.preload.enabled {
        all.insert(env::CHANNEL.into(), facts.channel.clone().into());
        all.insert(env::BEAT.into(), hang::period(&config.preload).0.to_string().into());
    }
    match facts.listen_fds.as_ref().filter(|_| config.preload.enabled) {
        Some(fds) => all.insert(env::LISTEN_FDS.into(), fds.into()),
        None => all.remove(OsStr::new(env::LISTEN_FDS)),
    };
    let own = text(&all, "NODE_OPTIONS");
    let options = node_options(config, facts, &run.options, &own);
    if !options.is_empty() {
        all.insert("NODE_OPTIONS".into(), options);
    }
    all
}

/// What the runner decides, whatever the container's environment says.
fn contract(all: &mut Env, config: &RunnerConfig, facts: &Facts) {
    let mut set = |name: &str, value: OsString| all.insert(name.into(), value);
    set("name", config.name.clone().into());
    set("namespace", "default".into());
    set("exec_mode", "fork_mode".into());
    set("status", "launching".into());
    set("restart_time", facts.restarts.to_string().into());
    set("unstable_restarts", facts.unstable.to_string().into());
    set("pm_uptime", facts.started_at.to_string().into());
    set("created_at", facts.created_at.to_string().into());
    if let Some(code) = facts.exit_code {
        set("exit_code", code.to_string().into());
    }
    if let Some(port) = config.port {
        set("PORT", port.to_string().into());
    }
    set("NODE_CHANNEL_FD", facts.ipc_fd.to_string().into());
    set("NODE_CHANNEL_SERIALIZATION_MODE", "json".into());
}

/// The number of the instance, by PM2's variables or by the ones that the app has
/// chosen; 0 where instances have none.
fn number(all: &mut Env, vars: &Env) {
    let number = text(vars, env::INSTANCE).parse::<i64>().unwrap_or(0);
    let digits = || OsString::from(number.to_string());
    let chosen = |name: &str| vars.get(OsStr::new(name)).filter(|name| !name.is_empty()).cloned();
    all.insert("pm_id".into(), digits());
    all.insert(chosen(env::INSTANCE_VAR).unwrap_or_else(|| env::NODE_APP_INSTANCE.into()), digits());
    if let Some(name) = chosen(env::INCREMENT_VAR) {
        let first = name.to_str().and_then(|name| text(vars, name).parse::<i64>().ok()).unwrap_or(0);
        all.insert(name, first.wrapping_add(number).to_string().into());
    }
}

/// What is set unless the container's environment has it: PM2's names are
/// common words that an app may use for its own.
fn offers(all: &mut Env, config: &RunnerConfig, vars: &Env, facts: &Facts, run: &Run) {
    let mut add = |name: &str, value: OsString| offer(all, name, value);
    add("HOME", "/tmp".into());
    add("pm_exec_path", run.main.clone().into());
    add("pm_cwd", run.dir.clone().into());
    if let Some(files) = &config.log_files {
        add("pm_out_log_path", log_path(files, files.out_file.as_deref(), &config.name, "out"));
        add("pm_err_log_path", log_path(files, files.error_file.as_deref(), &config.name, "error"));
    }
    let pod = vars.get(OsStr::new(env::POD_NAME)).cloned();
    add("unique_id", pod.unwrap_or_else(|| format!("{}-{}", config.name, facts.created_at).into()));
    add("version", version(&run.main).into());
    add("PM2_USAGE", "CLI".into());
    let user = text(all, "USER");
    let uid = rustix::process::getuid().as_raw().to_string();
    let home = PathBuf::from(&all[OsStr::new("HOME")]);
    offer(all, "username", if user.is_empty() { uid } else { user }.into());
    offer(all, "PM2_HOME", home.join(".pm2").into());
}

fn offer(all: &mut Env, name: &str, value: OsString) {
    let slot = all.entry(name.into()).or_default();
    if slot.is_empty() {
        *slot = value;
    }
}

fn log_path(files: &LogFiles, given: Option<&str>, name: &str, stream: &str) -> OsString {
    given.map_or_else(|| Path::new(&files.dir).join(format!("{name}-{stream}.log")).into(), OsString::from)
}

/// The version in the nearest `package.json` above the script, as PM2 shows it.
fn version(main: &Path) -> String {
    let file = main.ancestors().skip(1).map(|dir| dir.join("package.json")).find(|path| path.is_file());
    let package: Option<serde_json::Value> =
        file.and_then(|path| std::fs::read(path).ok()).and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let version = package.as_ref().and_then(|package| package.get("version")?.as_str());
    version.unwrap_or("N/A").to_owned()
}

fn text(all: &Env, name: &str) -> String {
    all.get(OsStr::new(name)).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `NODE_OPTIONS`: ours first, then the app's own, which win therefore. What the
/// app says itself, there or on the command line, is left to it.
fn node_options(config: &RunnerConfig, facts: &Facts, args: &[String], own: &str) -> OsString {
    let said = |names: &[&str]| {
        let words = args.iter().map(String::as_str).chain(own.split_ascii_whitespace());
        words
            .map(|word| word.split('=').next().unwrap_or(word).replace('_', "-"))
            .any(|word| names.iter().any(|name| word == *name))
    };
    let mut options: Vec<OsString> = vec![];
    if config.preload.enabled {
        options.push(node_option("--require ", &facts.preload));
        if said(&["--permission", "--experimental-permission"]) {
            options.push(node_option("--allow-fs-read=", &facts.preload));
        }
    }
    let heap = ["--max-old-space-size", "--max-old-space-size-percentage", "--max-heap-size"];
    if let Some(mib) = config.node.max_old_space_size.filter(|_| !said(&heap)) {
        options.push(format!("--max-old-space-size={mib}").into());
    }
    if config.node.source_maps && !said(&["--enable-source-maps", "--no-enable-source-maps"]) {
        options.push("--enable-source-maps".into());
    }
    let mode = config.node.unhandled_rejections.as_deref().filter(|mode| REJECTIONS.contains(mode));
    if let Some(mode) = mode.filter(|_| !said(&["--unhandled-rejections"])) {
        options.push(format!("--unhandled-rejections={mode}").into());
    }
    if !own.is_empty() {
        options.push(own.into());
    }
    options.join(OsStr::new(" "))
}

/// An option with a path in the quoting of `NODE_OPTIONS`.
fn node_option(option: &str, path: &Path) -> OsString {
    let path = path.to_string_lossy();
    if path.contains([' ', '"', '\\']) {
        let escaped = path.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("{option}\"{escaped}\"").into();
    }
    format!("{option}{path}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run::of(
            super::super::Program { path: "/bin/a".into(), before: vec![] },
            vec![],
            Path::new("/app"),
            String::new(),
        )
    }

    fn config(more: &str) -> RunnerConfig {
        let json = format!(r#"{{"name":"web","port":3000,"launch":{{"command":{{"argv":["a"]}}}}{more}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn facts() -> Facts {
        Facts { preload: "/p.cjs".into(), restarts: 3, exit_code: Some(7), ..Facts::default() }
    }

    fn env(config: &RunnerConfig, own: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
        let own: Env = own.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let all = app_env(config, &own, &facts(), &run());
        move |name| all.get(OsStr::new(name)).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_app_sees_pm2s_variables_and_none_of_the_runners() {
        let own = [
            ("NODEAPP_RUNNER_CONFIG", "{}"),
            ("NODEAPP_RUN_DIR", "/x"),
            ("NODE_OPTIONS", "--no-warnings"),
            ("PORT", "1"),
            ("LOG_LEVEL", "info"),
            ("NODEAPP_POD_NAME", "web-7d-abc"),
            ("version", "of the app"),
        ];
        let files =
            r#","logFiles":{"dir":"/logs","maxSize":1,"retain":1,"compress":false,"errorFile":"/logs/e"}"#;
        let get = env(&config(files), &own);
        for gone in ["NODEAPP_RUNNER_CONFIG", "NODEAPP_RUN_DIR", "NODEAPP_LISTEN_FDS", "NODEAPP_POD_NAME"] {
            assert_eq!(get(gone), None, "{gone}");
        }
        for (name, value) in [
            ("PORT", "3000"),
            ("LOG_LEVEL", "info"),
            ("NODE_APP_INSTANCE", "0"),
            ("restart_time", "3"),
            ("exit_code", "7"),
            ("HOME", "/tmp"),
            ("PM2_HOME", "/tmp/.pm2"),
            ("NODE_OPTIONS", "--require /p.cjs --no-warnings"),
            ("pm_exec_path", "/bin/a"),
            ("pm_cwd", "/app"),
            ("pm_out_log_path", "/logs/web-out.log"),
            ("pm_err_log_path", "/logs/e"),
            ("unique_id", "web-7d-abc"),
            ("version", "of the app"),
        ] {
            assert_eq!(get(name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn a_numbered_instance_has_its_number_where_the_app_looks_for_it() {
        let numbered = |own: &[(&str, &str)]| {
            let own = [&[("NODEAPP_INSTANCE", "2")], own].concat();
            env(&config(""), &own)
        };
        let get = numbered(&[("NODE_APP_INSTANCE", "7")]);
        assert_eq!(get("NODE_APP_INSTANCE").as_deref(), Some("2"));
        assert_eq!((get("pm_id").as_deref(), get("NODEAPP_INSTANCE")), (Some("2"), None));
        let get = numbered(&[("NODEAPP_INSTANCE_VAR", "WORKER"), ("NODEAPP_INCREMENT_VAR", "DEBUG_PORT")]);
        assert_eq!((get("WORKER").as_deref(), get("DEBUG_PORT").as_deref()), (Some("2"), Some("2")));
        assert_eq!(get("NODE_APP_INSTANCE"), None, "as in PM2, it has the other name");
        for (first, there) in [("9200", "9202"), ("-1", "1"), ("x", "2"), ("", "2")] {
            let get = numbered(&[("NODEAPP_INCREMENT_VAR", "DEBUG_PORT"), ("DEBUG_PORT", first)]);
            assert_eq!(get("DEBUG_PORT").as_deref(), Some(there), "from {first}");
        }
    }

    #[test]
    fn node_is_told_what_the_config_says_unless_the_app_says_it_itself() {
        let all = r#","node":{"maxOldSpaceSize":384,"unhandledRejections":"warn","sourceMaps":true}"#;
        let options =
            |more: &str, own: &str| env(&config(more), &[("NODE_OPTIONS", own)])("NODE_OPTIONS").unwrap();
        assert_eq!(
            options(all, ""),
            "--require /p.cjs --max-old-space-size=384 --enable-source-maps --unhandled-rejections=warn"
        );
        for own in [
            "--max_old_space_size=99 --enable-source-maps --unhandled-rejections=none",
            "--max-old-space-size-percentage=50 --no-enable-source-maps --unhandled-rejections strict",
            "--max-heap-size=9 --enable-source-maps --unhandled-rejections=none",
        ] {
            assert_eq!(options(all, own), format!("--require /p.cjs {own}"));
        }
        let unknown = r#","node":{"unhandledRejections":"shrug"}"#;
        assert_eq!(options(unknown, ""), "--require /p.cjs", "Node.js would not start");
    }

    #[test]
    fn options_on_the_command_line_count_as_said_too() {
        let told = config(r#","node":{"maxOldSpaceSize":384}"#);
        let run = Run { options: vec!["--max-old-space-size=99".into(), "--permission".into()], ..run() };
        let all = app_env(&told, &Env::new(), &facts(), &run);
        assert_eq!(all[OsStr::new("NODE_OPTIONS")], "--require /p.cjs --allow-fs-read=/p.cjs");
    }

    #[test]
    fn without_the_preload_nothing_of_it_is_in_the_environment() {
        let get = env(&config(r#","preload":{"enabled":false}"#), &[]);
        for name in ["NODE_OPTIONS", "NODEAPP_CHANNEL", "NODEAPP_LISTEN_FDS"] {
            assert_eq!(get(name), None, "{name}");
        }
        assert!(get("NODE_CHANNEL_FD").is_some(), "the IPC channel is PM2's, and stays");
    }

    #[test]
    fn a_path_with_blanks_is_quoted_for_node_options() {
        assert_eq!(node_option("--require ", Path::new("/a b/p.cjs")), r#"--require "/a b/p.cjs""#);
    }
}
