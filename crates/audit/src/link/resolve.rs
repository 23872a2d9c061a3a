//! What names in imports stand for.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::{COMMON, Global, HOPS, NAMESAKES, Project};
use crate::model::functions::ClassId;
use crate::model::{Export, FileModel, Target};

impl Project {
    /// The functions that a target stands for.
    pub(crate) fn resolve(&self, file: usize, target: &Target) -> Vec<Global> {
        match target {
            Target::Local(function) => vec![(file, *function)],
            Target::Import(module, path) => {
                let found = self.file(file, module).and_then(|it| self.export(it, path, HOPS));
                found.and_then(|(at, export, rest)| function_of(at, export, &rest)).into_iter().collect()
            }
            Target::Own(name) => {
                let found = self.export(file, std::slice::from_ref(name), HOPS);
                found.and_then(|(at, export, rest)| function_of(at, export, &rest)).into_iter().collect()
            }
            Target::Method(name) => match self.by_name.get(name) {
                Some(all) if all.len() <= NAMESAKES && !COMMON.contains(&name.as_str()) => all.clone(),
                _ => vec![],
            },
        }
    }

    /// The variable of another file that an import stands for.
    pub(crate) fn state(&self, file: usize, module: &str, path: &[String]) -> Option<(usize, usize)> {
        let (at, export, _) = self.export(self.file(file, module)?, path, HOPS)?;
        Some((at, export.state?))
    }

    /// The class of another file.
    pub(super) fn class(&self, file: usize, module: &str, path: &[String]) -> Option<(usize, ClassId)> {
        let (at, export, _) = self.export(self.file(file, module)?, path, HOPS)?;
        Some((at, export.class?))
    }

    /// Follows names through re-exports; what is left of the path are members.
    pub(super) fn export<'p>(
        &'p self,
        file: usize,
        path: &[String],
        hops: usize,
    ) -> Option<(usize, &'p Export, Vec<String>)> {
        let hops = hops.checked_sub(1)?;
        let model = self.files.get(file)?;
        let (first, rest) = match path.split_first() {
            Some((first, rest)) => (first.as_str(), rest),
            None => ("default", path),
        };
        let (export, rest) = match model.exports.get(first) {
            Some(export) => (export, rest),
            None => match model.exports.get("default") {
                Some(export) => (export, path),
                None => {
                    return model
                        .passes_on
                        .iter()
                        .find_map(|module| self.export(self.file(file, module)?, path, hops));
                }
            },
        };
        match &export.from {
            Some((module, names)) => {
                let names: Vec<String> =
                    names.iter().filter(|it| *it != "default").chain(rest).cloned().collect();
                self.export(self.file(file, module)?, &names, hops)
            }
            None => Some((file, export, rest.to_vec())),
        }
    }

    /// The file that a name in an `import` of another file stands for.
    pub(super) fn file(&self, from: usize, module: &str) -> Option<usize> {
        self.modules.get(from)?.get(module).copied()
    }

    pub(super) fn modules(&self) -> Vec<HashMap<String, usize>> {
        let of = |file: &FileModel| {
            let names = file.imports.iter();
            names.filter_map(|name| Some((name.clone(), self.find(&file.path, name)?))).collect()
        };
        self.files.iter().map(of).collect()
    }

    fn find(&self, from: &Path, module: &str) -> Option<usize> {
        let bases = if module.starts_with('.') {
            vec![from.parent()?.join(module)]
        } else {
            let rest = module.get(2..)?;
            let root = self.package_of(from);
            vec![root.join("src").join(rest), root.join(rest)]
        };
        bases.iter().find_map(|base| self.at(&normal(base)))
    }

    fn at(&self, base: &Path) -> Option<usize> {
        if let Some(index) = self.by_path.get(base) {
            return Some(*index);
        }
        let text = base.to_str()?;
        // TypeScript is imported by the name of what it becomes.
        let stem =
            [".js", ".mjs", ".cjs", ".jsx"].iter().find_map(|it| text.strip_suffix(it)).unwrap_or(text);
        let endings = ["js", "ts", "mjs", "cjs", "mts", "cts", "tsx", "jsx"];
        let mut names = endings.iter().flat_map(|ending| {
            [format!("{text}.{ending}"), format!("{stem}.{ending}"), format!("{text}/index.{ending}")]
        });
        names.find_map(|name| self.by_path.get(Path::new(&name)).copied())
    }
}

fn function_of(file: usize, export: &Export, members: &[String]) -> Option<Global> {
    let function = match members.first() {
        Some(name) => export.members.get(name).copied(),
        None => export.function,
    };
    function.map(|function| (file, function))
}

/// Without `.` and `..`, as far as names go.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
