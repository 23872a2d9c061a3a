//! The container of a Redis that we run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;

use super::super::Settings;
use super::super::pod::{container_security, mount, words};
use crate::controller::names;
use crate::controller::validate::RedisServer;
use crate::crd::redis::AppendFsync;

/// Where the data of a shared one is.
pub(super) const DATA_DIR: &str = "/data";
/// Where its password is.
pub(super) const AUTH_DIR: &str = "/nodeapp/redis";
/// The key of its Secret with the password, for those who log in.
pub(in crate::controller) const PASSWORD_KEY: &str = "password";
/// The key of its Secret with the same as a line of Redis' configuration.
pub(in crate::controller) const CONFIG_KEY: &str = "auth.conf";

/// Volumes of the pod of a shared one.
pub(super) const DATA_VOLUME: &str = "data";
pub(super) const AUTH_VOLUME: &str = "auth";

/// A Redis beside the app: for this pod alone, and nothing of it is kept. It starts
/// before the app does and ends after it.
pub(super) fn sidecar(server: &RedisServer, settings: &Settings) -> core::Container {
    let local = ["--bind", "127.0.0.1", "-::1", "--save", "", "--appendonly", "no"];
    core::Container {
        restart_policy: Some("Always".to_owned()),
        command: Some(command(server, words(["redis-server"]), &local)),
        // The app finds it there when it starts.
        startup_probe: Some(core::Probe {
            period_seconds: Some(1),
            failure_threshold: Some(60),
            ..answers()
        }),
        ..container(server, settings)
    }
}

/// A Redis in a pod of its own.
pub(super) fn alone(
    server: &RedisServer,
    fsync: AppendFsync,
    secret: &str,
    settings: &Settings,
) -> core::Container {
    let kept = ["--dir", DATA_DIR, "--save", "", "--appendonly", "yes", "--appendfsync", fsync.name()];
    let start = vec!["redis-server".to_owned(), format!("{AUTH_DIR}/{CONFIG_KEY}")];
    let mut auth = mount(AUTH_VOLUME, AUTH_DIR);
    auth.read_only = Some(true);
    core::Container {
        command: Some(command(server, start, &kept)),
        ports: Some(vec![core::ContainerPort {
            name: Some(names::REDIS_CONTAINER.to_owned()),
            container_port: i32::from(names::REDIS_LOCAL_PORT),
            protocol: Some("TCP".to_owned()),
            ..core::ContainerPort::default()
        }]),
        // What redis-cli logs in with.
        env: Some(vec![core::EnvVar {
            name: "REDISCLI_AUTH".to_owned(),
            value: None,
            value_from: Some(core::EnvVarSource {
                secret_key_ref: Some(core::SecretKeySelector {
                    name: secret.to_owned(),
                    key: PASSWORD_KEY.to_owned(),
                    optional: None,
                }),
                ..core::EnvVarSource::default()
            }),
        }]),
        readiness_probe: Some(core::Probe {
            period_seconds: Some(2),
            failure_threshold: Some(3),
            ..answers()
        }),
        volume_mounts: Some(vec![auth, mount(DATA_VOLUME, DATA_DIR)]),
        ..container(server, settings)
    }
}

fn container(server: &RedisServer, settings: &Settings) -> core::Container {
    core::Container {
        name: names::REDIS_CONTAINER.to_owned(),
        image: Some(server.image.clone().unwrap_or_else(|| settings.redis_image.clone())),
        resources: Some(server.resources.clone()),
        security_context: Some(container_security()),
        ..core::Container::default()
    }
}

/// Not while it reads its log after a start: then it answers with an error.
fn answers() -> core::Probe {
    core::Probe {
        exec: Some(core::ExecAction { command: Some(words(["redis-cli", "-e", "ping"])) }),
        timeout_seconds: Some(3),
        ..core::Probe::default()
    }
}

fn command(server: &RedisServer, start: Vec<String>, persistence: &[&str]) -> Vec<String> {
    let memory = server.max_memory.to_string();
    let port = names::REDIS_LOCAL_PORT.to_string();
    let rest = ["--port", &port, "--maxmemory", &memory, "--maxmemory-policy", server.policy.name()];
    let owned = |word: &&str| (*word).to_owned();
    start.into_iter().chain(persistence.iter().map(owned)).chain(rest.iter().map(owned)).collect()
}

/// What stands in the Secret.
pub(in crate::controller) fn credentials(password: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PASSWORD_KEY.to_owned(), password.to_owned()),
        (CONFIG_KEY.to_owned(), format!("requirepass {password}\n")),
    ])
}
