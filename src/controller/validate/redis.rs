//! The Redis of an app: which one, how large, and what cannot be.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use nodeapp_contract::forwarder::{Address, is_certificate_name};
use serde_json::Value;

use super::Problems;
use super::instance::part;
use super::memory::{check_all, check_requests, quantities, request_by_default};
use crate::controller::capacity::Room;
use crate::controller::names::REDIS_LOCAL_PORT;
use crate::crd::env::effective;
use crate::crd::notation::{Quantity, bytes_as_quantity, quantity_nanos};
use crate::crd::redis::{
    AppendFsync, MaxMemoryPolicy, Redis, RedisAccess, RedisCredentials, RedisMode, RedisTls, Retention,
};
use crate::crd::{NodeAppSpec, defaults};

/// The most that data may take of the memory limit, in percent: what is left is for
/// connections and for Redis itself.
const MOST_DATA: u64 = 90;
pub(super) const SIZE: &str = "spec.redis.storage.size";

/// The Redis of an app.
#[derive(Clone, Debug, PartialEq)]
pub enum RedisPlan {
    /// One in each pod.
    Sidecar(RedisServer),
    /// One for all of them.
    Shared(Box<SharedRedis>),
    /// One that somebody else runs.
    External(ExternalRedis),
}

/// A Redis that we run.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisServer {
    /// Its image, if it is not the installation's.
    pub image: Option<String>,
    /// Requests and limits.
    pub resources: ResourceRequirements,
    /// Bytes for data.
    pub max_memory: u64,
    /// What happens when they are used up.
    pub policy: MaxMemoryPolicy,
}

/// One whose data is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedRedis {
    /// The server.
    pub server: RedisServer,
    /// How often what was written is on the disk for certain.
    pub fsync: AppendFsync,
    /// Size of the volume.
    pub size: Quantity,
    /// Class of the volume, if it is not the cluster's.
    pub storage_class: Option<String>,
    /// Whether the volume stays when it is not asked for any more.
    pub retained: bool,
    /// What its pod template comes from, as it was written.
    pub source: Value,
}

/// One that somebody else runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalRedis {
    /// Its host, an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in there.
    pub credentials: Option<RedisCredentials>,
    /// Whether and how it is spoken to by TLS.
    pub tls: Option<RedisTls>,
    /// How the app gets there.
    pub access: RedisAccess,
}

/// The variables of [`RedisAccess::Env`].
pub(crate) const REDIS_VARIABLES: [&str; 7] =
    ["REDIS_HOST", "REDIS_PORT", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_TLS", "REDIS_URL", CA_VARIABLE];
/// The file with more authorities for Node.js; there can be but one.
const CA_VARIABLE: &str = "NODE_EXTRA_CA_CERTS";

impl RedisPlan {
    /// Where it runs.
    pub const fn mode(&self) -> RedisMode {
        match self {
            Self::Sidecar(_) => RedisMode::Sidecar,
            Self::Shared(_) => RedisMode::Shared,
            Self::External(_) => RedisMode::External,
        }
    }

    /// Whether something of ours listens on localhost in each pod.
    pub const fn is_local(&self) -> bool {
        !matches!(self, Self::External(ExternalRedis { access: RedisAccess::Env, .. }))
    }
}

pub(super) fn plan(spec: &NodeAppSpec, port: Option<u16>, problems: &mut Problems) -> Option<RedisPlan> {
    let given = spec.redis.as_ref()?;
    check_mode(given, problems);
    let plan = match given.mode {
        RedisMode::Sidecar => RedisPlan::Sidecar(server(given, problems)),
        RedisMode::Shared => RedisPlan::Shared(Box::new(shared(given, problems))),
        RedisMode::External => RedisPlan::External(external(given, problems)?),
    };
    if plan.is_local() && port == Some(REDIS_LOCAL_PORT) {
        problems.add(
            "spec.port",
            &format!(
                "port {REDIS_LOCAL_PORT} of localhost is where the app reaches its Redis (spec.redis); take another one"
            ),
        );
    }
    if !plan.is_local() {
        check_variables(spec, problems);
    }
    Some(plan)
}

/// Fields that mean nothing in this mode would be lost without a word.
fn check_mode(given: &Redis, problems: &mut Problems) {
    let ours = "is about a Redis that the operator runs; leave it out with spec.redis.mode External";
    let kept = "is about data that is kept; set spec.redis.mode: Shared, or leave it out";
    let theirs = "is about a Redis that somebody else runs; set spec.redis.mode: External, or leave it out";
    let external = given.mode == RedisMode::External;
    let shared = given.mode == RedisMode::Shared;
    let all = [
        ("image", given.image.is_some(), !external, ours),
        ("resources", given.resources.is_some(), !external, ours),
        ("maxMemory", given.max_memory.is_some(), !external, ours),
        ("maxMemoryPolicy", given.max_memory_policy.is_some(), !external, ours),
        ("appendFsync", given.append_fsync.is_some(), shared, kept),
        ("storage", given.storage.is_some(), shared, kept),
        ("address", given.address.is_some(), external, theirs),
        ("credentials", given.credentials.is_some(), external, theirs),
        ("tls", given.tls.is_some(), external, theirs),
        ("access", given.access.is_some(), external, theirs),
    ];
    for (field, is_given, has_meaning, why) in all {
        if is_given && !has_meaning {
            problems.add(&format!("spec.redis.{field}"), why);
        }
    }
}

fn server(given: &Redis, problems: &mut Problems) -> RedisServer {
    let shared = given.mode == RedisMode::Shared;
    let (memory, part, cpu, cpu_limit, policy) = if shared {
        (defaults::REDIS_SHARED_MEMORY, defaults::REDIS_SHARED_DATA, "50m", "1", MaxMemoryPolicy::Noeviction)
    } else {
        let policy = MaxMemoryPolicy::AllkeysLru;
        (defaults::REDIS_SIDECAR_MEMORY, defaults::REDIS_SIDECAR_DATA, "10m", "500m", policy)
    };
    let asked = given
        .max_memory
        .as_ref()
        .and_then(|asked| problems.take("spec.redis.maxMemory", asked.whole().map(Some), None));
    let resources = given.resources.clone().unwrap_or_default();
    let (mut requests, mut limits) = (resources.requests, resources.limits);
    check_all("spec.redis.resources.requests", &requests, problems);
    check_all("spec.redis.resources.limits", &limits, problems);
    limits.entry("memory".to_owned()).or_insert_with(|| {
        let enough = asked.map_or(0, |data| data.saturating_mul(100).div_ceil(part));
        // In whole MiB, which reads better.
        let bytes = memory.max(enough).div_ceil(1 << 20).saturating_mul(1 << 20);
        bytes_as_quantity(bytes).as_str().into()
    });
    limits.entry("cpu".to_owned()).or_insert_with(|| cpu_limit.into());
    let limit = limits.get("memory").and_then(|limit| limit.whole().ok()).unwrap_or(memory);
    request_by_default(&mut requests, &limits, "cpu", cpu);
    request_by_default(&mut requests, &limits, "memory", &bytes_as_quantity(limit));
    check_requests("spec.redis.resources.requests", &requests, &limits, problems);
    if let Some(data) = asked {
        check_memory(data, limit, given, problems);
    }
    RedisServer {
        image: given.image.clone(),
        resources: ResourceRequirements {
            requests: quantities(requests),
            limits: quantities(limits),
            claims: None,
        },
        max_memory: asked.unwrap_or_else(|| part_of(limit, part)),
        policy: given.max_memory_policy.unwrap_or(policy),
    }
}

fn part_of(bytes: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// Redis takes 0 for "no limit", and more than there is ends by the kernel.
fn check_memory(data: u64, limit: u64, given: &Redis, problems: &mut Problems) {
    let written = given.max_memory.as_ref().map(ToString::to_string).unwrap_or_default();
    if data < 1 << 20 {
        problems.add("spec.redis.maxMemory", &format!("{written} is too little; give it 1Mi or more"));
    } else if data > part_of(limit, MOST_DATA) {
        let least = bytes_as_quantity(data.saturating_mul(100).div_ceil(MOST_DATA));
        problems.add(
            "spec.redis.maxMemory",
            &format!(
                "{written} is more than {MOST_DATA} % of spec.redis.resources.limits.memory ({}), where the kernel \
                 would end Redis; lower it, or raise that limit to {least}",
                bytes_as_quantity(limit)
            ),
        );
    }
}

fn shared(given: &Redis, problems: &mut Problems) -> SharedRedis {
    let storage = given.storage.clone().unwrap_or_default();
    let size = storage.size.unwrap_or_else(|| bytes_as_quantity(defaults::REDIS_STORAGE).as_str().into());
    let bytes = problems.take(SIZE, size.whole(), defaults::REDIS_STORAGE);
    let server = server(given, problems);
    if bytes < server.max_memory {
        problems.add(
            SIZE,
            &format!(
                "{size} is less than the memory for data ({}), which would not fit; raise it, or lower \
                 spec.redis.maxMemory",
                bytes_as_quantity(server.max_memory)
            ),
        );
    }
    // What is about the volume and about the app's own pods concerns no Redis pod.
    let source = Redis { storage: None, ..given.clone() };
    SharedRedis {
        server,
        fsync: given.append_fsync.unwrap_or_default(),
        size,
        storage_class: storage.storage_class_name,
        retained: storage.retention.unwrap_or_default() == Retention::Retain,
        source: serde_json::to_value(source).expect("a part of a spec is JSON"),
    }
}

fn external(given: &Redis, problems: &mut Problems) -> Option<ExternalRedis> {
    let Some(address) = &given.address else {
        problems.add(
            "spec.redis.address",
            "is missing: spec.redis.mode External needs the host and port of that Redis, such as \
             redis.example.com:6379",
        );
        return None;
    };
    let access = given.access.unwrap_or_default();
    if let Some(tls) = &given.tls {
        let alone = [("serverName", &tls.server_name), ("clientSecretName", &tls.client_secret_name)];
        for (field, _) in alone.iter().filter(|(_, given)| given.is_some() && access == RedisAccess::Env) {
            problems.add(
                &format!("spec.redis.tls.{field}"),
                "is used by the forwarder alone; leave it out, or take out spec.redis.access: Env",
            );
        }
        if let Some(ca) = tls.ca.as_ref()
            && ca.secret_key_ref.is_some() == ca.config_map_key_ref.is_some()
        {
            problems.add("spec.redis.tls.ca", "has exactly one of secretKeyRef and configMapKeyRef");
        }
    }
    let Ok(Address { host, port }) = address.parse::<Address>() else {
        problems.add(
            "spec.redis.address",
            &format!(
                "{address} is no host and port; write it as redis.example.com:6379, an IPv6 address as \
                 [2001:db8::1]:6379"
            ),
        );
        return None;
    };
    if let Some(tls) = given.tls.as_ref().filter(|_| access == RedisAccess::Forwarder) {
        check_certificate_name(tls, &host, problems);
    }
    Some(ExternalRedis { host, port, credentials: given.credentials.clone(), tls: given.tls.clone(), access })
}

/// The forwarder refuses to start with a name that no certificate can have.
fn check_certificate_name(tls: &RedisTls, host: &str, problems: &mut Problems) {
    match &tls.server_name {
        Some(name) if !is_certificate_name(name) => problems.add(
            "spec.redis.tls.serverName",
            &format!("{name} is no name in a certificate; write it without a port, such as redis.example.com"),
        ),
        None if !is_certificate_name(host) => problems.add(
            "spec.redis.address",
            &format!(
                "{host} is no name in a certificate; correct it, or say the name in spec.redis.tls.serverName, such as \
                 redis.example.com"
            ),
        ),
        _ => {}
    }
}

/// A variable of the app would silently overrule ours, and the address with it.
fn check_variables(spec: &NodeAppSpec, problems: &mut Problems) {
    let tls = spec.redis.as_ref().and_then(|given| given.tls.as_ref());
    let has_authority = tls.is_some_and(|tls| tls.ca.is_some());
    for entry in effective(spec) {
        let name = entry.variable.name.as_str();
        let why = match name {
            CA_VARIABLE if has_authority => {
                "is set by spec.redis.tls.ca (access Env), and there is one file; put all certificates into that one \
                 and take the variable out here, or take spec.redis.tls.ca out and put Redis' into yours"
            }
            CA_VARIABLE => continue,
            name if REDIS_VARIABLES.contains(&name) => {
                "is set by spec.redis (access Env); take it out here, or take spec.redis out and set all of it yourself"
            }
            _ => continue,
        };
        problems.add(&format!("{}.name", entry.field), &format!("{name} {why}"));
    }
}

/// Whether what is at port 6379 of localhost is the app's Redis.
pub(super) fn is_on_localhost(spec: &NodeAppSpec) -> bool {
    spec.redis.as_ref().is_some_and(|given| {
        given.mode != RedisMode::External || given.access.unwrap_or_default() == RedisAccess::Forwarder
    })
}

/// The variables of ours that hold credentials.
pub(super) fn secret_variables(spec: &NodeAppSpec) -> Vec<String> {
    let given = spec.redis.as_ref().filter(|given| given.access == Some(RedisAccess::Env));
    let given = given.filter(|given| given.credentials.is_some());
    given.map_or_else(Vec::new, |_| ["REDIS_PASSWORD", "REDIS_URL"].map(ToOwned::to_owned).to_vec())
}

/// What our containers in each pod request, for who counts the room that instances take.
pub(super) fn needs(plan: &RedisPlan) -> Room {
    let requests = match plan {
        RedisPlan::Sidecar(server) => server.resources.requests.clone().unwrap_or_default(),
        plan if plan.is_local() => forwarder_requests(),
        _ => return Room::default(),
    };
    let of = |name: &str, parts: i128| {
        let nanos = requests.get(name).and_then(|quantity| quantity_nanos(&quantity.0));
        part(nanos.unwrap_or(0), parts).unwrap_or(0)
    };
    Room { cpu: of("cpu", 1000), memory: of("memory", 1), pods: 0 }
}

/// What a forwarder requests.
pub(crate) fn forwarder_requests() -> BTreeMap<String, ApiQuantity> {
    api_quantities([("cpu", "10m"), ("memory", "16Mi")])
}

/// What a forwarder may use at most.
pub(crate) fn forwarder_limits() -> BTreeMap<String, ApiQuantity> {
    api_quantities([("cpu", "500m"), ("memory", "64Mi")])
}

fn api_quantities<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, ApiQuantity> {
    pairs.map(|(name, value)| (name.to_owned(), ApiQuantity(value.to_owned()))).into()
}
