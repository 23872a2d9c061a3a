//! Names of log files, and which rotated files belong to one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::date::DateFormat;

/// Names of the files of one log file: its own path, and for the rotated ones
/// `<stem>__<date>.log[.gz]` of `<stem>.log`, `<name>__<date>[.gz]` of any other.
#[derive(Clone, Debug)]
pub(super) struct Names {
    current: PathBuf,
    dir: PathBuf,
    stem: String,
    /// `.log` or nothing.
    suffix: &'static str,
    date: Arc<DateFormat>,
}

impl Names {
    pub(super) fn new(current: PathBuf, date: Arc<DateFormat>) -> Self {
        let name = current.file_name().unwrap_or_default().to_string_lossy();
        let (stem, suffix) = name.strip_suffix(".log").map_or((&*name, ""), |stem| (stem, ".log"));
        let stem = stem.to_owned();
        let dir = current.parent().unwrap_or(Path::new("/")).to_owned();
        Self { current, dir, stem, suffix, date }
    }

    /// The file that is written to.
    pub(super) fn current(&self) -> &Path {
        &self.current
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A name for a rotated file that nobody has; a number tells apart what has
    /// the same date.
    pub(super) fn rotated(&self, millis: u64) -> io::Result<PathBuf> {
        let date = self.date.text(millis);
        let taken = self.list()?.into_iter().filter(|own| own.date == date).map(|own| own.number).max();
        Ok(self.dir.join(match taken {
            None => format!("{}__{date}{}", self.stem, self.suffix),
            Some(last) => format!("{}__{date}_{:04}{}", self.stem, last + 1, self.suffix),
        }))
    }

    /// Date and number of a rotated file of this log file; nothing for the file of
    /// another whose name begins or ends alike.
    fn owned<'a>(&self, name: &'a str) -> Option<(&'a str, u32)> {
        let rest = name.strip_prefix(&self.stem)?.strip_prefix("__")?;
        let middle = rest.strip_suffix(".gz").unwrap_or(rest).strip_suffix(self.suffix)?;
        if self.date.fits(middle) {
            return Some((middle, 0));
        }
        let (date, number) = middle.rsplit_once('_')?;
        let is_number = number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && self.date.fits(date)).then_some((date, number.parse().ok()?))
    }

    /// Rotated files, the newest first: by their last line, since not every form of
    /// date can be sorted.
    fn list(&self) -> io::Result<Vec<Rotated>> {
        let mut own: Vec<Rotated> = fs::read_dir(&self.dir)?
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (date, number) = self.owned(&name).map(|(date, number)| (date.to_owned(), number))?;
                let written =
                    entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                Some(Rotated { written, name, date, number })
            })
            .collect();
        own.sort_unstable_by(|a, b| (b.written, &b.date, b.number).cmp(&(a.written, &a.date, a.number)));
        Ok(own)
    }

    /// Rotated files that are not compressed, the oldest first: what a runner
    /// that ended has left.
    pub(super) fn plain(&self) -> io::Result<Vec<PathBuf>> {
        let own = self.list()?.into_iter().rev().map(|own| self.dir.join(own.name));
        Ok(own.filter(|path| path.extension().is_none_or(|extension| extension != "gz")).collect())
    }

    /// Deletes the oldest beyond `retain`.
    pub(super) fn prune(&self, retain: usize) -> io::Result<()> {
        for own in self.list()?.iter().skip(retain) {
            let path = self.dir.join(&own.name);
            fs::remove_file(&path)?;
            // Of a runner that was killed while it compressed.
            let _ = fs::remove_file(unfinished(&path));
        }
        Ok(())
    }
}

/// A rotated file.
#[derive(Debug)]
struct Rotated {
    written: SystemTime,
    name: String,
    date: String,
    number: u32,
}

/// The compressed file of a plain one.
pub(super) fn zipped(path: &Path) -> PathBuf {
    with(path, ".gz")
}

/// The same while it is being written.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    with(path, ".gz.new")
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
pub(super) mod tests {
    use nodeapp_contract::Zone;

    use super::*;

    /// Names of `<dir>/<stem>.log` with the usual date.
    pub(in crate::logs) fn names(dir: &Path, stem: &str) -> Names {
        names_by(dir, stem, "YYYY-MM-DD_HH-mm-ss")
    }

    fn names_by(dir: &Path, stem: &str, date: &str) -> Names {
        let date = DateFormat::for_names(date, Zone::UTC);
        Names::new(dir.join(format!("{stem}.log")), Arc::new(date))
    }

    #[test]
    fn a_log_file_owns_its_rotated_files_and_nobody_elses() {
        let names = names(Path::new("/logs"), "app-out");
        for own in ["app-out__2026-11-23_08-01-32.log", "app-out__2026-11-23_08-01-32_0001.log.gz"] {
            assert!(names.owned(own).is_some(), "{own}");
        }
        for other in [
            "my-app-out__2026-11-23_08-01-32.log",
            "app-error__2026-11-23_08-01-32.log",
            "app-out__x-out__2026-11-23_08-01-32.log",
            "app-out__2026-11-23_08-01-32.txt",
            "app-out__2026-11-23_08-01-32_01.log",
            "app-out__2026-11-23.log",
            "app-out.log",
            "app-out__.log",
        ] {
            assert_eq!(names.owned(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_those_of_pm2_logrotate() {
        let dir = tempfile::tempdir().unwrap();
        let path = names(dir.path(), "web-out").rotated(1_795_420_892_007).unwrap();
        assert_eq!(path, dir.path().join("web-out__2026-11-23_08-01-32.log"));
        let date = Arc::new(DateFormat::for_names("YYYY/MM", Zone::UTC));
        let names = Names::new(dir.path().join("out.txt"), date);
        assert_eq!(names.rotated(0).unwrap(), dir.path().join("out.txt__1970-01"));
    }

    #[test]
    fn web_and_web_log_are_two_files() {
        let date = || Arc::new(DateFormat::for_names("YYYY", Zone::UTC));
        let [bare, log] = ["/logs/web", "/logs/web.log"].map(|path| Names::new(path.into(), date()));
        for (name, of_bare, of_log) in [
            ("web__2026", true, false),
            ("web__2026_0001.gz", true, false),
            ("web__2026.log", false, true),
            ("web__2026.log.gz", false, true),
            ("web__2026.log.gz.new", false, false),
        ] {
            assert_eq!((bare.owned(name).is_some(), log.owned(name).is_some()), (of_bare, of_log), "{name}");
        }
    }

    #[test]
    fn the_newest_are_kept_also_of_one_second() {
        let dir = tempfile::tempdir().unwrap();
        let names = names(dir.path(), "web-out");
        fs::write(dir.path().join("my-web-out__2000-01-01_00-00-00.log"), "").unwrap();
        let mut made = vec![];
        for second in [100, 100, 100, 200] {
            let path = names.rotated(second * 1_000).unwrap();
            fs::write(&path, "").unwrap();
            if second == 100 && made.len() == 1 {
                fs::rename(&path, zipped(&path)).unwrap();
            }
            made.push(path);
        }
        names.prune(2).unwrap();
        let left: Vec<bool> = made.iter().map(|path| path.exists() || zipped(path).exists()).collect();
        assert_eq!(left, [false, false, true, true]);
        assert!(dir.path().join("my-web-out__2000-01-01_00-00-00.log").exists());
    }

    #[test]
    fn a_date_without_a_time_overwrites_nothing_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        // A form that sorts wrongly by name.
        let names = names_by(dir.path(), "web-out", "DD-MM-YYYY");
        let day = 86_400_000;
        let mut made = vec![];
        for millis in [30 * day, 30 * day + 1, 31 * day, 31 * day + 1] {
            let path = names.rotated(millis).unwrap();
            assert!(!path.exists());
            fs::write(&path, "").unwrap();
            let written = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis);
            fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
            made.push(path);
        }
        assert!(made[1].ends_with("web-out__31-01-1970_0001.log"), "{made:?}");
        names.prune(2).unwrap();
        assert_eq!(made.iter().map(|path| path.exists()).collect::<Vec<_>>(), [false, false, true, true]);
    }
}
