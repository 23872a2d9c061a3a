//! What is executed, with which environment: decided here, done in `spawn`.

mod env;
mod find;
mod interpreter;
mod npm;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nodeapp_contract::config::Launch;
use nodeapp_contract::{ExitCode, ExitReason, RunnerConfig};

use crate::settings::Env;

use find::{Place, Program, base, node_script};
use interpreter::{Ask, is_node};
use npm::Found;

pub(crate) use env::probe_env;
pub(crate) use find::find_program;

/// A process that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: Env,
    /// It speaks Node.js' IPC.
    pub(crate) hears: bool,
    /// Why this program.
    pub(crate) why: String,
    /// What a person should know about it.
    pub(crate) note: Option<String>,
}

/// Why there is nothing to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaunchError {
    pub(crate) code: ExitCode,
    pub(crate) reason: ExitReason,
    pub(crate) message: String,
}

impl LaunchError {
    /// A program is missing.
    pub(crate) fn program(message: String) -> Self {
        Self { code: ExitCode::ProgramMissing, reason: ExitReason::ProgramMissing, message }
    }

    /// The script, or its directory, is missing or cannot be run.
    fn script(message: String) -> Self {
        Self { code: ExitCode::ScriptMissing, reason: ExitReason::ScriptMissing, message }
    }
}

/// What changes from one start to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) restarts: u64,
    pub(crate) unstable: usize,
    /// Exit code of the process before, if it had one.
    pub(crate) exit_code: Option<i32>,
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
    /// Held sockets in the form of [`nodeapp_contract::env::LISTEN_FDS`].
    pub(crate) listen_fds: Option<String>,
}

/// What is to run, before its environment is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    program: PathBuf,
    args: Vec<OsString>,
    dir: PathBuf,
    /// Variables that come with it.
    vars: Vec<(OsString, OsString)>,
    /// Words among which options of Node.js are.
    options: Vec<String>,
    /// PM2's `pm_exec_path`.
    main: PathBuf,
    hears: bool,
    why: String,
    note: Option<String>,
}

/// Puts a process together, or says what is missing in the image.
pub(crate) fn plan(config: &RunnerConfig, vars: &Env, facts: &Facts) -> Result<Plan, LaunchError> {
    plan_with(config, vars, facts, &Execute)
}

fn plan_with(config: &RunnerConfig, vars: &Env, facts: &Facts, ask: &dyn Ask) -> Result<Plan, LaunchError> {
    let cwd = config.cwd.as_ref().map(PathBuf::from);
    if let Some(dir) = cwd.as_ref().filter(|dir| !dir.is_dir()) {
        return Err(LaunchError::script(format!(
            "the working directory {} does not exist in the image; check cwd",
            dir.display()
        )));
    }
    let dir = base(cwd.as_deref());
    let place = Place { vars, dir: &dir };
    let run = match &config.launch {
        Launch::Script { script, args, node_args, interpreter } => {
            script_run(script, args, node_args, interpreter.as_deref(), place, ask)?
        }
        Launch::Command { argv } => command(argv, &[], place)?,
    };
    let env = env::app_env(config, vars, facts, &run);
    let Run { program, args, dir: own, hears, why, note, .. } = run;
    let cwd = if own == dir { cwd } else { Some(own) };
    Ok(Plan { program, args, cwd, env, hears, why, note })
}

fn script_run(
    script: &str,
    args: &[String],
    node_args: &[String],
    named: Option<&str>,
    place: Place<'_>,
    ask: &dyn Ask,
) -> Result<Run, LaunchError> {
    let path = place.dir.join(script);
    // As PM2: a script that is no file may be a command line, or a program.
    if named.is_none_or(|name| name == "none") && node_script(&path).is_none() {
        if script.contains([' ', '\t']) {
            return line(script, args, node_args, place);
        }
        let words = [&[script.to_owned()], args].concat();
        if !script.contains('/') && can_run(&words, place) {
            return command(&words, node_args, place);
        }
    }
    let choice = interpreter::choose(script, named, node_args, place, ask)?;
    let mut all = choice.program.before;
    all.extend(choice.args);
    if choice.takes_script {
        all.extend(node_args.iter().map(OsString::from));
        all.push(script.into());
    }
    all.extend(args.iter().map(OsString::from));
    let unbuffered = ("PYTHONUNBUFFERED".into(), "1".into());
    Ok(Run {
        hears: speaks_ipc(&choice.program.path),
        program: choice.program.path,
        args: all,
        dir: place.dir.to_owned(),
        vars: if choice.python { vec![unbuffered] } else { vec![] },
        options: node_args.to_vec(),
        main: path,
        why: choice.why,
        note: None,
    })
}

/// A command line: without a shell where none is needed.
fn line(text: &str, args: &[String], node_args: &[String], place: Place<'_>) -> Result<Run, LaunchError> {
    if let Some(simple) = words::simple(text)
        && can_run(&simple.words, place)
    {
        let mut run = command(&[&simple.words, args].concat(), node_args, place)?;
        let own = simple.vars.into_iter().map(|(name, value)| (name.into(), value.into()));
        // What the script of a package sets is nearer to the program.
        run.vars.splice(0..0, own);
        return Ok(run);
    }
    let shell = ["bash", "sh"].iter().find_map(|name| place.program(name)).ok_or_else(|| {
        LaunchError::program(format!(
            "the script `{text}` takes a shell, and there is neither bash nor sh in the image (PATH is {}); use \
             command, or a script without shell characters",
            place.search_path()
        ))
    })?;
    let mut all: Vec<OsString> = vec!["-c".into()];
    if args.is_empty() {
        all.push(text.into());
    } else {
        all.push(format!("{text} \"$@\"").into());
        all.push("sh".into());
        all.extend(args.iter().map(OsString::from));
    }
    let note = "the script is run by a shell: unless the shell replaces itself by the app (`exec node …`), \
                process.send('ready') may not arrive"
        .to_owned();
    let options = text.split_ascii_whitespace().map(str::to_owned).collect();
    let why = "a shell, for the script has blanks and shell characters".to_owned();
    let run = Run::of(shell, all, place.dir, why);
    Ok(Run { options, note: Some(note), ..run })
}

/// Whether the program is in the image, or is a package manager that is not needed.
fn can_run(words: &[String], place: Place<'_>) -> bool {
    place.program(&words[0]).is_some() || matches!(npm::look(words, place), Found::Direct(_))
}

/// A program and its arguments; a package manager is left out where that is the same.
fn command(words: &[String], node_args: &[String], place: Place<'_>) -> Result<Run, LaunchError> {
    match npm::look(words, place) {
        Found::Direct(direct) => {
            let mut vars = place.vars.clone();
            vars.extend(direct.vars.iter().cloned());
            let why = format!("`{}` without {}", words.join(" "), words[0]);
            let run = execute(&direct.words, node_args, Place { vars: &vars, dir: &direct.dir }, why)?;
            Ok(Run { vars: direct.vars, ..run })
        }
        Found::Indirect(why) => {
            let run = execute(words, node_args, place, "as given".to_owned())?;
            let note = format!(
                "`{}` runs through {}, since {why}; the IPC channel ends there, so that process.send('ready') of the \
                 app does not arrive",
                words.join(" "),
                words[0]
            );
            Ok(Run { hears: false, note: Some(note), ..run })
        }
        Found::Other => execute(words, node_args, place, "as given".to_owned()),
    }
}

fn execute(
    words: &[String],
    node_args: &[String],
    place: Place<'_>,
    why: String,
) -> Result<Run, LaunchError> {
    let name = &words[0];
    let program = place.program(name).ok_or_else(|| {
        LaunchError::program(format!(
            "the program `{name}` is not in the image or not executable (PATH is {}); check command",
            place.search_path()
        ))
    })?;
    let node_args = if is_node(&program.path) { node_args } else { &[] };
    let mut args: Vec<OsString> = node_args.iter().map(OsString::from).collect();
    args.extend(program.before);
    args.extend(words[1..].iter().map(OsString::from));
    let program = Program { path: program.path, before: vec![] };
    let run = Run::of(program, args, place.dir, why);
    Ok(Run { options: [node_args, &words[1..]].concat(), ..run })
}

impl Run {
    fn of(program: Program, args: Vec<OsString>, dir: &Path, why: String) -> Self {
        Self {
            hears: speaks_ipc(&program.path),
            main: program.path.clone(),
            program: program.path,
            args,
            dir: dir.to_owned(),
            vars: vec![],
            options: vec![],
            why,
            note: None,
        }
    }
}

/// Whether a message may find a listener in it.
fn speaks_ipc(program: &Path) -> bool {
    is_node(program) || program.file_name().is_some_and(|name| name == "bun" || name == "deno")
}

/// Asks the programs of the image by executing them.
struct Execute;

impl Ask for Execute {
    fn node_version(&self, node: &Path) -> Option<(u32, u32)> {
        let output =
            std::process::Command::new(node).arg("--version").env_remove("NODE_OPTIONS").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let mut numbers = text.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::find::tests::put;
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

    /// An image with Node.js in its PATH; what is started for a launch.
    fn started(dir: &Path, launch: &str) -> Plan {
        put(dir, "bin/node", "");
        let mut config = config(launch);
        config.cwd = Some(dir.to_str().unwrap().into());
        let path = dir.join("bin");
        plan(&config, &vars(&[("PATH", path.to_str().unwrap())]), &facts()).unwrap()
    }

    fn words(plan: &Plan) -> String {
        let name = plan.program.file_name().unwrap().to_str().unwrap().to_owned();
        let args = plan.args.iter().map(|arg| arg.to_str().unwrap().to_owned());
        [name].into_iter().chain(args).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_script_with_blanks_is_executed_without_a_shell_where_that_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let plan = started(
            dir.path(),
            r#"{"script":{"script":"A=1 node server.js --x","args":["y z"],"nodeArgs":["--no-warnings"]}}"#,
        );
        assert_eq!(words(&plan), "node --no-warnings server.js --x y z");
        assert_eq!(plan.env[OsStr::new("A")], "1");
        assert!(plan.hears && plan.note.is_none());
    }

    #[test]
    fn a_script_with_blanks_that_takes_a_shell_gets_bash_or_else_sh() {
        let dir = tempfile::tempdir().unwrap();
        let launch = r#"{"script":{"script":"node a.js | cat","args":["x"]}}"#;
        let mut poor = config(launch);
        poor.cwd = Some(dir.path().to_str().unwrap().into());
        let path = dir.path().join("bin");
        let error = plan(&poor, &vars(&[("PATH", path.to_str().unwrap())]), &facts()).unwrap_err();
        assert!(error.message.contains("neither bash nor sh"), "{}", error.message);
        put(dir.path(), "bin/sh", "");
        assert_eq!(words(&started(dir.path(), launch)), "sh -c node a.js | cat \"$@\" sh x");
        put(dir.path(), "bin/bash", "");
        let plan = started(dir.path(), r#"{"script":{"script":"node a.js | cat"}}"#);
        assert_eq!(words(&plan), "bash -c node a.js | cat");
        assert!(plan.note.unwrap().contains("exec node"));
    }

    #[test]
    fn a_file_with_blanks_in_its_name_is_a_script() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "my app.js", "");
        assert_eq!(words(&started(dir.path(), r#"{"script":{"script":"my app.js"}}"#)), "node my app.js");
    }

    #[test]
    fn npm_as_a_script_with_args_is_npm_start_as_pm2_users_write_it() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "bin/npm", "");
        std::fs::write(dir.path().join("package.json"), r#"{"scripts":{"start":"node server.js"}}"#).unwrap();
        for launch in [
            r#"{"script":{"script":"npm","args":["start"]}}"#,
            r#"{"script":{"script":"npm start"}}"#,
            r#"{"command":{"argv":["npm","start"]}}"#,
        ] {
            let plan = started(dir.path(), launch);
            assert_eq!(words(&plan), "node server.js", "{launch}");
            assert_eq!(plan.env[OsStr::new("npm_lifecycle_event")], "start");
            assert_eq!(plan.why, "`npm start` without npm");
        }
    }

    #[test]
    fn npm_that_is_needed_is_run_and_what_is_lost_is_told() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "bin/npm", "");
        let json = r#"{"scripts":{"prestart":"tsc","start":"node server.js"}}"#;
        std::fs::write(dir.path().join("package.json"), json).unwrap();
        let plan = started(dir.path(), r#"{"command":{"argv":["npm","start"]}}"#);
        assert_eq!(words(&plan), "npm start");
        let note = plan.note.unwrap();
        assert!(!plan.hears && note.contains("prestart") && note.contains("process.send('ready')"), "{note}");
    }
}
