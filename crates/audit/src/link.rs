//! Puts the files together: who imports what, and which functions a request reaches.

mod resolve;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use self::resolve::normal;
use crate::finding::Place;
use crate::model::functions::ClassId;
use crate::model::state::Written;
use crate::model::{ClassName, FileModel, FnId, Target};

/// A function of the project: index of the file, and the function in it.
pub(crate) type Global = (usize, FnId);

/// By class: the file and the function of each `new`.
type Instances = HashMap<(usize, ClassId), Vec<(usize, Option<FnId>)>>;

/// Methods of this name belong to everything; a call of one says nothing about whose it is.
const COMMON: [&str; 82] = [
    "abort",
    "add",
    "append",
    "apply",
    "bind",
    "call",
    "catch",
    "clear",
    "close",
    "concat",
    "connect",
    "create",
    "cursor",
    "debug",
    "delete",
    "destroy",
    "disconnect",
    "emit",
    "end",
    "entries",
    "error",
    "exec",
    "exit",
    "filter",
    "finally",
    "find",
    "flush",
    "forEach",
    "get",
    "has",
    "includes",
    "indexOf",
    "info",
    "init",
    "insert",
    "join",
    "json",
    "keys",
    "listen",
    "load",
    "log",
    "map",
    "match",
    "next",
    "off",
    "on",
    "once",
    "open",
    "parse",
    "pause",
    "pipe",
    "push",
    "query",
    "read",
    "reduce",
    "remove",
    "replace",
    "reset",
    "resume",
    "run",
    "save",
    "send",
    "set",
    "setHeader",
    "slice",
    "some",
    "sort",
    "split",
    "start",
    "status",
    "stop",
    "test",
    "then",
    "toJSON",
    "toString",
    "update",
    "use",
    "value",
    "values",
    "warn",
    "write",
    "writeHead",
];
/// More functions of one name than this, and a call of it on an unknown object leads nowhere.
const NAMESAKES: usize = 2;
/// Re-exports are followed so far.
const HOPS: usize = 8;

/// A folder with a package.json, or the whole if there is none.
pub(crate) struct Package<'m> {
    pub(crate) project: &'m Project,
    pub(crate) root: PathBuf,
    /// Indices of its files.
    pub(crate) files: Vec<usize>,
    /// Where it is said that the app tells when it is ready.
    pub(crate) wants_ready: Vec<Place>,
}

impl Package<'_> {
    pub(crate) fn models(&self) -> impl Iterator<Item = (usize, &FileModel)> {
        self.files.iter().filter_map(|index| Some((*index, self.project.files.get(*index)?)))
    }
}

/// How a function is reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Via {
    /// What makes the first function a handler.
    pub(crate) how: &'static str,
    pub(crate) first: Global,
    /// On the way there is a call that only the name of a method leads on from.
    pub(crate) is_guess: bool,
}

/// All files, linked.
#[derive(Default)]
pub(crate) struct Project {
    pub(crate) files: Vec<FileModel>,
    by_path: HashMap<PathBuf, usize>,
    package_roots: HashSet<PathBuf>,
    by_name: HashMap<String, Vec<Global>>,
    children: HashMap<Global, Vec<Global>>,
    edges: HashMap<Global, Vec<Global>>,
    guesses: HashMap<Global, Vec<Global>>,
    /// By file: what the names in its imports stand for.
    modules: Vec<HashMap<String, usize>>,
    /// Where each class is instantiated: the file, and the function in it.
    pub(crate) instances: Instances,
    /// Files that are loaded by one that listens, and those themselves.
    serving: HashSet<usize>,
    reached: HashMap<Global, Via>,
    /// By file and index of the variable: file and index of each write.
    pub(crate) writes: HashMap<(usize, usize), Vec<(usize, usize)>>,
}

impl Project {
    pub(crate) fn new(files: Vec<FileModel>, package_roots: HashSet<PathBuf>) -> Self {
        let by_path = files.iter().enumerate().map(|(index, file)| (normal(&file.path), index)).collect();
        let mut by_name: HashMap<String, Vec<Global>> = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            for (number, function) in file.functions.iter().enumerate() {
                let name = function.name.as_ref().filter(|_| function.is_member);
                if let (Some(name), Ok(number)) = (name, u32::try_from(number)) {
                    by_name.entry(name.clone()).or_default().push((index, FnId(number)));
                }
            }
        }
        let mut project = Self { files, by_path, package_roots, by_name, ..Self::default() };
        project.modules = project.modules();
        project.instances = project.instances();
        project.children = project.children();
        project.edges = project.edges(|it| !matches!(it, Target::Method(_)));
        project.guesses = project.edges(|it| matches!(it, Target::Method(_)));
        project.serving = project.serving();
        project.reached = project.reach();
        project.writes = project.writes();
        project
    }

    fn writes(&self) -> HashMap<(usize, usize), Vec<(usize, usize)>> {
        let mut writes: HashMap<(usize, usize), Vec<(usize, usize)>> = HashMap::new();
        for (index, file) in self.files.iter().enumerate() {
            for (number, write) in file.writes.iter().enumerate() {
                let state = match &write.to {
                    Written::Local(state) => Some((index, *state)),
                    Written::Import(module, path) => self.state(index, module, path),
                    Written::Global(_) => None,
                };
                if let Some(state) = state {
                    writes.entry(state).or_default().push((index, number));
                }
            }
        }
        writes
    }

    /// How a handler reaches this function, if one does.
    pub(crate) fn reached(&self, file: usize, function: FnId) -> Option<Via> {
        self.reached.get(&(file, function)).copied()
    }

    /// The code runs when the program starts, and not for each request.
    pub(crate) fn at_start(&self, file: usize, function: Option<FnId>) -> bool {
        function.is_none_or(|function| self.reached(file, function).is_none())
    }

    /// The nearest folder with a package.json.
    pub(crate) fn package_of(&self, file: &Path) -> PathBuf {
        let mut folders = file.ancestors().skip(1);
        folders.find(|it| self.package_roots.contains(*it)).unwrap_or(Path::new("")).to_owned()
    }

    fn reach(&self) -> HashMap<Global, Via> {
        let mut reached: HashMap<Global, Via> = HashMap::new();
        let mut queue = VecDeque::new();
        for (index, file) in self.files.iter().enumerate() {
            for (target, how) in &file.roots {
                for first in self.resolve(index, target) {
                    reached.entry(first).or_insert_with(|| {
                        queue.push_back(first);
                        Via { how, first, is_guess: false }
                    });
                }
            }
        }
        // First what is certain, then from all of that what is likely.
        self.follow(&mut queue, &mut reached, false);
        let mut certain: Vec<Global> = reached.keys().copied().collect();
        certain.sort_unstable();
        queue.extend(certain);
        self.follow(&mut queue, &mut reached, true);
        reached
    }

    fn follow(&self, queue: &mut VecDeque<Global>, reached: &mut HashMap<Global, Via>, guessing: bool) {
        while let Some(at) = queue.pop_front() {
            let Some(via) = reached.get(&at).copied() else { continue };
            let guesses = self.guesses.get(&at).filter(|_| guessing);
            let certain = self.next(at).map(|it| (it, via.is_guess));
            for (function, is_guess) in certain.chain(guesses.into_iter().flatten().map(|it| (it, true))) {
                reached.entry(*function).or_insert_with(|| {
                    queue.push_back(*function);
                    Via { is_guess, ..via }
                });
            }
        }
    }

    /// What a function calls, hands on or contains.
    fn next(&self, at: Global) -> impl Iterator<Item = &Global> {
        [self.children.get(&at), self.edges.get(&at)].into_iter().flatten().flatten()
    }

    /// What is written inside of a function is made anew with each of its calls, and may run then.
    fn children(&self) -> HashMap<Global, Vec<Global>> {
        let mut children: HashMap<Global, Vec<Global>> = HashMap::new();
        for (index, file) in self.files.iter().enumerate() {
            for (number, function) in file.functions.iter().enumerate() {
                if let (Some(parent), Ok(number)) = (function.parent, u32::try_from(number)) {
                    children.entry((index, parent)).or_default().push((index, FnId(number)));
                }
            }
        }
        children
    }

    fn edges(&self, wanted: impl Fn(&Target) -> bool) -> HashMap<Global, Vec<Global>> {
        let mut edges: HashMap<Global, Vec<Global>> = HashMap::new();
        for (index, file) in self.files.iter().enumerate() {
            for (from, target) in file.edges.iter().filter(|(_, target)| wanted(target)) {
                let Some(from) = from else { continue };
                let to = self.resolve(index, target);
                edges.entry((index, *from)).or_default().extend(to);
            }
        }
        edges
    }

    /// Whether a file is loaded in a server, and not by a program that ends.
    pub(crate) fn is_serving(&self, file: usize) -> bool {
        self.serving.contains(&file)
    }

    fn serving(&self) -> HashSet<usize> {
        let listens = self.files.iter().enumerate().filter(|(_, it)| !it.facts.listens.is_empty());
        let mut queue: Vec<usize> = listens.map(|(index, _)| index).collect();
        let mut serving: HashSet<usize> = queue.iter().copied().collect();
        while let Some(index) = queue.pop() {
            let imports = self.files.get(index).map(|it| it.imports.as_slice()).unwrap_or_default();
            let loaded = imports.iter().filter_map(|module| self.file(index, module));
            queue.extend(loaded.filter(|it| serving.insert(*it)).collect::<Vec<_>>());
        }
        serving
    }

    /// Everything that these functions call, themselves included.
    pub(crate) fn called_from(&self, file: usize, targets: &[Target]) -> HashSet<Global> {
        let mut queue: VecDeque<Global> = targets.iter().flat_map(|it| self.resolve(file, it)).collect();
        let mut seen: HashSet<Global> = queue.iter().copied().collect();
        while let Some(at) = queue.pop_front() {
            for function in self.next(at).chain(self.guesses.get(&at).into_iter().flatten()) {
                if seen.insert(*function) {
                    queue.push_back(*function);
                }
            }
        }
        seen
    }

    fn instances(&self) -> Instances {
        let mut instances = Instances::new();
        for (index, file) in self.files.iter().enumerate() {
            for (function, name) in &file.instances {
                let class = match name {
                    ClassName::Local(class) => Some((index, *class)),
                    ClassName::Import(module, path) => self.class(index, module, path),
                };
                if let Some(class) = class {
                    instances.entry(class).or_default().push((index, *function));
                }
            }
        }
        instances
    }
}
