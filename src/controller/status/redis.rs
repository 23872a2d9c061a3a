//! A Redis that the instances share: whether it answers, and what to do if it does not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::conditions::{Hindrance, Standing, Verdict};
use super::{Findings, seconds};
use crate::controller::desired::redis::{is_ready, uses};
use crate::controller::desired::{Applied, Children, Detour, RedisChildren};
use crate::controller::names::ROLLBACK_ANNOTATION;
use crate::crd::redis::RedisStatus;
use crate::crd::{ConditionType, NodeApp, NodeAppStatus, Reason};

/// A restart takes seconds; what takes longer does not heal by waiting.
const LATE: SignedDuration = SignedDuration::from_mins(1);
/// How often one that does not answer is looked at though nothing happens: its Secret is
/// not watched.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The same of one that is still there for pods that are no more: that a rollout has come to
/// its end stands in the status alone, whose change wakes nobody.
const LEAVES: Duration = Duration::from_secs(5);

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// As it is told.
    pub status: Option<RedisStatus>,
    /// Whether it has been away for too long.
    pub late: bool,
}

/// Looks at it.
pub(super) fn look(
    app: &NodeApp,
    previous: &NodeAppStatus,
    children: &Children<Applied>,
    now: Timestamp,
) -> Look {
    let Some(given) = &app.spec.redis else { return Look::default() };
    let told = RedisStatus { mode: given.mode.name().to_owned(), ..RedisStatus::default() };
    let Some(shared) = children.redis.wanted() else { return Look { status: Some(told), late: false } };
    if is_ready(&shared.stateful_set) {
        return Look { status: Some(RedisStatus { ready: Some(true), ..told }), late: false };
    }
    let before = previous.redis.as_ref().and_then(|before| before.not_ready_since.clone());
    let since = before.unwrap_or_else(|| seconds(now));
    let late = since.parse::<Timestamp>().is_ok_and(|since| now.duration_since(since) >= LATE);
    let status = RedisStatus {
        ready: Some(false),
        not_ready_since: Some(since),
        message: Some(why(&shared.claim)),
        ..told
    };
    Look { status: Some(status), late }
}

fn why(claim: &PersistentVolumeClaim) -> String {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    if claim.metadata.deletion_timestamp.is_some() {
        return format!(
            "the PersistentVolumeClaim {name} is being deleted, which lasts until the pod {name}-0 is gone: kubectl \
             delete pod {name}-0. Then both are made anew, without data"
        );
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    match phase {
        Some("Bound") => format!(
            "the pod {name}-0 is not ready; kubectl describe pod {name}-0 and kubectl logs {name}-0 say why"
        ),
        Some("Lost") => format!(
            "the volume of the PersistentVolumeClaim {name} is lost, and the data with it. To begin anew, delete the \
             claim and the pod that holds it: kubectl delete pvc {name} --wait=false && kubectl delete pod {name}-0"
        ),
        _ => {
            let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
            let way_out = match class.filter(|class| !class.is_empty()) {
                Some(class) => format!(
                    "Its storage class is {class}; if there is no such class (kubectl get storageclass), write another \
                     into spec.redis.storage.storageClassName and delete the claim, which holds no data yet"
                ),
                None => "The cluster has no default storage class; write one of those there are (kubectl get \
                         storageclass) into spec.redis.storage.storageClassName and delete the claim, which holds no \
                         data yet"
                    .to_owned(),
            };
            format!(
                "the PersistentVolumeClaim {name} is not bound to a volume; kubectl describe pvc {name} says why. \
                 {way_out}"
            )
        }
    }
}

/// How an app stands with it: not everything that is asked for is there.
pub(super) fn beside(standing: Standing, look: &Look) -> Standing {
    let Some(status) = look.status.as_ref().filter(|status| status.ready == Some(false)) else {
        return standing;
    };
    let why = status.message.as_deref().unwrap_or_default();
    let message = format!("the Redis of the app does not answer: {why}");
    let says = |type_, holds| Verdict::new(type_, holds, Reason::RedisNotReady, &message);
    let Standing { ready, degraded, .. } = &standing;
    // While instances are still to come, that is told first.
    let ready = if ready.holds { says(ConditionType::Ready, false) } else { ready.clone() };
    let degraded = match (look.late, degraded.holds) {
        (false, _) => degraded.clone(),
        (true, false) => says(ConditionType::Degraded, true),
        // It may be the reason of the other.
        (true, true) => {
            Verdict { message: format!("{}. And {message}", degraded.message), ..degraded.clone() }
        }
    };
    Standing { ready, degraded, ..standing }
}

/// What is told where pods are made from a template of before that used it, and it is gone.
pub(super) fn missing(children: &Children<Applied>) -> Option<Hindrance> {
    if !matches!(children.redis, RedisChildren::Missing) {
        return None;
    }
    let running = children.course.running.as_deref().unwrap_or_default();
    let way_out = match children.course.detour {
        Some(Detour::ByHand) => format!(
            "Remove the annotation {ROLLBACK_ANNOTATION}; to run {running}, write spec.redis.mode: Shared first and \
             then ask for it again"
        ),
        _ => "Write spec.redis.mode: Shared again".to_owned(),
    };
    let message = format!(
        "{running} used the shared Redis of this app, which is gone: its pods find none at localhost:6379, or do not \
         start for want of its password. {way_out}"
    );
    let reason = Reason::RedisNotReady;
    Some(Hindrance { reason, message, invalidates: false, degrades: true, goes_on: false })
}

/// When to look again.
pub(super) fn look_again(app: &NodeApp, status: &NodeAppStatus, findings: Findings<'_>) -> Option<Duration> {
    if status.redis.as_ref().is_some_and(|redis| redis.ready == Some(false)) {
        return Some(LOOK_AGAIN);
    }
    let Findings::Applied(children) = findings else { return None };
    let name = app.metadata.name.as_deref().unwrap_or_default();
    let leaves = matches!(children.redis, RedisChildren::StillUsed)
        && children.template().is_some_and(|template| !uses(name, template))
        && status.stable_revision == status.revision;
    leaves.then_some(LEAVES)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::desired::{Applied, RedisChildren, Settings, SharedChildren, desired};
    use crate::controller::observe::Observed;
    use crate::controller::status::{Findings, compute, good_for};
    use crate::controller::validate::validate;

    fn app() -> NodeApp {
        serde_json::from_value(json!({
            "apiVersion": "nodeapp.dev/v1alpha1",
            "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "storefront", "generation": 1, "uid": "u"},
            "spec": {"image": "a:1", "script": "a.js", "redis": {"mode": "Shared"}},
        }))
        .unwrap()
    }

    /// Children as the API server has them: all instances there, and this of Redis.
    fn children(claim: &Value, ready: i32, available: i32) -> Children<Applied> {
        let made = desired(&validate(&app()).unwrap(), &Observed::default(), &Settings::default());
        let mut deployment = made.deployment.unwrap();
        deployment.metadata.generation = Some(1);
        deployment.status = serde_json::from_value(json!({
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": available,
            "availableReplicas": available,
        }))
        .unwrap();
        let RedisChildren::Wanted(redis) = made.redis else { panic!("no Redis") };
        let SharedChildren { mut stateful_set, service, .. } = *redis;
        stateful_set.status = serde_json::from_value(json!({"replicas": 1, "readyReplicas": ready})).unwrap();
        let mut bound: PersistentVolumeClaim = serde_json::from_value(claim.clone()).unwrap();
        bound.metadata.name = Some("cart-redis".to_owned());
        let redis = SharedChildren { claim: bound, secret: None, service, stateful_set };
        let pods = crate::controller::desired::Pods { deployment: Some(deployment), ..Default::default() };
        let course = crate::controller::desired::Course {
            running: made.revision.metadata.name.clone(),
            ..Default::default()
        };
        let children = Children::new(
            made.service_account,
            made.revision,
            course,
            None,
            None,
            pods,
            crate::controller::restarts::Restarts::default(),
        );
        Children { redis: RedisChildren::Wanted(Box::new(redis)), ..children }
    }

    fn bound() -> Value {
        json!({"status": {"phase": "Bound"}})
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn told(previous: &NodeAppStatus, children: &Children<Applied>, now: i64) -> NodeAppStatus {
        compute(&app(), previous, Findings::Applied(children), at(now))
    }

    fn of(status: &NodeAppStatus, type_: ConditionType) -> (&str, &str) {
        let found = status.conditions.iter().find(|condition| condition.type_ == type_.name()).unwrap();
        (&found.status, &found.reason)
    }

    #[test]
    fn an_app_is_ready_when_its_redis_is_too() {
        let away = told(&NodeAppStatus::default(), &children(&bound(), 0, 1), 100);
        assert_eq!(of(&away, ConditionType::Ready), ("False", "RedisNotReady"));
        assert_eq!(of(&away, ConditionType::Available).0, "True", "it serves all the same");
        assert_eq!(of(&away, ConditionType::Degraded).0, "False", "a restart takes seconds");
        assert_eq!(away.redis.as_ref().unwrap().ready, Some(false));
        let back = told(&away, &children(&bound(), 1, 1), 110);
        assert_eq!(of(&back, ConditionType::Ready), ("True", "AllInstancesReady"));
        let redis = back.redis.unwrap();
        assert_eq!((redis.ready, redis.not_ready_since, redis.message), (Some(true), None, None));
    }

    #[test]
    fn one_that_stays_away_degrades_the_app_and_says_what_to_do() {
        let away = told(&NodeAppStatus::default(), &children(&bound(), 0, 1), 100);
        let wait = good_for(&app(), &away, Findings::Applied(&children(&bound(), 0, 1)), at(100));
        assert_eq!(wait, Some(LOOK_AGAIN), "nobody else would look");
        let late = told(&away, &children(&bound(), 0, 1), 161);
        assert_eq!(of(&late, ConditionType::Degraded), ("True", "RedisNotReady"));
        let since = |status: &NodeAppStatus| status.redis.as_ref().unwrap().not_ready_since.clone();
        assert_eq!(since(&late), since(&away));
        let message = late.redis.unwrap().message.unwrap();
        assert!(message.contains("kubectl logs cart-redis-0"), "{message}");
    }

    #[test]
    fn a_claim_that_finds_no_volume_is_told_with_its_class() {
        let message = |claim: Value| {
            told(&NodeAppStatus::default(), &children(&claim, 0, 1), 100).redis.unwrap().message.unwrap()
        };
        let named = message(json!({"spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}}));
        assert!(named.contains("Its storage class is fast"), "{named}");
        let none = message(json!({"status": {"phase": "Pending"}}));
        assert!(none.contains("no default storage class"), "{none}");
        let lost = message(json!({"status": {"phase": "Lost"}}));
        // A claim stays as long as a pod has it.
        assert!(lost.contains("kubectl delete pvc cart-redis --wait=false"), "{lost}");
        assert!(lost.contains("kubectl delete pod cart-redis-0"), "{lost}");
        let leaving = json!({
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Bound"},
        });
        let leaving = message(leaving);
        assert!(leaving.contains("cart-redis is being deleted"), "{leaving}");
        assert!(leaving.contains("kubectl delete pod cart-redis-0"), "{leaving}");
    }

    #[test]
    fn a_rollout_that_is_under_way_is_told_before_a_redis_that_still_starts() {
        let rolling = told(&NodeAppStatus::default(), &children(&bound(), 0, 0), 100);
        assert_eq!(of(&rolling, ConditionType::Ready).1, "RollingOut");
        assert_eq!(rolling.redis.unwrap().ready, Some(false));
    }

    #[test]
    fn pods_of_before_whose_redis_is_gone_are_told_of_with_the_way_out() {
        let mut gone = children(&bound(), 1, 1);
        gone.redis = RedisChildren::Missing;
        gone.course.detour = Some(Detour::ByHand);
        let status = told(&NodeAppStatus::default(), &gone, 100);
        assert_eq!(of(&status, ConditionType::Ready), ("False", "RedisNotReady"));
        assert_eq!(of(&status, ConditionType::Degraded), ("True", "RedisNotReady"));
        assert_eq!(of(&status, ConditionType::Valid).0, "True");
        let message = &status.conditions[0].message;
        for part in ["used the shared Redis", "write spec.redis.mode: Shared", ROLLBACK_ANNOTATION] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn one_that_nobody_uses_any_more_is_looked_at_until_it_goes() {
        let mut left = children(&bound(), 1, 1);
        left.redis = RedisChildren::StillUsed;
        let wait = |left: &Children<Applied>| {
            let mut app = app();
            app.spec.redis = None;
            let status = compute(&app, &NodeAppStatus::default(), Findings::Applied(left), at(100));
            assert_eq!(status.stable_revision, left.course.running);
            good_for(&app, &status, Findings::Applied(left), at(100))
        };
        assert_eq!(wait(&left), None, "its pods use it");
        let template =
            left.deployment.as_mut().and_then(|it| it.spec.as_mut()).map(|spec| &mut spec.template);
        template.and_then(|template| template.spec.as_mut()).unwrap().volumes = None;
        assert_eq!(wait(&left), Some(LEAVES));
    }
}
