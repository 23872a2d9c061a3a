//! The pod template last rendered for a spec, kept in a `ControllerRevision`.
//!
//! A template is rendered only when the part of the spec that it comes from has
//! no revision yet. So neither a new version of the operator nor another runner
//! image restarts an app, and going back to an earlier spec brings back exactly
//! what ran then.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Settings, job, metadata, pod};
use crate::controller::observe::Observed;
use crate::controller::validate::ValidatedApp;
use crate::controller::{cache, names};
use crate::crd::NodeAppStatus;

/// Revisions kept per app, the current one included.
pub const HISTORY_LIMIT: usize = 10;

/// Keys of a revision's data.
const SPEC: &str = "spec";
const TEMPLATE: &str = "template";

/// The revision that the spec asks for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// It, as it should be.
    pub revision: ControllerRevision,
    /// Its pod template.
    pub template: PodTemplateSpec,
    /// Whether its pods may be made, where a job comes first.
    pub gate: Option<Gate>,
    /// Whether it has just been rendered.
    pub is_new: bool,
}

impl Wanted {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.revision.metadata.name.as_deref().unwrap_or_default()
    }
}

/// Whether the pods of a revision may be made: its mark for the job before its
/// rollout. One that needed none when it was made has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Not before the job has succeeded.
    Closed,
    /// It has.
    Open,
}

impl Gate {
    const fn name(self) -> &'static str {
        match self {
            Self::Closed => "pending",
            Self::Open => "done",
        }
    }
}

/// The mark of a revision.
pub(super) fn gate_of(revision: &ControllerRevision) -> Option<Gate> {
    match names::annotation(&revision.metadata, names::BEFORE_ANNOTATION)? {
        "pending" => Some(Gate::Closed),
        _ => Some(Gate::Open),
    }
}

/// How the rollouts of revisions went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The last one that was completely rolled out.
    pub stable: Option<String>,
    /// The one that the spec asks for, if its rollout has failed.
    pub failed: Option<String>,
}

impl History {
    /// As it stands in a status.
    pub fn of(status: &NodeAppStatus) -> Self {
        Self { stable: status.stable_revision.clone(), failed: status.failed_revision.clone() }
    }

    /// The revision to return to from this one, if it has failed.
    pub(super) fn back_from(&self, name: &str) -> Option<&str> {
        let stable = self.stable.as_deref().filter(|stable| *stable != name)?;
        Some(stable).filter(|_| self.failed.as_deref() == Some(name))
    }
}

/// The revision of an app's spec: the one that exists, or a new one.
pub(super) fn build(app: &ValidatedApp, observed: &Observed, settings: &Settings) -> Wanted {
    let existing = &observed.revisions;
    let name = names::revision(&app.name, &app.source_text());
    let known = existing.iter().find(|revision| revision.metadata.name.as_deref() == Some(&name));
    let kept = known.and_then(|revision| Some((revision, stored(revision, &app.source)?)));
    let newest = existing.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let gate = gate(app, &name, kept.as_ref().map(|(revision, _)| &***revision), observed);
    let is_new = kept.is_none();
    let (number, cause, (data, template)) = if let Some((revision, stored)) = kept {
        // Going back to an earlier spec makes its revision the newest again.
        let number = if revision.revision == newest { newest } else { newest + 1 };
        let cause = names::annotation(&revision.metadata, names::CHANGE_CAUSE_ANNOTATION);
        (number, cause.map(str::to_owned), stored)
    } else {
        let template = pod::template(app, settings);
        let data = json!({SPEC: app.source, TEMPLATE: template});
        (newest + 1, app.change_cause.clone(), (data, template))
    };
    let cause = cause.map(|cause| (names::CHANGE_CAUSE_ANNOTATION.to_owned(), cause));
    let mark = gate.map(|gate| (names::BEFORE_ANNOTATION.to_owned(), gate.name().to_owned()));
    let annotations: BTreeMap<_, _> = cause.into_iter().chain(mark).collect();
    let mut metadata = metadata(app, name);
    metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    let revision = ControllerRevision { metadata, data: Some(RawExtension(data)), revision: number };
    Wanted { revision, template, gate, is_new }
}

/// A new revision waits for its job; one that was made without a job needs none, nor
/// does what runs already. Without `before` nothing is waited for any more.
fn gate(
    app: &ValidatedApp,
    name: &str,
    kept: Option<&ControllerRevision>,
    observed: &Observed,
) -> Option<Gate> {
    let before = app.rollout.before.as_ref();
    let runs = observed.running.as_deref() == Some(name);
    let has_succeeded = || {
        let of_it = |job: &&Arc<Job>| job::revision_of(job) == Some(name);
        observed.jobs.iter().filter(of_it).any(|job| job::state(job) == job::State::Succeeded)
    };
    match kept.map(gate_of) {
        None => before.filter(|_| !runs).map(|_| Gate::Closed),
        Some(Some(Gate::Closed)) if runs || has_succeeded() => Some(Gate::Open),
        Some(Some(Gate::Closed)) => before.map(|_| Gate::Closed),
        Some(other) => other,
    }
}

/// What a revision holds, if it is about this spec and can be read.
fn stored(revision: &ControllerRevision, source: &Value) -> Option<(Value, PodTemplateSpec)> {
    let data = cache::data(revision)?;
    if data.get(SPEC)? != source {
        return None;
    }
    let template = template_in(&data)?;
    Some((data.into_owned(), template))
}

/// Whether the pods of a revision run to an end, as those of a job do.
pub(super) fn is_of_a_job(revision: &ControllerRevision) -> bool {
    cache::data(revision).is_some_and(|data| data[SPEC]["job"] == true)
}

pub(super) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    template_in(cache::data(revision)?.as_ref())
}

fn template_in(data: &Value) -> Option<PodTemplateSpec> {
    PodTemplateSpec::deserialize(data.get(TEMPLATE)?).ok()
}

/// The revisions beyond the limit, oldest first; never one of the kept names.
pub fn obsolete<'a>(existing: &'a [Arc<ControllerRevision>], kept: &[&str]) -> Vec<&'a ControllerRevision> {
    let mut others: Vec<&ControllerRevision> = existing
        .iter()
        .map(AsRef::as_ref)
        .filter(|revision| revision.metadata.name.as_deref().is_none_or(|name| !kept.contains(&name)))
        .collect();
    others.sort_by_key(|revision| revision.revision);
    let excess = (others.len() + kept.len()).saturating_sub(HISTORY_LIMIT);
    others.truncate(excess);
    others
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::validate::validate;

    fn app(args: &str, instances: i32) -> ValidatedApp {
        let app = serde_json::from_value(json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "uid": "u"},
            "spec": {"image": "a:1", "script": "a.js", "args": [args], "instances": instances},
        }));
        validate(&app.unwrap()).unwrap()
    }

    fn runner(image: &str) -> Settings {
        Settings { runner_image: image.to_owned(), ..Settings::default() }
    }

    fn seen(revisions: &[&ControllerRevision]) -> Observed {
        let revisions = revisions.iter().map(|revision| Arc::new((*revision).clone())).collect();
        Observed { revisions, ..Observed::default() }
    }

    fn image(rendered: &Wanted) -> Option<&str> {
        let spec = rendered.template.spec.as_ref()?;
        spec.init_containers.as_ref()?.first()?.image.as_deref()
    }

    #[test]
    fn a_template_is_used_again_to_the_letter_whatever_would_be_rendered_now() {
        let first = build(&app("a", 1), &seen(&[]), &runner("runner:1"));
        let again = build(&app("a", 5), &seen(&[&first.revision]), &runner("runner:2"));
        assert_eq!(again.revision, first.revision);
        assert_eq!(again.template, first.template);
        assert_eq!(image(&again), Some("runner:1"));
    }

    #[test]
    fn another_spec_is_rendered_anew_and_going_back_is_not() {
        let first = build(&app("a", 1), &seen(&[]), &runner("runner:1"));
        let second = build(&app("b", 1), &seen(&[&first.revision]), &runner("runner:2"));
        assert_eq!((second.revision.revision, image(&second)), (2, Some("runner:2")));
        assert_ne!(second.revision.metadata.name, first.revision.metadata.name);
        let back = build(&app("a", 1), &seen(&[&first.revision, &second.revision]), &runner("runner:2"));
        assert_eq!(back.revision.metadata.name, first.revision.metadata.name);
        assert_eq!((back.revision.revision, image(&back)), (3, Some("runner:1")));
    }

    #[test]
    fn a_revision_keeps_the_cause_that_it_was_made_for() {
        let caused = |cause: &str| {
            let mut app = app("a", 1);
            app.change_cause = Some(cause.to_owned());
            app
        };
        let cause = |wanted: &Wanted| {
            names::annotation(&wanted.revision.metadata, names::CHANGE_CAUSE_ANNOTATION).map(str::to_owned)
        };
        let first = build(&caused("release 1"), &seen(&[]), &runner("runner:1"));
        assert_eq!(cause(&first).as_deref(), Some("release 1"));
        let later = build(&caused("scaled"), &seen(&[&first.revision]), &runner("runner:1"));
        assert_eq!(cause(&later).as_deref(), Some("release 1"), "no new revision, no new cause");
        assert_eq!(build(&app("b", 1), &seen(&[]), &runner("r")).revision.metadata.annotations, None);
    }

    #[test]
    fn a_revision_that_cannot_be_read_is_rendered_anew() {
        let mut broken = build(&app("a", 1), &seen(&[]), &runner("runner:1")).revision;
        broken.data = Some(RawExtension(json!({"spec": "something else"})));
        let rendered = build(&app("a", 1), &seen(&[&broken]), &runner("runner:2"));
        assert_eq!(image(&rendered), Some("runner:2"));
    }

    #[test]
    fn the_oldest_revisions_go_and_never_the_current_one() {
        let revisions: Vec<_> = (1..=13)
            .map(|number| {
                let mut revision = build(&app(&number.to_string(), 1), &seen(&[]), &runner("r")).revision;
                revision.revision = number;
                Arc::new(revision)
            })
            .collect();
        let numbers = |current: usize| -> Vec<i64> {
            let kept = revisions[current].metadata.name.as_deref().unwrap();
            obsolete(&revisions, &[kept]).iter().map(|revision| revision.revision).collect()
        };
        assert_eq!(numbers(12), [1, 2, 3]);
        assert_eq!(numbers(0), [2, 3, 4]);
        let kept = revisions[9].metadata.name.as_deref().unwrap();
        assert!(obsolete(&revisions[..10], &[kept]).is_empty());
        let way_back = revisions[0].metadata.name.as_deref().unwrap();
        let gone: Vec<_> = obsolete(&revisions, &[kept, way_back]).iter().map(|r| r.revision).collect();
        assert_eq!(gone, [2, 3, 4], "the way back stays, however old it is");
    }
}
