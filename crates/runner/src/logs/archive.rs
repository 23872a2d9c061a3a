//! Rotated files: their names, compression, and how many are kept.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Names of the files of one stream: `<stem>.log` and `<stem>__<date>.log[.gz]`.
#[derive(Clone, Debug)]
pub(super) struct Names {
    dir: PathBuf,
    stem: String,
}

impl Names {
    pub(super) fn new(dir: &Path, stem: String) -> Self {
        Self { dir: dir.to_owned(), stem }
    }

    /// The file that is written to.
    pub(super) fn current(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.stem))
    }

    /// A name for a rotated file that nobody has; later ones sort behind.
    pub(super) fn rotated(&self, epoch_seconds: u64) -> PathBuf {
        let date = date(epoch_seconds);
        let first = self.dir.join(format!("{}__{date}.log", self.stem));
        let names = std::iter::once(first).chain((1..).map(|n| {
            // `_` sorts behind the `.` of the first name.
            self.dir.join(format!("{}__{date}_{n:04}.log", self.stem))
        }));
        let taken = |path: &PathBuf| path.exists() || zipped(path).exists();
        names.into_iter().find(|path| !taken(path)).unwrap_or_default()
    }

    /// Whether a file name is that of a rotated file of this stream, and of no
    /// other app's whose name ends or begins alike.
    fn owns(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&self.stem).and_then(|rest| rest.strip_prefix("__")) else {
            return false;
        };
        let Some(middle) = rest.strip_suffix(".log").or_else(|| rest.strip_suffix(".log.gz")) else {
            return false;
        };
        middle.len() >= 19 && middle.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
    }

    /// Rotated files, the newest first.
    fn list(&self) -> io::Result<Vec<String>> {
        let mut own: Vec<String> = fs::read_dir(&self.dir)?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| self.owns(name))
            .collect();
        own.sort_unstable_by(|a, b| b.cmp(a));
        Ok(own)
    }

    /// Rotated files that are not compressed, the oldest first: what a runner
    /// that ended has left.
    pub(super) fn plain(&self) -> io::Result<Vec<PathBuf>> {
        let own = self.list()?.into_iter().rev().map(|name| self.dir.join(name));
        Ok(own.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect())
    }

    /// Deletes the oldest beyond `retain`.
    fn prune(&self, retain: usize) -> io::Result<()> {
        for name in self.list()?.iter().skip(retain) {
            fs::remove_file(self.dir.join(name))?;
        }
        Ok(())
    }
}

fn zipped(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// `YYYY-MM-DD_HH-mm-ss` in UTC, as pm2-logrotate names its files.
fn date(epoch_seconds: u64) -> String {
    let (days, rest) = (epoch_seconds / 86_400, epoch_seconds % 86_400);
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}_{hour:02}-{minute:02}-{second:02}")
}

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
    let temporary = path.with_extension("gz.new");
    let mut encoder = GzEncoder::new(File::create(&temporary)?, Compression::default());
    let written = io::copy(&mut BufReader::new(File::open(path)?), &mut encoder)
        .and_then(|_| encoder.finish())
        .and_then(|_| fs::rename(&temporary, zipped(path)));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01_00-00-00");
        assert_eq!(date(951_782_399), "2000-02-28_23-59-59");
        assert_eq!(date(951_782_400), "2000-02-29_00-00-00");
        assert_eq!(date(1_795_420_892), "2026-11-23_08-01-32");
        assert_eq!(date(4_107_542_400), "2100-03-01_00-00-00");
    }

    #[test]
    fn a_stream_owns_its_files_and_nobody_elses() {
        let names = Names::new(Path::new("/logs"), "app-out".into());
        for own in ["app-out__2026-11-23_08-01-32.log", "app-out__2026-11-23_08-01-32_0001.log.gz"] {
            assert!(names.owns(own), "{own}");
        }
        for other in [
            "my-app-out__2026-11-23_08-01-32.log",
            "app-error__2026-11-23_08-01-32.log",
            "app-out__x-out__2026-11-23_08-01-32.log",
            "app-out__2026-11-23_08-01-32.txt",
            "app-out.log",
            "app-out__.log",
        ] {
            assert!(!names.owns(other), "{other}");
        }
    }

    #[test]
    fn the_newest_are_kept_also_of_one_second() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path(), "web-out".into());
        fs::write(dir.path().join("my-web-out__2000-01-01_00-00-00.log"), "").unwrap();
        let mut made = vec![];
        for second in [100, 100, 100, 200] {
            let path = names.rotated(second);
            fs::write(&path, "").unwrap();
            if second == 100 && made.len() == 1 {
                compress(&path).unwrap();
            }
            made.push(path);
        }
        names.prune(2).unwrap();
        let left: Vec<bool> = made.iter().map(|path| path.exists() || zipped(path).exists()).collect();
        assert_eq!(left, [false, false, true, true]);
        assert!(dir.path().join("my-web-out__2000-01-01_00-00-00.log").exists());
    }

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
        let names = Names::new(dir.path(), "web-out".into());
        let path = names.rotated(100);
        endless(&path);
        let mut archivist = Archivist::start(Keep { retain: 1, compress: true }).unwrap();
        archivist.take(names.clone(), path.clone());
        archivist.finish(Duration::from_millis(50));
        assert!(path.exists(), "it is left to the next runner");
        assert_eq!(names.plain().unwrap(), [path]);
    }

    fn written(names: &Names, seconds: &[u64]) -> Vec<PathBuf> {
        let write = |second: &u64| {
            let path = names.rotated(*second);
            fs::write(&path, "a line\n").unwrap();
            path
        };
        seconds.iter().map(write).collect()
    }

    #[test]
    fn what_cannot_be_compressed_still_makes_room_for_what_comes() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path(), "web-out".into());
        let paths = written(&names, &[100, 200]);
        // As on a full disk: nothing more can be written.
        fs::create_dir(paths[1].with_extension("gz.new")).unwrap();
        archived(Keep { retain: 1, compress: true }, &names, &paths[1..]);
        assert!(!paths[0].exists(), "the oldest is deleted");
        assert!(paths[1].exists(), "the newest stays as it is");
    }

    #[test]
    fn a_backlog_is_deleted_before_it_is_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path(), "web-out".into());
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
