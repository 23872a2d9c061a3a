//! `import --use-node`: the user's own Node.js evaluates the file.

use std::process::Command;

use crate::{CONFIG, command, folder, ran, run};

/// Whether there is a Node.js to try `--use-node` with.
fn has_node() -> bool {
    let found = Command::new("node").arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "Node.js is missing");
    if !found {
        eprintln!("skipped: no Node.js here");
    }
    found
}

#[test]
fn a_broken_file_in_the_users_own_node_is_told_without_its_lines() {
    if !has_node() {
        return;
    }
    for (text, said) in [
        ("module.exports = {\n  PASSWORD: 'hunter2' 'x'\n}", "ecosystem.config.js:2: SyntaxError"),
        (
            "const PASSWORD = 'hunter2'; missing(PASSWORD)",
            "ecosystem.config.js:1: ReferenceError: missing is not defined",
        ),
        ("const A = 'hunter2'; require('child_process').execSync('exit 3')", "ecosystem.config.js:1: Error"),
        ("process.env.A = 'hunter2'; process.exit(4)", "exit status: 4"),
    ] {
        let folder = folder(&[(CONFIG, text)]);
        let ran = run(&folder, &["import", CONFIG, "--use-node"]);
        assert!(ran.code == Some(1) && ran.err.contains(said), "{text}: {}", ran.err);
        assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"), "{text}: {}", ran.err);
    }
}

#[test]
fn the_users_own_node_keeps_the_shell_out_of_the_manifest_and_sees_the_profile() {
    if !has_node() {
        return;
    }
    let config = "const profile = process.argv[process.argv.indexOf('--env') + 1];
        require('child_process').execSync('true');
        module.exports = { apps: [{ name: 'a', script: 'a.js', env: { ...process.env, NODE_ENV: profile, LANG: 'C' } }] }";
    let folder = folder(&[(CONFIG, config)]);
    let mut command =
        command(&folder, &["import", CONFIG, "--image", "a:1", "--use-node", "--env", "staging"]);
    let ran = ran(command.env("NVM_DIR", "/home/dev/.nvm").env("FLAVOUR", "laptop").output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let names: Vec<_> =
        ran.out.lines().filter_map(|line| line.trim_start().strip_prefix("- name: ")).collect();
    assert_eq!(names, ["LANG", "NODE_ENV"], "{}", ran.out);
    assert!(
        ran.out.contains("value: staging") && ran.err.contains("taken over from the shell"),
        "{}",
        ran.err
    );
}

#[test]
fn a_variable_that_the_users_own_node_reads_for_itself_is_not_told() {
    if !has_node() {
        return;
    }
    let config = "require('child_process').execSync('true');
        module.exports = { apps: [{ name: 'a', script: 'a.js', env: { TIER: process.env.TIER || 'x' } }] }";
    let folder = folder(&[(CONFIG, config)]);
    let ran = run(&folder, &["import", CONFIG, "--image", "a:1", "--use-node"]);
    let told: Vec<_> = ran.err.lines().filter(|line| line.contains("process.env")).collect();
    assert!(told.len() == 1 && told[0].contains(" TIER are not set"), "{}", ran.err);
}

#[test]
fn the_users_own_node_does_what_the_engine_does_not_and_is_warned_about() {
    if !has_node() {
        return;
    }
    let config = "const n = require('child_process').execSync('echo 7').toString().trim();
        module.exports = { apps: [{ name: 'a', script: 'a.js', instances: require('os').cpus().length - 1, env: { N: n } }] }";
    let folder = folder(&[(CONFIG, config)]);
    let ran = run(&folder, &["import", CONFIG, "--image", "a:1", "--use-node"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let warning = "warning: --use-node runs the files in your Node.js; they may read, write and call whatever they want";
    assert_eq!(ran.err.lines().next(), Some(warning), "{}", ran.err);
    assert!(
        ran.err.contains("spec.fillCluster") && ran.out.contains("value: \"7\""),
        "{}\n{}",
        ran.out,
        ran.err
    );
}
