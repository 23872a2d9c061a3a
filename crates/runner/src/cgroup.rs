//! What the kernel allows this container, and what it has killed in it.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory group of this container, of cgroup v2 or v1. Inside a container
/// the group is the root of what can be seen.
#[derive(Debug)]
pub(crate) struct Cgroup {
    /// Counts the kills.
    events: Option<PathBuf>,
    /// Holds the limit.
    limit: Option<PathBuf>,
    seen: Option<u64>,
}

impl Cgroup {
    pub(crate) fn find() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let all = candidates(&groups);
        let of = |file: fn(&Group) -> PathBuf, readable: fn(&str) -> bool| {
            let mut files = all.iter().map(file);
            files.find(|path| fs::read_to_string(path).is_ok_and(|text| readable(&text)))
        };
        let events = of(Group::events, |text| kills(text).is_some());
        let limit = of(Group::limit, |_| true);
        let seen = events.as_deref().and_then(read_kills);
        Self { events, limit, seen }
    }

    /// Whether there were out-of-memory kills since the last call.
    pub(crate) fn killed(&mut self) -> bool {
        let before = self.seen;
        self.seen = self.events.as_deref().and_then(read_kills);
        self.seen > before
    }

    /// The limit in bytes, read anew since a pod may be resized; `None` without one.
    pub(crate) fn limit(&self) -> Option<u64> {
        limit(&fs::read_to_string(self.limit.as_ref()?).ok()?)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Group {
    dir: PathBuf,
    unified: bool,
}

impl Group {
    fn events(&self) -> PathBuf {
        self.dir.join(if self.unified { "memory.events" } else { "memory.oom_control" })
    }

    fn limit(&self) -> PathBuf {
        self.dir.join(if self.unified { "memory.max" } else { "memory.limit_in_bytes" })
    }
}

fn candidates(groups: &str) -> Vec<Group> {
    let unified_root = Path::new("/sys/fs/cgroup");
    let mut found = vec![];
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let relative = path.trim_start_matches('/');
        if controllers.is_empty() {
            found.push(Group { dir: unified_root.join(relative), unified: true });
        } else if controllers.split(',').any(|name| name == "memory") {
            found.push(Group { dir: unified_root.join("memory").join(relative), unified: false });
        }
    }
    found.push(Group { dir: unified_root.into(), unified: true });
    found.push(Group { dir: unified_root.join("memory"), unified: false });
    found
}

fn read_kills(path: &Path) -> Option<u64> {
    kills(&fs::read_to_string(path).ok()?)
}

fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Cgroup v2 says `max` for none, v1 a number near the greatest there is.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_read_from_both_generations_of_cgroups() {
        assert_eq!(kills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn limits_are_read_from_both_generations_of_cgroups() {
        assert_eq!(limit("536870912\n"), Some(536_870_912));
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None, "no limit in v1");
    }

    #[test]
    fn the_own_group_is_looked_for_first() {
        let groups = candidates("4:memory:/a/b\n2:cpu,cpuacct:/\n0::/c\n");
        assert_eq!(groups[0].events(), Path::new("/sys/fs/cgroup/memory/a/b/memory.oom_control"));
        assert_eq!(groups[0].limit(), Path::new("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes"));
        assert_eq!(groups[1].events(), Path::new("/sys/fs/cgroup/c/memory.events"));
        assert_eq!(groups[1].limit(), Path::new("/sys/fs/cgroup/c/memory.max"));
        assert_eq!(groups.len(), 4);
    }
}
