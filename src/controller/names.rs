//! Names, labels and annotations of everything the operator makes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

/// Field manager of every write.
pub const MANAGER: &str = "nodeapp-operator";
/// Field manager that holds the number of pods of an autoscaled app where the
/// autoscaler does not: at a hand-over and at a stop.
pub const REPLICAS_MANAGER: &str = "nodeapp-operator-replicas";
/// Label with the name of the app; the only one in selectors, which can never change.
pub const APP_LABEL: &str = "nodeapp.dev/app";
/// Label that all children have, by which they are watched.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// On a `NodeApp`, with the value `true`: the operator leaves it alone.
pub const PAUSED_ANNOTATION: &str = "nodeapp.dev/paused";
/// On a `NodeApp`, with any value: another value restarts the app, one surge at a
/// time. It stands in the pod template too.
pub const RESTARTED_ANNOTATION: &str = "nodeapp.dev/restartedAt";
/// On the pod template: the time of the schedule at which it was restarted last.
pub const SCHEDULED_ANNOTATION: &str = "nodeapp.dev/scheduledRestart";
/// On a `NodeApp`: the name of the earlier revision that is to run.
pub const ROLLBACK_ANNOTATION: &str = "nodeapp.dev/rollback-to";
/// On a Deployment and on a job: the revision that it is about.
pub const REVISION_ANNOTATION: &str = "nodeapp.dev/revision";
/// On objects whose spec has lists that are one value: a hash of what it was made to be.
pub const APPLIED_ANNOTATION: &str = "nodeapp.dev/applied";
/// On a Deployment: hashes of what the app refers to, as its pods have it.
pub const CONFIG_ANNOTATION: &str = "nodeapp.dev/config";
/// On a Deployment: what of it has changed last.
pub const CONFIG_CHANGED_ANNOTATION: &str = "nodeapp.dev/config-changed";
/// On a pod template: another value is another pod.
pub const CONFIG_HASH_ANNOTATION: &str = "nodeapp.dev/config-hash";
/// On a revision: how far the job before its rollout is, if it has one.
pub const BEFORE_ANNOTATION: &str = "nodeapp.dev/before-rollout";
/// On a `NodeApp`, and from there on its revisions: why it was changed. Known from
/// Deployments.
pub const CHANGE_CAUSE_ANNOTATION: &str = "kubernetes.io/change-cause";
/// On the Deployment of a stopped app with autoscaling: the number to which it comes back.
pub const BEFORE_STOP_ANNOTATION: &str = "nodeapp.dev/instancesBeforeStop";
/// Tells `kubectl logs` and `kubectl exec` which container is meant.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";
/// Label by which the Deployment tells the pods of its templates apart.
pub const TEMPLATE_HASH_LABEL: &str = "pod-template-hash";
/// Label of a pod with the number of its instance.
pub const INSTANCE_LABEL: &str = "nodeapp.dev/instance";
/// Keeps a pod from starting until it has its number.
pub const INSTANCE_GATE: &str = "nodeapp.dev/instance-index";
/// On a pod: how many restarts it had when someone began to count anew (`pm2 reset`).
pub const RESTARTS_BEFORE_ANNOTATION: &str = "nodeapp.dev/restartsBeforeReset";
/// Annotation by which a `ReplicaSet` chooses whom to remove: the smallest first.
pub const DELETION_COST_ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";
/// Name of the container that brings the runner into a pod.
pub const INSTALL_CONTAINER: &str = "install-runner";
/// On the pod of a Redis that all instances of an app share: the app. Its selector.
pub const REDIS_LABEL: &str = "nodeapp.dev/redis";
/// On the `StatefulSet` of such a Redis: what its pod template was made from, and the template.
pub const REDIS_TEMPLATE_ANNOTATION: &str = "nodeapp.dev/redis-template";
/// Name of the container, in whatever pod, that is a Redis; and of its port.
pub const REDIS_CONTAINER: &str = "redis";
/// Name of the container that brings a Redis elsewhere to localhost.
pub const FORWARDER_CONTAINER: &str = "redis-forwarder";
/// Where an app finds its Redis on localhost, and where a Redis listens.
pub const REDIS_LOCAL_PORT: u16 = 6379;
/// Name of the app's container.
pub const APP_CONTAINER: &str = "app";
/// Name of the container of the job before a rollout.
pub const BEFORE_CONTAINER: &str = "before-rollout";
/// On the operator's own pods, as the chart makes them: by these its `NetworkPolicies` know it.
pub const OPERATOR_LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/component", "operator"), ("app.kubernetes.io/part-of", MANAGER)];
/// Label that every namespace has with its name.
pub const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";
/// Name of the app's port in containers and Service.
pub const APP_PORT: &str = "http";
/// Name of the runner's port.
pub const RUNNER_PORT: &str = "runner";

/// Length of the hash at the end of a revision's name.
const HASH_LENGTH: usize = 10;
/// Letters of the hash: no vowels, so that no words come out, and no `-`.
const HASH_LETTERS: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxz45";

/// Whether an app is to be left alone.
pub fn is_paused(app: &ObjectMeta) -> bool {
    annotation(app, PAUSED_ANNOTATION).is_some_and(|value| value == "true")
}

/// The value of an annotation.
pub fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

/// What was asked for last by the annotation.
pub fn restart_request(app: &ObjectMeta) -> Option<&str> {
    app.annotations.as_ref()?.get(RESTARTED_ANNOTATION).map(String::as_str)
}

/// The labels by which the pods of an app are found.
pub fn selector(app: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(APP_LABEL.to_owned(), app.to_owned())])
}

/// The same as text, for `/scale`.
pub fn selector_text(app: &str) -> String {
    format!("{APP_LABEL}={app}")
}

/// The selector of everything the operator made.
pub fn managed_selector() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGER}")
}

/// The labels of a child.
pub fn labels(app: &str) -> BTreeMap<String, String> {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    [
        (APP_LABEL, app),
        ("app.kubernetes.io/component", "app"),
        ("app.kubernetes.io/instance", app),
        (MANAGED_BY_LABEL, MANAGER),
        ("app.kubernetes.io/name", app),
        ("app.kubernetes.io/part-of", app),
    ]
    .map(owned)
    .into()
}

/// The labels of the pods of a job. None of them is in a selector of the app's.
pub fn job_labels(app: &str) -> BTreeMap<String, String> {
    let mut labels = labels(app);
    labels.remove(APP_LABEL);
    labels.insert("app.kubernetes.io/component".to_owned(), "before-rollout".to_owned());
    labels
}

/// Name of the job before the rollout of a revision. It fits into a label, as names
/// of jobs must.
pub fn before_job(app: &str, revision: &str, before: &str) -> String {
    let stem: String = app.chars().take(40).collect();
    format!("{}-before-{}", stem.trim_end_matches('-'), hash(&format!("{revision} {before}")))
}

/// What all pods have that run an app's code, those of the job before a rollout too, and the pod of
/// its Redis has not.
pub fn code_selector(app: &str) -> BTreeMap<String, String> {
    let mut labels = labels(app);
    labels.retain(|key, _| key == "app.kubernetes.io/instance" || key == MANAGED_BY_LABEL);
    labels
}

/// The labels of what belongs to the Redis of an app.
pub fn redis_labels(app: &str) -> BTreeMap<String, String> {
    let mut labels = labels(app);
    labels.insert("app.kubernetes.io/component".to_owned(), "redis".to_owned());
    labels
}

/// The labels of its pod. None of them is in a selector of the app's, and none brings
/// it to those who watch the pods of apps.
pub fn redis_pod_labels(app: &str) -> BTreeMap<String, String> {
    let mut labels = redis_labels(app);
    labels.remove(APP_LABEL);
    labels.remove(MANAGED_BY_LABEL);
    labels.extend(redis_selector(app));
    labels
}

/// The labels by which the pod of an app's Redis is found.
pub fn redis_selector(app: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(REDIS_LABEL.to_owned(), app.to_owned())])
}

/// Name of everything that belongs to the Redis of an app. Its pod carries it in a
/// label with a hash of ten letters behind it, so that 52 are the most.
pub fn redis(app: &str) -> String {
    const MOST: usize = 52 - "-redis".len();
    if app.len() <= MOST {
        return format!("{app}-redis");
    }
    let stem: String = app.chars().take(MOST - HASH_LENGTH - 1).collect();
    format!("{}-{}-redis", stem.trim_end_matches('-'), hash(app))
}

/// Name of the Service of an app that stands for the addresses of its pods.
pub fn headless(app: &str) -> String {
    const MOST: usize = 63 - "-headless".len();
    if app.len() <= MOST {
        return format!("{app}-headless");
    }
    let stem: String = app.chars().take(MOST - HASH_LENGTH - 1).collect();
    format!("{}-{}-headless", stem.trim_end_matches('-'), hash(app))
}

/// Name of the Secret with its password.
pub fn redis_secret(app: &str) -> String {
    format!("{}-auth", redis(app))
}

/// Name of the revision that holds the template of `source`.
///
/// The hash has no `-` and always the same length, so revisions of different
/// apps never share a name.
pub fn revision(app: &str, source: &str) -> String {
    format!("{app}-{}", hash(source))
}

/// A short hash that can be part of a name.
pub fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(HASH_LENGTH).map(|byte| char::from(HASH_LETTERS[usize::from(byte % 32)])).collect()
}

/// Whether a name can be the name of a Service: DNS-1035, at most 63 characters.
pub fn is_service_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63
        && name.bytes().all(inner)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_subdomain(name: &str) -> bool {
        name.len() <= 253
            && name.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
    }

    #[test]
    fn names_of_services_start_with_a_letter() {
        for good in ["a", "api", "a-1", &"a".repeat(63)] {
            assert!(is_service_name(good), "{good}");
        }
        for bad in ["", "1a", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_service_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_the_api_server_takes(
            app in "[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
            source in ".{0,64}",
        ) {
            prop_assert!(is_service_name(&app));
            prop_assert!(is_subdomain(&revision(&app, &source)));
            let redis = redis(&app);
            prop_assert!(is_service_name(&redis) && redis.len() <= 52, "{}", redis);
            prop_assert!(is_service_name(&headless(&app)), "{}", headless(&app));
            let job = before_job(&app, &revision(&app, &source), &source);
            prop_assert!(is_subdomain(&job) && job.len() <= 63, "{}", job);
            for (key, value) in labels(&app) {
                prop_assert!(value.len() <= 63, "{} {}", key, value);
            }
        }

        #[test]
        fn no_two_apps_share_a_revision(
            first in "[a-z]([-a-z0-9]{0,20}[a-z0-9])?",
            second in "[a-z]([-a-z0-9]{0,20}[a-z0-9])?",
            source in ".{0,64}",
            other in ".{0,64}",
        ) {
            prop_assume!(first != second);
            prop_assert_ne!(revision(&first, &source), revision(&second, &other));
            prop_assert_ne!(redis(&first), redis(&second));
            prop_assert_ne!(headless(&first), headless(&second));
        }

        #[test]
        fn another_source_is_another_revision(source in ".{0,64}", other in ".{0,64}") {
            prop_assert_eq!(revision("web", &source) == revision("web", &other), source == other);
        }
    }
}
