//! Where things lie, and the configuration; both come from the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use nodeapp_contract::config::Launch;
use nodeapp_contract::{RUNNER_PORT, RunnerConfig, env, paths};

use crate::say::say;
use crate::signals;

/// Environment as the runner found it.
pub(crate) type Env = BTreeMap<OsString, OsString>;

/// Paths and addresses of the runner itself.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Control socket, side channel, counters.
    pub(crate) run_dir: PathBuf,
    /// Address of the HTTP endpoint; every address when absent.
    pub(crate) listen: Option<SocketAddr>,
    /// Where the kubelet reads the reason of the end.
    pub(crate) termination_log: PathBuf,
    /// The preload script: beside the runner's own executable.
    pub(crate) preload: PathBuf,
}

impl Settings {
    /// The pod's paths, unless the environment says otherwise.
    pub(crate) fn new(vars: &Env) -> Result<Self, String> {
        let get = |name: &str| vars.get(&OsString::from(name)).filter(|value| !value.is_empty());
        let listen = get(env::LISTEN)
            .map(|value| {
                let text = value.to_string_lossy();
                text.parse().map_err(|_| format!("{} is not ADDRESS:PORT: {text}", env::LISTEN))
            })
            .transpose()?;
        let path = |name: &str, default: &str| get(name).map_or_else(|| default.into(), PathBuf::from);
        let preload = std::env::current_exe()
            .ok()
            .and_then(|exe| Some(exe.parent()?.join("preload.cjs")))
            .unwrap_or_else(|| paths::PRELOAD.into());
        Ok(Self {
            run_dir: path(env::RUN_DIR, paths::RUN_DIR),
            listen,
            termination_log: path(env::TERMINATION_LOG, paths::TERMINATION_LOG),
            preload,
        })
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.run_dir.join(paths::CONTROL_SOCKET_FILE)
    }

    pub(crate) fn channel_socket(&self) -> PathBuf {
        self.run_dir.join(paths::CHANNEL_SOCKET_FILE)
    }

    /// Heap snapshots and processor profiles: beside the rest outside a pod, where
    /// the run directory is limited by what the pod's template says.
    pub(crate) fn profile_dir(&self) -> PathBuf {
        if self.run_dir.as_os_str() == paths::RUN_DIR {
            paths::PROFILE_DIR.into()
        } else {
            self.run_dir.join("profiles")
        }
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.run_dir.join(paths::STATE_FILE)
    }

    /// Port of the endpoint.
    pub(crate) fn port(&self) -> u16 {
        self.listen.map_or(RUNNER_PORT, |address| address.port())
    }
}

/// Name of the pod; `0`, PM2's first instance, outside of one.
pub(crate) fn pod_name(vars: &Env) -> String {
    let name = vars.get(&OsString::from(env::POD_NAME)).filter(|name| !name.is_empty());
    name.map_or_else(|| "0".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Reads the configuration, and says what to do where it cannot be used.
pub(crate) fn config(vars: &Env) -> Result<RunnerConfig, String> {
    let text = vars.get(&OsString::from(env::CONFIG)).ok_or_else(|| {
        format!(
            "{} is not set: the pod needs the annotation {} and an env entry that refers to it",
            env::CONFIG,
            nodeapp_contract::CONFIG_ANNOTATION
        )
    })?;
    let text = text.to_str().ok_or_else(|| format!("{} is not UTF-8", env::CONFIG))?;
    let (config, unknown) = read(text).map_err(|error| format!("{} cannot be read: {error}", env::CONFIG))?;
    if !unknown.is_empty() {
        say!(
            "the configuration is of a newer operator; this runner knows nothing of {}, and leaves it out",
            unknown.join(", ")
        );
    }
    check(&config).map_err(|problem| format!("{}: {problem}", env::CONFIG))?;
    Ok(config)
}

/// So many unknown fields are told by name.
const MOST_TOLD: usize = 20;

/// Reads the text; also the paths of fields that are not known here.
fn read(text: &str) -> Result<(RunnerConfig, Vec<String>), serde_json::Error> {
    let mut unknown = vec![];
    let mut json = serde_json::Deserializer::from_slice(text.as_bytes());
    let config = serde_ignored::deserialize(&mut json, |path| {
        if unknown.len() < MOST_TOLD {
            unknown.push(path.to_string());
        }
    })?;
    json.end()?;
    Ok((config, unknown))
}

fn check(config: &RunnerConfig) -> Result<(), String> {
    match &config.launch {
        Launch::Script { script, .. } if script.is_empty() => return Err("launch.script is empty".into()),
        Launch::Command { argv } if argv.first().is_none_or(String::is_empty) => {
            return Err("launch.command names no program".into());
        }
        _ => {}
    }
    if config.name.is_empty() || config.name.contains('/') {
        return Err(format!("name {:?} is no name", config.name));
    }
    if signals::by_name(&config.stop.kill_signal).is_none() {
        return Err(format!(
            "stop.killSignal {:?} is no signal name such as SIGINT",
            config.stop.kill_signal
        ));
    }
    if config.port == Some(0) {
        return Err("port is 0".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_env(json: &str) -> Result<RunnerConfig, String> {
        config(&Env::from([(env::CONFIG.into(), json.into())]))
    }

    #[test]
    fn a_config_that_cannot_be_used_says_what_is_wrong() {
        assert!(config(&Env::new()).unwrap_err().contains("nodeapp.dev/runner-config"));
        for (json, part) in [
            ("{", "cannot be read"),
            (r#"{"name":"web"}"#, "launch"),
            (r#"{"name":"web","launch":{"script":{"script":""}}}"#, "launch.script is empty"),
            (r#"{"name":"web","launch":{"command":{"argv":[]}}}"#, "names no program"),
            (r#"{"name":"../web","launch":{"command":{"argv":["a"]}}}"#, "is no name"),
            (r#"{"name":"w","launch":{"command":{"argv":["a"]}},"stop":{"killSignal":"INT"}}"#, "SIGINT"),
            (r#"{"name":"w","launch":{"command":{"argv":["a"]}},"port":0}"#, "port is 0"),
        ] {
            let problem = from_env(json).unwrap_err();
            assert!(problem.contains(part), "{json}: {problem}");
        }
    }

    #[test]
    fn fields_of_a_newer_operator_are_named_and_those_of_an_older_one_get_defaults() {
        let json = r#"{"name":"w","launch":{"script":{"script":"a.js","sandbox":{"b":1}}},
                       "stop":{"treekill":true,"vote":"all"},"teleport":[1]}"#;
        let (config, unknown) = read(json).unwrap();
        assert_eq!(unknown, ["launch.sandbox", "stop.vote", "teleport"]);
        assert_eq!(config.stop, nodeapp_contract::config::StopPolicy::default());
        let whole = serde_json::to_string(&config).unwrap();
        assert_eq!(read(&whole).unwrap(), (config, vec![]));
        let many: Vec<String> = (0..100).map(|n| format!(r#","x{n}":1"#)).collect();
        let text = format!(r#"{{"name":"w","launch":{{"command":{{"argv":["a"]}}}}{}}}"#, many.concat());
        assert_eq!(read(&text).unwrap().1.len(), MOST_TOLD);
        assert!(read(&format!("{whole} x")).is_err(), "something follows");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,200}", cut in 0_usize..400) {
            let _ = read(&text);
            let whole = r#"{"name":"w","launch":{"script":{"script":"a.js"}},"stop":{"killSignal":"SIGINT"},
                            "restart":{"stopExitCodes":[1,2]},"log":{"format":"json"},"port":3000}"#;
            let cut = cut.min(whole.len());
            let broken = format!("{}{text}{}", &whole[..cut], &whole[cut..]);
            if let Ok((config, _)) = read(&broken) {
                let _ = check(&config);
            }
        }
    }

    #[test]
    fn the_paths_are_the_pods_unless_told_otherwise() {
        let settings = Settings::new(&Env::new()).unwrap();
        assert_eq!(settings.control_socket().to_str(), Some(paths::CONTROL_SOCKET));
        assert_eq!(settings.port(), RUNNER_PORT);
        let vars = Env::from([
            (env::RUN_DIR.into(), "/tmp/x".into()),
            (env::LISTEN.into(), "127.0.0.1:1234".into()),
        ]);
        let settings = Settings::new(&vars).unwrap();
        assert_eq!(settings.control_socket().to_str(), Some("/tmp/x/control.sock"));
        assert_eq!(settings.port(), 1234);
        assert!(Settings::new(&Env::from([(env::LISTEN.into(), "9615".into())])).is_err());
    }
}
