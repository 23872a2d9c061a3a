//! Heap snapshots and processor profiles: their files, and whether there is room.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::machine::Now;

const MIB: u64 = 1024 * 1024;
/// While V8 writes a snapshot it needs about twice the heap on top of it.
const MEMORY_PER_HEAP: u64 = 2;
/// A snapshot is up to three times as long as the heap it shows.
const DISK_PER_HEAP: u64 = 3;
/// And some room for everybody else.
const SPARE: u64 = 16 * MIB;
/// Time in which a snapshot is to be written.
const SNAPSHOT_TIME: Duration = Duration::from_mins(1);
/// Time for a profile beyond its own.
const PROFILE_TIME: Duration = Duration::from_secs(30);
/// What a file is called until it is whole.
const PART: &str = "part";

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everything on V8's heap; the app does nothing else meanwhile.
    Heap,
    /// Where the processor's time goes, over this time.
    Processor(Duration),
}

impl Kind {
    fn extension(self) -> &'static str {
        match self {
            Self::Heap => "heapsnapshot",
            Self::Processor(_) => "cpuprofile",
        }
    }

    /// Files kept, with the one to come.
    fn keep(self) -> usize {
        match self {
            Self::Heap => 2,
            Self::Processor(_) => 5,
        }
    }

    fn order(self, path: &Path) -> String {
        match self {
            Self::Heap => format!("heap-snapshot {}", path.display()),
            Self::Processor(time) => format!("cpu-profile {} {}", time.as_millis(), path.display()),
        }
    }

    fn time(self) -> Duration {
        match self {
            Self::Heap => SNAPSHOT_TIME,
            Self::Processor(time) => time.saturating_add(PROFILE_TIME),
        }
    }
}

/// Who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A client of the control socket.
    Client(u64),
    /// The restart for memory that follows, with its reason.
    Restart(String),
}

/// A file that is being written by the app's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) wanted: For,
    pub(crate) until: Now,
    path: PathBuf,
}

impl Job {
    /// Makes room for a file of this kind in `dir`.
    pub(crate) fn prepare(
        now: Now,
        dir: &Path,
        name: &str,
        at: u64,
        kind: Kind,
        wanted: For,
    ) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let path = dir.join(format!("{name}-{at}.{}", kind.extension()));
        prune(dir, kind.extension(), kind.keep() - 1)?;
        prune(dir, PART, 0)?;
        Ok(Self { kind, wanted, until: now.saturating_add(kind.time()), path })
    }

    /// The order for the preload.
    pub(crate) fn order(&self) -> String {
        self.kind.order(&self.part())
    }

    /// The name until the file is whole.
    fn part(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".");
        name.push(PART);
        name.into()
    }

    /// Whether an answer of the preload is about this file.
    pub(crate) fn is(&self, path: &str) -> bool {
        self.part() == Path::new(path)
    }

    /// The file is whole: its path and its size in bytes.
    pub(crate) fn finish(&self) -> io::Result<(PathBuf, u64)> {
        let size = fs::metadata(self.part())?.len();
        fs::rename(self.part(), &self.path)?;
        Ok((self.path.clone(), size))
    }

    /// It will never be whole.
    pub(crate) fn cancel(&self) {
        let _ = fs::remove_file(self.part());
    }
}

/// Keeps the newest files of an extension; their names are in the order of time.
fn prune(dir: &Path, extension: &str, keep: usize) -> io::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|own| own == extension));
    files.sort();
    let old = files.len().saturating_sub(keep);
    files[..old].iter().try_for_each(fs::remove_file)
}

/// Whether a snapshot can be written: with this memory limit and use, this much
/// room on the disk, for a heap of this size; else why not, in figures.
pub(crate) fn room(limit: Option<u64>, used: u64, disk: Option<u64>, heap: u64) -> Result<(), String> {
    let mib = |bytes: u64| bytes.div_ceil(MIB);
    let memory = heap.saturating_mul(MEMORY_PER_HEAP).saturating_add(SPARE);
    if let Some(free) = limit.map(|limit| limit.saturating_sub(used)).filter(|free| *free < memory) {
        return Err(format!(
            "it needs {} MiB of memory for a heap of {} MiB, and up to the limit there are {} MiB; raise \
             resources.limits.memory",
            mib(memory),
            mib(heap),
            free / MIB
        ));
    }
    let needed = heap.saturating_mul(DISK_PER_HEAP).saturating_add(SPARE);
    match disk.filter(|free| *free < needed) {
        Some(free) => Err(format!(
            "it needs up to {} MiB on the disk for a heap of {} MiB, and {} MiB are free",
            mib(needed),
            mib(heap),
            free / MIB
        )),
        None => Ok(()),
    }
}

/// Bytes free on the disk of a directory that exists.
pub(crate) fn free(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(dir: &Path, at: u64, kind: Kind) -> Job {
        Job::prepare(Now::ZERO, dir, "web", at, kind, For::Client(1)).unwrap()
    }

    #[test]
    fn only_the_newest_files_are_kept_and_no_half_ones() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("profiles");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("other.txt"), "").unwrap();
        fs::write(dir.join("web-1.heapsnapshot.part"), "").unwrap();
        for at in 1_000..1_010 {
            let job = job(&dir, at, Kind::Heap);
            assert!(job.is(job.part().to_str().unwrap()) && !job.is(job.path.to_str().unwrap()));
            fs::write(job.part(), "12345").unwrap();
            assert_eq!(job.finish().unwrap(), (dir.join(format!("web-{at}.heapsnapshot")), 5));
        }
        job(&dir, 2_000, Kind::Processor(Duration::from_secs(1)));
        let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["other.txt", "web-1008.heapsnapshot", "web-1009.heapsnapshot"]);
    }

    #[test]
    fn a_snapshot_needs_twice_the_heap_in_memory_and_thrice_on_the_disk() {
        let gib = 1024 * MIB;
        assert_eq!(room(None, gib, None, gib), Ok(()));
        assert_eq!(room(Some(gib), 500 * MIB, Some(gib), 200 * MIB), Ok(()));
        let no = room(Some(gib), 700 * MIB, Some(gib), 200 * MIB).unwrap_err();
        assert!(
            no.contains("needs 416 MiB of memory for a heap of 200 MiB") && no.contains("324 MiB"),
            "{no}"
        );
        let no = room(None, 0, Some(500 * MIB), 200 * MIB).unwrap_err();
        assert!(no.contains("up to 616 MiB on the disk") && no.contains("500 MiB are free"), "{no}");
    }

    #[test]
    fn the_order_names_a_file_that_is_not_whole_yet() {
        let dir = tempfile::tempdir().unwrap();
        let job = job(dir.path(), 7, Kind::Processor(Duration::from_secs(2)));
        assert_eq!(job.order(), format!("cpu-profile 2000 {}/web-7.cpuprofile.part", dir.path().display()));
        assert_eq!(job.until, Duration::from_secs(32));
    }
}
