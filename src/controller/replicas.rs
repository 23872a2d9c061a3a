//! Who decides the number of pods, and how that changes hands.
//!
//! While the operator decides it, the number is a field of the Deployment like
//! any other. With autoscaling it is not: the autoscaler's controller writes it
//! by `/scale`, and the operator's apply does not have it. A field that its only
//! owner no longer applies falls back to its default, which is 1; so before the
//! operator lets go, a second field manager of its own takes hold of the number
//! as it is. The same manager stops an autoscaled app and brings it back.
//! Plain functions; `apply` carries them out.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::compare;
use super::names::BEFORE_STOP_ANNOTATION;
use super::validate::ValidatedApp;

/// An app whose number of instances follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscaled {
    /// Instances that are always there.
    pub least: i32,
    /// Instances that there are at most.
    pub most: i32,
    /// Whether there shall be none for now.
    pub stopped: bool,
}

/// What the second field manager says of a Deployment: all that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The number of pods.
    pub replicas: i32,
    /// The number to which a stopped app comes back.
    pub before_stop: Option<i32>,
}

impl Autoscaled {
    /// What a validated app says about it.
    pub fn of(app: &ValidatedApp) -> Option<Self> {
        let policy = app.autoscaling.as_ref()?;
        Some(Self { least: policy.least, most: policy.most, stopped: app.stopped })
    }

    /// The number for a Deployment that is new. `before` is what was wanted last.
    pub fn first(self, before: i32) -> i32 {
        if self.stopped { 0 } else { self.back_to(Some(before)) }
    }

    /// What is to be held beyond what the autoscaler decides: nothing while it is at work.
    pub fn hold(self, live: &Deployment, before: i32) -> Option<Hold> {
        let now = replicas(live);
        let remembered = remembered(live);
        match (self.stopped, now) {
            (true, 0) => None,
            // Someone may have started it by hand meanwhile: that is not the number to come back to.
            (true, _) => Some(Hold { replicas: 0, before_stop: Some(remembered.unwrap_or(now)) }),
            (false, 0) => {
                Some(Hold { replicas: self.back_to(remembered.or(Some(before))), before_stop: None })
            }
            (false, _) => remembered.map(|_| Hold { replicas: now, before_stop: None }),
        }
    }

    fn back_to(self, number: Option<i32>) -> i32 {
        // A spec whose limits cross is never carried out.
        number.unwrap_or(0).max(self.least).min(self.most)
    }
}

/// What is to be held before the operator's apply goes without the number: the number
/// as it is, where that apply is what holds it.
pub fn handover(desired: &Deployment, live: &Deployment) -> Option<Hold> {
    let lets_go = desired.spec.as_ref().is_some_and(|spec| spec.replicas.is_none());
    let managed = live.metadata.managed_fields.as_deref().unwrap_or_default();
    (lets_go && compare::holds_replicas(managed))
        .then(|| Hold { replicas: replicas(live), before_stop: remembered(live) })
}

/// What is to be forgotten of an app that is autoscaled no more.
pub fn forget(live: &Deployment) -> Option<Hold> {
    remembered(live).map(|_| Hold { replicas: replicas(live), before_stop: None })
}

/// The number of pods that a Deployment asks for.
pub fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

fn remembered(live: &Deployment) -> Option<i32> {
    live.metadata.annotations.as_ref()?.get(BEFORE_STOP_ANNOTATION)?.parse().ok()
}

impl Hold {
    /// The object to apply: this very version of the Deployment and no later one.
    pub fn body(self, live: &Deployment) -> Value {
        let meta = &live.metadata;
        let mut body = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
            "spec": {"replicas": self.replicas},
        });
        if let Some(number) = self.before_stop {
            body["metadata"]["annotations"] = json!({ BEFORE_STOP_ANNOTATION: number.to_string() });
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::names::MANAGER;

    fn deployment(replicas: i32, before_stop: Option<&str>) -> Deployment {
        let annotations = before_stop.map(|number| json!({ BEFORE_STOP_ANNOTATION: number }));
        serde_json::from_value(json!({
            "metadata": {"name": "cart", "annotations": annotations},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
        }))
        .unwrap()
    }

    const RUNS: Autoscaled = Autoscaled { least: 2, most: 6, stopped: false };
    const STOPPED: Autoscaled = Autoscaled { stopped: true, ..RUNS };

    #[expect(clippy::unnecessary_wraps, reason = "compared with what may be nothing")]
    fn hold(replicas: i32, before_stop: Option<i32>) -> Option<Hold> {
        Some(Hold { replicas, before_stop })
    }

    #[test]
    fn nothing_is_held_while_the_autoscaler_is_at_work() {
        for number in [1, 2, 6, 9] {
            assert_eq!(RUNS.hold(&deployment(number, None), 3), None, "{number}");
        }
    }

    #[test]
    fn a_stopped_app_comes_back_to_the_number_it_had() {
        assert_eq!(STOPPED.hold(&deployment(5, None), 5), hold(0, Some(5)));
        assert_eq!(STOPPED.hold(&deployment(0, Some("5")), 0), None);
        assert_eq!(RUNS.hold(&deployment(0, Some("5")), 0), hold(5, None));
    }

    #[test]
    fn the_number_to_come_back_to_stays_within_the_limits_of_today() {
        assert_eq!(RUNS.hold(&deployment(0, Some("9")), 0), hold(6, None));
        assert_eq!(RUNS.hold(&deployment(0, Some("1")), 0), hold(2, None));
        assert_eq!(RUNS.hold(&deployment(0, Some("many")), 0), hold(2, None));
    }

    #[test]
    fn a_hand_that_starts_a_stopped_app_does_not_change_what_it_comes_back_to() {
        assert_eq!(STOPPED.hold(&deployment(1, Some("5")), 0), hold(0, Some(5)));
        assert_eq!(RUNS.hold(&deployment(3, Some("5")), 3), hold(3, None), "it is of no use any more");
    }

    #[test]
    fn a_deployment_that_was_lost_begins_with_the_number_it_had() {
        assert_eq!((RUNS.first(4), RUNS.first(0), RUNS.first(40), STOPPED.first(4)), (4, 2, 6, 0));
    }

    #[test]
    fn the_number_is_held_before_the_apply_that_alone_holds_it_lets_go() {
        let mut live = deployment(4, None);
        let mut desired = live.clone();
        desired.spec.as_mut().unwrap().replicas = None;
        assert_eq!(handover(&desired, &live), None, "nobody lets go of anything");
        let ours =
            json!([{"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        live.metadata.managed_fields = serde_json::from_value(ours).unwrap();
        assert_eq!(handover(&desired, &live), hold(4, None));
        assert_eq!(handover(&live, &live), None, "the operator goes on deciding");
        crate::controller::cache::slim(&mut live);
        assert_eq!(handover(&desired, &live), hold(4, None), "as the cache keeps it");
    }

    #[test]
    fn a_hold_is_about_one_version_of_one_deployment() {
        let mut live = deployment(4, None);
        live.metadata.uid = Some("u".to_owned());
        live.metadata.resource_version = Some("7".to_owned());
        let body = Hold { replicas: 0, before_stop: Some(4) }.body(&live);
        assert_eq!(body["metadata"]["resourceVersion"], "7");
        assert_eq!(body["metadata"]["uid"], "u");
        assert_eq!(body["metadata"]["annotations"][BEFORE_STOP_ANNOTATION], "4");
        assert_eq!(
            Hold { replicas: 4, before_stop: None }.body(&live)["metadata"]["annotations"],
            Value::Null
        );
    }
}
