//! What becomes of rotated files: compression, and how many are kept.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::names::{Names, unfinished, zipped};

/// What becomes of a rotated file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) retain: usize,
    pub(super) compress: bool,
}

/// Compresses and deletes in a thread of its own, so that the main loop only
/// ever renames.
#[derive(Debug)]
pub(super) struct Archivist {
    work: Option<Sender<(Names, PathBuf)>>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
}

impl Archivist {
    pub(super) fn start(keep: Keep) -> io::Result<Self> {
        let (work, inbox) = channel();
        let (end, ended) = channel();
        std::thread::Builder::new().name("archive".into()).spawn(move || {
            serve(&inbox, keep);
            drop(end);
        })?;
        Ok(Self { work: Some(work), ended })
    }

    /// Takes a rotated file over.
    pub(super) fn take(&self, names: Names, path: PathBuf) {
        if let Some(work) = &self.work {
            let _ = work.send((names, path));
        }
    }

    /// Waits for the end of what has been taken over, for so long at most: what
    /// is not compressed by then is whole, and the next runner goes on with it.
    pub(super) fn finish(&mut self, patience: Duration) {
        self.work = None;
        let _ = self.ended.recv_timeout(patience);
    }
}

fn serve(inbox: &Receiver<(Names, PathBuf)>, keep: Keep) {
    for (names, path) in inbox {
        // First, since it makes room: on a full disk nothing can be compressed, and
        // where an app writes faster than this compresses, the oldest need not be.
        let pruned = names.prune(keep.retain);
        let zipped = if keep.compress && path.exists() { compress(&path) } else { Ok(()) };
        if let Err(error) = pruned.and(zipped) {
            crate::say::say!("{} cannot be archived: {error}; it stays as it is", path.display());
        }
    }
}

/// The plain file goes once the compressed one is whole.
fn compress(path: &Path) -> io::Result<()> {
    let temporary = unfinished(path);
    let plain = File::open(path)?;
    let mut encoder = GzEncoder::new(File::create(&temporary)?, Compression::default());
    let written = io::copy(&mut BufReader::new(&plain), &mut encoder)
        .and_then(|_| encoder.finish())
        // It is as old as its last line.
        .and_then(|file| file.set_modified(plain.metadata()?.modified()?))
        .and_then(|()| fs::rename(&temporary, zipped(path)));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::names;
    use super::*;

    fn archived(keep: Keep, names: &Names, paths: &[PathBuf]) {
        let mut archivist = Archivist::start(keep).unwrap();
        for path in paths {
            archivist.take(names.clone(), path.clone());
        }
        archivist.finish(Duration::from_secs(20));
    }

    /// A file whose end never comes.
    fn endless(path: &Path) {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }

    #[test]
    fn the_end_of_the_runner_does_not_wait_for_a_large_file() {
        let dir = tempfile::tempdir().unwrap();
        let names = names(dir.path(), "web-out");
        let path = names.rotated(100_000).unwrap();
        endless(&path);
        let mut archivist = Archivist::start(Keep { retain: 1, compress: true }).unwrap();
        archivist.take(names.clone(), path.clone());
        archivist.finish(Duration::from_millis(50));
        assert!(path.exists(), "it is left to the next runner");
        assert_eq!(names.plain().unwrap(), [path]);
    }

    fn written(names: &Names, seconds: &[u64]) -> Vec<PathBuf> {
        let write = |second: &u64| {
            let path = names.rotated(*second * 1_000).unwrap();
            fs::write(&path, "a line\n").unwrap();
            path
        };
        seconds.iter().map(write).collect()
    }

    #[test]
    fn what_cannot_be_compressed_still_makes_room_for_what_comes() {
        let dir = tempfile::tempdir().unwrap();
        let names = names(dir.path(), "web-out");
        let paths = written(&names, &[100, 200]);
        // As on a full disk: nothing more can be written.
        fs::create_dir(unfinished(&paths[1])).unwrap();
        archived(Keep { retain: 1, compress: true }, &names, &paths[1..]);
        assert!(!paths[0].exists(), "the oldest is deleted");
        assert!(paths[1].exists(), "the newest stays as it is");
    }

    #[test]
    fn a_backlog_is_deleted_before_it_is_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let names = names(dir.path(), "web-out");
        let paths = written(&names, &[100, 200, 300]);
        // Whoever compresses this one waits for ever.
        fs::remove_file(&paths[0]).unwrap();
        endless(&paths[0]);
        archived(Keep { retain: 1, compress: true }, &names, &paths);
        let left: Vec<bool> = paths.iter().map(|path| path.exists() || zipped(path).exists()).collect();
        assert_eq!(left, [false, false, true]);
        assert!(zipped(&paths[2]).exists() && !paths[2].exists());
    }
}
