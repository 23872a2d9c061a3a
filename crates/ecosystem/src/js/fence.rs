//! What a configuration may read: files below one folder, links followed first.

use std::fs;
use std::path::{Path, PathBuf};

/// The largest file that is read. Configurations have kilobytes; the dump of a
/// host with hundreds of processes still fits.
pub const LARGEST_FILE: u64 = 8 << 20;

/// The folder that reading stays in.
#[derive(Clone, Debug)]
pub struct Fence {
    root: PathBuf,
}

/// Why something is not read.
pub type Refusal = String;

impl Fence {
    /// A fence around a folder.
    ///
    /// # Errors
    /// When the folder cannot be found.
    pub fn around(root: &Path) -> Result<Self, Refusal> {
        let found = root.canonicalize().map_err(|error| format!("{}: {}", root.display(), why(&error)))?;
        Ok(Self { root: found })
    }

    /// The folder, without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file or folder that a path leads to, which lies inside.
    ///
    /// # Errors
    /// When it is not there, or lies outside.
    pub fn inside(&self, path: &Path) -> Result<PathBuf, Refusal> {
        // Told before the path is looked at: what exists outside is nobody's business.
        let outside = || {
            format!(
                "{} lies outside {}, and nothing else is read; widen it with --root DIR, or use --use-node",
                path.display(),
                self.root.display()
            )
        };
        match path.canonicalize() {
            Ok(found) if found.starts_with(&self.root) => Ok(found),
            Ok(_) => Err(outside()),
            Err(_) if !path.starts_with(&self.root) => Err(outside()),
            Err(error) => Err(format!("{}: {}", self.short(path), why(&error))),
        }
    }

    /// What a path leads to, if that lies inside: `file` or `dir`.
    pub fn kind(&self, path: &Path) -> Option<&'static str> {
        let found = self.inside(path).ok()?;
        if found.is_file() { Some("file") } else { found.is_dir().then_some("dir") }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// When it lies outside, is no ordinary file, is too large or is no text.
    pub fn read(&self, path: &Path) -> Result<String, Refusal> {
        let found = self.inside(path)?;
        read_text(&found, &self.short(path))
    }

    /// Names in a folder, sorted.
    ///
    /// # Errors
    /// When it lies outside or cannot be listed.
    pub fn list(&self, path: &Path) -> Result<Vec<String>, Refusal> {
        let found = self.inside(path)?;
        let entries =
            fs::read_dir(found).map_err(|error| format!("{}: {}", self.short(path), why(&error)))?;
        let mut names: Vec<_> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// A path as a reader of messages knows it: relative to the folder.
    pub fn short(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The text of an ordinary file of decent size.
///
/// # Errors
/// What is wrong with it, beginning with `name`.
pub fn read_text(path: &Path, name: &str) -> Result<String, Refusal> {
    let about = fs::metadata(path).map_err(|error| format!("{name}: {}", why(&error)))?;
    if about.is_dir() {
        return Err(format!("{name} is a folder; name the file in it, such as {name}/ecosystem.config.js"));
    }
    if !about.is_file() {
        return Err(format!("{name} is no ordinary file"));
    }
    if about.len() > LARGEST_FILE {
        return Err(format!(
            "{name} has {} MB, and a configuration has at most {} MB; is it the right file?",
            about.len() >> 20,
            LARGEST_FILE >> 20
        ));
    }
    let bytes = fs::read(path).map_err(|error| format!("{name}: {}", why(&error)))?;
    String::from_utf8(bytes).map_err(|_| format!("{name} is no UTF-8 text; is it the right file?"))
}

/// An error of the system in words without its number.
pub fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        std::io::ErrorKind::PermissionDenied => "you have no right to read it".to_owned(),
        _ if error.raw_os_error() == Some(40) => "its links lead in a circle".to_owned(),
        _ => error.to_string(),
    }
}
