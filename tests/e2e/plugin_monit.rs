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
        terminal.tmux("send-keys Down").await?;
        let mut chosen = pods.iter();
        let first = chosen.next().map(String::as_str).unwrap_or_default();
        terminal.shows(&[&format!("log of {first}"), "Node.js"]).await?;

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
