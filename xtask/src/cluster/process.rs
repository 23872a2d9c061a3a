//! Starts daemons that outlive this program, and knows them again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cgroup::Groups;
use super::layout::Layout;

/// The programs' own folders; also those an ordinary user's PATH lacks.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Joins the control group and leaves its id before it becomes the daemon, so that there is no moment in which
/// a process of the cluster could not be found.
const BECOME: &str = r#"echo $$ > "$1/cgroup.procs" && echo $$ > "$2" && shift 2 && exec "$@""#;
/// The same without the id.
const JOIN: &str = r#"echo $$ > "$1/cgroup.procs" && shift && exec "$@""#;

/// A program to start.
pub(crate) struct Daemon {
    pub(crate) name: String,
    pub(crate) argv: Vec<String>,
}

/// Starts a daemon in a session of its own, its output in the cluster's log folder. Returns its process id.
pub(crate) fn start(layout: &Layout, daemon: &Daemon) -> Result<i32> {
    let group = Groups::new(layout.control_group()).create_component(&daemon.name)?;
    let (log, pid) = (layout.log(&daemon.name), layout.pid(&daemon.name));
    for file in [&log, &pid] {
        let parent = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let _ = fs::remove_file(&pid);
    let log = fs::File::options().create(true).append(true).open(&log)?;
    let status = Command::new("setsid")
        .args(["--fork", "sh", "-c", BECOME, "sh"])
        .arg(&group)
        .arg(&pid)
        .args(&daemon.argv)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .context("cannot start setsid; `cargo xtask deps` says what is missing")?;
    if !status.success() {
        bail!("{} could not be started: setsid ended with {status}", daemon.name);
    }
    await_pid(&daemon.name, &pid)
}

/// Starts a daemon inside a node's namespaces.
pub(crate) fn start_inside(layout: &Layout, holder: i32, name: &str, argv: &[String]) -> Result<i32> {
    let mut words: Vec<String> = enter(holder).to_vec();
    words.extend_from_slice(argv);
    start(layout, &Daemon { name: name.into(), argv: words })
}

/// A program to be run inside a node's namespaces and waited for. It belongs to the cluster as the daemons do, so
/// that `down` finds it when this program was killed meanwhile.
pub(crate) fn tool(layout: &Layout, holder: i32, argv: &[&str]) -> Result<Command> {
    let group = Groups::new(layout.control_group()).create_component("tools")?;
    let mut command = Command::new("sh");
    command.args(["-c", JOIN, "sh"]).arg(group).args(enter(holder)).args(argv);
    Ok(command)
}

/// The words in front of a program that shall run inside.
fn enter(holder: i32) -> [String; 7] {
    ["nsenter", "--target", &holder.to_string(), "--mount", "--net", "--wd=/", "--"].map(str::to_owned)
}

/// The process id of a daemon, when it is alive. A number that somebody else has by now is not in the group.
pub(crate) fn alive(layout: &Layout, name: &str) -> Option<i32> {
    let id: i32 = fs::read_to_string(layout.pid(name)).ok()?.trim().parse().ok()?;
    Groups::new(layout.control_group()).members(name).contains(&id).then_some(id)
}

fn await_pid(name: &str, file: &Path) -> Result<i32> {
    let started = Instant::now();
    loop {
        // The line is complete once its end is there.
        if let Ok(text) = fs::read_to_string(file)
            && text.ends_with('\n')
        {
            return text.trim().parse().with_context(|| format!("{} holds no process id", file.display()));
        }
        if started.elapsed() > Duration::from_secs(10) {
            bail!("{name} did not start within 10 s; its log lies beside {}", file.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
