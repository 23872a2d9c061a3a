//! What the figures were measured on.

use std::process::Command;

use anyhow::Result;
use serde::Serialize;

use crate::{paths, sh};

/// Machine and versions, as the table says them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) memory: String,
    pub(crate) kernel: String,
    /// Programs of others that are in the figures, with their versions.
    pub(crate) programs: String,
    /// Runnable processes in the minute before the first row: what else the machine was doing.
    pub(crate) load: String,
}

impl Machine {
    /// The machine as it is before the first row.
    pub(crate) fn look(programs: String) -> Result<Self> {
        let one_line = |command: &mut Command| Ok::<_, anyhow::Error>(sh::output(command)?.trim().to_owned());
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kib: u64 = value(&read("/proc/meminfo"), "MemTotal")
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or_default();
        let mut git = Command::new("git");
        git.current_dir(paths::repo()).args(["describe", "--always", "--dirty", "--abbrev=7"]);
        Ok(Self {
            date: one_line(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?,
            commit: one_line(&mut git).unwrap_or_else(|_| "unknown".into()),
            cpu: format!("{cores} × {}", value(&read("/proc/cpuinfo"), "model name")),
            memory: format!("{} GiB", kib >> 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            programs,
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}
