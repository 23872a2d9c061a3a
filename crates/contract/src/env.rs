//! Names of the environment variables between operator, runner and preload.
//!
//! All start with `NODEAPP_`; the runner takes its own out of the environment
//! before it starts the app.

/// The [`crate::RunnerConfig`] as JSON, from the pod's annotation.
pub const CONFIG: &str = "NODEAPP_RUNNER_CONFIG";
/// Name of the pod.
pub const POD_NAME: &str = "NODEAPP_POD_NAME";
/// Namespace of the pod.
pub const POD_NAMESPACE: &str = "NODEAPP_POD_NAMESPACE";
/// Number of the pod's instance, from its label; only where instances have numbers.
pub const INSTANCE: &str = "NODEAPP_INSTANCE";
/// Name of the variable that gets the number, instead of [`NODE_APP_INSTANCE`].
pub const INSTANCE_VAR: &str = "NODEAPP_INSTANCE_VAR";
/// Name of the variable that grows with the number.
pub const INCREMENT_VAR: &str = "NODEAPP_INCREMENT_VAR";
/// The app's own variable with its number: PM2's name.
pub const NODE_APP_INSTANCE: &str = "NODE_APP_INSTANCE";
/// Runner to preload: path of the unix socket that each Node.js process of the
/// app connects to once it serves something.
pub const CHANNEL: &str = "NODEAPP_CHANNEL";
/// Runner to preload: the held sockets and their descriptors,
/// `[::]:3000=40,41;0.0.0.0:3000=56,57`.
pub const LISTEN_FDS: &str = "NODEAPP_LISTEN_FDS";
/// Runner to preload, for the main process alone: milliseconds between two
/// heartbeats of its event loop.
pub const BEAT: &str = "NODEAPP_BEAT";

/// Outside a pod: replaces [`crate::paths::RUN_DIR`].
pub const RUN_DIR: &str = "NODEAPP_RUN_DIR";
/// Outside a pod: address and port of the runner's HTTP endpoint,
/// `127.0.0.1:9615`, instead of every address with [`crate::RUNNER_PORT`].
pub const LISTEN: &str = "NODEAPP_RUNNER_LISTEN";
/// Outside a pod: replaces [`crate::paths::TERMINATION_LOG`].
pub const TERMINATION_LOG: &str = "NODEAPP_TERMINATION_LOG";

/// All that the runner reads, and that the app does not get to see.
pub const RUNNER_ONLY: [&str; 9] = [
    CONFIG,
    POD_NAME,
    POD_NAMESPACE,
    INSTANCE,
    INSTANCE_VAR,
    INCREMENT_VAR,
    RUN_DIR,
    LISTEN,
    TERMINATION_LOG,
];

/// Whether a variable of this name usually holds a credential. A guess, for warnings
/// and for what is masked in addition; whatever comes from a Secret is one anyway.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let holds = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "API_KEY", "APIKEY"]
        .iter()
        .chain(&["PRIVATE_KEY", "ACCESS_KEY", "ENCRYPTION_KEY", "SIGNING_KEY"])
        .any(|word| name.contains(word));
    let ends = |words: &[&str]| words.iter().any(|word| name.ends_with(word));
    let about = ["_FILE", "_PATH", "_DIR", "_NAME", "_URL", "_TTL", "_LENGTH", "_EXPIRY", "_EXPIRES_IN"];
    (holds || ends(&["_PASS", "_PWD"])) && !ends(&about)
}
