//! Output: standard output that may end early, files that are never lost.

use std::io::Write;
use std::path::Path;

/// Writes to standard output. A reader that has seen enough, such as head, is no failure.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The same of one line.
pub(crate) fn say(line: &str) {
    print(&format!("{line}\n"));
}

/// Writes a file and the folders above it; one that is there stays, unless told otherwise.
///
/// # Errors
/// When it is there already, or cannot be written.
pub(crate) fn write(path: &Path, text: &str, force: bool) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    match options.open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(format!("{} is there already; --force writes over it", path.display()))
        }
        Err(error) => Err(failed(error)),
    }
}
