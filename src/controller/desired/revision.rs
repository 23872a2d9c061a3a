//! The pod template last rendered for a spec, kept in a `ControllerRevision`.
//!
//! A template is rendered only when the part of the spec that it comes from has
//! no revision yet. So neither a new version of the operator nor another runner
//! image restarts an app, and going back to an earlier spec brings back exactly
//! what ran then.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Settings, metadata, pod};
use crate::controller::validate::ValidatedApp;
use crate::controller::{cache, names};
use crate::crd::NodeAppStatus;

/// Revisions kept per app, the current one included.
pub const HISTORY_LIMIT: usize = 10;

/// Keys of a revision's data.
const SPEC: &str = "spec";
const TEMPLATE: &str = "template";

/// A revision and the template that is to run.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The revision that the spec asks for, as it should be.
    pub revision: ControllerRevision,
    /// The pod template that is to run.
    pub template: PodTemplateSpec,
    /// Name of the revision that it is from: of an earlier one where the rollout of
    /// what the spec asks for has failed and is taken back.
    pub running: String,
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

    /// The revision to return to from a failed one.
    fn back_from<'a>(
        &self,
        name: &str,
        existing: &'a [Arc<ControllerRevision>],
    ) -> Option<&'a ControllerRevision> {
        let stable = self.stable.as_deref().filter(|stable| *stable != name)?;
        let failed = self.failed.as_deref() == Some(name);
        existing
            .iter()
            .map(AsRef::as_ref)
            .find(|revision| failed && revision.metadata.name.as_deref() == Some(stable))
    }
}

/// The revision of an app's spec: the one that exists, or a new one.
pub(super) fn build(
    app: &ValidatedApp,
    existing: &[Arc<ControllerRevision>],
    history: &History,
    settings: &Settings,
) -> Rendered {
    let name = names::revision(&app.name, &app.source_text());
    let kept = existing
        .iter()
        .find(|revision| revision.metadata.name.as_deref() == Some(&name))
        .and_then(|revision| Some((revision.revision, stored(revision, &app.source)?)));
    let newest = existing.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let (number, data, template) = match kept {
        // Going back to an earlier spec makes its revision the newest again.
        Some((number, (data, template))) if number == newest => (number, data, template),
        Some((_, (data, template))) => (newest + 1, data, template),
        None => {
            let template = pod::template(app, settings);
            (newest + 1, json!({SPEC: app.source, TEMPLATE: template}), template)
        }
    };
    let back = Some(history).filter(|_| app.rollout.auto_rollback);
    let back = back.and_then(|history| history.back_from(&name, existing));
    let (running, template) = back
        .and_then(|revision| Some((revision.metadata.name.clone()?, template_of(revision)?)))
        .unwrap_or_else(|| (name.clone(), template));
    let revision = ControllerRevision {
        metadata: metadata(app, name),
        data: Some(RawExtension(data)),
        revision: number,
    };
    Rendered { revision, template, running }
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

fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
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
        Settings { runner_image: image.to_owned() }
    }

    fn image(rendered: &Rendered) -> Option<&str> {
        let spec = rendered.template.spec.as_ref()?;
        spec.init_containers.as_ref()?.first()?.image.as_deref()
    }

    #[test]
    fn a_template_is_used_again_to_the_letter_whatever_would_be_rendered_now() {
        let first = build(&app("a", 1), &[], &History::default(), &runner("runner:1"));
        let existing = [Arc::new(first.revision.clone())];
        let again = build(&app("a", 5), &existing, &History::default(), &runner("runner:2"));
        assert_eq!(again.revision, first.revision);
        assert_eq!(again.template, first.template);
        assert_eq!(image(&again), Some("runner:1"));
    }

    #[test]
    fn a_revision_that_the_cache_keeps_as_text_is_the_same_revision() {
        let mut first = build(&app("a", 1), &[], &History::default(), &runner("runner:1")).revision;
        let whole = first.clone();
        cache::slim_revision(&mut first);
        assert_ne!(first, whole);
        let again = build(&app("a", 1), &[Arc::new(first)], &History::default(), &runner("runner:2"));
        assert_eq!(again.revision, whole);
    }

    #[test]
    fn another_spec_is_rendered_anew_and_going_back_is_not() {
        let first = build(&app("a", 1), &[], &History::default(), &runner("runner:1"));
        let second = build(
            &app("b", 1),
            &[Arc::new(first.revision.clone())],
            &History::default(),
            &runner("runner:2"),
        );
        assert_eq!((second.revision.revision, image(&second)), (2, Some("runner:2")));
        assert_ne!(second.revision.metadata.name, first.revision.metadata.name);
        let both = [Arc::new(first.revision.clone()), Arc::new(second.revision)];
        let back = build(&app("a", 1), &both, &History::default(), &runner("runner:2"));
        assert_eq!(back.revision.metadata.name, first.revision.metadata.name);
        assert_eq!((back.revision.revision, image(&back)), (3, Some("runner:1")));
    }

    #[test]
    fn a_failed_rollout_runs_the_last_good_template_until_the_spec_changes() {
        let good = build(&app("a", 1), &[], &History::default(), &runner("runner:1"));
        let name = |rendered: &Rendered| rendered.revision.metadata.name.clone();
        let existing = [Arc::new(good.revision.clone())];
        let bad = build(&app("b", 1), &existing, &History::default(), &runner("runner:1"));
        let both = [Arc::new(good.revision.clone()), Arc::new(bad.revision.clone())];
        let history = History { stable: name(&good), failed: name(&bad) };

        let mut wants = app("b", 1);
        let stays = build(&wants, &both, &history, &runner("runner:1"));
        assert_eq!(Some(&stays.running), name(&bad).as_ref(), "nobody asked for a rollback");
        wants.rollout.auto_rollback = true;
        let back = build(&wants, &both, &history, &runner("runner:1"));
        assert_eq!(Some(&back.running), name(&good).as_ref());
        assert_eq!(back.template, good.template);
        assert_eq!(name(&back), name(&bad), "the revision that the spec asks for stays in the history");

        let mut other = app("c", 1);
        other.rollout.auto_rollback = true;
        let next = build(&other, &both, &history, &runner("runner:1"));
        assert_eq!(Some(&next.running), name(&next).as_ref(), "another spec gets its chance");
        let lost = History { stable: Some("cart-gone".into()), ..history };
        let stays = build(&wants, &both, &lost, &runner("runner:1"));
        assert_eq!(Some(&stays.running), name(&bad).as_ref(), "there is no way back");
    }

    #[test]
    fn a_revision_that_cannot_be_read_is_rendered_anew() {
        let mut broken = build(&app("a", 1), &[], &History::default(), &runner("runner:1")).revision;
        broken.data = Some(RawExtension(json!({"spec": "something else"})));
        let rendered = build(&app("a", 1), &[Arc::new(broken)], &History::default(), &runner("runner:2"));
        assert_eq!(image(&rendered), Some("runner:2"));
    }

    #[test]
    fn the_oldest_revisions_go_and_never_the_current_one() {
        let revisions: Vec<_> = (1..=13)
            .map(|number| {
                let mut revision =
                    build(&app(&number.to_string(), 1), &[], &History::default(), &runner("r")).revision;
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
