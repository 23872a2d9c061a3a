//! Takes out what others have put into children, unless they put it back again and again.

use std::time::Instant;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::{NamespaceResourceScope, Resource as _};
use kube::Api;
use serde_json::Value;

use super::super::additions::{Additions, additions};
use super::super::cache::AppKey;
use super::super::compare;
use super::super::error::{Action, Error};
use super::super::fights::{Contested, Fights, MOST, Round, WINDOW};
use super::super::names::PAUSED_ANNOTATION;
use super::{Child, Writer, json_patch};

/// What keeps a writer from taking out the same for ever.
#[derive(Clone, Copy, Debug)]
pub struct Brake<'a> {
    /// The app whose children are written.
    pub app: &'a AppKey,
    /// What was taken out of them.
    pub fights: &'a Fights,
}

impl Writer<'_> {
    /// Takes out what others have put into an object that is as it should be otherwise.
    pub(super) async fn without_additions<K: Child>(&mut self, desired: &Value, live: K) -> Result<K, Error> {
        // Nothing of a claim can be taken out.
        if K::KIND == PersistentVolumeClaim::KIND
            || !live.metadata().managed_fields.iter().flatten().any(compare::is_foreign)
        {
            return Ok(live);
        }
        let as_it_is = serde_json::to_value(&live).expect("a Kubernetes object is JSON");
        let Some(found) = additions(desired, &as_it_is, live.metadata()) else { return Ok(live) };
        let name = live.metadata().name.clone().unwrap_or_default();
        let Some(round) = self.may_take_out::<K>(&name, &found) else { return Ok(live) };
        let path =
            format!("{}/{name}", Api::<K>::namespaced(self.client.clone(), self.namespace).resource_url());
        self.writes += 1;
        match json_patch::<K>(self.client, &path, &found.patch).await {
            Ok(cleaned) => {
                self.brake.fights.taken_out(self.brake.app, round, Instant::now());
                self.repaired(&cleaned, Some(found.by));
                Ok(cleaned)
            }
            // It is another version by now, which the watch brings.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {
                tracing::debug!(kind = K::KIND, name, reason = status.message, "cannot be cleaned now");
                Ok(live)
            }
            Err(source) => Err(Error { action: Action::Apply, kind: K::KIND, name, source }),
        }
    }

    /// Whether the same may be taken out once more; notes it otherwise.
    fn may_take_out<K>(&mut self, name: &str, found: &Additions) -> Option<Round>
    where
        K: k8s_openapi::Resource<Scope = NamespaceResourceScope>,
    {
        let Additions { by, fields, .. } = found;
        let child = format!("{} {name}", K::KIND);
        let round = Round { child: child.clone(), by: by.clone(), fields: fields.clone() };
        let Some(again) = self.brake.fights.wait(self.brake.app, &round, Instant::now()) else {
            return Some(round);
        };
        let message = format!(
            "{by} puts {fields} into the {child} again and again; the operator has taken it out {MOST} times within \
             {} minutes, and leaves it there for now. Stop {by}, or write it into the NodeApp, or annotate that with \
             {PAUSED_ANNOTATION}=true to have everything left alone",
            WINDOW.as_secs() / 60
        );
        self.contested = Some(Contested { message, again });
        None
    }
}
