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
use serde_json::{Value, json};

use super::{Settings, metadata, pod};
use crate::controller::names;
use crate::controller::validate::ValidatedApp;

/// Revisions kept per app, the current one included.
pub const HISTORY_LIMIT: usize = 10;

/// Keys of a revision's data.
const SPEC: &str = "spec";
const TEMPLATE: &str = "template";

/// A revision and the template in it.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The revision as it should be.
    pub revision: ControllerRevision,
    /// Its pod template.
    pub template: PodTemplateSpec,
}

/// The revision of an app's spec: the one that exists, or a new one.
pub(super) fn build(
    app: &ValidatedApp,
    existing: &[Arc<ControllerRevision>],
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
    let revision = ControllerRevision {
        metadata: metadata(app, name),
        data: Some(RawExtension(data)),
        revision: number,
    };
    Rendered { revision, template }
}

/// What a revision holds, if it is about this spec and can be read.
fn stored(revision: &ControllerRevision, source: &Value) -> Option<(Value, PodTemplateSpec)> {
    let data = &revision.data.as_ref()?.0;
    if data.get(SPEC)? != source {
        return None;
    }
    let template = serde_json::from_value(data.get(TEMPLATE)?.clone()).ok()?;
    Some((data.clone(), template))
}

/// The revisions beyond the limit, oldest first; never the current one.
pub fn obsolete<'a>(
    existing: &'a [Arc<ControllerRevision>],
    current: &ControllerRevision,
) -> Vec<&'a ControllerRevision> {
    let mut others: Vec<&ControllerRevision> = existing
        .iter()
        .map(AsRef::as_ref)
        .filter(|revision| revision.metadata.name != current.metadata.name)
        .collect();
    others.sort_by_key(|revision| revision.revision);
    let excess = (others.len() + 1).saturating_sub(HISTORY_LIMIT);
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
        let first = build(&app("a", 1), &[], &runner("runner:1"));
        let existing = [Arc::new(first.revision.clone())];
        let again = build(&app("a", 5), &existing, &runner("runner:2"));
        assert_eq!(again.revision, first.revision);
        assert_eq!(again.template, first.template);
        assert_eq!(image(&again), Some("runner:1"));
    }

    #[test]
    fn another_spec_is_rendered_anew_and_going_back_is_not() {
        let first = build(&app("a", 1), &[], &runner("runner:1"));
        let second = build(&app("b", 1), &[Arc::new(first.revision.clone())], &runner("runner:2"));
        assert_eq!((second.revision.revision, image(&second)), (2, Some("runner:2")));
        assert_ne!(second.revision.metadata.name, first.revision.metadata.name);
        let both = [Arc::new(first.revision.clone()), Arc::new(second.revision)];
        let back = build(&app("a", 1), &both, &runner("runner:2"));
        assert_eq!(back.revision.metadata.name, first.revision.metadata.name);
        assert_eq!((back.revision.revision, image(&back)), (3, Some("runner:1")));
    }

    #[test]
    fn a_revision_that_cannot_be_read_is_rendered_anew() {
        let mut broken = build(&app("a", 1), &[], &runner("runner:1")).revision;
        broken.data = Some(RawExtension(json!({"spec": "something else"})));
        let rendered = build(&app("a", 1), &[Arc::new(broken)], &runner("runner:2"));
        assert_eq!(image(&rendered), Some("runner:2"));
    }

    #[test]
    fn the_oldest_revisions_go_and_never_the_current_one() {
        let revisions: Vec<_> = (1..=13)
            .map(|number| {
                let mut revision = build(&app(&number.to_string(), 1), &[], &runner("r")).revision;
                revision.revision = number;
                Arc::new(revision)
            })
            .collect();
        let numbers = |current: usize| -> Vec<i64> {
            obsolete(&revisions, &revisions[current]).iter().map(|revision| revision.revision).collect()
        };
        assert_eq!(numbers(12), [1, 2, 3]);
        assert_eq!(numbers(0), [2, 3, 4]);
        assert!(obsolete(&revisions[..10], &revisions[9]).is_empty());
    }
}
