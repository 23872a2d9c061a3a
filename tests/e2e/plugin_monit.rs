//! `kubectl nodeapp monit`, driven in tmux as a person would.

use std::path::Path;

use anyhow::{Result, ensure};
use nodeapp_testkit::Namespace;

use crate::app::{App, SOON};
use crate::e2e;

/// A terminal of 120 by 32 with a program in it.
struct Terminal<'a> {
    namespace: &'a Namespace,
    socket: String,
}

impl<'a> Terminal<'a> {
    async fn start(namespace: &'a Namespace, program: &str) -> Result<Self> {
        let socket = namespace.name().to_owned();
        let terminal = Self { namespace, socket };
        terminal
            .tmux(&format!("-f /dev/null new-session -d -x 120 -y 32 '{program}; echo ended with $?; cat'"))
            .await?;
        Ok(terminal)
    }

    async fn tmux(&self, words: &str) -> Result<String> {
        let line = format!("LC_ALL=C.UTF-8 TERM=xterm-256color tmux -u -L {} {words}", self.socket);
        self.namespace.cluster().tools.shell(Path::new("."), &line).await
    }

    /// Waits until the screen shows all of this.
    async fn shows(&self, parts: &[&str]) -> Result<String> {
        let look = async || {
            let screen = self.tmux("capture-pane -p").await?;
            for part in parts {
                ensure!(screen.contains(part), "no `{part}` on the screen:\n{screen}");
            }
            Ok(screen)
        };
        self.namespace.eventually(&parts.join(", "), SOON, look).await
    }

    /// Waits until the screen shows this so often.
    async fn shows_again(&self, part: &str, times: usize) -> Result<()> {
        let look = async || {
            let screen = self.tmux("capture-pane -p").await?;
            ensure!(screen.matches(part).count() == times, "not {times} times `{part}`:\n{screen}");
            Ok(())
        };
        self.namespace.eventually(&format!("{part}, {times} times"), SOON, look).await
    }

    /// Has the program on the terminal end as a system would.
    async fn terminates(&self) -> Result<()> {
        let shell = self.tmux("display-message -p '#{pane_pid}'").await?;
        let shell = shell.trim();
        let program = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"))?;
        let line = format!("kill -TERM {program}");
        self.namespace.cluster().tools.shell(Path::new("."), &line).await.map(drop)
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
    }
}

/// Without it the test skips on a laptop, and says so.
fn is_there() -> bool {
    let found =
        std::process::Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "no `tmux` in PATH, and CI must not skip");
        println!("skipped: no `tmux` in PATH; `cargo xtask deps` installs it");
    }
    found
}

/// What every screen has in common with the one in the docs: titles, columns, names of figures, keys.
fn parts_of_the_docs() -> Vec<String> {
    let docs = include_str!("../../docs/kubectl-watch.md");
    let screen = docs.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let words = screen.lines().filter(|line| line.starts_with("│APP"));
    let mut parts: Vec<String> = words.flat_map(str::split_whitespace).map(str::to_owned).collect();
    parts.extend(
        ["┌ log of ", "┌ Events ─", "image    ", "node     ", "pod age  ", "Node.js  ", "open     "]
            .map(String::from),
    );
    parts.retain(|part| part != "│");
    parts.extend(screen.lines().last().map(str::to_owned));
    assert!(parts.iter().all(|part| screen.contains(part)) && parts.len() == 18, "{parts:?}");
    parts
}

#[test]
fn the_dashboard_shows_instances_their_log_and_events_and_restarts_one_that_is_chosen() {
    if !is_there() {
        return;
    }
    e2e(|namespace| async move {
        let shop = App::serving(&namespace, "shop", "web.js")?.with(&serde_json::json!({"instances": 2}));
        shop.apply(&namespace).await?;
        App::worker(&namespace, "mailer", "talking.js")?.apply(&namespace).await?;
        let pods = shop.ready(&namespace, 2).await?;

        let monit = format!("kubectl nodeapp monit -n {}", namespace.name());
        let terminal = Terminal::start(&namespace, &monit).await?;
        terminal
            .shows(&[
                "3 instances, 3 online",
                "mailer",
                "log of mailer-",
                "plain words",
                "Events",
                "Mi",
                "ms",
            ])
            .await?;
        let mailer = namespace.ready_pods("mailer").await?;
        namespace.exec(&mailer[0], &["node", "-e", "process.kill(1, 'SIGTERM')"]).await?;
        terminal.shows_again("plain words", 2).await?;

        terminal.tmux("send-keys Down").await?;
        let mut chosen = pods.iter();
        let first = chosen.next().map(String::as_str).unwrap_or_default();
        let screen = terminal.shows(&[&format!("log of {first}"), "Node.js"]).await?;
        for part in parts_of_the_docs() {
            ensure!(screen.contains(&part), "the docs show `{part}`, and the screen does not:\n{screen}");
        }

        terminal.tmux("send-keys r").await?;
        terminal.shows(&[&format!("restart {first} in place?")]).await?;
        terminal.tmux("send-keys y").await?;
        let restarted = async || {
            let status = namespace.runner_status(first).await?;
            ensure!(status["restarts"] == 1 && status["ready"] == true, "{status}");
            Ok(())
        };
        namespace.eventually("the restart in place", SOON, restarted).await?;
        let screen = terminal.shows(&["ok: ", "3 instances, 3 online"]).await?;
        println!("{screen}");
        terminal.tmux("send-keys q").await?;
        terminal.shows(&["ended with 0"]).await?;

        let piped = format!("{monit} < /dev/null | cat; {monit} | cat >&2");
        let said = namespace.cluster().tools.shell(Path::new("."), &piped).await?;
        ensure!(said.contains("this is none") && !said.contains('\u{1b}'), "{said}");
        Ok(())
    });
}

#[test]
fn a_dashboard_that_may_not_look_or_is_ended_leaves_the_terminal_as_it_was() {
    if !is_there() {
        return;
    }
    e2e(|namespace| async move {
        let monit = format!("kubectl nodeapp monit -n {}", namespace.name());
        let program = format!("{monit} --as nobody; KUBECONFIG=/dev/null/x {monit}; {monit}");
        let terminal = Terminal::start(&namespace, &program).await?;
        terminal.shows(&["0 instances", "q quit"]).await?;
        terminal.terminates().await?;
        terminal.shows(&["you may not list pods", "/dev/null/x", "ended with 0"]).await?;
        let modes = terminal.tmux("display-message -p '#{alternate_on} #{cursor_flag}'").await?;
        ensure!(modes.trim() == "0 1", "alternate screen and cursor: {modes}");
        let shell = terminal.tmux("display-message -p '#{pane_tty}'").await?;
        let line = format!("stty -a -F {}", shell.trim());
        let modes = namespace.cluster().tools.shell(Path::new("."), &line).await?;
        ensure!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
        Ok(())
    });
}
