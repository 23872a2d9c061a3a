//! The log files of an app: which stream goes where, rotation by the clock.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nodeapp_contract::config::LogFiles;
use nodeapp_contract::{Cron, Zone};

use super::Kind;
use super::archive::{Archivist, Keep};
use super::date::DateFormat;
use super::dress::Piece;
use super::file::LogFile;
use super::names::Names;
use crate::record::epoch_millis;
use crate::say::say;

/// The date in the names of rotated files (pm2-logrotate).
const DATE: &str = "YYYY-MM-DD_HH-mm-ss";
/// Says that there is to be no file (PM2).
const NONE: &str = "/dev/null";
/// The clock is looked at that often: it may be set, and it goes on while a
/// machine sleeps.
const LOOK: Duration = Duration::from_mins(1);

/// All files, each once.
#[derive(Debug)]
pub(super) struct Files {
    list: Vec<LogFile>,
    out: Vec<usize>,
    error: Vec<usize>,
    archivist: Archivist,
    schedule: Option<Schedule>,
}

impl Files {
    /// Opens them. One that cannot be opened is told and tried again later.
    pub(super) fn open(app: &str, config: &LogFiles, zone: &Zone) -> io::Result<Self> {
        let dir = Path::new(&config.dir);
        let date = config.date_format.as_deref().filter(|format| !format.is_empty()).unwrap_or(DATE);
        let date = Arc::new(DateFormat::for_names(date, zone.clone()));
        let mut list: Vec<LogFile> = vec![];
        let mut place = |path: &str| {
            let path = Some(dir.join(path)).filter(|path| path != Path::new(NONE))?;
            let known = list.iter().position(|file| file.names().current() == path);
            Some(known.unwrap_or_else(|| {
                list.push(LogFile::open(Names::new(path, date.clone()), config.max_size));
                list.len() - 1
            }))
        };
        let or = |path: &Option<String>, suffix: &str| {
            path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| format!("{app}-{suffix}.log"))
        };
        let out = place(&or(&config.out_file, "out"));
        let error = place(&or(&config.error_file, "error"));
        let both = config.log_file.as_deref().filter(|path| !path.is_empty()).and_then(place);
        let with =
            |own: Option<usize>| own.into_iter().chain(both.filter(|both| own != Some(*both))).collect();
        let archivist = Archivist::start(Keep { retain: config.retain as usize, compress: config.compress })?;
        for file in &list {
            for path in file.names().plain().unwrap_or_default() {
                archivist.take(file.names().clone(), path);
            }
        }
        let schedule = config.rotate_interval.as_deref().and_then(|text| Schedule::new(text, zone));
        Ok(Self { out: with(out), error: with(error), list, archivist, schedule })
    }

    /// Writes to the files of a stream.
    pub(super) fn write(&mut self, kind: Kind, bytes: &[u8], piece: Piece) {
        let places = if kind == Kind::Out { &self.out } else { &self.error };
        for place in places {
            self.list[*place].write(bytes, piece, kind, &self.archivist);
        }
    }

    /// Rotates if the schedule says so.
    pub(super) fn tick(&mut self) {
        if self.schedule.as_mut().is_some_and(|schedule| schedule.is_due(epoch_seconds())) {
            for file in &mut self.list {
                file.rotate_soon(&self.archivist);
            }
        }
    }

    /// How long [`Self::tick`] need not be called.
    pub(super) fn idle(&self) -> Option<Duration> {
        let schedule = self.schedule.as_ref()?;
        let left = schedule.next.map_or(i64::MAX, |next| {
            next.saturating_mul(1_000).saturating_sub(i64::try_from(epoch_millis()).unwrap_or(i64::MAX))
        });
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LOOK))
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.list.iter_mut().map(LogFile::reopen).fold(Ok(()), io::Result::and)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.list.iter_mut().map(LogFile::flush).fold(Ok(()), io::Result::and)
    }

    /// Waits for the compression, for so long at most.
    pub(super) fn finish(&mut self, patience: Duration) {
        self.archivist.finish(patience);
    }
}

fn epoch_seconds() -> i64 {
    i64::try_from(epoch_millis() / 1_000).unwrap_or(i64::MAX)
}

/// When files are rotated whatever their size.
#[derive(Debug)]
struct Schedule {
    cron: Cron,
    zone: Zone,
    next: Option<i64>,
    /// The last time that was seen: clocks may be set back.
    seen: i64,
}

impl Schedule {
    fn new(text: &str, zone: &Zone) -> Option<Self> {
        let cron = Cron::parse(text)
            .map_err(|problem| say!("rotateInterval: {problem}; files are rotated by size alone"))
            .ok()?;
        let seen = epoch_seconds();
        Some(Self { next: cron.next(seen, zone), cron, zone: zone.clone(), seen })
    }

    fn is_due(&mut self, now: i64) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due || now < self.seen {
            self.next = self.cron.next(now, &self.zone);
        }
        self.seen = now;
        due
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn open(dir: &Path, change: impl FnOnce(&mut LogFiles)) -> Files {
        let mut config = LogFiles { max_size: 1_000, retain: 3, ..LogFiles::in_dir(dir.to_str().unwrap()) };
        change(&mut config);
        Files::open("web", &config, &Zone::UTC).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = all.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn fill(files: &mut Files) {
        files.write(Kind::Out, b"out\n", Piece::LINES);
        files.write(Kind::Error, b"error\n", Piece::LINES);
    }

    #[test]
    fn what_an_ended_runner_has_left_is_compressed_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("web-out__2026-11-23_08-01-32.log");
        fs::write(&left, "a line\n").unwrap();
        // It was killed while it compressed.
        fs::write(left.with_extension("log.gz.new"), "half").unwrap();
        let mut files = open(dir.path(), |config| config.compress = true);
        files.finish(Duration::from_secs(20));
        assert_eq!(
            names(dir.path()),
            ["web-error.log", "web-out.log", "web-out__2026-11-23_08-01-32.log.gz"]
        );
    }

    #[test]
    fn each_stream_has_its_file_and_both_may_have_one() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        fill(&mut open(dir.path(), |config| config.log_file = Some("all.log".into())));
        assert_eq!(
            [read("web-out.log"), read("web-error.log"), read("all.log")],
            ["out\n", "error\n", "out\nerror\n"]
        );
        fill(&mut open(dir.path(), |config| {
            config.out_file = Some("one/of/many.log".into());
            config.error_file = Some(dir.path().join("one/of/many.log").to_str().unwrap().into());
            config.log_file = config.error_file.clone();
        }));
        assert_eq!(read("one/of/many.log"), "out\nerror\n", "once, though three names lead there");
    }

    #[test]
    fn dev_null_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = open(dir.path(), |config| {
            config.out_file = Some(NONE.into());
            config.error_file = Some(NONE.into());
        });
        fill(&mut files);
        assert!(names(dir.path()).is_empty() && files.list.is_empty());
    }

    #[test]
    fn files_are_rotated_by_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = open(dir.path(), |config| config.rotate_interval = Some("0 0 * * *".into()));
        assert!(files.idle().is_some_and(|idle| idle <= LOOK));
        files.write(Kind::Out, b"out\n", Piece::LINES);
        files.tick();
        assert_eq!(names(dir.path()).len(), 2, "not before its time");
        files.schedule.as_mut().unwrap().next = Some(epoch_seconds());
        files.tick();
        let rotated = names(dir.path());
        assert_eq!(rotated.len(), 3, "what is empty stays: {rotated:?}");
        assert!(rotated[2].starts_with("web-out__"));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_put_the_rotation_off() {
        let mut schedule = Schedule::new("0 0 * * *", &Zone::UTC).unwrap();
        let (day, now) = (86_400, 86_400 * 20_000 + 5);
        schedule.next = Some(now + day);
        schedule.seen = now;
        assert!(!schedule.is_due(now - 3 * day));
        assert_eq!(schedule.next, Some(now - 2 * day - 5));
        assert!(schedule.is_due(now - 2 * day));
        assert_eq!(schedule.next, Some(now - day - 5));
    }
}
