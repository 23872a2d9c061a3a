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
    for entry in walk.build() {
        let entry = entry.map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
        // A file may go while one looks.
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
///
/// # Errors
/// When a file cannot be read.
pub(super) fn packed(folder: &Path, files: &Files, changes: &Changes) -> Result<Vec<u8>, String> {
    let mut bytes = vec![];
    let line = |bytes: &mut Vec<u8>, value: &serde_json::Value| {
        bytes.extend_from_slice(value.to_string().as_bytes());
        bytes.push(b'\n');
    };
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
    for path in &changes.deleted {
        line(&mut bytes, &json!({"path": path, "deleted": true}));
    }
    line(&mut bytes, &json!({"end": true}));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        assert!(packed.contains("{\"deleted\":true,\"path\":\"lib/a.js\"}\n"), "{packed}");
        assert!(packed.ends_with("{\"end\":true}\n"), "{packed}");
    }
}
