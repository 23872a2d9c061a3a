//! Paths that the app or its log files are written to.

use nodeapp_contract::paths;
use serde_json::Value;

use super::Problems;
use crate::crd::NodeAppSpec;

/// Where the runner or the system lives.
const RESERVED: [&str; 4] = ["/nodeapp", "/proc", "/sys", "/dev"];

/// The directories that the app may write to.
pub(super) fn writable_paths(spec: &NodeAppSpec, problems: &mut Problems) -> Vec<String> {
    for (index, path) in spec.writable_paths.iter().enumerate() {
        let field = format!("spec.writablePaths[{index}]");
        let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(':');
        if !path.starts_with('/') || path.len() < 2 || path[1..].split('/').any(bad_part) {
            problems.add(&field, "must be an absolute path such as /app/cache, without . and .. and ':' and without / at the end");
        } else if path == "/tmp" {
            problems.add(&field, "/tmp is writable anyway; leave it out");
        } else if let Some(dir) = RESERVED.iter().find(|dir| is_under(path, dir)) {
            problems.add(&field, &format!("must not lie under {dir}, which is not the app's"));
        } else if spec.writable_paths[..index].contains(path) {
            problems.add(&field, &format!("{path} is there twice"));
        }
    }
    spec.writable_paths.clone()
}

/// No file at all, as PM2 writes it.
pub(super) const NO_FILE: &str = "/dev/null";

/// Absolute path of a log file, [`NO_FILE`] for none. A relative one starts at the
/// directory of the logs.
pub(super) fn log_path(field: &str, given: &str, spec: &NodeAppSpec, problems: &mut Problems) -> String {
    if given == NO_FILE {
        return given.to_owned();
    }
    let path = if given.starts_with('/') { given.to_owned() } else { format!("{}/{given}", paths::LOG_DIR) };
    let bad_part =
        |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(char::is_control);
    let writable =
        || [paths::LOG_DIR, "/tmp"].into_iter().chain(spec.writable_paths.iter().map(String::as_str));
    if path[1..].split('/').any(bad_part) {
        problems.add(
            field,
            "must be the path of a file such as app-out.log, without . and .. and without / at the end; \
             /dev/null for none",
        );
    } else if given == "NULL" {
        problems.add(field, "must be /dev/null for none");
    } else if writable().any(|dir| path == dir) {
        problems.add(field, &format!("{path} is a directory; name a file in it"));
    } else if let Some(mount) = mount_of(&path, spec).filter(|_| !writable().any(|dir| is_under(&path, dir)))
    {
        check_mount(field, &path, mount, spec, problems);
    } else if !writable().any(|dir| is_under(&path, dir)) {
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        problems.add(
            field,
            &format!(
                "{path} lies where nothing can be written; make it relative, so that it lies under {}, or add \
                 {dir} to writablePaths, or mount a volume there",
                paths::LOG_DIR
            ),
        );
    }
    path
}

/// The mount of the user's that a file lies in.
fn mount_of<'a>(path: &str, spec: &'a NodeAppSpec) -> Option<&'a Value> {
    let within = |mount: &&Value| {
        let dir = mount["mountPath"].as_str().map(|dir| dir.trim_end_matches('/'));
        dir.is_some_and(|dir| path != dir && is_under(path, dir))
    };
    spec.volume_mounts.iter().find(within)
}

/// Several pods would write, rotate and compress one and the same file.
fn check_mount(field: &str, path: &str, mount: &Value, spec: &NodeAppSpec, problems: &mut Problems) {
    let volumes = spec.pod.iter().flat_map(|pod| &pod.volumes);
    let mut volume = volumes.filter(|volume| volume["name"] == mount["name"]);
    let is_the_pods = volume.any(|volume| volume["emptyDir"].is_object() || volume["ephemeral"].is_object());
    if mount["readOnly"] == true {
        problems
            .add(field, &format!("{path} lies in a volume that is mounted readOnly; leave that out there"));
    } else if !is_the_pods && !mount["subPathExpr"].is_string() {
        problems.add(
            field,
            &format!(
                "{path} would be written by all pods; give the mount of its volume subPathExpr: $(NODEAPP_POD_NAME), \
                 so that each has a folder of its own"
            ),
        );
    }
}

fn is_under(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
