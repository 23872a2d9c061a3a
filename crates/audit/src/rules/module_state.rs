//! Variables and fields of the process that requests change.

use std::collections::HashMap;

use super::Rule;
use crate::finding::{Finding, Related, Severity};
use crate::link::{Package, Project, Via};
use crate::model::FileModel;
use crate::model::functions::ClassId;
use crate::model::state::{How, Kind, State, Write, Written};

pub(crate) static STATE: Rule = Rule {
    id: "module-state",
    severity: Severity::Warning,
    title: "State in memory that requests change",
    why: "each instance has a copy of its own: what one request writes, the next one, on another instance, does not \
          see, and a restart loses it",
    instead: "keep it in Redis (SET, HSET, SADD with an expiry) or in the database",
};

pub(crate) static COUNTER: Rule = Rule {
    id: "module-counter",
    severity: Severity::Warning,
    title: "Counter in memory that requests count",
    why: "each instance counts for itself from zero: totals are too small, and ids made of it are given twice",
    instead: "count with INCR in Redis; take ids from the database or crypto.randomUUID(); for metrics, give them to \
              Prometheus, which adds instances up",
};

pub(crate) static CACHE: Rule = Rule {
    id: "memory-cache",
    severity: Severity::Note,
    title: "Cache in memory that requests fill",
    why: "each instance fills a cache of its own: what one has deleted or changed, the others answer from memory \
          until it expires",
    instead: "cache in Redis (cache-manager or Keyv with a Redis store), or accept it with a short expiry",
};

/// Decorators of classes that a container makes one instance of.
const SINGLETONS: [&str; 8] = [
    "Controller",
    "Injectable",
    "JsonController",
    "Resolver",
    "Service",
    "Singleton",
    "WebSocketGateway",
    "singleton",
];
/// Places named in a finding.
const SHOWN: usize = 3;

/// All of a package.
pub(crate) fn look(package: &Package, findings: &mut Vec<Finding>) {
    for (index, model) in package.models() {
        for (number, state) in model.states.iter().enumerate() {
            let writes = package.project.writes_to(index, number);
            if lives_on(package.project, index, model, state) {
                findings.extend(judge(package.project, state, &writes));
            }
        }
    }
    globals(package, findings);
}

/// Whether there is one of it per process, and not one per request.
fn lives_on(project: &Project, file: usize, model: &FileModel, state: &State) -> bool {
    match state.class {
        None => project.at_start(file, state.owner),
        Some(class) => project.at_start(file, state.owner) && is_singleton(project, file, model, class),
    }
}

fn is_singleton(project: &Project, file: usize, model: &FileModel, class: ClassId) -> bool {
    let info = model.classes.get(class.0 as usize);
    if info.is_some_and(|it| it.decorators.iter().any(|name| SINGLETONS.contains(&name.as_str()))) {
        return true;
    }
    let made = project.instances.get(&(file, class)).map(Vec::as_slice).unwrap_or_default();
    !made.is_empty() && made.iter().all(|(at, function)| project.at_start(*at, *function))
}

impl Project {
    /// Every write to a variable, from whatever file.
    fn writes_to(&self, file: usize, state: usize) -> Vec<(usize, &Write)> {
        let writes = self.writes.get(&(file, state)).into_iter().flatten();
        writes.filter_map(|(at, number)| Some((*at, self.files.get(*at)?.writes.get(*number)?))).collect()
    }
}

fn judge(project: &Project, state: &State, writes: &[(usize, &Write)]) -> Option<Finding> {
    // What has been warned of is told once per instance, which is what is wanted.
    let name = state.name.to_lowercase();
    if ["warned", "warning", "deprecat"].iter().any(|it| name.contains(it)) {
        return None;
    }
    let runtime: Vec<(usize, &Write, Via)> = writes
        .iter()
        .filter_map(|(file, write)| {
            let via = project.reached(*file, write.function?)?;
            // What a function keeps for the functions in it is one per call: only a certain way says that it is
            // not called for each request.
            let certain = !via.is_guess || state.owner.is_none() || state.class.is_some();
            certain.then_some((*file, *write, via))
        })
        .collect();
    let rule = rule_of(state, &runtime.iter().map(|(_, write, _)| write.how).collect::<Vec<_>>())?;
    let telling = runtime.iter().filter(|(_, write, _)| tells(write.how));
    let related = telling.take(SHOWN).map(|it| related(project, it)).collect();
    let what = match state.kind {
        Kind::Map => "a Map",
        Kind::Set => "a Set",
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::Number => "a number",
        Kind::Single => "a variable",
        Kind::Cache => "a cache",
    };
    let library = state.library.as_ref().map(|it| format!(" of {it}")).unwrap_or_default();
    let message = format!("`{}`, {what}{library} in memory, is changed by requests", state.name);
    Some(finding(rule, state.place.clone(), message, related))
}

fn finding(
    rule: &'static Rule,
    place: crate::finding::Place,
    message: String,
    related: Vec<Related>,
) -> Finding {
    let Rule { id, severity, why, instead, .. } = *rule;
    Finding { rule: id, severity, place, message, why, instead, related }
}

fn related(project: &Project, (file, write, via): &(usize, &Write, Via)) -> Related {
    let name = |file: usize, function| {
        project.files.get(file).map_or_else(String::new, |it| it.function_name(function))
    };
    let writer = write.function.map(|function| name(*file, function)).unwrap_or_default();
    let first = name(via.first.0, via.first.1);
    let message = if write.function == Some(via.first.1) && *file == via.first.0 {
        format!("changed here, in {writer}: {}", via.how)
    } else {
        format!("changed here, in {writer}, which {first} leads to: {}", via.how)
    };
    Related { place: write.place.clone(), message }
}

/// Whether a change matters at all.
fn tells(how: How) -> bool {
    !matches!(how, How::Lazy | How::Clear | How::Same)
}

fn rule_of(state: &State, runtime: &[How]) -> Option<&'static Rule> {
    let any = |wanted: &[How]| runtime.iter().any(|how| wanted.contains(how));
    let in_function = state.owner.is_some() && state.class.is_none();
    match state.kind {
        Kind::Number if any(&[How::Count]) => Some(&COUNTER),
        Kind::Number if any(&[How::Assign]) && !in_function => Some(&STATE),
        Kind::Single if in_function => None,
        // `let count;` … `count++`
        Kind::Single if any(&[How::Count]) => Some(&COUNTER),
        Kind::Single => {
            // A flag that only ever goes one way, such as "has been warned".
            let both = any(&[How::Flag(true)]) && any(&[How::Flag(false)]);
            (any(&[How::Assign]) || both).then_some(&STATE)
        }
        Kind::Cache => any(&[How::Inside]).then_some(&CACHE),
        Kind::Map | Kind::Set | Kind::Object | Kind::Array => {
            let taken = any(&[How::Drop]) && !any(&[How::Same]);
            (taken || any(&[How::Inside, How::Assign])).then_some(&STATE)
        }
        Kind::Number => None,
    }
}

/// `global.x` and `app.locals.x`, which any file may write.
fn globals(package: &Package, findings: &mut Vec<Finding>) {
    let mut by_name: HashMap<&str, Vec<(usize, &Write, Via)>> = HashMap::new();
    for (index, model) in package.models() {
        for write in &model.writes {
            let Written::Global(name) = &write.to else { continue };
            let via = write.function.and_then(|function| package.project.reached(index, function));
            if let Some(via) = via.filter(|_| tells(write.how)) {
                by_name.entry(name).or_default().push((index, write, via));
            }
        }
    }
    for (name, writes) in by_name {
        let Some((_, first, _)) = writes.first() else { continue };
        let message = format!("`{name}`, which the whole process shares, is changed by requests");
        let related = writes.iter().take(SHOWN).map(|it| self::related(package.project, it)).collect();
        findings.push(finding(&STATE, first.place.clone(), message, related));
    }
}
