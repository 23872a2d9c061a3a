//! The plugin as a user runs it: what it prints, where, and with which exit code.

// Helpers of tests are no test functions for the lint.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

mod import;
mod init;
mod k9s;
mod no_cluster;
mod portable;
mod render;
mod secrets;
mod tables;
mod use_node;

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-nodeapp"));
    command
        .current_dir(folder.path())
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(folder: &TempDir, args: &[&str]) -> Ran {
    ran(command(folder, args).output().unwrap())
}

fn run_with_input(folder: &TempDir, args: &[&str], input: &str) -> Ran {
    let mut command = command(folder, args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It need not read all of it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ran(child.wait_with_output().unwrap())
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const CONFIG: &str = "ecosystem.config.js";
const GOOD: &str = "module.exports = { apps: [{ name: 'api', script: 'a.js', port: 3000 }] }";

#[test]
fn the_same_program_answers_as_kubectl_pm2() {
    let folder = folder(&[]);
    let link = folder.path().join("kubectl-pm2");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kubectl-nodeapp"), &link).unwrap();
    let help = |program: &Path| ran(Command::new(program).arg("--help").output().unwrap()).out;
    assert!(help(&link).contains("kubectl pm2 <COMMAND>"), "{}", help(&link));
    assert!(help(Path::new(env!("CARGO_BIN_EXE_kubectl-nodeapp"))).contains("kubectl nodeapp <COMMAND>"));
}
