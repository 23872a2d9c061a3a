//! Reads PM2's ecosystem files, its dump and its process list, and turns them
//! into `NodeApp`s, with a report of what became of every option.
//!
//! [`read`] evaluates a file, [`import`] maps what came out; nothing here talks
//! to a cluster. Values that look like secrets leave only as references.

pub mod commands;
pub mod js;
mod map;
pub mod names;
pub mod node;
pub mod normalise;
pub mod options;
pub mod read;
mod recorded;
pub mod report;
pub mod secrets;
mod shape;

use std::collections::BTreeSet;

use nodeapp_operator::crd::NodeApp;
use serde_json::Value;

pub use map::{Count, NAME_ANNOTATION, NAMESPACE_LABEL, Wishes};
pub use read::{Source, read};
use report::{AppReport, Entry, Verdict};
pub use report::{FileReport, Report};
use secrets::Masks;
use shape::Found;

/// Stands for the image where none is given. The API refuses it, and shows it.
pub const NO_IMAGE: &str = "<the image of the app: import with --image, or write it here>";

/// What an import has made so far.
#[derive(Debug, Default)]
pub struct Import {
    /// The apps, in the order of the files.
    pub apps: Vec<NodeApp>,
    /// What became of everything, to be masked before it is shown.
    pub report: Report,
    /// What must not be printed.
    pub masks: Masks,
    names: BTreeSet<String>,
}

impl Import {
    /// An import that keeps these values out of what is printed.
    pub fn masking(masks: Masks) -> Self {
        Self { masks, ..Self::default() }
    }

    /// Takes in what a file had.
    pub fn add(&mut self, source: &Source, wishes: Wishes<'_>) {
        let mut report = FileReport { file: source.file.clone(), ..FileReport::default() };
        match shape::find(source) {
            Ok(found) => {
                report.notes = notes(source, &found);
                for app in found.apps {
                    self.add_app(app, source, wishes, &mut report);
                }
            }
            Err(error) => report.error = Some(error),
        }
        self.report.files.push(report);
    }

    /// Notes that a file could not be read. What is wrong may be told by the file itself.
    pub fn add_failure(&mut self, file: &str, error: &str) {
        let error = self.masks.apply(error);
        let report = FileReport { file: file.to_owned(), error: Some(error), ..FileReport::default() };
        self.report.files.push(report);
    }

    /// The report as it may be shown.
    pub fn shown(&self) -> Report {
        self.report.clone().masked(&self.masks)
    }

    fn add_app(&mut self, app: shape::App, source: &Source, wishes: Wishes<'_>, report: &mut FileReport) {
        let shell = source.asked.contains(read::WHOLE_ENVIRONMENT).then_some(&source.env);
        let origin = map::Origin {
            number: app.number,
            folder: source.folder.as_deref(),
            count: app.count,
            shell,
            recorded: app.recorded,
        };
        let normal = match app.entry {
            Ok(normal) => normal,
            Err(error) => {
                let entry =
                    Entry { option: "app".to_owned(), verdict: Verdict::Refused, field: None, note: error };
                let pm2_name = format!("app number {}", app.number);
                report.apps.push(AppReport { pm2_name, options: vec![entry], ..AppReport::default() });
                return;
            }
        };
        let names = &self.names;
        let (made, mut about) =
            map::app(normal, wishes, origin, &|name| names.contains(name), &mut self.masks);
        for option in app.uneven {
            about.options.push(Entry {
                option,
                verdict: Verdict::Changed,
                field: None,
                note: format!(
                    "depends on the number of CPUs of the machine; the value for {} of them is written",
                    source.variants[0].0
                ),
            });
        }
        if let Some(made) = made {
            self.names.extend(about.name.clone());
            self.apps.push(made);
        }
        report.apps.push(about);
    }
}

/// What concerns a file as a whole.
fn notes(source: &Source, found: &Found) -> Vec<Entry> {
    let note =
        |option: &str, verdict, note: String| Entry { option: option.to_owned(), verdict, field: None, note };
    let mut notes: Vec<Entry> = options::SECTIONS
        .iter()
        .filter(|(section, _)| found.sections.contains(*section))
        .map(|(section, says)| note(section, Verdict::NotApplicable, (*says).to_owned()))
        .collect();
    for module in &found.modules {
        let says = if module == "pm2-logrotate" {
            "a module of PM2; spec.logRotate has the same settings: maxSize, retain, compress, rotateInterval, dateFormat"
        } else {
            "a module of PM2; metrics are the runner's, at port 9615 of each pod"
        };
        notes.push(note(module, Verdict::NotApplicable, says.to_owned()));
    }
    let (set, unset): (Vec<&String>, Vec<&String>) =
        source.variables.iter().partition(|name| source.env.contains_key(*name));
    let names = |names: &[&String]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    // Who copies the whole environment looks at all of it.
    if !set.is_empty() && !source.asked.contains(read::WHOLE_ENVIRONMENT) {
        let says = format!(
            "{} were read from your shell; what followed from them is fixed in the manifest",
            names(&set)
        );
        notes.push(note("process.env", Verdict::Changed, says));
    }
    if !unset.is_empty() {
        let says = format!(
            "{} are not set in your shell; what depends on them is missing, or has its other value",
            names(&unset)
        );
        notes.push(note("process.env", Verdict::Changed, says));
    }
    for asked in &source.asked {
        notes.push(note(
            asked,
            Verdict::Changed,
            "was asked of the machine; what followed from it is fixed in the manifest".to_owned(),
        ));
    }
    notes
}

/// A manifest as YAML, in the order in which the API describes it.
pub fn yaml(app: &NodeApp) -> String {
    serde_saphyr::to_string(app).expect("a NodeApp is YAML")
}

/// Manifests as one stream.
pub fn stream(apps: &[NodeApp]) -> String {
    apps.iter().fold(String::new(), |stream, app| stream + "---\n" + &yaml(app))
}

/// Whether a value is one of the kinds that a file may have at its top.
pub(crate) fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}
