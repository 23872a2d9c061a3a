//! The memory line, and the kernel's count of out-of-memory kills.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nodeapp_contract::config::MemoryPolicy;

use crate::machine::Now;

/// The tree is measured this often.
pub(crate) const PERIOD: Duration = Duration::from_millis(250);

/// Whether the process tree has passed its line for long enough.
#[derive(Debug)]
pub(crate) struct MemoryWatch {
    policy: MemoryPolicy,
    next: Now,
    above_since: Option<Now>,
}

impl MemoryWatch {
    pub(crate) fn new(policy: MemoryPolicy) -> Self {
        Self { policy, next: Duration::ZERO, above_since: None }
    }

    /// When the tree has to be measured again.
    pub(crate) fn next(&self) -> Now {
        self.next
    }

    /// A new process has started.
    pub(crate) fn reset(&mut self) {
        self.above_since = None;
    }

    /// Takes a measurement; says why the process has to go, if it has to.
    pub(crate) fn measured(&mut self, now: Now, rss: u64) -> Option<String> {
        self.next = now.saturating_add(PERIOD);
        if rss <= self.policy.max_rss {
            self.above_since = None;
            return None;
        }
        let since = *self.above_since.get_or_insert(now);
        let above = now.saturating_sub(since);
        (above >= self.policy.confirm.into()).then(|| {
            self.above_since = None;
            let mib = |bytes: u64| bytes.div_ceil(1024 * 1024);
            format!(
                "its memory of {} MiB has been above maxMemoryRestart ({} MiB) for {} ms",
                mib(rss),
                mib(self.policy.max_rss),
                above.as_millis()
            )
        })
    }
}

/// Where the kernel counts the kills of this container.
#[derive(Debug)]
pub(crate) struct OomCounter {
    files: Vec<PathBuf>,
    seen: Option<u64>,
}

impl OomCounter {
    /// Looks for the counter of cgroup v2, then v1; inside a container the
    /// group is the root of what can be seen.
    pub(crate) fn find() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut files = candidates(&groups);
        files.retain(|path| read(path).is_some());
        files.truncate(1);
        let seen = files.first().and_then(|path| read(path));
        Self { files, seen }
    }

    /// Whether there were kills since the last call.
    pub(crate) fn take(&mut self) -> bool {
        let before = self.seen;
        self.seen = self.files.first().and_then(|path| read(path));
        self.seen > before
    }
}

fn candidates(groups: &str) -> Vec<PathBuf> {
    let mut files = vec![];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let relative = path.trim_start_matches('/');
        if controllers.is_empty() {
            files.push(Path::new("/sys/fs/cgroup").join(relative).join("memory.events"));
        } else if controllers.split(',').any(|name| name == "memory") {
            files.push(Path::new("/sys/fs/cgroup/memory").join(relative).join("memory.oom_control"));
        }
    }
    files.push("/sys/fs/cgroup/memory.events".into());
    files.push("/sys/fs/cgroup/memory/memory.oom_control".into());
    files
}

fn read(path: &Path) -> Option<u64> {
    kills(&fs::read_to_string(path).ok()?)
}

fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::config::Millis;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn watch() -> MemoryWatch {
        MemoryWatch::new(MemoryPolicy { max_rss: 100 * MIB, confirm: Millis(1_000), heap_snapshot: false })
    }

    #[test]
    fn only_what_stays_above_the_line_counts() {
        let mut watch = watch();
        assert_eq!(watch.measured(ms(0), 101 * MIB), None);
        assert_eq!(watch.measured(ms(750), 101 * MIB), None);
        assert_eq!(watch.measured(ms(900), 100 * MIB), None, "at the line is not above it");
        assert_eq!(watch.measured(ms(1_000), 150 * MIB), None);
        assert_eq!(watch.next(), ms(1_250));
        let why = watch.measured(ms(2_000), 150 * MIB).unwrap();
        assert_eq!(why, "its memory of 150 MiB has been above maxMemoryRestart (100 MiB) for 1000 ms");
    }

    #[test]
    fn a_new_process_starts_below_the_line() {
        let mut watch = watch();
        watch.measured(ms(0), 101 * MIB);
        watch.reset();
        assert_eq!(watch.measured(ms(1_000), 101 * MIB), None);
    }

    #[test]
    fn kills_are_read_from_both_generations_of_cgroups() {
        assert_eq!(kills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn the_counter_is_looked_for_in_the_own_group_first() {
        let files = candidates("4:memory:/a/b\n2:cpu,cpuacct:/\n0::/c\n");
        assert_eq!(files[0], Path::new("/sys/fs/cgroup/memory/a/b/memory.oom_control"));
        assert_eq!(files[1], Path::new("/sys/fs/cgroup/c/memory.events"));
        assert_eq!(files.len(), 4);
    }
}
