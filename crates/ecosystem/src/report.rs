//! What became of every option, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::options::Answer;
use crate::secrets::Masks;

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is the same here.
    Mapped,
    /// There is something for it, with a difference.
    Changed,
    /// It has no meaning here.
    NotApplicable,
    /// PM2 itself does nothing with it.
    IgnoredByPm2,
    /// PM2 itself refuses it, or it cannot be carried over: the app is not imported.
    Refused,
}

impl Verdict {
    /// The word in a report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mapped => Answer::Mapped.word(),
            Self::Changed => Answer::Changed.word(),
            Self::NotApplicable => Answer::NotApplicable.word(),
            Self::IgnoredByPm2 => "ignored by PM2",
            Self::Refused => "refused",
        }
    }
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Mapped => Self::Mapped,
            Answer::Changed => Self::Changed,
            Answer::NotApplicable => Self::NotApplicable,
        }
    }
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The option as it stands in the file.
    pub option: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Where it went, such as `spec.killTimeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The difference, or what to do instead.
    pub note: String,
}

/// A Secret that must be made, for values that are not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretPlan {
    /// Name of the Secret.
    pub name: String,
    /// Its keys, which are names of variables.
    pub keys: Vec<String>,
    /// Where the values stand in the file, such as `env_production`.
    pub from: String,
    /// The command that makes it, with the values left to fill in.
    pub command: String,
}

/// What became of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppReport {
    /// Its name in PM2, or its number in the file.
    pub pm2_name: String,
    /// Name of the `NodeApp`; none if it was not imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What became of its options.
    pub options: Vec<Entry>,
    /// Secrets to be made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretPlan>,
}

impl AppReport {
    /// Whether something keeps the app from being imported.
    pub fn is_refused(&self) -> bool {
        self.options.iter().any(|entry| entry.verdict == Verdict::Refused)
    }
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file.
    pub file: String,
    /// Why nothing could be read from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What concerns the file as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Entry>,
    /// Its apps.
    pub apps: Vec<AppReport>,
}

/// What became of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One per file.
    pub files: Vec<FileReport>,
}

impl Report {
    /// Whether a file or an app was not imported.
    pub fn has_failures(&self) -> bool {
        self.files.iter().any(|file| file.error.is_some() || file.apps.iter().any(|app| app.name.is_none()))
    }

    /// The report with nothing in it that must not be printed.
    #[must_use]
    pub fn masked(mut self, masks: &Masks) -> Self {
        let mask = |text: &mut String| *text = masks.apply_to_ours(text);
        for file in &mut self.files {
            file.error.iter_mut().for_each(mask);
            file.apps.iter_mut().for_each(|app| mask(&mut app.pm2_name));
            let of_apps = file.apps.iter_mut().flat_map(|app| &mut app.options);
            for entry in of_apps.chain(&mut file.notes) {
                mask(&mut entry.option);
                mask(&mut entry.note);
            }
        }
        self
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is JSON") + "\n"
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            file_text(file, &mut text);
        }
        text
    }
}

/// Columns of an option and of a verdict.
const COLUMNS: (usize, usize) = (26, 14);

fn file_text(file: &FileReport, text: &mut String) {
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    if let Some(error) = &file.error {
        line(format!("{}: not imported: {error}", file.file));
        return;
    }
    let imported = file.apps.iter().filter(|app| app.name.is_some()).count();
    line(format!("{}: {imported} of {} apps imported", file.file, file.apps.len()));
    for note in &file.notes {
        line(entry_text(note));
    }
    for app in &file.apps {
        match &app.name {
            Some(name) => line(format!("\n{} -> NodeApp {name}", app.pm2_name)),
            None => line(format!("\n{}: NOT IMPORTED", app.pm2_name)),
        }
        // What would have become of the rest is of no interest then.
        let shown = |entry: &&Entry| app.name.is_some() || entry.verdict == Verdict::Refused;
        for entry in app.options.iter().filter(shown) {
            line(entry_text(entry));
        }
        for secret in &app.secrets {
            line(format!(
                "  Secret {} must be made first. The values of {} are in {}; put them into the shell and run:",
                secret.name,
                secret.keys.join(", "),
                secret.from
            ));
            for part in secret.command.lines() {
                line(format!("    {part}"));
            }
        }
    }
}

fn entry_text(entry: &Entry) -> String {
    let (first, second) = COLUMNS;
    let mut text = format!("  {:first$} {:second$}", entry.option, entry.verdict.word());
    if let Some(field) = &entry.field {
        let _ = write!(text, " {field}");
    }
    if !entry.note.is_empty() {
        let separator = if entry.field.is_some() { ":" } else { "" };
        let _ = write!(text, "{separator} {}", entry.note);
    }
    text
}
