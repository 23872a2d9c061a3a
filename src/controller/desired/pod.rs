//! The pod of an app: an init container brings the runner, the app's container
//! starts it as PID 1. It passes Pod Security `restricted`, with any base image.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use nodeapp_contract::{CONFIG_ANNOTATION, RUNNER_PORT, env, paths};

use super::around::around;
use super::deployment::seconds_rounded_up;
use super::{Settings, redis};
use crate::controller::names;
use crate::controller::validate::{InstanceIndex, ValidatedApp, config_text, log_volume_bytes};
use crate::crd::notation::bytes_as_quantity;

/// User and group of the pods, whatever the image says, so that images with
/// `USER root` and with `USER node` both start under `restricted`.
const USER: i64 = 1000;
/// What the kubelet waits beyond the stop order before it kills.
const GRACE_MARGIN_SECONDS: i64 = 2;

/// The template of an app's pods.
pub(super) fn template(app: &ValidatedApp, settings: &Settings) -> core::PodTemplateSpec {
    let redis = redis::part(app, settings);
    let mut init_containers = vec![install_container(settings)];
    init_containers.extend(redis.sidecars);
    let template = core::PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(&app.name)),
            annotations: Some(annotations(app)),
            ..ObjectMeta::default()
        }),
        spec: Some(core::PodSpec {
            service_account_name: Some(app.name.clone()),
            automount_service_account_token: Some(false),
            restart_policy: app.job().map(|_| "Never".to_owned()),
            // Variables named after Services would overrule the app's own.
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(grace_seconds(app) + redis.grace_seconds),
            security_context: Some(pod_security()),
            scheduling_gates: app.index.is_some().then(gates),
            init_containers: Some(init_containers),
            containers: vec![app_container(app, redis.env, redis.mounts)],
            volumes: Some([volumes(app), redis.volumes].concat()),
            ..core::PodSpec::default()
        }),
    };
    around(template, app, settings)
}

/// A pod that gets a number waits for it.
fn gates() -> Vec<core::PodSchedulingGate> {
    vec![core::PodSchedulingGate { name: names::INSTANCE_GATE.to_owned() }]
}

fn annotations(app: &ValidatedApp) -> BTreeMap<String, String> {
    BTreeMap::from([
        (CONFIG_ANNOTATION.to_owned(), config_text(&app.runner)),
        (names::DEFAULT_CONTAINER_ANNOTATION.to_owned(), names::APP_CONTAINER.to_owned()),
    ])
}

fn grace_seconds(app: &ValidatedApp) -> i64 {
    i64::try_from(seconds_rounded_up(app.runner.stop.total())).unwrap_or(i64::MAX - GRACE_MARGIN_SECONDS)
        + GRACE_MARGIN_SECONDS
}

/// What Pod Security `restricted` asks of a pod, and the user that we run as.
pub(super) fn pod_security() -> core::PodSecurityContext {
    core::PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        seccomp_profile: Some(core::SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            localhost_profile: None,
        }),
        ..core::PodSecurityContext::default()
    }
}

/// The same of a container.
pub(super) fn container_security() -> core::SecurityContext {
    core::SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(core::Capabilities { drop: Some(words(["ALL"])), add: None }),
        ..core::SecurityContext::default()
    }
}

pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(ToOwned::to_owned).to_vec()
}

fn install_container(settings: &Settings) -> core::Container {
    let quantities = |pairs: [(&str, &str); 2]| {
        Some(pairs.map(|(name, value)| (name.to_owned(), Quantity(value.to_owned()))).into())
    };
    core::Container {
        name: names::INSTALL_CONTAINER.to_owned(),
        image: Some(settings.runner_image.clone()),
        command: Some(words(["/nodeapp-runner", "install", paths::BIN_DIR])),
        security_context: Some(container_security()),
        resources: Some(core::ResourceRequirements {
            requests: quantities([("cpu", "10m"), ("memory", "16Mi")]),
            limits: quantities([("cpu", "500m"), ("memory", "64Mi")]),
            claims: None,
        }),
        volume_mounts: Some(vec![mount("nodeapp-bin", paths::BIN_DIR)]),
        ..core::Container::default()
    }
}

fn app_container(
    app: &ValidatedApp,
    first: Vec<core::EnvVar>,
    more: Vec<core::VolumeMount>,
) -> core::Container {
    let mut bin = mount("nodeapp-bin", paths::BIN_DIR);
    bin.read_only = Some(true);
    let mut mounts = vec![bin, mount("nodeapp-run", paths::RUN_DIR), mount("tmp", "/tmp")];
    if app.runner.log_files.is_some() {
        mounts.push(mount("logs", paths::LOG_DIR));
    }
    mounts.extend(app.writable_paths.iter().enumerate().map(|(i, path)| mount(&writable(i), path)));
    mounts.extend(more);
    let env = first.into_iter().chain(app.env.iter().cloned());
    core::Container {
        name: names::APP_CONTAINER.to_owned(),
        image: Some(app.image.clone()),
        command: Some(words([paths::RUNNER, "run"])),
        ports: Some(ports(app)),
        env: Some(env.chain(runner_env()).chain(index_env(app)).collect()),
        env_from: (!app.env_from.is_empty()).then(|| app.env_from.clone()),
        resources: Some(app.resources.clone()),
        readiness_probe: Some(readiness()),
        lifecycle: Some(core::Lifecycle {
            pre_stop: Some(core::LifecycleHandler {
                exec: Some(core::ExecAction { command: Some(words([paths::RUNNER, "drain"])) }),
                ..core::LifecycleHandler::default()
            }),
            ..core::Lifecycle::default()
        }),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts),
        ..core::Container::default()
    }
}

fn ports(app: &ValidatedApp) -> Vec<core::ContainerPort> {
    let port = |name: &str, port: u16| core::ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..core::ContainerPort::default()
    };
    let app_port = app.runner.port.map(|number| port(names::APP_PORT, number));
    app_port.into_iter().chain([port(names::RUNNER_PORT, RUNNER_PORT)]).collect()
}

/// What the runner needs to know of its pod, through the downward API.
fn runner_env() -> [core::EnvVar; 3] {
    let config = format!("metadata.annotations['{CONFIG_ANNOTATION}']");
    [
        (env::CONFIG, config.as_str()),
        (env::POD_NAME, "metadata.name"),
        (env::POD_NAMESPACE, "metadata.namespace"),
    ]
    .map(|(name, path)| field_env(name, path))
}

/// What the runner needs to know of the instance's number.
fn index_env(app: &ValidatedApp) -> Vec<core::EnvVar> {
    let Some(InstanceIndex { variable, increment }) = &app.index else { return vec![] };
    let mut all = vec![field_env(env::INSTANCE, &format!("metadata.labels['{}']", names::INSTANCE_LABEL))];
    for (name, value) in [(env::INSTANCE_VAR, variable), (env::INCREMENT_VAR, increment)] {
        if value.is_some() {
            all.push(core::EnvVar { name: name.to_owned(), value: value.clone(), value_from: None });
        }
    }
    all
}

fn field_env(name: &str, path: &str) -> core::EnvVar {
    core::EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(core::EnvVarSource {
            field_ref: Some(core::ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..core::EnvVarSource::default()
        }),
    }
}

/// Readiness is the runner's word; everything else about the app's health is the
/// runner's business, so there is no liveness probe of the kubelet.
fn readiness() -> core::Probe {
    core::Probe {
        http_get: Some(core::HTTPGetAction {
            path: Some("/ready".to_owned()),
            port: IntOrString::Int(i32::from(RUNNER_PORT)),
            scheme: Some("HTTP".to_owned()),
            ..core::HTTPGetAction::default()
        }),
        period_seconds: Some(1),
        timeout_seconds: Some(3),
        failure_threshold: Some(2),
        success_threshold: Some(1),
        ..core::Probe::default()
    }
}

pub(super) fn mount(name: &str, path: &str) -> core::VolumeMount {
    core::VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..core::VolumeMount::default() }
}

fn writable(index: usize) -> String {
    format!("writable-{index}")
}

fn volumes(app: &ValidatedApp) -> Vec<core::Volume> {
    let volume = |name: &str, limit: Option<String>| core::Volume {
        name: name.to_owned(),
        empty_dir: Some(core::EmptyDirVolumeSource { size_limit: limit.map(Quantity), medium: None }),
        ..core::Volume::default()
    };
    let mut volumes = vec![
        volume("nodeapp-bin", Some("32Mi".to_owned())),
        volume("nodeapp-run", Some("16Mi".to_owned())),
        volume("tmp", None),
    ];
    if let Some(files) = &app.runner.log_files {
        let room = log_volume_bytes(files).map(bytes_as_quantity);
        volumes.push(volume("logs", room));
    }
    volumes.extend((0..app.writable_paths.len()).map(|index| volume(&writable(index), None)));
    volumes
}
