//! The revisions of an app: what `history` lists and `rollback` goes back to.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt as _;
use kube::api::ListParams;
use nodeapp_operator::controller::names::{CHANGE_CAUSE_ANNOTATION, annotation, selector_text};
use nodeapp_operator::crd::{NodeApp, NodeAppStatus};

use crate::cluster::{Attempt, Cluster, told};

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    /// Grows by one with each new one.
    pub(crate) number: i64,
    pub(crate) name: String,
    pub(crate) image: String,
    /// When it was made.
    pub(crate) created: Option<String>,
    /// What the annotation said that tells why.
    pub(crate) cause: String,
}

impl Revision {
    fn of(object: &ControllerRevision) -> Self {
        let image = object.data.as_ref().and_then(|data| data.0.pointer("/spec/image")?.as_str());
        Self {
            number: object.revision,
            name: object.name_any(),
            image: image.unwrap_or_default().to_owned(),
            created: object.creation_timestamp().map(|time| time.0.to_string()),
            cause: annotation(&object.metadata, CHANGE_CAUSE_ANNOTATION).unwrap_or_default().to_owned(),
        }
    }

    /// What it is to the app now.
    pub(crate) fn role(&self, status: &NodeAppStatus) -> String {
        let is = |name: &Option<String>| name.as_deref() == Some(&self.name);
        let by_hand = status.rollback.as_ref().filter(|rollback| !rollback.from.is_empty());
        let asked_for = by_hand.map_or(is(&status.failed_revision), |rollback| rollback.from == self.name);
        let roles = [
            (is(&status.revision), "runs"),
            (is(&status.stable_revision), "stable"),
            (is(&status.failed_revision), "failed"),
            (asked_for && !is(&status.revision), "asked for by the spec"),
        ];
        roles.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
    }
}

impl Cluster {
    /// The revisions of an app, the newest first.
    ///
    /// # Errors
    /// What the cluster refuses, in words.
    pub(crate) async fn revisions(&self, app: &NodeApp) -> Result<Vec<Revision>, String> {
        let namespace = app.metadata.namespace.as_deref();
        let attempt = Attempt { verb: "list", resource: "controllerrevisions.apps", namespace };
        let params = ListParams::default().labels(&selector_text(&app.name_any()));
        let list = self.beside::<ControllerRevision>(app).list(&params).await;
        let list = list.map_err(|error| told(&attempt, &error))?.items;
        let mut revisions: Vec<Revision> = list.iter().map(Revision::of).collect();
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
        Ok(revisions)
    }
}
