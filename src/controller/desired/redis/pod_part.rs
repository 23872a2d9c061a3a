//! What the pods of an app have for its Redis: the server itself, what brings one
//! elsewhere to localhost, or variables.

use k8s_openapi::api::core::v1 as core;
use nodeapp_contract::forwarder::{self, Address, Forwarder, Tls};

use super::super::Settings;
use super::super::pod::{container_security, mount, words};
use super::server;
use crate::controller::names;
use crate::controller::validate::redis::{forwarder_limits, forwarder_requests};
use crate::controller::validate::{ExternalRedis, RedisPlan, ValidatedApp};
use crate::crd::defaults::REDIS_PASSWORD_KEY;
use crate::crd::redis::{FileRef, RedisAccess, RedisCa};

/// How long a container beside the app may take to end, after the app has.
const GRACE_SECONDS: i64 = 2;
/// Volumes of the forwarder, or of the app itself where it has none.
const CREDENTIALS_VOLUME: &str = "redis-credentials";
const TLS_VOLUME: &str = "redis-tls";
/// File with the authorities below [`forwarder::TLS_DIR`].
const CA_FILE: &str = "ca.crt";
/// The client's certificate and its key there, by the names that they have in their Secret.
const CLIENT_FILES: [&str; 2] = ["tls.crt", "tls.key"];

/// What is added to the pods.
#[derive(Debug, Default)]
pub(in crate::controller::desired) struct PodPart {
    /// Containers that start before the app and end after it.
    pub sidecars: Vec<core::Container>,
    /// Volumes of the pod.
    pub volumes: Vec<core::Volume>,
    /// Variables of the app, which come before its own.
    pub env: Vec<core::EnvVar>,
    /// Mounts of the app.
    pub mounts: Vec<core::VolumeMount>,
    /// Seconds that the pod may take longer to end.
    pub grace_seconds: i64,
}

/// What an app's Redis adds to its pods.
pub(in crate::controller::desired) fn part(app: &ValidatedApp, settings: &Settings) -> PodPart {
    match &app.redis {
        None => PodPart::default(),
        Some(RedisPlan::Sidecar(server)) => PodPart {
            sidecars: vec![server::sidecar(server, settings)],
            grace_seconds: GRACE_SECONDS,
            ..PodPart::default()
        },
        Some(RedisPlan::Shared(_)) => {
            let host = names::redis(&app.name);
            let mut forwarder = Forwarder::to(Address { host, port: names::REDIS_LOCAL_PORT });
            forwarder.password_file = Some(forwarder::PASSWORD_FILE.to_owned());
            let secret = names::redis_secret(&app.name);
            forwarded(&forwarder, vec![credentials(&secret, server::PASSWORD_KEY, None)], settings)
        }
        Some(RedisPlan::External(external)) => match external.access {
            RedisAccess::Forwarder => external_forwarded(external, settings),
            RedisAccess::Env => by_variables(external),
        },
    }
}

fn external_forwarded(external: &ExternalRedis, settings: &Settings) -> PodPart {
    let mut forwarder = Forwarder::to(Address { host: external.host.clone(), port: external.port });
    let mut volumes = Vec::new();
    if let Some(given) = &external.credentials {
        let password = given.password_key.as_deref().unwrap_or(REDIS_PASSWORD_KEY);
        forwarder.password_file = Some(forwarder::PASSWORD_FILE.to_owned());
        forwarder.username_file = given.username_key.as_ref().map(|_| forwarder::USERNAME_FILE.to_owned());
        volumes.push(credentials(&given.secret_name, password, given.username_key.as_deref()));
    }
    if let Some(given) = &external.tls {
        let client = given.client_secret_name.as_deref();
        volumes.extend(match client {
            Some(secret) => Some(certificates(secret, given.ca.as_ref())),
            None => given.ca.as_ref().map(authorities),
        });
        forwarder.tls = Some(Tls {
            ca_file: given.ca.as_ref().map(|_| forwarder::CA_FILE.to_owned()),
            server_name: given.server_name.clone(),
            cert_file: client.map(|_| forwarder::CERT_FILE.to_owned()),
            key_file: client.map(|_| forwarder::KEY_FILE.to_owned()),
        });
    }
    forwarded(&forwarder, volumes, settings)
}

/// The container that brings a Redis elsewhere to localhost, with its files.
fn forwarded(forwarder: &Forwarder, volumes: Vec<core::Volume>, settings: &Settings) -> PodPart {
    let mounts = volumes.iter().map(|volume| {
        let dir = if volume.name == TLS_VOLUME { forwarder::TLS_DIR } else { forwarder::CREDENTIALS_DIR };
        let mut mount = mount(&volume.name, dir);
        mount.read_only = Some(true);
        mount
    });
    let wait = core::ExecAction { command: Some(words([forwarder::PROGRAM, forwarder::WAIT])) };
    let container = core::Container {
        name: names::FORWARDER_CONTAINER.to_owned(),
        image: Some(settings.forwarder_image.clone()),
        restart_policy: Some("Always".to_owned()),
        command: Some(words([forwarder::PROGRAM])),
        args: Some(forwarder.args()),
        // The app finds the port there when it starts, whether Redis is or not.
        lifecycle: Some(core::Lifecycle {
            post_start: Some(core::LifecycleHandler { exec: Some(wait), ..Default::default() }),
            ..core::Lifecycle::default()
        }),
        resources: Some(core::ResourceRequirements {
            requests: Some(forwarder_requests()),
            limits: Some(forwarder_limits()),
            claims: None,
        }),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts.collect()).filter(|mounts: &Vec<_>| !mounts.is_empty()),
        ..core::Container::default()
    };
    PodPart { sidecars: vec![container], volumes, grace_seconds: GRACE_SECONDS, ..PodPart::default() }
}

fn credentials(secret: &str, password_key: &str, username_key: Option<&str>) -> core::Volume {
    let file = |key: &str, path: &str| core::KeyToPath { key: key.into(), path: path.into(), mode: None };
    let username = username_key.map(|key| file(key, "username"));
    core::Volume {
        name: CREDENTIALS_VOLUME.to_owned(),
        secret: Some(core::SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(std::iter::once(file(password_key, "password")).chain(username).collect()),
            ..core::SecretVolumeSource::default()
        }),
        ..core::Volume::default()
    }
}

fn ca_file(from: &FileRef) -> Vec<core::KeyToPath> {
    vec![core::KeyToPath { key: from.key.clone(), path: CA_FILE.to_owned(), mode: None }]
}

/// The client's own certificate, and the authorities where they are given.
fn certificates(client: &str, ca: Option<&RedisCa>) -> core::Volume {
    let file = |name: &str| core::KeyToPath { key: name.to_owned(), path: name.to_owned(), mode: None };
    let secret = |name: &str, items: Vec<core::KeyToPath>| core::VolumeProjection {
        secret: Some(core::SecretProjection { name: name.to_owned(), items: Some(items), optional: None }),
        ..core::VolumeProjection::default()
    };
    let mut sources = vec![secret(client, CLIENT_FILES.map(file).to_vec())];
    sources
        .extend(ca.and_then(|ca| ca.secret_key_ref.as_ref()).map(|from| secret(&from.name, ca_file(from))));
    let config_map = ca.and_then(|ca| ca.config_map_key_ref.as_ref());
    sources.extend(config_map.map(|from| core::VolumeProjection {
        config_map: Some(core::ConfigMapProjection {
            name: from.name.clone(),
            items: Some(ca_file(from)),
            optional: None,
        }),
        ..core::VolumeProjection::default()
    }));
    core::Volume {
        name: TLS_VOLUME.to_owned(),
        projected: Some(core::ProjectedVolumeSource { sources: Some(sources), default_mode: None }),
        ..core::Volume::default()
    }
}

fn authorities(ca: &RedisCa) -> core::Volume {
    let items = |from: &FileRef| Some(ca_file(from));
    core::Volume {
        name: TLS_VOLUME.to_owned(),
        secret: ca.secret_key_ref.as_ref().map(|from| core::SecretVolumeSource {
            secret_name: Some(from.name.clone()),
            items: items(from),
            ..core::SecretVolumeSource::default()
        }),
        config_map: ca.config_map_key_ref.as_ref().map(|from| core::ConfigMapVolumeSource {
            name: from.name.clone(),
            items: items(from),
            ..core::ConfigMapVolumeSource::default()
        }),
        ..core::Volume::default()
    }
}

/// For code that reads where its Redis is.
fn by_variables(external: &ExternalRedis) -> PodPart {
    let ExternalRedis { host, port, credentials, tls, .. } = external;
    let plain = |name: &str, value: String| core::EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    };
    let mut env = vec![plain("REDIS_HOST", host.clone()), plain("REDIS_PORT", port.to_string())];
    let mut login = String::new();
    if let Some(given) = credentials {
        let from = |name: &str, key: &str| core::EnvVar {
            name: name.to_owned(),
            value: None,
            value_from: Some(core::EnvVarSource {
                secret_key_ref: Some(core::SecretKeySelector {
                    name: given.secret_name.clone(),
                    key: key.to_owned(),
                    optional: None,
                }),
                ..core::EnvVarSource::default()
            }),
        };
        if let Some(key) = &given.username_key {
            env.push(from("REDIS_USERNAME", key));
            login.push_str("$(REDIS_USERNAME)");
        }
        env.push(from("REDIS_PASSWORD", given.password_key.as_deref().unwrap_or(REDIS_PASSWORD_KEY)));
        login.push_str(":$(REDIS_PASSWORD)@");
    }
    let ca = tls.as_ref().and_then(|tls| tls.ca.as_ref());
    let scheme = if tls.is_some() { "rediss" } else { "redis" };
    if tls.is_some() {
        env.push(plain("REDIS_TLS", "true".to_owned()));
    }
    let address = Address { host: host.clone(), port: *port };
    env.push(plain("REDIS_URL", format!("{scheme}://{login}{address}")));
    let mut part = PodPart { env, ..PodPart::default() };
    if let Some(ca) = ca {
        part.env.push(plain("NODE_EXTRA_CA_CERTS", forwarder::CA_FILE.to_owned()));
        let mut mount = mount(TLS_VOLUME, forwarder::TLS_DIR);
        mount.read_only = Some(true);
        part.mounts.push(mount);
        part.volumes.push(authorities(ca));
    }
    part
}
