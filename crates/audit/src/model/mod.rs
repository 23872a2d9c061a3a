//! What the rules and the linking of files need to know about one file.

pub(crate) mod exports;
mod fields;
pub(crate) mod functions;
mod guard;
pub(crate) mod handlers;
pub(crate) mod parsed;
pub(crate) mod state;
pub(crate) mod targets;
mod writes;

use std::collections::HashMap;
use std::path::PathBuf;

pub(crate) use self::functions::{ClassId, ClassInfo, FnId, Function};
use self::parsed::Parsed;
use self::state::{State, Write};
use crate::finding::{Note, Place};
use crate::rules::{Candidate, Facts};
use crate::suppress::Suppressions;

/// A function that is called or handed on, as far as one file tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// Of this file.
    Local(FnId),
    /// From another file: its name as written, and the names taken from it.
    Import(String, Vec<String>),
    /// What the file itself exports under a name: `exports.name()`.
    Own(String),
    /// A method of an object that is not known.
    Method(String),
}

/// A class of this file, or of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClassName {
    Local(ClassId),
    Import(String, Vec<String>),
}

/// What a name is to those who import it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Export {
    pub(crate) function: Option<FnId>,
    /// Index into [`FileModel::states`].
    pub(crate) state: Option<usize>,
    pub(crate) class: Option<ClassId>,
    /// Functions by their names in an object, a class or an instance of one.
    pub(crate) members: HashMap<String, FnId>,
    /// Taken on from another file.
    pub(crate) from: Option<(String, Vec<String>)>,
}

/// One file, without its syntax tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileModel {
    pub(crate) path: PathBuf,
    /// Nothing is known of it but its notes.
    pub(crate) unread: bool,
    pub(crate) functions: Vec<Function>,
    pub(crate) classes: Vec<ClassInfo>,
    /// Functions that a server calls for each request or message, and how that is known.
    pub(crate) roots: Vec<(Target, &'static str)>,
    /// Who calls whom, or hands whom on; `None` is the load of the file.
    pub(crate) edges: Vec<(Option<FnId>, Target)>,
    /// By name; `default` stands also for the whole of `module.exports`.
    pub(crate) exports: HashMap<String, Export>,
    /// Files of the project that it loads.
    pub(crate) imports: Vec<String>,
    /// `export * from`.
    pub(crate) passes_on: Vec<String>,
    /// Where a class is instantiated.
    pub(crate) instances: Vec<(Option<FnId>, ClassName)>,
    pub(crate) states: Vec<State>,
    pub(crate) writes: Vec<Write>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) facts: Facts,
    pub(crate) suppressions: Suppressions,
    pub(crate) notes: Vec<Note>,
}

impl FileModel {
    /// Reads a parsed file, without looking at any other.
    pub(crate) fn build(path: &std::path::Path, parsed: &Parsed) -> Self {
        let mut model = Self { path: path.to_owned(), ..Self::default() };
        if is_for_browsers(parsed) {
            return model;
        }
        model.roots = handlers::roots(parsed);
        model.edges = targets::edges(parsed);
        model.instances = targets::instances(parsed);
        model.imports = targets::imports(parsed);
        let found = state::find(path, parsed);
        exports::read(parsed, &found, &mut model);
        model.states = found.states;
        model.writes = found.writes;
        let (candidates, facts) = crate::rules::look(path, parsed);
        model.candidates = candidates;
        model.facts = facts;
        model.functions.clone_from(&parsed.functions.all);
        model.classes.clone_from(&parsed.functions.classes);
        model
    }

    pub(crate) fn function_name(&self, id: FnId) -> String {
        match self.functions.get(id.0 as usize).and_then(|it| it.name.as_deref()) {
            Some(name) => format!("`{name}`"),
            None => "a function without a name".to_owned(),
        }
    }
}

/// A place in a file.
pub(crate) fn place(path: &std::path::Path, parsed: &Parsed, offset: u32) -> Place {
    let (line, column) = parsed.lines.at(offset);
    Place { file: path.to_owned(), line, column }
}

/// Code that talks to a page has one instance per visitor anyway.
fn is_for_browsers(parsed: &Parsed) -> bool {
    let scoping = parsed.semantic.scoping();
    let unresolved = scoping.root_unresolved_references();
    let uses = |name: &str| unresolved.keys().any(|it| it.as_str() == name);
    let page = uses("document") || uses("window") || uses("navigator") || uses("localStorage");
    page && !uses("process") && !uses("__dirname")
}
