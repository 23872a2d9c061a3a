//! What a user asks for.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::autoscaling::Autoscaling;
use super::defaults;
use super::env::{EnvFrom, EnvVar, profiles};
use super::files::{log_path, writable_paths};
use super::instance::{FillCluster, variable};
use super::launch::UnhandledRejections;
use super::logs::{LogRotate, LogType};
use super::network::{NetworkPolicy, Service};
use super::notation::{Delay, Size, Time};
use super::pod::{Pod, mounts, object};
use super::probes::Probes;
use super::redis::Redis;
use super::resources::Resources;
use super::rollout::Rollout;
use super::route::{HttpRoute, Ingress};
use super::status::NodeAppStatus;
use super::stop::KillSignal;

/// The desired state of an app.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "nodeapp.dev",
    version = "v1alpha1",
    kind = "NodeApp",
    plural = "nodeapps",
    singular = "nodeapp",
    shortname = "na",
    category = "all",
    namespaced,
    status = "NodeAppStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A Node.js application, run as PM2 would: supervised processes with readiness, a drain before every stop, memory restarts and log rotation.",
    validation = (
        "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name names the Service too: at most 63 lower-case letters, digits and '-', starting with a letter and not ending with '-'",
    ),
    validation = (
        "self.metadata.name != 'default'",
        "metadata.name names the ServiceAccount too, and default is the one that every namespace has; take another name",
    ),
    scale(
        spec_replicas_path = ".spec.instances",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(name = "Up-to-date", type_ = "integer", json_path = ".status.updatedReplicas"),
    printcolumn(name = "Available", type_ = "integer", json_path = ".status.availableReplicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Image", type_ = "string", priority = 1, json_path = ".spec.image"),
    printcolumn(name = "URL", type_ = "string", priority = 1, json_path = ".status.url")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.script) != has(self.command)",
    "set exactly one of script (a file that Node.js runs) and command (a program and its arguments)",
))]
#[x_kube(validation = (
    "!has(self.nodeArgs) || has(self.script)",
    "nodeArgs needs script; with command, write the arguments of node into command",
))]
#[x_kube(validation = (
    "!has(self.interpreter) || has(self.script)",
    "interpreter needs script; with command, write the program first into command",
))]
#[x_kube(validation = (
    "!has(self.nodeArgs) || !has(self.interpreter) || self.interpreter != 'none'",
    "nodeArgs needs an interpreter; with interpreter none, the script is executed itself, so write them into args",
))]
#[x_kube(validation = (
    "!has(self.expBackoffResetTime) || has(self.expBackoffRestartDelay)",
    "expBackoffResetTime needs expBackoffRestartDelay, whose growth it resets; set both or none",
))]
#[x_kube(validation = (
    "!has(self.pmx) || self.pmx || ((!has(self.holdSocket) || !self.holdSocket) && !has(self.hangTimeout) && (!has(self.heapSnapshot) || !self.heapSnapshot))",
    "holdSocket, hangTimeout and heapSnapshot need the preload; take pmx: false out, or leave them out",
))]
#[x_kube(validation = (
    "!has(self.heapSnapshot) || !self.heapSnapshot || has(self.maxMemoryRestart)",
    "heapSnapshot is written before a memory restart and needs maxMemoryRestart",
))]
#[x_kube(validation = (
    "(!has(self.instanceVar) && !has(self.incrementVar)) || (has(self.instanceIndex) && self.instanceIndex)",
    "instanceVar and incrementVar are given the instance index; set instanceIndex: true, or leave them out",
))]
#[x_kube(validation = (
    "!has(self.incrementVar) || self.incrementVar != 'PORT' || !has(self.port)",
    "incrementVar PORT would give each instance another port, but the Service knows one; leave incrementVar out: each instance has an address of its own",
))]
#[x_kube(validation = (
    "!has(self.fillCluster) || self.instances == 1",
    "leave instances out: fillCluster decides how many; to limit it set fillCluster.maxInstances",
))]
#[x_kube(validation = (
    "!has(self.autoscaling) || self.instances == 1",
    "with autoscaling, leave instances out: autoscaling decides the number; for more of them set autoscaling.minInstances",
))]
#[x_kube(validation = (
    "has(self.port) || !(has(self.service) || has(self.ingress) || has(self.httpRoute))",
    "service, ingress and httpRoute lead to the app's port; set port, or leave them out",
))]
#[x_kube(validation = (
    "!has(self.autoscaling) || !has(self.fillCluster)",
    "autoscaling and fillCluster both decide the number; leave one of them out",
))]
pub struct NodeAppSpec {
    /// Container image with Node.js and the app. Any base image works, distroless ones too.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = (
        r"self.matches('^\\S+$')",
        "image must name a container image, without blanks, such as registry.example/acme/api:1.4.2",
    ))]
    pub image: String,
    /// Script to run, relative to cwd (PM2 `script`); with blanks it is a line for the shell of the
    /// image, as in PM2. Exactly one of script and command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub script: Option<String>,
    /// Program and arguments to execute instead of script, without a shell, looked up in PATH.
    /// Exactly one of script and command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    pub command: Option<Vec<String>>,
    /// Arguments of the script or command (PM2 `args`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub args: Vec<String>,
    /// Program that runs the script, looked up in PATH, such as `node`, `bun`, `deno` or `tsx` (PM2
    /// `interpreter`); `none` executes the script itself. Only with script.
    /// Default: by the extension of the script, node for most (PM2: the same).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = (
        r"self.matches('^\\S+$')",
        "interpreter must be one program such as node, without blanks; its arguments go into nodeArgs",
    ))]
    pub interpreter: Option<String>,
    /// Arguments of Node.js itself, or of the interpreter, before the script (PM2 `node_args`). Only
    /// with script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub node_args: Option<Vec<String>>,
    /// What Node.js does when a promise is rejected and nothing handles it: its option
    /// `--unhandled-rejections`. `warn` is what apps under PM2 are used to.
    /// Default throw: the process ends (PM2: warn).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhandled_rejections: Option<UnhandledRejections>,
    /// Errors tell places in the sources by their source maps (PM2 `source_map_support`): the option
    /// `--enable-source-maps` of Node.js. Default false (PM2: true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_map_support: Option<bool>,
    /// Load the runner's preload into the app's Node.js processes (PM2 `pmx`): it holds the
    /// listening socket over restarts, drains connections before a stop, and measures. Default true
    /// (PM2: true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pmx: Option<bool>,
    /// Keep the listening socket of port open while the process is restarted in place, so that no
    /// connection is refused. Needs pmx. Default true (PM2: only in cluster mode).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_socket: Option<bool>,
    /// How long the event loop may be silent before the process is taken for hung and restarted, a
    /// number with its unit ms, s, m or h, at least `1s`. Needs pmx. Default: off (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hang_timeout: Option<Delay>,
    /// Working directory, an absolute path (PM2 `cwd`). Default: the one of the image (PM2: the one of
    /// the shell).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    #[x_kube(validation = ("self.startsWith('/')", "cwd must be an absolute path such as /app"))]
    pub cwd: Option<String>,
    /// Number of instances, each a pod with one process (PM2 `instances`). 0 stops the app and keeps
    /// everything else. Default 1 (PM2: 1).
    #[serde(default = "defaults::instances")]
    #[schemars(range(min = 0, max = 10_000))]
    pub instances: i32,
    /// As many instances as the nodes have room for, one per CPU or per request (PM2 `instances: max`,
    /// 0 and below). Not together with another number in instances. Default: off (PM2: off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_cluster: Option<FillCluster>,
    /// Give each instance a number of its own, from 0 to one less than instances, in
    /// `NODE_APP_INSTANCE` and `pm_id`. Pods then start only while the operator is there to number
    /// them, and the successor of a deleted pod waits until that is gone. Default false:
    /// `NODE_APP_INSTANCE` is 0 in all of them (PM2: true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_index: Option<bool>,
    /// Variable that has the number of the instance, instead of `NODE_APP_INSTANCE` (PM2
    /// `instance_var`). Needs instanceIndex. Default `NODE_APP_INSTANCE` (PM2: the same).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub instance_var: Option<String>,
    /// Variable that grows by one from instance to instance, from what env says, or from 0 (PM2
    /// `increment_var`). Needs instanceIndex. Default: none (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "variable")]
    pub increment_var: Option<String>,
    /// Let the number of instances follow the load, between two limits, instead of instances (PM2 has
    /// no such thing). A `HorizontalPodAutoscaler` carries it out; it needs a metrics-server.
    /// Default: the number is the one of instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Stop all instances and keep everything else (`pm2 stop`); false brings back as many as
    /// instances says. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<bool>,
    /// How a change of the spec reaches the instances (`pm2 reload`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// A Redis for what the instances share, or cache, on `localhost:6379` (PM2 has no such thing).
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
    /// Environment variables (PM2 `env`). They win over envFrom, and a profile wins over them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
    /// Environments by name, such as `production` (PM2 `env_production`): the one that profile names
    /// is laid over env. The others change nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "profiles")]
    pub env_profiles: BTreeMap<String, Vec<EnvVar>>,
    /// Which of envProfiles is in force (`pm2 --env`). Its variables win over those of env. Default:
    /// none (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub profile: Option<String>,
    /// Secrets and `ConfigMaps` whose keys become environment variables; a later one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub env_from: Vec<EnvFrom>,
    /// Port that the app serves on, given to it as the environment variable PORT; the Service has
    /// the same port. Without it the app is a worker: it has no Service and is ready as soon as it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    #[x_kube(validation = ("self != 9615", "port 9615 belongs to the runner; take another one"))]
    pub port: Option<i32>,
    /// The Service, where it is to be more than the app's port inside the cluster. Needs port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// What leads to the app from outside, by an ingress controller. Needs port. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// What leads to the app from outside, by the Gateway API. Needs port. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,
    /// Who may reach the app, its runner and its Redis over the network. Default: everyone whom the
    /// cluster lets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
    /// Checks in addition to waitReady or the listening port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// The app says itself when it is ready, by `process.send('ready')` (PM2 `wait_ready`). Default
    /// false: it is ready when its port listens (PM2: false, ready at once).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ready: Option<bool>,
    /// How long the app may take to get ready before that counts as a failure of the rollout (PM2
    /// `listen_timeout`). Whole milliseconds, or a number with the unit ms, s, m or h. Default 60s
    /// (PM2: 3s, and then it is taken for ready anyway).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_timeout: Option<Time>,
    /// How long the app may take to end after killSignal before it is killed (PM2 `kill_timeout`).
    /// Whole milliseconds, or a number with the unit ms, s, m or h. Default 5s (PM2: 1.6s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_timeout: Option<Time>,
    /// Signal that asks the app to end, after the drain (PM2 `PM2_KILL_SIGNAL`). Default SIGINT
    /// (PM2: SIGINT).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_signal: Option<KillSignal>,
    /// Ask the app to end by the message `shutdown`, which it gets by `process.on('message')`,
    /// instead of killSignal, which is left for its other processes and for an app that listens for
    /// no messages (PM2 `shutdown_with_message`). Default false (PM2: false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_with_message: Option<bool>,
    /// Send killSignal to the whole process tree, or to the main process alone (PM2 `treekill`).
    /// What is left in the end is killed either way. Default true (PM2: true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treekill: Option<bool>,
    /// How long the app serves on after a stop was ordered, so that the cluster stops sending new
    /// connections. A number with its unit ms, s, m or h. Default 5s (PM2: 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_delay: Option<Delay>,
    /// How long requests in flight may take after drainDelay. A number with its unit ms, s, m or h.
    /// Default 10s (PM2: 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Delay>,
    /// Start the app again when its process ends by itself (PM2 `autorestart`). Default true (PM2:
    /// true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autorestart: Option<bool>,
    /// Times at which all instances are restarted, one surge at a time, as at a change of the spec (PM2
    /// `cron_restart`, which restarts them all at once): a cron expression of five fields such as
    /// `0 3 * * *`, or a word such as `@daily`, in timeZone. A stopped app stays stopped. With autorestart
    /// false the app is a job: it is run at these times only, once at a time, and ends by itself.
    /// Default: off (PM2: off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = (
        r"self.matches('^(@[a-z]+|\\S+( +\\S+){4})$')",
        "cronRestart must be a cron expression of five fields such as '0 3 * * *', without seconds, or @daily; to switch it off, leave it out",
    ))]
    pub cron_restart: Option<String>,
    /// Exit codes after which the app is not started again (PM2 `stop_exit_codes`). A death by a
    /// signal has no exit code (in PM2 it has 0).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(range(min = 0, max = 255)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub stop_exit_codes: Vec<i32>,
    /// A process that ends sooner counts as unstable (PM2 `min_uptime`). Whole milliseconds, or a
    /// number with the unit ms, s, m or h. Default 1s (PM2: 1s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_uptime: Option<Time>,
    /// Unstable ends within minUptime × maxRestarts after which the app is taken for errored and is
    /// not restarted for a while (PM2 `max_restarts`). Default 16 (PM2: 16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_restarts: Option<i32>,
    /// How long an errored app waits for its next chance; `0s` means for ever. A number with its
    /// unit ms, s, m or h. Default 5m (PM2: for ever).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errored_retry_delay: Option<Delay>,
    /// Wait before each restart (PM2 `restart_delay`). Whole milliseconds, or a number with the unit
    /// ms, s, m or h. Default 0 (PM2: 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_delay: Option<Time>,
    /// First wait before a restart, growing by half with each one up to 15s; where it is set it
    /// replaces restartDelay, as in PM2 (PM2 `exp_backoff_restart_delay`). Whole milliseconds, or a number with the unit ms, s, m or h.
    /// Default: off (PM2: off).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_backoff_restart_delay: Option<Time>,
    /// A process that lives so long brings the growing wait back to expBackoffRestartDelay (PM2
    /// `EXP_BACKOFF_RESET_TIMER`). A number with its unit ms, s, m or h. Only with
    /// expBackoffRestartDelay. Default 30s (PM2: 30s to 60s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp_backoff_reset_time: Option<Delay>,
    /// Memory at which the process is restarted in place, before the kernel kills it (PM2
    /// `max_memory_restart`). Whole bytes, or a number with the binary unit K, M or G. Default: off
    /// (PM2: off).
    /// It sets the memory limit to 125 % of itself unless resources.limits.memory is given, and may
    /// be at most 90 % of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_restart: Option<Size>,
    /// Write a heap snapshot to `/tmp/nodeapp-profiles` before a memory restart, where the memory
    /// limit leaves room for it. Needs maxMemoryRestart and pmx. Default false (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap_snapshot: Option<bool>,
    /// Compute resources of the app's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Date before each line of output, in the tokens of Day.js such as `YYYY-MM-DD HH:mm:ss` (PM2
    /// `log_date_format`); in timeZone. Default: none (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = (
        r"self.matches('^[^\\x00-\\x1f]+$')",
        "logDateFormat must be one line of Day.js tokens such as YYYY-MM-DD HH:mm:ss",
    ))]
    pub log_date_format: Option<String>,
    /// Form of the output: lines as the app wrote them, or one JSON object per line (PM2
    /// `log_type`). Default raw (PM2: raw).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_type: Option<LogType>,
    /// Tag each line with the instance and the process id, for output of several instances that is
    /// read merged (PM2 `merge_logs`, which merges files and tags nothing). JSON has both anyway.
    /// Default false (PM2: true in fork mode).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_logs: Option<bool>,
    /// File for standard output, beside `kubectl logs` (PM2 `out_file`): relative to `/nodeapp/logs`,
    /// or absolute and below that, below `/tmp`, one of writablePaths or one of volumeMounts; `/dev/null`
    /// for none.
    /// Default: `NAME-out.log` as soon as errorFile, logFile or logRotate is there, else none (PM2:
    /// `~/.pm2/logs/NAME-out.log`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "log_path")]
    pub out_file: Option<String>,
    /// File for standard error, as outFile (PM2 `error_file`). Default: `NAME-error.log` as soon as
    /// outFile, logFile or logRotate is there, else none (PM2: `~/.pm2/logs/NAME-error.log`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "log_path")]
    pub error_file: Option<String>,
    /// File for both in one, beside the two others (PM2 `log_file`). Default: none (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "log_path")]
    pub log_file: Option<String>,
    /// Rotation of the log files. Files are always rotated, since the room for them is limited; they
    /// are gone with the pod. It makes log files where outFile, errorFile and logFile make none.
    /// Default: that of its fields (PM2: none without pm2-logrotate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_rotate: Option<LogRotate>,
    /// Time zone of dates in logs and of schedules, a name such as `Europe/Berlin`. Its lasting
    /// rule is followed; exceptions of single years, such as those for Ramadan in Morocco, are not.
    /// Default UTC (PM2: the zone of the machine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Keep the last lines of a process that has ended and show them in status.lastExit: up to ten of
    /// standard error, or of standard output where the runner handles that and the other is silent.
    /// Exact values of variables that come from Secrets, or are named like credentials, are masked.
    /// Default true (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_log_tail: Option<bool>,
    /// Directories that the app may write to, beside `/tmp`: absolute paths, empty at every start of
    /// a pod. What the image has there is hidden. Everything else is read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "writable_paths")]
    pub writable_paths: Vec<String>,
    /// Where the app finds volumes of pod.volumes: items are of Kubernetes' type `VolumeMount`, such as
    /// `{name: uploads, mountPath: /app/uploads}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "mounts")]
    pub volume_mounts: Vec<Value>,
    /// What the app's container may do: Kubernetes' `SecurityContext`. A field that is given replaces
    /// the one of the same name in the default. Default: a read-only root file system, no privilege
    /// escalation, no capabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object")]
    pub security_context: Option<Value>,
    /// What the pods have around the app, by Kubernetes' own names and types: placement, volumes,
    /// sidecars, names, the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// Whatever else a pod can have: a `PodTemplateSpec` that is laid over the operator's, lists by the
    /// names of their items. What has a field of its own, and what the app is run by, cannot be changed
    /// here. The API server is asked about it before anything changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object")]
    pub pod_template: Option<Value>,
}
