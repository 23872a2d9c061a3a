//! `nodeapp-runner install DIR`: what the init container does.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::preload;

/// Puts the runner and its preload script into `dir`.
pub(crate) fn install(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let own = fs::read("/proc/self/exe")?;
    place(&dir.join("nodeapp-runner"), &own, 0o755)?;
    place(&dir.join("preload.cjs"), preload::SCRIPT.as_bytes(), 0o644)
}

/// Whole or not at all: the file may be in use when an init container runs again.
fn place(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, bytes)?;
    fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
    fs::rename(temporary, path)
}
