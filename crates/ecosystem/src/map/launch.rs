//! What is executed, and where it lies in an image.

use std::path::{Component, Path, PathBuf};

use super::Work;
use crate::report::Verdict;
use crate::secrets;

/// Folders whose programs an image brings itself.
const SYSTEM: [&str; 5] = ["/usr", "/bin", "/sbin", "/opt", "/lib"];
/// The script that stands for PM2's own file server.
const PM2_SERVER: &str = "serve";

/// A path without `.` and, where it can be, `..`.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"))
}

/// The rest of a path below a folder.
fn below(path: &str, folder: &Path) -> Option<String> {
    let path = PathBuf::from(clean(path));
    let rest = path.strip_prefix(folder).ok()?;
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| rest.display().to_string())
}

/// The version in a part of a path such as `v18.17.0`.
fn version_of(part: &str) -> Option<&str> {
    part.strip_prefix('v').filter(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}

fn base(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

impl Work<'_> {
    pub(super) fn launch(&mut self) {
        let Some(mut script) = self.text("script").filter(|script| !script.trim().is_empty()) else {
            self.say("script", Verdict::Refused, "", "PM2 refuses an app without a script");
            return;
        };
        if script == PM2_SERVER {
            self.say("script", Verdict::Refused, "", "serve is PM2's own static file server, which is not in the image; use an image such as nginx, or the package serve with its own script");
            return;
        }
        let mut args = self.list("args");
        if self.origin.recorded
            && ["bash", "sh"].contains(&base(&script))
            && args.len() >= 2
            && args[0] == "-c"
        {
            // How PM2 records a script with blanks.
            script.clone_from(&args[1]);
            args.drain(..2);
        }
        self.cwd(&script);
        self.script(&script);
        self.arguments(&script, args);
        self.interpreter(&script);
        self.node();
    }

    fn cwd(&mut self, script: &str) {
        let Some(cwd) = self.text("cwd").filter(|cwd| !cwd.is_empty()) else { return };
        let rest = if cwd.starts_with('/') {
            self.origin.folder.and_then(|folder| below(&cwd, folder))
        } else {
            Some(clean(&cwd)).filter(|cwd| !cwd.starts_with("..") && !cwd.starts_with('~'))
        };
        match rest {
            Some(rest) if rest.is_empty() => {
                self.say("cwd", Verdict::Mapped, "", "the folder of the file, which is the image's WORKDIR");
            }
            Some(rest) => {
                let path = format!("{}/{rest}", self.wishes.workdir.trim_end_matches('/'));
                self.set("cwd", path.as_str());
                let note = format!(
                    "{path}: the folder in the image, whose WORKDIR is taken to be {} (--workdir)",
                    self.wishes.workdir
                );
                self.say("cwd", Verdict::Changed, "spec.cwd", note);
            }
            None => {
                let script = if script.contains(' ') { "the line" } else { script };
                let note = format!(
                    "{cwd} is a folder of the machine; {script} starts in the image's WORKDIR instead"
                );
                self.say("cwd", Verdict::Changed, "", note);
            }
        }
    }

    fn script(&mut self, script: &str) {
        if script.contains(char::is_whitespace) {
            if self.tells(&crate::normalise::split(script)) {
                self.refuse_secret("script");
                return;
            }
            self.set("script", script);
            self.say(
                "script",
                Verdict::Mapped,
                "spec.script",
                "a line for the shell, which must be in the image; without shell characters it needs none",
            );
            return;
        }
        let cwd = self.text("cwd").unwrap_or_default();
        let in_cwd = below(script, Path::new(&cwd)).filter(|rest| cwd.starts_with('/') && !rest.is_empty());
        let in_folder =
            self.origin.folder.and_then(|folder| below(script, folder)).filter(|rest| !rest.is_empty());
        let (path, note) = if !script.starts_with(['/', '~']) {
            (clean(script), None)
        } else if let Some(rest) = in_cwd {
            (rest, Some("relative to its folder"))
        } else if let Some(rest) = in_folder {
            let path = if self.spec.contains_key("cwd") {
                format!("{}/{rest}", self.wishes.workdir.trim_end_matches('/'))
            } else {
                rest
            };
            (path, Some("relative to the folder of the file"))
        } else if script.contains("/.nvm/")
            || script.contains("/.volta/")
            || script.contains("/.local/share/")
        {
            (base(script).to_owned(), Some("a program of the machine; the image must have it in PATH"))
        } else if SYSTEM.iter().any(|folder| Path::new(script).starts_with(folder)) {
            let name = ["npm", "npx", "yarn", "pnpm", "bun", "node"].contains(&base(script));
            let path = if name { base(script) } else { script };
            (path.to_owned(), Some("a program of the machine; the image must have it"))
        } else {
            (
                base(script).to_owned(),
                Some("a path of the machine; taken to lie in the image's WORKDIR, correct it if it does not"),
            )
        };
        self.set("script", if path.is_empty() { "." } else { path.as_str() });
        match note {
            Some(note) if path == script => self.say("script", Verdict::Mapped, "spec.script", note),
            Some(note) => self.say(
                "script",
                Verdict::Changed,
                "spec.script",
                format!("{script} becomes {path}: {note}"),
            ),
            None => self.say("script", Verdict::Mapped, "spec.script", ""),
        }
    }

    /// Whether arguments hold a secret, which is not shown from here on.
    fn tells(&mut self, arguments: &[String]) -> bool {
        let found = secrets::in_arguments(arguments);
        let tells = !found.is_empty();
        self.masks.extend(found);
        tells
    }

    fn arguments(&mut self, script: &str, args: Vec<String>) {
        if args.is_empty() {
            return;
        }
        if self.tells(&args) {
            self.refuse_secret("args");
            return;
        }
        let npm = ["npm", "yarn", "pnpm"].contains(&base(script));
        self.set("args", args);
        let note = if npm {
            "what the package script says is executed without npm where that is the same, so that `ready` and signals arrive"
        } else {
            ""
        };
        self.say("args", Verdict::Mapped, "spec.args", note);
    }

    fn interpreter(&mut self, script: &str) {
        let Some(interpreter) = self.text("exec_interpreter").filter(|it| !it.trim().is_empty()) else {
            return;
        };
        let name = base(&interpreter).to_owned();
        let version = interpreter
            .strip_prefix("node@")
            .or_else(|| interpreter.split('/').find_map(version_of).filter(|_| name == "node"));
        if let Some(version) = version {
            let note = format!(
                "node comes with the image; take an image with Node.js {}",
                version.trim_start_matches('v')
            );
            self.say("exec_interpreter", Verdict::Changed, "", note);
        } else if name == "node"
            || (name == "none" && self.origin.recorded && (script.contains(' ') || !script.contains('.')))
        {
            if !self.origin.recorded {
                self.say("exec_interpreter", Verdict::Mapped, "", "the default here too");
            }
        } else if interpreter.contains(char::is_whitespace) {
            self.say(
                "exec_interpreter",
                Verdict::Refused,
                "",
                "PM2 looks for a program of this whole name; write its arguments into interpreter_args",
            );
        } else if self.origin.recorded
            && matches!(name.as_str(), "bash" | "sh" | "python3" | "python")
            && script.contains(' ')
        {
            self.say("exec_interpreter", Verdict::Mapped, "", "by the form of the script");
        } else {
            let kept = if interpreter.starts_with(['/', '~']) {
                name.clone()
            } else {
                interpreter.trim_start_matches("./").to_owned()
            };
            if kept.is_empty() {
                self.say(
                    "exec_interpreter",
                    Verdict::Refused,
                    "",
                    "PM2 looks for a program of this name; there is none",
                );
                return;
            }
            let note = if kept == "none" {
                "the script must be executable in the image".to_owned()
            } else {
                format!("{kept} must be in the image, in PATH or in node_modules/.bin")
            };
            let verdict = if kept == interpreter { Verdict::Mapped } else { Verdict::Changed };
            self.set("interpreter", kept);
            self.say("exec_interpreter", verdict, "spec.interpreter", note);
        }
    }

    /// What Node.js is told.
    fn node(&mut self) {
        let args = self.list("node_args");
        let interpreter = self.spec.get("interpreter").and_then(|it| it.as_str()).map(str::to_owned);
        if !args.is_empty() {
            if interpreter.as_deref() == Some("none") {
                self.say("node_args", Verdict::IgnoredByPm2, "", "there is no interpreter to take them");
            } else if self.tells(&args) {
                self.refuse_secret("node_args");
            } else {
                let inspects = args.iter().any(|arg| arg.starts_with("--inspect"));
                self.set("nodeArgs", args);
                let note = if inspects {
                    "a debugger's port is open to the pod; leave --inspect out in production"
                } else {
                    ""
                };
                self.say("node_args", Verdict::Mapped, "spec.nodeArgs", note);
            }
        }
        let is_node = interpreter
            .is_none_or(|it| it == "none" || it == "node" || it.ends_with("tsx") || it.ends_with("ts-node"));
        let off = self.flag("disable_source_map_support") == Some(true)
            || self.flag("source_map_support") == Some(false);
        for name in ["source_map_support", "disable_source_map_support"] {
            if self.value(name).is_some() && !self.origin.recorded {
                self.say_table(name, "spec.sourceMapSupport");
            }
        }
        if is_node && !off {
            self.set("sourceMapSupport", true);
            self.say(
                "source_map_support",
                Verdict::Mapped,
                "spec.sourceMapSupport",
                "on, as PM2 has it by default",
            );
        }
        if is_node && self.flag("pmx") != Some(false) {
            self.set("unhandledRejections", "warn");
            self.say("unhandled rejections", Verdict::Mapped, "spec.unhandledRejections", "warn: PM2 keeps a process with an unhandled rejection alive; take it out to let it end and restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_cut() {
        assert_eq!(clean("./dist//server.js"), "dist/server.js");
        assert_eq!(clean("../shared/./x.js"), "../shared/x.js");
        assert_eq!(clean("/a/b/../c/"), "/a/c");
        assert_eq!(below("/srv/app/dist/x.js", Path::new("/srv/app")).as_deref(), Some("dist/x.js"));
        assert_eq!(below("/srv/app/../other/x.js", Path::new("/srv/app")), None);
        assert_eq!(below("/srv/application/x.js", Path::new("/srv/app")), None);
    }
}
