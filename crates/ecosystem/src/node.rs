//! The user's own Node.js, for files that the engine cannot evaluate. Nothing is
//! fenced here: the file does whatever it does under PM2.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::read::{Failure, Reading};

/// How long the user's Node.js may take: it starts, and the file may ask the network.
const PATIENCE: Duration = Duration::from_secs(30);

/// Loads a file under another number of CPUs and writes what it exports after a
/// line that no file writes by chance.
const SCRIPT: &str = r"
const [file, cpus, mark] = process.argv.slice(1);
const os = require('os');
const one = os.cpus()[0] || {};
os.cpus = () => Array.from({ length: Number(cpus) }, () => one);
os.availableParallelism = () => Number(cpus);
const write = (value) => {
  const plain = value && value.default && (value.__esModule || value[Symbol.toStringTag] === 'Module') ? value.default : value;
  const text = JSON.stringify(plain, (_, item) => typeof item === 'number' && !Number.isFinite(item) ? (item > 0 ? Number.MAX_VALUE : null) : item);
  require('fs').writeSync(1, '\n' + mark + (text === undefined ? 'null' : text) + '\n');
  process.exit(0);
};
process.argv = [process.argv[0], 'pm2', 'start', file];
if (file.endsWith('.mjs')) import(require('url').pathToFileURL(file)).then(write, (error) => { throw error; });
else write(require(file));
";

/// What the file exports on a machine with so many CPUs.
pub(crate) fn evaluate(file: &Path, cpus: u32, reading: &Reading<'_>) -> Result<Value, Failure> {
    let mark = format!("nodeapp-import-{}:", std::process::id());
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new("node");
    command.args(["-e", SCRIPT, "--"]).arg(file).arg(cpus.to_string()).arg(&mark);
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
        if started.elapsed() > PATIENCE {
            // It may have ended meanwhile; either way it is gone.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("takes longer than {} s in your Node.js", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: std::thread::JoinHandle<std::io::Result<String>>| {
        thread.join().ok().and_then(Result::ok).unwrap_or_default()
    };
    let (out, err) = (text(out), text(err));
    let found = out.lines().rev().find_map(|line| line.strip_prefix(&mark));
    if let Some(Ok(value)) = found.map(serde_json::from_str) {
        return Ok(value);
    }
    let console = err.lines().map(str::to_owned).collect();
    Err(Failure {
        message: format!("your Node.js could not load it ({status}); what it said is above"),
        console,
    })
}
