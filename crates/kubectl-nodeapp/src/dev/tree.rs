//! A folder here, what has changed in it, and how that travels.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use ignore::WalkBuilder;
use serde_json::json;

/// More than this is no source code.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The files of a folder, by their paths with `/`.
pub(super) type Files = BTreeMap<String, File>;

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    size: u64,
    changed: Option<SystemTime>,
    mode: u32,
}

/// What differs between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) written: Vec<String>,
    pub(super) deleted: Vec<String>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty() && self.deleted.is_empty()
    }

    /// In a few words.
    pub(super) fn told(&self) -> String {
        let all: Vec<&str> = self.written.iter().chain(&self.deleted).map(String::as_str).collect();
        let more = if all.len() > 3 { format!(", … ({} files)", all.len()) } else { String::new() };
        format!("{}{more}", all.iter().take(3).copied().collect::<Vec<_>>().join(", "))
    }
}

/// What is in the folder now. As PM2's watch: no `node_modules`, nothing that begins with a dot; nothing of .gitignore
/// either.
///
/// # Errors
/// When it cannot be read, or is larger than source code is.
pub(super) fn look(folder: &Path) -> Result<Files, String> {
    let mut files = Files::new();
    let mut sum = 0;
    let mut walk = WalkBuilder::new(folder);
    walk.require_git(false).filter_entry(|entry| entry.file_name() != "node_modules");
    let failed = |error: &ignore::Error| format!("cannot read {}: {error}", folder.display());
    for entry in walk.build() {
        // A file or a folder may go while one looks, but for the one that is looked at.
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_gone(&error) && folder.is_dir() => continue,
            Err(error) => return Err(failed(&error)),
        };
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(path) = entry.path().strip_prefix(folder) else { continue };
        if !metadata.is_file() {
            continue;
        }
        sum += metadata.len();
        if sum > LARGEST {
            return Err(format!(
                "{} has more than {} MiB besides node_modules; keep what is no source in .gitignore or .ignore",
                folder.display(),
                LARGEST >> 20
            ));
        }
        let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
        let Some(parts) = parts else { continue };
        let file = File { size: metadata.len(), changed: metadata.modified().ok(), mode: mode(&metadata) };
        files.insert(parts.join("/"), file);
    }
    Ok(files)
}

fn is_gone(error: &ignore::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    error.io_error().is_some_and(|error| [NotFound, NotADirectory].contains(&error.kind()))
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> u32 {
    0o644
}

/// What has to be done elsewhere.
pub(super) fn changes(before: &Files, now: &Files) -> Changes {
    Changes {
        written: now
            .iter()
            .filter(|(path, file)| before.get(*path) != Some(file))
            .map(|(path, _)| path.clone())
            .collect(),
        deleted: before.keys().filter(|path| !now.contains_key(*path)).cloned().collect(),
    }
}

/// The changes as [`super::RECEIVER`] reads them: a line of JSON for each file, then its bytes, then a line for the end.
/// What is deleted comes first, since a folder may be where a file was.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn packed(folder: &Path, files: &Files, changes: &Changes) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let line = |bytes: &mut Vec<u8>, value: &serde_json::Value| {
        bytes.extend_from_slice(value.to_string().as_bytes());
        bytes.push(b'\n');
    };
    for path in &changes.deleted {
        line(&mut bytes, &json!({"path": path, "deleted": true}));
    }
    for path in &changes.written {
        let content = match std::fs::read(folder.join(path)) {
            Ok(content) => content,
            // The next look tells that it is gone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("cannot read {path}: {error}")),
        };
        let mode = files.get(path).map_or(0o644, |file| file.mode);
        line(&mut bytes, &json!({"path": path, "size": content.len(), "mode": mode}));
        bytes.extend_from_slice(&content);
    }
    line(&mut bytes, &json!({"end": true}));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_source_travels_and_only_what_has_changed() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        for path in ["app.js", "lib/a.js", "node_modules/x/index.js", ".git/HEAD", ".env", "dist/out.js"] {
            write(path, "one");
        }
        write(".gitignore", "dist\n");
        let before = look(dir.path()).expect("files");
        assert_eq!(before.keys().collect::<Vec<_>>(), ["app.js", "lib/a.js"]);
        assert!(changes(&before, &look(dir.path()).expect("files")).is_empty());

        write("app.js", "another");
        write("lib/b.js", "new");
        fs::remove_file(dir.path().join("lib/a.js")).expect("it goes");
        let now = look(dir.path()).expect("files");
        let changes = changes(&before, &now);
        assert_eq!(
            (&*changes.written, &*changes.deleted),
            (&["app.js", "lib/b.js"].map(String::from)[..], &["lib/a.js".to_owned()][..])
        );
        assert_eq!(changes.told(), "app.js, lib/b.js, lib/a.js");

        let packed = String::from_utf8(packed(dir.path(), &now, &changes).expect("bytes")).expect("text");
        assert!(packed.contains("\"size\":7}\nanother{"), "{packed}");
        assert!(packed.starts_with("{\"deleted\":true,\"path\":\"lib/a.js\"}\n"), "{packed}");
        assert!(packed.ends_with("{\"end\":true}\n"), "{packed}");
    }

    #[test]
    fn folders_that_come_and_go_while_one_looks_are_no_failure_and_the_folder_itself_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("app");
        fs::create_dir(&root).expect("a folder");
        fs::write(root.join("app.js"), "one").expect("a file");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    for name in ["a", "b", "c", "d"] {
                        let _ = fs::create_dir_all(root.join(name).join("deep/deeper"));
                    }
                    for name in ["a", "b", "c", "d"] {
                        let _ = fs::remove_dir_all(root.join(name));
                    }
                }
            });
            let looks: Vec<_> = (0..3_000).map(|_| look(&root)).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            for files in looks {
                assert!(files.expect("files").contains_key("app.js"));
            }
        });
        fs::remove_dir_all(&root).expect("it goes");
        assert!(look(&root).is_err_and(|error| error.contains("cannot read")));
    }

    /// Has the receiver take what has become of a folder, in one go.
    fn passed(from: &Path, to: &Path, before: &Files) -> Files {
        let now = look(from).expect("files");
        let bytes = packed(from, &now, &changes(before, &now)).expect("bytes");
        let mut node = Command::new("node")
            .args(["-e", super::super::RECEIVER, &to.display().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node");
        node.stdin.take().expect("an input").write_all(&bytes).expect("it reads");
        let said = node.wait_with_output().expect("it ends");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        now
    }

    #[test]
    fn what_was_a_file_may_be_a_folder_now_and_the_other_way_round() {
        let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let write = |path: &str| {
            let path = here.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        };
        let remove = |path: &str| {
            let path = here.path().join(path);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it goes");
        };
        let all = |folder: &Path| look(folder).expect("files").into_keys().collect::<Vec<_>>();
        let nothing = Files::new();

        write("util.js");
        write("lib/deep/a.js");
        let first = passed(here.path(), there.path(), &nothing);
        remove("util.js");
        remove("lib");
        write("util.js/index.js");
        write("lib");
        let second = passed(here.path(), there.path(), &first);
        assert_eq!(all(there.path()), ["lib", "util.js/index.js"]);
        // The same once more, as after a connection that broke, and all of it, as after a new start.
        passed(here.path(), there.path(), &first);
        passed(here.path(), there.path(), &nothing);
        assert_eq!(all(there.path()), ["lib", "util.js/index.js"]);

        remove("util.js");
        passed(here.path(), there.path(), &second);
        assert!(!there.path().join("util.js").exists(), "an empty folder stays");

        let outside = Changes { written: vec![], deleted: vec!["../outside".to_owned()] };
        let bytes = packed(here.path(), &nothing, &outside).expect("bytes");
        let mut receiver = Command::new("node");
        receiver
            .args(["-e", super::super::RECEIVER, &there.path().display().to_string()])
            .stdin(Stdio::piped());
        let mut receiver = receiver.stderr(Stdio::piped()).spawn().expect("node");
        let _ = receiver.stdin.take().expect("an input").write_all(&bytes);
        let said = receiver.wait_with_output().expect("it ends");
        assert!(String::from_utf8_lossy(&said.stderr).contains("is outside of"), "{said:?}");
    }
}
