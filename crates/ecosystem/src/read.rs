//! Reads a file in the way that PM2 chooses by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::js::fence::{Fence, read_text};
use crate::js::resolve::has_ending;
use crate::js::{self, Form, Machine};
use crate::{is_container, node};

/// What is asked of the machine when a file looks at the environment as a whole.
pub(crate) const WHOLE_ENVIRONMENT: &str = "process.env as a whole";

/// The machines that a file is told it runs on: few CPUs and many, so that what is
/// reckoned from their number can be told from what is not. The last one is tried
/// only where the first two differ.
const CPUS: [u32; 3] = [4, 64, 61];

/// How a file is read.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// What `process.env` is.
    pub env: &'a BTreeMap<String, String>,
    /// What `--env` names.
    pub profile: Option<&'a str>,
    /// The folder that may be read; that of the file if none.
    pub root: Option<&'a Path>,
    /// Run the user's own Node.js instead of the engine.
    pub use_node: bool,
    /// How long an evaluation may take, see [`js::TIME_LIMIT`] and [`node::TIME_LIMIT`].
    pub time_limit: Duration,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file as the user names it.
    pub file: String,
    /// Its folder without links, if its paths mean anything.
    pub folder: Option<PathBuf>,
    /// What it holds on machines with so many CPUs; at least one.
    pub variants: Vec<(u32, Value)>,
    /// What it wrote to its console.
    pub console: Vec<String>,
    /// What it asked about the machine.
    pub asked: BTreeSet<String>,
    /// Variables that it looked at.
    pub variables: BTreeSet<String>,
    /// The environment that it was given.
    pub env: BTreeMap<String, String>,
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong, with its place.
    pub message: String,
    /// What the file wrote to its console before.
    pub console: Vec<String>,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { message, console: Vec::new() }
    }
}

impl Source {
    /// What is fixed whatever the machine.
    fn fixed(file: &str, folder: Option<PathBuf>, value: Value) -> Self {
        Self {
            file: file.to_owned(),
            folder,
            variants: vec![(CPUS[0], value)],
            console: Vec::new(),
            asked: BTreeSet::new(),
            variables: BTreeSet::new(),
            env: BTreeMap::new(),
        }
    }
}

/// Reads a text that came without a file, such as the output of `pm2 jlist`.
///
/// # Errors
/// When it is no JSON.
pub fn read_stdin(text: &str) -> Result<Source, Failure> {
    let value = serde_json::from_str(text.trim()).map_err(|error| {
        format!(
            "standard input must be JSON, such as the output of `pm2 jlist`: {}",
            without_excerpt(&error.to_string())
        )
    })?;
    Ok(Source::fixed("standard input", None, value))
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, evaluated or understood.
pub fn read(path: &Path, reading: &Reading<'_>) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let text = read_text(path, "the file")?;
    let base = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    if base.contains(".yml") || base.contains(".yaml") {
        let value: Value = serde_saphyr::from_str(&text).map_err(|error| yaml_error(&base, &error))?;
        return Ok(Source::fixed(&name, folder, value));
    }
    let script = ["js", "cjs", "mjs"].iter().any(|ending| has_ending(&base, ending));
    if has_ending(&base, "ts") || has_ending(&base, "mts") {
        return Err(format!(
            "{base}: PM2 reads no TypeScript; compile it to ecosystem.config.js, or give that one"
        )
        .into());
    }
    if !script {
        if let Some(value) = serde_json::from_str(&text).ok().filter(is_container) {
            return Ok(Source::fixed(&name, folder, value));
        }
        if !base.contains(".json") && !text.trim_start().starts_with(['{', '[', '/']) {
            return Err(format!(
                "{base} is no configuration of PM2: those end in .config.js, .cjs, .mjs, .json, .yaml or .yml, or are \
                 dump.pm2 and the output of `pm2 jlist`"
            )
            .into());
        }
    }
    let form = if script { Form::Module } else { Form::Expression };
    evaluated(path, &name, form, reading)
}

fn evaluated(path: &Path, name: &str, form: Form, reading: &Reading<'_>) -> Result<Source, Failure> {
    let file = path.canonicalize().map_err(|error| error.to_string())?;
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let mut source = Source::fixed(name, Some(folder.clone()), Value::Null);
    source.variants.clear();
    source.env = reading.env.clone();
    let fence = Fence::around(reading.root.unwrap_or(&folder))?;
    for (index, cpus) in CPUS.into_iter().enumerate() {
        if index == 2 && source.variants[0].1 == source.variants[1].1 {
            break;
        }
        if reading.use_node && form == Form::Module {
            let evaluated = node::evaluate(&file, cpus, reading)?;
            source.variants.push((cpus, evaluated.value));
            source.asked.extend(evaluated.asked);
            source.variables.extend(evaluated.variables);
            continue;
        }
        let machine =
            Machine { cpus, env: reading.env, profile: reading.profile, time_limit: reading.time_limit };
        let evaluated = js::evaluate(&fence, &file, form, &machine).map_err(|trouble| Failure {
            message: match trouble.place {
                Some(place) => format!("{place}: {}", without_excerpt(&trouble.message)),
                None => without_excerpt(&trouble.message),
            },
            console: trouble.console,
        })?;
        source.variants.push((cpus, evaluated.value));
        if index == 0 {
            source.console = evaluated.console;
        }
        source.asked.extend(evaluated.asked);
        source.variables.extend(evaluated.variables);
    }
    Ok(source)
}

/// The place and the kind of an error, without the lines of the file around it.
fn yaml_error(base: &str, error: &serde_saphyr::Error) -> Failure {
    let first = error.to_string();
    let first = first.lines().next().unwrap_or_default();
    let message = match error.location() {
        Some(place) => format!("{base}:{}: is no YAML: {}", place.line(), without_excerpt(first)),
        None => format!("{base}: is no YAML: {}", without_excerpt(first)),
    };
    message.into()
}

/// A message of a parser without what it cites of the file: that may be a secret.
pub(crate) fn without_excerpt(message: &str) -> String {
    if !message.contains("SyntaxError")
        && !message.contains("YAML")
        && !message.contains("JSON")
        && !message.contains("expected")
    {
        return message.to_owned();
    }
    let mut parts = message.split(['"', '\'', '`']);
    let mut text = parts.next().unwrap_or_default().to_owned();
    while let (Some(cited), after) = (parts.next(), parts.next()) {
        let harmless = cited.chars().count() <= 2;
        let shown = if harmless { cited } else { "…" };
        text.extend(["'", shown, "'"]);
        text += after.unwrap_or_default();
    }
    text
}
