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
