//! Log files and the form of lines.

use serde_json::Value;

use super::Work;
use crate::report::Verdict;

/// No file at all.
const NONE: &str = "/dev/null";

/// Where a path of a machine goes in a pod, and whether it is still the same.
fn in_pod(path: &str) -> Option<(String, bool)> {
    if path == "NULL" || path == NONE {
        return Some((NONE.to_owned(), true));
    }
    // Containers under PM2 log there so that the container's log has it; it has it anyway.
    if path.starts_with("/dev/") || path.starts_with("/proc/") {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let plain = !path.starts_with(['/', '~']) && !parts.contains(&"..");
    let kept = if plain { parts.join("/") } else { (*parts.last()?).to_owned() };
    let kept: String = kept.chars().filter(|letter| !letter.is_control()).collect();
    let usable = !kept.is_empty() && kept != ".." && !path.ends_with('/') && kept.len() < 1000;
    usable.then_some((kept, plain))
}

impl Work<'_> {
    pub(super) fn logs(&mut self) {
        self.lines();
        self.files();
    }

    fn lines(&mut self) {
        if self.flag("time") == Some(true) {
            if self.value("log_date_format").is_some() && !self.origin.recorded {
                let note = "time takes its place, as in PM2; leave time out to have this format";
                self.say("log_date_format", Verdict::IgnoredByPm2, "", note);
            }
            self.set("logDateFormat", "YYYY-MM-DDTHH:mm:ss");
            self.say(
                "time",
                Verdict::Changed,
                "spec.logDateFormat",
                "YYYY-MM-DDTHH:mm:ss before every line, in UTC unless timeZone says otherwise",
            );
        } else if let Some(format) = self.text("log_date_format").filter(|format| !format.is_empty()) {
            if format.len() > 128 || format.contains(char::is_control) {
                self.say(
                    "log_date_format",
                    Verdict::NotApplicable,
                    "",
                    "must be one line of at most 128 letters",
                );
            } else {
                self.set("logDateFormat", format);
                self.say_table("log_date_format", "spec.logDateFormat");
            }
        }
        match self.text("log_type").as_deref() {
            Some("json") => {
                self.set("logType", "json");
                self.say_table("log_type", "spec.logType");
            }
            Some("raw") if self.origin.recorded => {}
            Some("raw") => self.say("log_type", Verdict::Mapped, "", "the default here too"),
            Some(_) => self.say("log_type", Verdict::IgnoredByPm2, "", "only json has an effect"),
            None => {}
        }
        match self.flag("merge_logs") {
            Some(true) if !self.origin.recorded => {
                self.set("mergeLogs", true);
                self.say_table("merge_logs", "spec.mergeLogs");
            }
            Some(_) if !self.origin.recorded => {
                self.say("merge_logs", Verdict::Mapped, "", "each pod has its own log");
            }
            _ => {}
        }
    }

    fn files(&mut self) {
        let out = self.file("out_file", "outFile");
        let error = self.file("error_file", "errorFile");
        let both = self.file("log_file", "logFile");
        let same = out.is_some() && out == error && out.as_deref() != Some(NONE);
        if same && (both.is_none() || both == out) {
            // One file for both streams is the combined one.
            self.set("logFile", out.clone().unwrap_or_default());
            self.set("outFile", NONE);
            self.set("errorFile", NONE);
            self.say("out_file", Verdict::Changed, "spec.logFile", "one file for both streams is logFile");
        } else if both.is_some() && (both == out || both == error) {
            self.spec.remove("logFile");
            self.say("log_file", Verdict::Changed, "", "is the file of a stream already");
        } else if same {
            self.spec.remove("errorFile");
            self.say(
                "error_file",
                Verdict::Changed,
                "",
                "would be the same file as out_file, and gets a name of its own",
            );
        }
    }

    fn file(&mut self, name: &str, field: &str) -> Option<String> {
        let path = match self.value(name)? {
            Value::Bool(true) if name == "log_file" => format!("{}.log", self.name),
            Value::String(path) if !path.is_empty() => path.clone(),
            _ => return None,
        };
        if self.origin.recorded && path.contains("/.pm2/logs/") {
            return None;
        }
        let path_of = format!("spec.{field}");
        let Some((kept, same)) = in_pod(&path) else {
            self.say(
                name,
                Verdict::NotApplicable,
                "",
                "kubectl logs has all output; no file is needed for that",
            );
            return None;
        };
        let nothing = name == "log_file" && kept == NONE;
        if nothing {
            self.say(name, Verdict::Mapped, "", "no file, the default here too");
            return None;
        }
        self.set(field, kept.as_str());
        let place = if kept == NONE {
            "no file; kubectl logs has the output".to_owned()
        } else {
            format!("/nodeapp/logs/{kept} in the pod, gone with it, rotated; kubectl logs has the output too")
        };
        let verdict = if same && kept == NONE { Verdict::Mapped } else { Verdict::Changed };
        self.say(name, verdict, &path_of, place);
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_machine_keeps_its_last_part() {
        let kept = |path: &str| in_pod(path).map(|(kept, _)| kept);
        assert_eq!(kept("/var/log/pm2/api-out.log").as_deref(), Some("api-out.log"));
        assert_eq!(kept("./logs/out.log").as_deref(), Some("logs/out.log"));
        assert_eq!(kept("../logs/out.log").as_deref(), Some("out.log"));
        assert_eq!(kept("~/.pm2/x.log").as_deref(), Some("x.log"));
        assert_eq!(kept("NULL").as_deref(), Some("/dev/null"));
        assert_eq!(kept("/dev/stdout"), None);
        assert_eq!(kept("/var/log/"), None);
    }
}
