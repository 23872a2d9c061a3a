//! From what each file says to findings.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use crate::finding::{Finding, Findings, Place, Suppressed};
use crate::link::{Package, Project};
use crate::model::FileModel;
use crate::rules::{Candidate, Rule, When, look_at_package};
use crate::walk::Walked;

/// Links the files, applies the rules that need more than one, and the comments that accept findings.
pub(crate) fn settle(walked: Walked, models: Vec<FileModel>) -> Findings {
    let Walked { package_roots, wants_ready, notes, .. } = walked;
    let project = Project::new(models, package_roots);
    let mut found = vec![];
    for package in packages(&project, &wants_ready) {
        look_at_package(&package, &mut found);
        for (index, model) in package.models() {
            let holds = |it: &&Candidate| holds(&package, index, &it.when);
            found.extend(model.candidates.iter().filter(holds).map(finding));
        }
    }
    let mut findings = Findings { notes, ..Findings::default() };
    findings.files = project.files.iter().filter(|it| !it.unread).count();
    findings.notes.extend(project.files.iter().flat_map(|it| it.notes.iter().cloned()));
    for it in found {
        let file = project.files.iter().find(|model| model.path == it.place.file);
        match file.and_then(|model| model.suppressions.accepts(&it)) {
            Some(reason) => findings.suppressed.push(Suppressed { reason: reason.to_owned(), finding: it }),
            None => findings.findings.push(it),
        }
    }
    let key = |it: &Finding| (it.place.clone(), it.rule);
    findings.findings.sort_by_key(key);
    findings.findings.dedup_by(|one, other| key(one) == key(other));
    findings.suppressed.sort_by_key(|it| key(&it.finding));
    findings.notes.sort();
    findings
}

fn packages<'m>(project: &'m Project, wants_ready: &[Place]) -> Vec<Package<'m>> {
    let mut files: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    for (index, file) in project.files.iter().enumerate() {
        files.entry(project.package_of(&file.path)).or_default().push(index);
    }
    // A file that belongs to no package's code still says something, once.
    let roots: HashSet<PathBuf> = files.keys().cloned().collect();
    let mut packages: Vec<Package> = files
        .into_iter()
        .map(|(root, files)| Package { project, root, files, wants_ready: vec![] })
        .collect();
    for place in wants_ready {
        let root = project.package_of(&place.file);
        let root = if roots.contains(&root) {
            root
        } else {
            packages.first().map(|it| it.root.clone()).unwrap_or_default()
        };
        if let Some(package) = packages.iter_mut().find(|it| it.root == root) {
            package.wants_ready.push(place.clone());
        }
    }
    packages
}

fn holds(package: &Package, file: usize, when: &When) -> bool {
    let project = package.project;
    match when {
        When::Always => true,
        When::InServer => project.is_serving(file),
        When::Reached(function) => project.reached(file, *function).is_some(),
        When::AtStart(function) => project.at_start(file, *function),
        When::NoAdapter => !has_adapter(package),
        When::Adapter => has_adapter(package),
        When::Job(function, targets) => {
            let called = project.called_from(file, targets);
            let acts = |(at, function): &(usize, crate::model::FnId)| {
                project.files.get(*at).is_some_and(|it| it.facts.effects.contains(&Some(*function)))
            };
            project.is_serving(file) && project.at_start(file, *function) && called.iter().any(acts)
        }
    }
}

fn has_adapter(package: &Package) -> bool {
    package.models().any(|(_, model)| model.facts.has_adapter)
}

fn finding(candidate: &Candidate) -> Finding {
    let Rule { id, severity, why, instead, .. } = *candidate.rule;
    let (place, message) = (candidate.place.clone(), candidate.message.clone());
    Finding { rule: id, severity, place, message, why, instead, related: vec![] }
}
