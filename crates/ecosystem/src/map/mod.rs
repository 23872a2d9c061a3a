//! One entry of PM2 as one `NodeApp`.

mod bounds;
mod env;
mod instances;
mod launch;
mod logs;
mod policy;

use std::collections::BTreeMap;
use std::path::Path;

use nodeapp_operator::controller::validate::validate;
use nodeapp_operator::crd::NodeApp;
use serde_json::{Map, Value, json};

use crate::normalise::Normal;
use crate::options;
use crate::report::{AppReport, Entry, SecretPlan, Verdict};
use crate::secrets::{self, Masks};
use crate::{NO_IMAGE, names};

pub use instances::Count;

/// What is wished for all apps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes<'a> {
    /// The image; a placeholder without it.
    pub image: Option<&'a str>,
    /// Namespace in the manifests, if any.
    pub namespace: Option<&'a str>,
    /// The profile that `--env` names.
    pub profile: Option<&'a str>,
    /// Where the app lies in the image.
    pub workdir: &'a str,
}

/// What is known of an entry beside itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// Its place in the file, from 1.
    pub number: usize,
    /// Folder of the file, without links; none for a dump.
    pub folder: Option<&'a Path>,
    /// The number of instances.
    pub count: Count,
    /// The environment that the file was evaluated in, if the file looked at it as a whole.
    pub shell: Option<&'a BTreeMap<String, String>>,
    /// Whether the values come from PM2's own records, where defaults are written out.
    pub recorded: bool,
}

/// Annotation with the name in PM2.
pub const NAME_ANNOTATION: &str = "nodeapp.dev/pm2-name";
/// Label with the namespace in PM2.
pub const NAMESPACE_LABEL: &str = "nodeapp.dev/pm2-namespace";

/// Fields whose texts are the file's own and stand in the manifest as they are, and
/// the options that they come from.
const SHOWN: [(&str, &str); 9] = [
    ("script", "script"),
    ("args", "args"),
    ("nodeArgs", "node_args"),
    ("cwd", "cwd"),
    ("interpreter", "exec_interpreter"),
    ("outFile", "out_file"),
    ("errorFile", "error_file"),
    ("logFile", "log_file"),
    ("logDateFormat", "log_date_format"),
];

/// Every text in a value.
fn texts_of<'v>(value: Option<&'v Value>, texts: &mut Vec<&'v str>) {
    match value {
        Some(Value::String(text)) => texts.push(text),
        Some(Value::Array(items)) => items.iter().for_each(|item| texts_of(Some(item), texts)),
        Some(Value::Object(map)) => map.values().for_each(|item| texts_of(Some(item), texts)),
        _ => {}
    }
}

/// The work on one entry.
pub(crate) struct Work<'a> {
    normal: Normal,
    wishes: Wishes<'a>,
    origin: Origin<'a>,
    name: String,
    spec: Map<String, Value>,
    entries: Vec<Entry>,
    secrets: Vec<SecretPlan>,
    masks: &'a mut Masks,
}

/// Maps an entry. `taken` says which names are used already.
pub(crate) fn app(
    normal: Normal,
    wishes: Wishes<'_>,
    origin: Origin<'_>,
    taken: &dyn Fn(&str) -> bool,
    masks: &mut Masks,
) -> (Option<NodeApp>, AppReport) {
    let entries = normal.entries.clone();
    let mut work = Work {
        name: String::new(),
        normal,
        wishes,
        origin,
        spec: Map::new(),
        entries,
        secrets: Vec::new(),
        masks,
    };
    let pm2_name = work.pm2_name();
    let mut metadata = work.metadata(&pm2_name, taken);
    if let Some(namespace) = wishes.namespace {
        metadata["namespace"] = json!(namespace);
    }
    work.set("image", wishes.image.unwrap_or(NO_IMAGE));
    work.launch();
    work.instances();
    work.environment();
    work.policies();
    work.schedule();
    work.logs();
    work.rest();
    work.job();
    work.unsaid();
    let pm2_name = work.leaks(pm2_name);
    work.finish(pm2_name, &metadata)
}

impl Work<'_> {
    /// The value of an option.
    fn value(&self, name: &str) -> Option<&Value> {
        self.normal.values.get(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.as_str().map(str::to_owned)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// A number, also from a text.
    fn number(&self, name: &str) -> Option<f64> {
        match self.value(name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A list of texts, from a text as a shell splits it.
    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::String(text)) => crate::normalise::split(text),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.spec.insert(field.to_owned(), value.into());
    }

    /// A line of the report about an option.
    fn say(&mut self, name: &str, verdict: Verdict, field: &str, note: impl Into<String>) {
        let option = self.normal.written(name);
        let field = (!field.is_empty()).then(|| field.to_owned());
        self.entries.push(Entry { option, verdict, field, note: note.into() });
    }

    /// A line with what the table says of the option.
    fn say_table(&mut self, name: &str, field: &str) {
        let Some(option) = options::find(name) else { return };
        let note = match option.answer {
            // What is the same needs no words.
            options::Answer::Mapped => "",
            _ => option.says,
        };
        self.say(name, option.answer.into(), field, note);
    }

    fn pm2_name(&self) -> String {
        let script = || {
            let script = self.text("script")?;
            // Part of a line with a secret in it may be the secret.
            let tells = !secrets::in_arguments(&crate::normalise::split(&script)).is_empty();
            Some(if tells { self.number_in_file() } else { names::of_script(&script).to_owned() })
        };
        let name = self
            .text("name")
            .filter(|name| !name.is_empty())
            .or_else(script)
            .unwrap_or_else(|| "app".to_owned());
        match (self.flag("append_env_to_name"), self.wishes.profile) {
            (Some(true), Some(profile)) => format!("{name}-{profile}"),
            _ => name,
        }
    }

    fn number_in_file(&self) -> String {
        format!("app number {}", self.origin.number)
    }

    fn metadata(&mut self, pm2_name: &str, taken: &dyn Fn(&str) -> bool) -> Value {
        let label = names::label(pm2_name);
        let label = if self.is_job() { names::within(names::LONGEST_JOB, &label, pm2_name) } else { label };
        self.name = names::free(&label, taken);
        let mut metadata = json!({"name": self.name});
        if self.name != pm2_name {
            metadata["annotations"] = json!({NAME_ANNOTATION: pm2_name});
        }
        if self.name != label {
            let note = format!(
                "{label} is there already, and a name is there once in a namespace; PM2 takes processes of one name together"
            );
            self.say("name", Verdict::Changed, "metadata.name", note);
        } else if self.name != pm2_name {
            self.say(
                "name",
                Verdict::Changed,
                "metadata.name",
                format!("{pm2_name} is kept in the annotation {NAME_ANNOTATION}"),
            );
        } else if self.value("name").is_some() {
            self.say("name", Verdict::Mapped, "metadata.name", "");
        }
        if let Some(namespace) = self.text("namespace").filter(|namespace| namespace != "default") {
            match names::label_value(&namespace) {
                Some(value) => {
                    metadata["labels"] = json!({NAMESPACE_LABEL: value});
                    self.say_table("namespace", "metadata.labels");
                }
                None => self.say(
                    "namespace",
                    Verdict::NotApplicable,
                    "",
                    "cannot be the value of a label; label the NodeApp yourself",
                ),
            }
        }
        if self.value("append_env_to_name").is_some() {
            self.say_table("append_env_to_name", "metadata.name");
        }
        metadata
    }

    /// What only needs its line of the table.
    fn rest(&mut self) {
        if self.flag("pmx") == Some(false) {
            self.set("pmx", false);
            if self.normal.written.contains_key("pmx") || self.origin.recorded {
                self.say_table("pmx", "spec.pmx");
            }
        }
        if self.flag("automation") == Some(false) {
            self.say_table("automation", "spec.pmx");
        }
        let plain = [
            "name_prefix",
            "exec_mode",
            "filter_env",
            "kill_retry_time",
            "pid_file",
            "uid",
            "gid",
            "username",
            "force",
            "execute_command",
            "vizion",
            "trace",
            "disable_trace",
            "v8",
            "event_loop_inspector",
            "deep_monitoring",
            "io",
            "post_update",
            "install_url",
            "write",
            "windowsHide",
            "disable_logs",
        ];
        for name in plain {
            if self.value(name).is_some() && !self.origin.recorded {
                self.say_table(name, "");
            }
        }
        let watches = self.value("watch").is_some_and(|value| *value != json!(false) && *value != json!(""));
        if watches {
            self.say_table("watch", "");
        } else if self.value("watch").is_some() && !self.origin.recorded {
            self.say("watch", Verdict::Mapped, "", "nothing is watched");
        }
        for name in ["ignore_watch", "watch_delay", "watch_options"] {
            if self.value(name).is_some() && !self.origin.recorded {
                self.say_table(name, "");
            }
        }
    }

    /// Gives every option of the file its line: what nothing was said of asks for what happens anyway.
    fn unsaid(&mut self) {
        if self.origin.recorded {
            return;
        }
        let given = self.normal.written.values().cloned();
        let profiles = self.normal.profiles.keys().map(|profile| format!("env_{profile}"));
        let is_said = |option: &String| self.entries.iter().any(|entry| entry.option == *option);
        let unsaid: Vec<String> = given.chain(profiles).filter(|option| !is_said(option)).collect();
        let note = "as it is without it".to_owned();
        let entry = |option| Entry { option, verdict: Verdict::Mapped, field: None, note: note.clone() };
        self.entries.extend(unsaid.into_iter().map(entry));
    }

    /// Refuses secrets that are known by another name and have come in by another
    /// way, such as `args: [process.env.DB_PASSWORD]`; variables have become
    /// references before. Returns the name that the app may be shown under.
    fn leaks(&mut self, pm2_name: String) -> String {
        for (field, option) in SHOWN {
            let mut texts = Vec::new();
            texts_of(self.spec.get(field), &mut texts);
            if texts.iter().any(|text| self.masks.are_in(text)) {
                self.refuse_secret(option);
            }
        }
        if !self.masks.are_in(&pm2_name) {
            return pm2_name;
        }
        self.refuse_secret("name");
        self.number_in_file()
    }

    fn refuse_secret(&mut self, option: &str) {
        self.say(
            option,
            Verdict::Refused,
            "",
            "holds what looks like a secret, which would be readable in the NodeApp and in `ps`; pass it by a variable of env, which becomes a reference to a Secret",
        );
    }

    /// The object, if the operator itself would take it.
    fn finish(mut self, pm2_name: String, metadata: &Value) -> (Option<NodeApp>, AppReport) {
        let object = json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": metadata,
            "spec": self.spec,
        });
        let app = match serde_json::from_value::<NodeApp>(object) {
            Ok(app) => Some(app),
            Err(error) => {
                self.say("the app as a whole", Verdict::Refused, "", error.to_string());
                None
            }
        };
        if let Some(app) = &app {
            self.check(app);
        }
        let mut report = AppReport { pm2_name, name: None, options: self.entries, secrets: self.secrets };
        let app = app.filter(|_| !report.is_refused());
        if app.is_some() {
            report.name = Some(self.name);
        } else {
            report.secrets.clear();
        }
        (app, report)
    }

    /// What the operator would say, and whether every field is one that it knows.
    fn check(&mut self, app: &NodeApp) {
        let written = serde_json::to_value(&app.spec).expect("a spec is JSON");
        let lost: Vec<_> = self.spec.keys().filter(|field| written.get(*field).is_none()).cloned().collect();
        for field in lost {
            self.say(
                &field,
                Verdict::NotApplicable,
                "",
                "left out: the NodeApp of this version has no such field",
            );
        }
        for (path, problem) in bounds::problems(&written) {
            self.say("the app as a whole", Verdict::Refused, "", format!("{path}: {problem}"));
        }
        let mut installed = app.clone();
        installed.metadata.uid = Some("0".to_owned());
        installed.metadata.namespace.get_or_insert_with(|| "default".to_owned());
        if let Err(problems) = validate(&installed) {
            for problem in problems.iter() {
                let note = format!("{}: {}", problem.field, problem.message);
                self.say("the app as a whole", Verdict::Refused, "", note);
            }
        }
    }
}
