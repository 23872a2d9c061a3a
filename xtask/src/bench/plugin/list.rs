//! The list of many apps, and the dashboard over many pods.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Bench, fill, in_turns, line};
use crate::bench::operator::plane::Plane;
use crate::bench::rig::wait_for;
use crate::bench::stat::count;
use crate::bench::table::{Line, Topic};
use crate::cluster;
use crate::sh::{self, Step};

pub(super) const TOPIC: Topic = Topic {
    name: "many",
    title: "`ls` over 1,000 apps and `monit` over 1,000 pods",
    how: "API server and etcd, no node and no controller; apps with a whole status and as many pods, whose status says that \
they are ready. `ls` beside `kubectl get nodeapps` and `monit` beside `kubectl get pods`, from the spawn to the end, in turns. \
`monit` runs in tmux on 120 by 40; its time is from the spawn of tmux until its screen shows the list of all pods with their \
number. No pod answers here, so figures of processes, which come row by row afterwards, are not in it.",
};

/// Where the fleet is.
const NAMESPACE: &str = "fleet";
const LS_GOAL: f64 = 0.5;
const MONIT_GOAL: f64 = 2.0;

pub(super) fn run(bench: &Bench, step: &Step) -> Result<Vec<Line>> {
    let number = bench.times(1_000, 50);
    let plane = Plane::bare()?;
    let kubeconfig = &plane.cluster.kubeconfig;
    fill(kubeconfig, number, number)?;
    step.note("the fleet is there");
    let plugin = |words: &[&str]| {
        let mut command = bench.plugin(kubeconfig);
        command.args(words).args(["-n", NAMESPACE]);
        command
    };
    let kubectl = |words: &[&str]| -> Result<Command> {
        let mut command = plane.cluster.kubectl()?;
        command.args(words).args(["-n", NAMESPACE]);
        Ok(command)
    };
    let rows = sh::output(&mut plugin(&["ls"]))?.lines().filter(|row| row.contains("online")).count();
    ensure!(rows as u64 == number, "{rows} of {number} apps are online in the list");
    let ls = in_turns(bench.times(20, 3), plugin(&["ls"]), kubectl(&["get", "nodeapps"])?)?;
    let name = count(number);
    let mut lines = vec![line(&format!("`ls` over {name} apps"), &ls, LS_GOAL)];
    step.note(&lines[0].ours.clone());
    let mut monit = [vec![], vec![]];
    for turn in 0..bench.times(10, 2) {
        monit[0].push(screen(bench, kubeconfig, number, turn)?);
        let begun = Instant::now();
        sh::output(&mut kubectl(&["get", "pods"])?)?;
        monit[1].push(begun.elapsed().as_secs_f64());
    }
    lines.push(line(&format!("`monit` over {name} pods"), &monit, MONIT_GOAL));
    Ok(lines)
}

/// Seconds until the dashboard shows all pods.
fn screen(bench: &Bench, kubeconfig: &Path, pods: u64, turn: usize) -> Result<f64> {
    let socket = format!("nodeapp-bench-{}-{turn}", std::process::id());
    let tmux = |words: &[&str]| {
        let mut command = Command::new("tmux");
        cluster::talk_to(&mut command, kubeconfig);
        command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        command.args(["-u", "-L", &socket, "-f", "/dev/null"]).args(words);
        command
    };
    let line = format!("{} monit -n {NAMESPACE}", bench.plugin.display());
    let begun = Instant::now();
    sh::output(&mut tmux(&["new-session", "-d", "-x", "120", "-y", "40", &line]))
        .context("tmux does not start; `cargo xtask deps` installs it")?;
    let wanted = format!("{pods} instances, {pods} online");
    let seen = wait_for(&wanted, Duration::from_mins(1), || {
        let screen = sh::output(&mut tmux(&["capture-pane", "-p"])).ok()?;
        screen.contains(&wanted).then(|| begun.elapsed().as_secs_f64())
    });
    drop(sh::output(&mut tmux(&["kill-server"])));
    seen
}
