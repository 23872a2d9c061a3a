//! A Redis that all instances of an app share: volume, password, address, pod.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::super::around::add_pull_secrets;
use super::super::pod::pod_security;
use super::super::{Settings, metadata};
use super::{SharedChildren, server};
use crate::controller::names;
use crate::controller::observe::Observed;
use crate::controller::validate::{SharedRedis, ValidatedApp};

/// How long Redis may take to write what is left of its log.
const GRACE_SECONDS: i64 = 60;
/// Revisions that are kept for who looks what ran before.
const HISTORY: i32 = 3;
/// Fields of the app's pods that its Redis has too.
const PLACEMENT: [&str; 4] = ["imagePullSecrets", "nodeSelector", "priorityClassName", "tolerations"];

/// The children of a shared Redis.
pub(super) fn build(
    app: &ValidatedApp,
    wanted: &SharedRedis,
    observed: &Observed,
    settings: &Settings,
) -> SharedChildren {
    let live = observed.redis.stateful_set.as_deref();
    SharedChildren {
        claim: claim(app, wanted),
        secret: (!live.is_some_and(is_ready)).then(|| secret(app)),
        service: service(app),
        stateful_set: stateful_set(app, wanted, live, settings),
    }
}

/// Whether it answers. Then it has a password, and so has whoever reached it.
pub(in crate::controller) fn is_ready(live: &StatefulSet) -> bool {
    let ready = live.status.as_ref().and_then(|status| status.ready_replicas);
    ready.unwrap_or(0) > 0
}

fn of_redis(app: &ValidatedApp, name: String) -> ObjectMeta {
    ObjectMeta { labels: Some(names::redis_labels(&app.name)), ..metadata(app, name) }
}

/// Not from a template of the `StatefulSet`, which could never be changed: this one can
/// grow, and belongs to the app or to nobody.
fn claim(app: &ValidatedApp, wanted: &SharedRedis) -> core::PersistentVolumeClaim {
    let mut metadata = of_redis(app, names::redis(&app.name));
    if wanted.retained {
        metadata.owner_references = None;
    }
    core::PersistentVolumeClaim {
        metadata,
        spec: Some(core::PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(core::VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(wanted.size.to_string()))].into()),
                limits: None,
            }),
            storage_class_name: wanted.storage_class.clone(),
            ..core::PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// It belongs to the volume, and goes with it: whoever gets the data gets the password.
fn secret(app: &ValidatedApp) -> core::Secret {
    let mut metadata = of_redis(app, names::redis_secret(&app.name));
    metadata.owner_references = None;
    core::Secret { metadata, type_: Some("Opaque".to_owned()), ..core::Secret::default() }
}

fn service(app: &ValidatedApp) -> core::Service {
    core::Service {
        metadata: of_redis(app, names::redis(&app.name)),
        spec: Some(core::ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(names::redis_selector(&app.name)),
            ports: Some(vec![core::ServicePort {
                name: Some(names::REDIS_CONTAINER.to_owned()),
                port: i32::from(names::REDIS_LOCAL_PORT),
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(names::REDIS_CONTAINER.to_owned())),
                ..core::ServicePort::default()
            }]),
            ..core::ServiceSpec::default()
        }),
        status: None,
    }
}

fn stateful_set(
    app: &ValidatedApp,
    wanted: &SharedRedis,
    live: Option<&StatefulSet>,
    settings: &Settings,
) -> StatefulSet {
    let name = names::redis(&app.name);
    let (template, kept) = template(app, wanted, live, settings);
    let mut metadata = of_redis(app, name.clone());
    metadata.annotations = Some([(names::REDIS_TEMPLATE_ANNOTATION.to_owned(), kept)].into());
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(name),
            // A pod that never gets ready is replaced when the spec is corrected.
            pod_management_policy: Some("Parallel".to_owned()),
            revision_history_limit: Some(HISTORY),
            selector: LabelSelector {
                match_labels: Some(names::redis_selector(&app.name)),
                ..LabelSelector::default()
            },
            template,
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// The pod template that was made from the same part of the spec, to the letter, or a
/// new one; and the text by which it is found again. Another version of the operator,
/// or another image of the installation, restarts no Redis.
fn template(
    app: &ValidatedApp,
    wanted: &SharedRedis,
    live: Option<&StatefulSet>,
    settings: &Settings,
) -> (core::PodTemplateSpec, String) {
    let text = live.and_then(|live| names::annotation(&live.metadata, names::REDIS_TEMPLATE_ANNOTATION));
    let placement = Value::Object(placement(app));
    let known = text.and_then(|text| {
        let kept: Value = serde_json::from_str(text).ok()?;
        // Those of earlier versions are of no certain place, and stay.
        let same_place = kept.get("pod").is_none_or(|pod| *pod == placement);
        let same = kept.get("source") == Some(&wanted.source) && same_place;
        let template = core::PodTemplateSpec::deserialize(kept.get("template")?).ok()?;
        same.then(|| (template, text.to_owned()))
    });
    known.unwrap_or_else(|| {
        let template = pod(app, wanted, settings);
        let text = json!({"source": wanted.source, "pod": placement, "template": template}).to_string();
        (template, text)
    })
}

/// What of the app's pods counts for this one too: with what its image is pulled, and where it may
/// run. Affinity and spread are about the instances among themselves.
fn placement(app: &ValidatedApp) -> Map<String, Value> {
    let given = serde_json::to_value(&app.pod.spec).expect("a Kubernetes object is JSON");
    let field = |name: &str| given.get(name).map(|value| (name.to_owned(), value.clone()));
    PLACEMENT.into_iter().filter_map(field).collect()
}

fn pod(app: &ValidatedApp, wanted: &SharedRedis, settings: &Settings) -> core::PodTemplateSpec {
    let mut template = unplaced(app, wanted, settings);
    if let Some(pod) = &mut template.spec {
        let core::PodSpec { node_selector, tolerations, priority_class_name, image_pull_secrets, .. } =
            app.pod.spec.clone();
        pod.node_selector = node_selector;
        pod.tolerations = tolerations;
        pod.priority_class_name = priority_class_name;
        pod.image_pull_secrets = image_pull_secrets;
        add_pull_secrets(pod, &settings.image_pull_secrets);
    }
    template
}

fn unplaced(app: &ValidatedApp, wanted: &SharedRedis, settings: &Settings) -> core::PodTemplateSpec {
    let (name, secret) = (names::redis(&app.name), names::redis_secret(&app.name));
    let volumes = vec![
        core::Volume {
            name: server::AUTH_VOLUME.to_owned(),
            secret: Some(core::SecretVolumeSource {
                secret_name: Some(secret.clone()),
                items: Some(vec![core::KeyToPath {
                    key: server::CONFIG_KEY.to_owned(),
                    path: server::CONFIG_KEY.to_owned(),
                    mode: None,
                }]),
                ..core::SecretVolumeSource::default()
            }),
            ..core::Volume::default()
        },
        core::Volume {
            name: server::DATA_VOLUME.to_owned(),
            persistent_volume_claim: Some(core::PersistentVolumeClaimVolumeSource {
                claim_name: name,
                read_only: None,
            }),
            ..core::Volume::default()
        },
    ];
    core::PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::redis_pod_labels(&app.name)),
            ..ObjectMeta::default()
        }),
        spec: Some(core::PodSpec {
            service_account_name: Some(app.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            security_context: Some(pod_security()),
            containers: vec![server::alone(&wanted.server, wanted.fsync, &secret, settings)],
            volumes: Some(volumes),
            ..core::PodSpec::default()
        }),
    }
}
