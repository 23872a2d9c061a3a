//! A Redis within reach of the app.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::Quantity;

/// A Redis that the app reaches on `localhost:6379`, with its code as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.mode != 'External' || has(self.address)",
    "redis.mode External needs redis.address, the host and port of that Redis, such as redis.example.com:6379",
))]
#[x_kube(validation = (
    "self.mode == 'External' || !(has(self.address) || has(self.credentials) || has(self.tls) || has(self.access))",
    "redis.address, credentials, tls and access are about a Redis that somebody else runs; set redis.mode: External, or leave them out",
))]
#[x_kube(validation = (
    "self.mode == 'Shared' || !(has(self.appendFsync) || has(self.storage))",
    "redis.appendFsync and storage are about data that is kept; set redis.mode: Shared, or leave them out",
))]
#[x_kube(validation = (
    "self.mode != 'External' || !(has(self.image) || has(self.resources) || has(self.maxMemory) || has(self.maxMemoryPolicy))",
    "redis.image, resources, maxMemory and maxMemoryPolicy are about a Redis that the operator runs; with redis.mode External, leave them out",
))]
#[x_kube(validation = (
    "!has(self.access) || self.access != 'Env' || !has(self.tls) || !(has(self.tls.serverName) || has(self.tls.clientSecretName))",
    "redis.tls.serverName and clientSecretName are used by the forwarder alone; take redis.access: Env out, or leave them out",
))]
pub struct Redis {
    /// `Sidecar`: one in each pod, a cache that no other instance sees and that is gone with the
    /// pod. `Shared`: one for all instances, whose data is kept on a volume. `External`: one that
    /// somebody else runs, at address.
    pub mode: RedisMode,
    /// Image with `redis-server` and `redis-cli` in its PATH, version 7 or newer; those of Redis and
    /// of Valkey are such. Default: the installation's `redis.image`, Valkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = (
        r"self.matches('^\\S+$')",
        "redis.image must name a container image, without blanks, such as registry.example/valkey:8.1",
    ))]
    pub image: Option<String>,
    /// Compute resources of Redis' container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<RedisResources>,
    /// Memory for data, a quantity such as `100Mi`, at most 90 % of resources.limits.memory. Default:
    /// of that limit, 75 % of a Sidecar's and 60 % of a Shared one's, which needs memory to rewrite its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Quantity>,
    /// What happens to a write when that is full, in Redis' own words. Default: `allkeys-lru` of a
    /// Sidecar, which drops what was not used for longest, and `noeviction` of a Shared one, which
    /// refuses the write and loses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_policy: Option<MaxMemoryPolicy>,
    /// How often a Shared one writes its log to the disk for certain (Redis' `appendfsync`): `always`
    /// before it acknowledges a write, so that none is lost; `everysec`, so that a crash of the node
    /// may lose a second; `no`, when the kernel likes to. Default everysec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_fsync: Option<AppendFsync>,
    /// The volume of a Shared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<RedisStorage>,
    /// Host and port of an External one, such as `redis.example.com:6379`; an IPv6 address stands in
    /// brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 260))]
    #[x_kube(validation = (
        r"self.matches('^(\\[[0-9a-fA-F:.]+\\]|[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?):[1-9][0-9]{0,4}$')",
        "redis.address must be a host and a port, such as redis.example.com:6379 or [2001:db8::1]:6379",
    ))]
    pub address: Option<String>,
    /// User and password of an External one. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RedisCredentials>,
    /// An External one is spoken to by TLS. Default: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
    /// How the app gets to an External one: `Forwarder`, which listens on `localhost:6379` in each
    /// pod, logs in and speaks TLS; or `Env`, the variables `REDIS_URL`, `REDIS_HOST`, `REDIS_PORT`,
    /// `REDIS_USERNAME`, `REDIS_PASSWORD` and `REDIS_TLS` for code that reads them. Default Forwarder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<RedisAccess>,
}

/// Where the Redis runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Told by the field; docs on variants would not reach the schema.
pub enum RedisMode {
    #[default]
    Sidecar,
    Shared,
    External,
}

impl RedisMode {
    /// Its name in a spec.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sidecar => "Sidecar",
            Self::Shared => "Shared",
            Self::External => "External",
        }
    }
}

/// Compute resources of Redis' container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisResources {
    /// What the node must have free, by resource name. Default: 10m cpu of a Sidecar, 50m of a Shared
    /// one, and memory as the limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What it may use at most, by resource name. Default: 500m cpu and 64Mi memory of a Sidecar,
    /// 1 cpu and 256Mi of a Shared one, or as much memory as maxMemory asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}

/// What a full Redis does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // Redis' own words; docs on variants would not reach the schema.
pub enum MaxMemoryPolicy {
    #[default]
    Noeviction,
    AllkeysLru,
    AllkeysLfu,
    AllkeysRandom,
    VolatileLru,
    VolatileLfu,
    VolatileRandom,
    VolatileTtl,
}

impl MaxMemoryPolicy {
    /// Redis' word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noeviction => "noeviction",
            Self::AllkeysLru => "allkeys-lru",
            Self::AllkeysLfu => "allkeys-lfu",
            Self::AllkeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileLfu => "volatile-lfu",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
        }
    }
}

/// How often the log of writes is on the disk for certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // Redis' own words; docs on variants would not reach the schema.
pub enum AppendFsync {
    #[default]
    Everysec,
    Always,
    No,
}

impl AppendFsync {
    /// Redis' word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Everysec => "everysec",
            Self::Always => "always",
            Self::No => "no",
        }
    }
}

/// The volume of a Shared Redis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisStorage {
    /// Size of the volume, a quantity such as `2Gi`. It can grow where the storage class allows that,
    /// and never shrink. The log of writes takes up to three times what is stored. Default 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// Storage class of the volume; it cannot be changed once there is one. Default: that of the
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "storageClassName names a storage class: small letters, digits, '-' and '.', such as standard; kubectl get storageclass shows those there are",
    ))]
    pub storage_class_name: Option<String>,
    /// What becomes of the data when the app is deleted or has another mode: `Retain` keeps the
    /// volume, and an app of the same name gets it back; `Delete` deletes it. Default Retain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

/// What becomes of data that is not asked for any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own words; docs on variants would not reach the schema.
pub enum Retention {
    #[default]
    Retain,
    Delete,
}

/// User and password of an External Redis, from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisCredentials {
    /// Name of the Secret, in the namespace of the app.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "secretName has small letters, digits, '-' and '.', and starts and ends with a letter or digit, also beside a '.', such as shop-redis",
    ))]
    pub secret_name: String,
    /// Key in it with the password. Default `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^\\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')",
        "a key has letters, digits, '-', '_' and '.', and does not start with '..', such as password",
    ))]
    pub password_key: Option<String>,
    /// Key in it with the name of the user. Default: none, Redis' user `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^\\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')",
        "a key has letters, digits, '-', '_' and '.', and does not start with '..', such as username",
    ))]
    pub username_key: Option<String>,
}

/// TLS to an External Redis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisTls {
    /// Certificates of those who may vouch for it, in PEM. Default: the authorities that browsers
    /// trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<RedisCa>,
    /// Name that its certificate must have, where that is not the host of address. Not with access
    /// Env. Default: the host of address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-zA-Z0-9]([-a-zA-Z0-9._:]*[a-zA-Z0-9])?$')",
        "serverName is the name in the certificate, such as redis.example.com",
    ))]
    pub server_name: Option<String>,
    /// Name of a Secret with the certificate that the app shows, for a Redis that wants one of its
    /// clients: keys `tls.crt`, with the chain, and `tls.key`, as in a Secret of the type
    /// `kubernetes.io/tls`. Read anew for each connection. Not with access Env. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "clientSecretName has small letters, digits, '-' and '.', and starts and ends with a letter or digit, also beside a '.', such as shop-redis-client",
    ))]
    pub client_secret_name: Option<String>,
}

/// Where certificates are; exactly one source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.secretKeyRef) != has(self.configMapKeyRef)",
    "redis.tls.ca has exactly one of secretKeyRef and configMapKeyRef",
))]
pub struct RedisCa {
    /// A key of a Secret in the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<FileRef>,
    /// A key of a `ConfigMap` in the namespace of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<FileRef>,
}

/// A key of a Secret or `ConfigMap` that must be there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileRef {
    /// Name of the Secret or `ConfigMap`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "the name of a Secret or ConfigMap has small letters, digits, '-' and '.', and starts and ends with a letter or digit, also beside a '.', such as redis-ca",
    ))]
    pub name: String,
    /// Key in it, such as `ca.crt`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = (
        r"self.matches('^\\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')",
        "a key has letters, digits, '-', '_' and '.', and does not start with '..', such as ca.crt",
    ))]
    pub key: String,
}

/// How an app gets to an External Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Told by the field; docs on variants would not reach the schema.
pub enum RedisAccess {
    #[default]
    Forwarder,
    Env,
}

/// How the Redis of an app is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisStatus {
    /// Where it runs: Sidecar, Shared or External.
    #[schemars(length(max = 16))]
    pub mode: String,
    /// Whether a Shared one answers. Of a Sidecar and of an External one the operator does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Since when a Shared one does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub not_ready_since: Option<String>,
    /// Why, and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
}
