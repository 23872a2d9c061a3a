//! Locks between processes, released by the kernel when their owner dies.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::sh;

/// Held as long as it lives.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

/// Takes the lock at `path`, waiting for another process that has it and saying so.
pub(crate) fn take(path: &Path, what: &str) -> Result<Lock> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        sh::say(&format!("  … waiting for another command that works on {what}"));
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(Lock(file))
}
