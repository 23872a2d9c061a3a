//! Control groups, which find every process of a cluster: daemons are born into
//! `nodeapp-<name>/system/<component>`, the kubelets put their pods below `nodeapp-<name>/node-<n>`. Membership
//! is inherited and cannot be left by accident, so nothing is ever ended by its name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

const ROOT: &str = "/sys/fs/cgroup";
/// How long processes may take to die of SIGKILL before `down` gives up and names them.
const DEATH: Duration = Duration::from_secs(30);

/// The groups of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    name: String,
}

impl Groups {
    pub(crate) fn new(name: String) -> Self {
        Self { name }
    }

    /// The group a daemon is born into. Its `cgroup.procs` takes process ids.
    pub(crate) fn of_component(&self, component: &str) -> PathBuf {
        tracking().join(&self.name).join("system").join(component)
    }

    /// Makes the group of a daemon.
    pub(crate) fn create_component(&self, component: &str) -> Result<PathBuf> {
        let group = self.of_component(component);
        fs::create_dir_all(&group)
            .with_context(|| format!("cannot make the control group {}", group.display()))?;
        Ok(group)
    }

    /// Whether anything of the cluster is there, alive or not.
    pub(crate) fn exist(&self) -> bool {
        hierarchies().iter().any(|hierarchy| hierarchy.join(&self.name).is_dir())
    }

    /// The process ids in a daemon's group.
    pub(crate) fn members(&self, component: &str) -> Vec<i32> {
        processes(&self.of_component(component))
    }

    /// How many processes the cluster has, pods included.
    pub(crate) fn count(&self) -> usize {
        self.everything().len()
    }

    /// Ends one daemon and all it started.
    pub(crate) fn kill_component(&self, component: &str) -> Result<()> {
        kill(|| processes(&self.of_component(component)))
    }

    /// Ends every process of the pods of a node, whose group below the hierarchy's root is given.
    pub(crate) fn kill_pods(pods_group: &str) -> Result<()> {
        kill(|| tree(&tracking().join(pods_group)))
    }

    /// Ends every process of the cluster and removes its groups.
    pub(crate) fn destroy(&self) -> Result<()> {
        kill(|| self.everything())?;
        for hierarchy in hierarchies() {
            remove(&hierarchy.join(&self.name))?;
        }
        Ok(())
    }

    fn everything(&self) -> Vec<i32> {
        tree(&tracking().join(&self.name))
    }
}

/// Makes a group in every hierarchy, since the kubelet wants its `cgroupRoot` in each. `path` is relative.
pub(crate) fn create(path: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        let mut level = hierarchy.clone();
        for part in path.split('/') {
            let parent = level.clone();
            level.push(part);
            fs::create_dir_all(&level)
                .with_context(|| format!("cannot make the control group {}", level.display()))?;
            inherit_processors(&parent, &level)?;
            hand_down_controllers(&parent);
        }
    }
    Ok(())
}

/// Version 1 refuses processes in a cpuset that names no processor.
fn inherit_processors(parent: &Path, group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // Version 2 has no `tasks`, and its empty cpuset means that of the parent.
        if group.join("tasks").exists()
            && let Ok(value) = fs::read(parent.join(file))
        {
            fs::write(group.join(file), value)
                .with_context(|| format!("cannot set {file} of the control group {}", group.display()))?;
        }
    }
    Ok(())
}

/// Version 2: each level must hand its controllers down before the kubelet can use them below.
fn hand_down_controllers(group: &Path) {
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        // One that cannot be handed down is missed by the kubelet, which then names it.
        let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Version 2 has one hierarchy; version 1 one per controller, and perhaps one of version 2 beside them.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if unified(root) {
        return vec![root.into()];
    }
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    entries
        .flatten()
        // Links are second names of the same hierarchy, as `cpu` for `cpu,cpuacct`.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .collect()
}

/// The hierarchy the daemons are found in. `pids` limits nothing unless asked to.
fn tracking() -> PathBuf {
    let root = Path::new(ROOT);
    if unified(root) { root.into() } else { root.join("pids") }
}

fn unified(root: &Path) -> bool {
    root.join("cgroup.controllers").exists()
}

fn processes(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|id| !is_zombie(*id)).collect()
}

/// Version 1 lists the dead that nobody has waited for.
fn is_zombie(id: i32) -> bool {
    fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn tree(group: &Path) -> Vec<i32> {
    let mut all = processes(group);
    for child in children(group) {
        all.extend(tree(&child));
    }
    all
}

fn children(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|e| e.path())
        .collect()
}

/// Ends the listed processes until the list stays empty, since they may start others meanwhile.
fn kill(list: impl Fn() -> Vec<i32>) -> Result<()> {
    let started = Instant::now();
    loop {
        let found = list();
        if found.is_empty() {
            return Ok(());
        }
        // A descriptor stands for the process that has the number now. Those still listed once it is open are ours,
        // whoever gets the number later.
        let open: Vec<_> = found
            .iter()
            .filter_map(|id| Some((*id, pidfd_open(Pid::from_raw(*id)?, PidfdFlags::empty()).ok()?)))
            .collect();
        let still = list();
        for (id, descriptor) in &open {
            if still.contains(id) {
                let _ = pidfd_send_signal(descriptor, Signal::KILL);
            }
        }
        if started.elapsed() > DEATH {
            bail!(
                "processes {found:?} do not die of SIGKILL; look at /proc/<id>/stack, then run `down` again"
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Removes a group and those below. The kernel may hold one busy for a moment after its last process.
fn remove(group: &Path) -> Result<()> {
    for child in children(group) {
        remove(&child)?;
    }
    let started = Instant::now();
    loop {
        match fs::remove_dir(group) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if started.elapsed() > DEATH => {
                return Err(error)
                    .with_context(|| format!("cannot remove the control group {}", group.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(dir: &Path, name: &str, processes: &str) -> PathBuf {
        let group = dir.join(name);
        fs::create_dir_all(&group).expect("made");
        fs::write(group.join("cgroup.procs"), processes).expect("written");
        group
    }

    #[test]
    fn processes_of_pods_are_found_below_the_cluster() {
        let dir = tempfile::tempdir().expect("folder");
        let root = group(dir.path(), "nodeapp-dev", "");
        group(&root, "system", "11\n");
        group(&root, "node-1/kubepods/besteffort/pod1", "12\n13\n");
        let mut found = tree(&root);
        found.sort_unstable();
        assert_eq!(found, [11, 12, 13]);
    }

    #[test]
    fn killing_ends_exactly_the_listed_process() {
        let mut victim = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
        let mut other = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
        let id = i32::try_from(victim.id()).expect("fits");
        kill(|| if is_zombie(id) { Vec::new() } else { vec![id] }).expect("killed");
        assert!(other.try_wait().expect("state").is_none(), "the other one lives");
        other.kill().expect("killed");
        other.wait().expect("ended");
        victim.wait().expect("ended");
    }
}
