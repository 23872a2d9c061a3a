//! What is executed, with which environment: decided here, done in `spawn`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nodeapp_contract::config::Launch;
use nodeapp_contract::{ExitCode, ExitReason, RunnerConfig, env};
use rustix::fs::Access;

use crate::hang;
use crate::settings::Env;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: Env,
    /// It speaks Node.js' IPC.
    pub(crate) hears: bool,
}

/// Why there is nothing to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaunchError {
    pub(crate) code: ExitCode,
    pub(crate) reason: ExitReason,
    pub(crate) message: String,
}

/// What changes from one start to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) restarts: u64,
    pub(crate) unstable: usize,
    /// Milliseconds since the epoch: this start.
    pub(crate) started_at: u64,
    /// Milliseconds since the epoch: first start in this container.
    pub(crate) created_at: u64,
    /// Number of the IPC channel's descriptor.
    pub(crate) ipc_fd: i32,
    /// Path of the side channel's socket.
    pub(crate) channel: PathBuf,
    /// Path of the preload script.
    pub(crate) preload: PathBuf,
    /// Held sockets in the form of [`env::LISTEN_FDS`].
    pub(crate) listen_fds: Option<String>,
}

/// Puts a process together, or says what is missing in the image.
pub(crate) fn plan(config: &RunnerConfig, vars: &Env, facts: &Facts) -> Result<Plan, LaunchError> {
    let cwd = config.cwd.as_ref().map(PathBuf::from);
    if let Some(dir) = cwd.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(LaunchError {
            code: ExitCode::ScriptMissing,
            reason: ExitReason::ScriptMissing,
            message: format!(
                "the working directory {} does not exist in the image; check cwd",
                dir.display()
            ),
        });
    }
    let search = search_path(vars).to_string_lossy();
    let env = app_env(config, vars, facts);
    match &config.launch {
        Launch::Script { script, args, node_args, .. } => {
            let program = find_program("node", vars, cwd.as_deref()).ok_or_else(|| {
                missing_program(format!(
                    "Node.js is not in the image: no executable `node` in PATH ({search}); use an image with \
                     Node.js or `command`"
                ))
            })?;
            check_script(&base(cwd.as_deref()).join(script))?;
            let args = node_args.iter().chain([script]).chain(args).map(OsString::from).collect();
            Ok(Plan { program, args, cwd, env, hears: true })
        }
        Launch::Command { argv } => {
            let name = &argv[0];
            let program = find_program(name, vars, cwd.as_deref()).ok_or_else(|| {
                missing_program(format!(
                    "the program `{name}` is not in the image or not executable (PATH is {search}); check command"
                ))
            })?;
            Ok(Plan { program, args: argv[1..].iter().map(OsString::from).collect(), cwd, env, hears: true })
        }
    }
}

/// An error of the program's kind.
pub(crate) fn missing_program(message: String) -> LaunchError {
    LaunchError { code: ExitCode::ProgramMissing, reason: ExitReason::ProgramMissing, message }
}

/// Looks a program up as a shell would.
pub(crate) fn find_program(name: &str, vars: &Env, cwd: Option<&Path>) -> Option<PathBuf> {
    let base = base(cwd);
    let runs = |path: &PathBuf| path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok();
    if name.contains('/') {
        return Some(base.join(name)).filter(runs);
    }
    search_path(vars)
        .as_bytes()
        .split(|byte| *byte == b':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| base.join(OsStr::from_bytes(dir)).join(name))
        .find(runs)
}

fn base(cwd: Option<&Path>) -> PathBuf {
    cwd.map(Path::to_owned).or_else(|| std::env::current_dir().ok()).unwrap_or_else(|| "/".into())
}

fn search_path(vars: &Env) -> &OsStr {
    vars.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), |path| path)
}

/// The environment of a probe's program: the container's, without what makes a
/// Node.js part of the app.
pub(crate) fn probe_env(vars: &Env) -> Env {
    let mut all = vars.clone();
    for name in env::RUNNER_ONLY {
        all.remove(OsStr::new(name));
    }
    all
}

/// Node.js tries these extensions itself, and looks into directories.
fn check_script(path: &Path) -> Result<(), LaunchError> {
    let error =
        |message| LaunchError { code: ExitCode::ScriptMissing, reason: ExitReason::ScriptMissing, message };
    let candidates = ["", ".js", ".json", ".node"].map(|extension| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    });
    let Some(found) = candidates.iter().find(|path| path.exists()) else {
        return Err(error(format!(
            "the script {} does not exist in the image; check script and cwd",
            path.display()
        )));
    };
    rustix::fs::access(found, Access::READ_OK).map_err(|_| {
        let uid = rustix::process::getuid().as_raw();
        error(format!("the script {} cannot be read by user {uid}; check its mode", found.display()))
    })
}

/// The container's environment with what PM2's apps read, and without what is
/// between operator and runner.
fn app_env(config: &RunnerConfig, vars: &Env, facts: &Facts) -> Env {
    let mut all = probe_env(vars);
    let mut set = |name: &str, value: OsString| all.insert(name.into(), value);
    set("NODE_APP_INSTANCE", "0".into());
    set("name", config.name.clone().into());
    set("namespace", "default".into());
    set("pm_id", "0".into());
    set("exec_mode", "fork_mode".into());
    set("status", "launching".into());
    set("restart_time", facts.restarts.to_string().into());
    set("unstable_restarts", facts.unstable.to_string().into());
    set("pm_uptime", facts.started_at.to_string().into());
    set("created_at", facts.created_at.to_string().into());
    if let Some(port) = config.port {
        set("PORT", port.to_string().into());
    }
    set("NODE_CHANNEL_FD", facts.ipc_fd.to_string().into());
    set("NODE_CHANNEL_SERIALIZATION_MODE", "json".into());
    set(env::CHANNEL, facts.channel.clone().into());
    set(env::BEAT, hang::period(&config.preload).0.to_string().into());
    match &facts.listen_fds {
        Some(fds) => set(env::LISTEN_FDS, fds.into()),
        None => all.remove(OsStr::new(env::LISTEN_FDS)),
    };
    let unset = |all: &Env, name: &str| all.get(OsStr::new(name)).is_none_or(|value| value.is_empty());
    if unset(&all, "HOME") {
        all.insert("HOME".into(), "/tmp".into());
    }
    if unset(&all, "PM2_HOME") {
        let home = PathBuf::from(&all[OsStr::new("HOME")]);
        all.insert("PM2_HOME".into(), home.join(".pm2").into());
    }
    let mut options = node_option("--require ", &facts.preload);
    if under_permissions(config, &all) {
        options.push(" ");
        options.push(node_option("--allow-fs-read=", &facts.preload));
    }
    if let Some(own) = all.get(OsStr::new("NODE_OPTIONS")).filter(|own| !own.is_empty()) {
        options.push(" ");
        options.push(own);
    }
    all.insert("NODE_OPTIONS".into(), options);
    all
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

/// Whether Node.js' permission model is on, which would not let it read the preload.
fn under_permissions(config: &RunnerConfig, all: &Env) -> bool {
    let own = all.get(OsStr::new("NODE_OPTIONS")).map(|own| own.to_string_lossy()).unwrap_or_default();
    let args: &[String] = match &config.launch {
        Launch::Script { node_args, .. } => node_args,
        Launch::Command { argv } => argv,
    };
    let mut words = args.iter().map(String::as_str).chain(own.split_ascii_whitespace());
    words.any(|word| matches!(word, "--permission" | "--experimental-permission"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(launch: &str) -> RunnerConfig {
        serde_json::from_str(&format!(r#"{{"name":"web","port":3000,"launch":{launch}}}"#)).unwrap()
    }

    fn facts() -> Facts {
        Facts { preload: "/nodeapp/bin/preload.cjs".into(), restarts: 3, ..Facts::default() }
    }

    fn vars(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_app_sees_pm2s_variables_and_none_of_the_runners() {
        let own = vars(&[
            ("NODEAPP_RUNNER_CONFIG", "{}"),
            ("NODEAPP_RUN_DIR", "/x"),
            ("NODE_OPTIONS", "--no-warnings"),
            ("PORT", "1"),
            ("LOG_LEVEL", "info"),
        ]);
        let env = app_env(&config(r#"{"command":{"argv":["a"]}}"#), &own, &facts());
        let get = |name: &str| env.get(OsStr::new(name)).map(|value| value.to_str().unwrap());
        assert_eq!(get("NODEAPP_RUNNER_CONFIG"), None);
        assert_eq!(get("NODEAPP_RUN_DIR"), None);
        assert_eq!(get("NODEAPP_LISTEN_FDS"), None);
        assert_eq!(get("PORT"), Some("3000"));
        assert_eq!(get("LOG_LEVEL"), Some("info"));
        assert_eq!(get("NODE_APP_INSTANCE"), Some("0"));
        assert_eq!(get("restart_time"), Some("3"));
        assert_eq!(get("HOME"), Some("/tmp"));
        assert_eq!(get("PM2_HOME"), Some("/tmp/.pm2"));
        assert_eq!(get("NODE_OPTIONS"), Some("--require /nodeapp/bin/preload.cjs --no-warnings"));
    }

    #[test]
    fn a_path_with_blanks_is_quoted_for_node_options() {
        assert_eq!(node_option("--require ", Path::new("/a b/p.cjs")), r#"--require "/a b/p.cjs""#);
    }

    #[test]
    fn what_is_missing_in_the_image_is_said_with_its_own_exit_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = vars(&[("PATH", dir.path().to_str().unwrap())]);
        let script = config(r#"{"script":{"script":"/no/such/server.js"}}"#);
        let error = plan(&script, &path, &facts()).unwrap_err();
        assert_eq!(error.code, ExitCode::ProgramMissing);
        assert!(error.message.contains("Node.js is not in the image"), "{}", error.message);

        let error = plan(&config(r#"{"command":{"argv":["no-such"]}}"#), &path, &facts()).unwrap_err();
        assert_eq!(error.code, ExitCode::ProgramMissing);

        let node = dir.path().join("node");
        std::fs::write(&node, "").unwrap();
        assert!(plan(&script, &path, &facts()).is_err(), "node is there but not executable");
        std::fs::set_permissions(&node, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = plan(&script, &path, &facts()).unwrap_err();
        assert_eq!(error.code, ExitCode::ScriptMissing);
        assert!(error.message.contains("/no/such/server.js"), "{}", error.message);

        let mut gone = script.clone();
        gone.cwd = Some("/no/such/dir".into());
        assert!(plan(&gone, &path, &facts()).unwrap_err().message.contains("check cwd"));
    }

    #[test]
    fn a_script_is_started_as_one_would_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let node = dir.path().join("node");
        std::fs::write(&node, "").unwrap();
        std::fs::set_permissions(&node, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("server.js"), "").unwrap();
        let mut config = config(
            r#"{"script":{"script":"server","args":["--port","1"],"nodeArgs":["--enable-source-maps"]}}"#,
        );
        config.cwd = Some(dir.path().to_str().unwrap().into());
        let plan = plan(&config, &vars(&[("PATH", dir.path().to_str().unwrap())]), &facts()).unwrap();
        assert_eq!(plan.program, node);
        assert_eq!(plan.args, ["--enable-source-maps", "server", "--port", "1"]);
    }
}
