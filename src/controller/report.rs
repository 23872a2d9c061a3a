//! The only writer of statuses: patches one if it is different, then tells what
//! changed by Events.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::core::error_boundary::InvalidObject;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::apply::Repair;
use super::cache::AppKey;
use super::context::Context;
use super::desired::{Applied, Children};
use super::error::{Action, Error};
use super::events::{self, Note};
use super::observe;
use super::outcome::{Done, Outcome};
use super::ssa::{self, Part};
use super::status::{self, Findings};
use crate::crd::{ConditionType, NEVER_OBSERVED, NodeApp, NodeAppStatus, Reason};

/// The status as it was written last, though the watch may not have brought it yet.
pub(super) fn last(context: &Context, app: &NodeApp, key: &AppKey) -> NodeAppStatus {
    let version = app.resource_version();
    let remembered = context.memory.last_report(key, version.as_deref());
    let written = || app.status.clone().filter(|status| status.observed_generation != Some(NEVER_OBSERVED));
    remembered.or_else(written).unwrap_or_default()
}

/// Reports findings; returns what the reconcile came to.
pub(super) async fn report(
    context: &Context,
    app: &NodeApp,
    key: &AppKey,
    findings: Findings<'_>,
    outcome: Outcome,
) -> Result<Done, Error> {
    let version = app.resource_version();
    let previous = last(context, app, key);
    let now = Timestamp::now();
    let (learned, news) = learn(context, app, key, &previous, now);
    let current = status::compute(app, &learned, findings, now);
    let good_for = status::good_for(app, &current, findings, now);
    let done = |outcome| Done { outcome, good_for }.within(news.held_for());
    if current == previous {
        return Ok(done(outcome));
    }
    let written = match patch(context, app, key, &current).await {
        Ok(written) => written,
        // Deleted meanwhile, or another of the same name: its own reconcile comes.
        Err(error) if error.is_gone() => return Ok(Outcome::Deleting.into()),
        Err(error) => return Err(error),
    };
    context.metrics.wrote_status();
    if news == News::Told {
        context.pace.told(key, Instant::now());
    }
    for note in events::between(&previous, &current) {
        context.events.publish(&app.object_ref(&()), note).await;
    }
    context.memory.reported(key.clone(), version, written, current);
    let outcome = match outcome {
        Outcome::Unchanged => Outcome::Changed,
        other => other,
    };
    Ok(done(outcome))
}

/// Whether there is something new about exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Nothing,
    Told,
    /// It has to wait for so long: there was something new just before.
    Held(Duration),
}

impl News {
    fn held_for(self) -> Option<Duration> {
        match self {
            Self::Held(wait) => Some(wait),
            Self::Nothing | Self::Told => None,
        }
    }
}

/// The status of before with what the instances have gone through since.
fn learn(
    context: &Context,
    app: &NodeApp,
    key: &AppKey,
    previous: &NodeAppStatus,
    now: Timestamp,
) -> (NodeAppStatus, News) {
    let keep_lines = app.spec.status_log_tail != Some(false);
    let known = if keep_lines { previous.clone() } else { status::without_lines(previous.clone()) };
    let instances = observe::instances(&context.caches, key);
    let learned = status::learn(known.clone(), &instances, keep_lines, now);
    if learned == known {
        return (known, News::Nothing);
    }
    match context.pace.wait(key, Instant::now()) {
        Some(wait) => (known, News::Held(wait)),
        None => (learned, News::Told),
    }
}

/// Tells by Events what was put right in the children of an app whose spec asks for
/// nothing that it has not had before.
pub(super) async fn repaired(
    context: &Context,
    app: &NodeApp,
    children: &Children<Applied>,
    repairs: &[Repair],
) {
    let had_it = app.status.as_ref().is_some_and(|status| {
        status.observed_generation == app.metadata.generation
            && status.revision == children.course.running
            && status
                .conditions
                .iter()
                .any(|condition| condition.type_ == ConditionType::Valid.name() && condition.status == "True")
    });
    for repair in repairs.iter().filter(|_| had_it) {
        context.events.publish(&app.object_ref(&()), events::of_repair(repair)).await;
    }
}

/// Tells of restarts that no change of the spec has asked for.
pub(super) async fn restarted(context: &Context, app: &NodeApp, children: &Children<Applied>) {
    if let Some(news) = &children.restarts.news {
        context.events.publish(&app.object_ref(&()), events::of_restart(news)).await;
    }
}

/// Returns the version that came of it.
async fn patch(
    context: &Context,
    app: &NodeApp,
    key: &AppKey,
    status: &NodeAppStatus,
) -> Result<Option<String>, Error> {
    let body = json!({
        "apiVersion": NodeApp::api_version(&()),
        "kind": NodeApp::kind(&()),
        // This very object: not one of the same name made meanwhile.
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": app.uid()},
        "status": status,
    });
    let api = Api::<NodeApp>::namespaced(context.client.clone(), &key.namespace);
    let patched = ssa::apply(&context.client, &api, &key.name, Part::Status, &body).await;
    patched.map(|app| app.resource_version()).map_err(|source| Error {
        action: Action::Report,
        kind: "NodeApp",
        name: key.name.clone(),
        source,
    })
}

/// An app that cannot be read has no status to patch; an Event has to do.
pub(super) async fn unreadable(
    context: &Context,
    key: &AppKey,
    object: &InvalidObject,
) -> Result<Outcome, Error> {
    tracing::warn!(
        namespace = key.namespace,
        app = key.name,
        error = object.error,
        "cannot read this NodeApp"
    );
    let about = k8s_openapi::api::core::v1::ObjectReference {
        api_version: Some(NodeApp::api_version(&()).into_owned()),
        kind: Some(NodeApp::kind(&()).into_owned()),
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()),
        uid: object.metadata.uid.clone(),
        ..Default::default()
    };
    let text = format!("the operator cannot read this object: {}. What runs is left as it is", object.error);
    let note = Note { warning: true, reason: Reason::InvalidSpec.name().to_owned(), text };
    context.events.publish(&about, note).await;
    Ok(Outcome::Invalid)
}
