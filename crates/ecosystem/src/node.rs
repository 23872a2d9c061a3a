//! The user's own Node.js, for files that the engine cannot evaluate. Nothing is
//! fenced here: the file does whatever it does under PM2.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::read::{Failure, Reading, without_excerpt};

/// How long the user's Node.js may take for each machine: it starts, and the file may ask the network.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Loads a file under another number of CPUs and writes what it exports, or what is
/// wrong with it, after a line that no file writes by chance. What it looks at of the
/// environment and of the machine is noted as the engine does; Node.js looks too,
/// which does not count.
const SCRIPT: &str = r"
const [file, cpus, mark, profile] = process.argv.slice(1);
const os = require('os');
const asked = new Set(), looked = new Set(), assigned = new Set();
const byNode = () => {
  const caller = (new Error().stack || '').split('\n').slice(3).find((line) => !line.includes('(<anonymous>)'));
  return Boolean(caller) && /\(?node:/.test(caller);
};
process.env = new Proxy({ ...process.env }, {
  get(all, name) {
    if (typeof name === 'string' && !byNode()) looked.add(name);
    return all[name];
  },
  has(all, name) {
    if (!byNode()) looked.add(String(name));
    return name in all;
  },
  set(all, name, value) {
    assigned.add(name);
    all[name] = String(value);
    return true;
  },
  ownKeys(all) {
    if (!byNode()) asked.add('process.env as a whole');
    return Reflect.ownKeys(all);
  },
});
const one = os.cpus()[0] || {};
os.cpus = () => Array.from({ length: Number(cpus) }, () => one);
os.availableParallelism = () => Number(cpus);
for (const name of ['homedir', 'hostname', 'totalmem', 'freemem', 'release', 'uptime', 'loadavg', 'networkInterfaces', 'userInfo']) {
  const real = os[name];
  os[name] = (...words) => {
    asked.add(`os.${name}()`);
    return real(...words);
  };
}
require('module').syncBuiltinESMExports();
const say = (told) => {
  require('fs').writeSync(1, '\n' + mark + JSON.stringify(told) + '\n');
  process.exit(0);
};
const plain = (_, item) => typeof item === 'number' && !Number.isFinite(item) ? (item > 0 ? Number.MAX_VALUE : null) : item;
const write = (value) => {
  const inner = value && value.default && (value.__esModule || value[Symbol.toStringTag] === 'Module') ? value.default : value;
  const text = JSON.stringify(inner, plain);
  const variables = [...looked].filter((name) => !assigned.has(name));
  say({ value: text === undefined ? null : JSON.parse(text), asked: [...asked], variables });
};
// The stack of a syntax error begins with the place and then shows the line.
const fail = (error) => {
  const stack = String((error && error.stack) || '').split('\n');
  const first = /^(?:file:\/\/)?(\/[^:]+:\d+)$/.exec(stack[0]);
  const inner = stack.map((line) => /(?:\(|at |file:\/\/)(\/[^:()]+:\d+):\d+\)?$/.exec(line)).find(Boolean);
  const what = error instanceof Error ? `${error.name}: ${error.message}` : `the file throws: ${error}`;
  say({ place: (first || inner || [])[1], error: what });
};
process.argv = [process.argv[0], 'pm2', 'start', file, ...(profile ? ['--env', profile] : [])];
process.on('uncaughtException', fail);
try {
  if (file.endsWith('.mjs')) import(require('url').pathToFileURL(file)).then(write, fail);
  else write(require(file));
} catch (error) {
  fail(error);
}
";

/// What the script writes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    /// The file is wrong.
    Wrong { place: Option<String>, error: String },
    /// It exports something.
    Exports(Evaluated),
}

/// What came out.
#[derive(Deserialize)]
pub(crate) struct Evaluated {
    /// What the file exports.
    pub(crate) value: Value,
    /// What it asked about the machine.
    pub(crate) asked: Vec<String>,
    /// Variables that it looked at.
    pub(crate) variables: Vec<String>,
}

/// What the file exports on a machine with so many CPUs.
pub(crate) fn evaluate(file: &Path, cpus: u32, reading: &Reading<'_>) -> Result<Evaluated, Failure> {
    let mark = format!("nodeapp-import-{}:", std::process::id());
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new("node");
    command.args(["-e", SCRIPT, "--"]).arg(file).arg(cpus.to_string()).arg(&mark).args(reading.profile);
    command.current_dir(folder).env_clear().envs(reading.env);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot run node: {error}; install Node.js, or leave --use-node out"))?;
    let mut out = child.stdout.take().expect("it is piped");
    let mut err = child.stderr.take().expect("it is piped");
    let out = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let err = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if started.elapsed() > reading.time_limit {
            // It may have ended meanwhile; either way it is gone.
            let _ = child.kill();
            let _ = child.wait();
            return Err(
                format!("takes longer than {} s in your Node.js", reading.time_limit.as_secs()).into()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: std::thread::JoinHandle<std::io::Result<String>>| {
        thread.join().ok().and_then(Result::ok).unwrap_or_default()
    };
    let (out, err) = (text(out), text(err));
    let told = out.lines().rev().find_map(|line| line.strip_prefix(&mark));
    match told.and_then(|told| serde_json::from_str(told).ok()) {
        Some(Told::Exports(evaluated)) => Ok(evaluated),
        Some(Told::Wrong { place, error }) => {
            let place = place.map(|place| short(&place, folder) + ": ").unwrap_or_default();
            let console = err.lines().map(str::to_owned).collect();
            Err(Failure { message: place + &without_excerpt(&error), console })
        }
        // Node.js shows the line of the file that it ended at, and what is in it.
        None => Err(Failure {
            message: format!("your Node.js could not load it ({status}){}", said(&err)),
            console: Vec::new(),
        }),
    }
}

/// A place below a folder as who wrote the file knows it.
fn short(place: &str, folder: &Path) -> String {
    let folder = format!("{}/", folder.display());
    place.strip_prefix(&folder).unwrap_or(place).to_owned()
}

/// The kind of the error among what Node.js said.
fn said(err: &str) -> String {
    let is_kind = |line: &&str| {
        line.split(':').next().is_some_and(|kind| kind.ends_with("Error") && !kind.contains(' '))
    };
    err.lines().find(is_kind).map(|line| format!(": {}", without_excerpt(line))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_file_that_never_ends_is_stopped_and_told() {
        if Command::new("node").arg("--version").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "Node.js is missing");
            eprintln!("skipped: no Node.js here");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let env: BTreeMap<String, String> =
            [("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())].into();
        let reading = Reading {
            env: &env,
            profile: None,
            root: None,
            use_node: true,
            time_limit: Duration::from_secs(1),
        };
        // The second holds the event loop open, in a module that is awaited.
        for (name, text) in [
            ("ecosystem.config.js", "for (;;) {}"),
            ("ecosystem.config.mjs", "await new Promise(() => setInterval(() => {}, 1000))"),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            let told = evaluate(&file, 4, &reading).err().map(|failure| failure.message);
            assert_eq!(told.as_deref(), Some("takes longer than 1 s in your Node.js"), "{text}");
        }
    }
}
