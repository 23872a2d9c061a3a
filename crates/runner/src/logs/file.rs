//! One log file: whole lines, rotated by renaming.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::Kind;
use super::archive::Archivist;
use super::dress::Piece;
use super::names::Names;
use crate::record::epoch_millis;
use crate::say::say;

/// A line that never ends must not keep a file from being rotated for ever.
const MAX_OVERSIZE: u64 = 4;
/// After a failure the file is let alone for this long.
const RETRY: Duration = Duration::from_secs(1);
/// A file that fails again and again is told about so often.
const TELL: Duration = Duration::from_mins(1);

/// A file that streams write to.
#[derive(Debug)]
pub(super) struct LogFile {
    names: Names,
    file: Option<File>,
    size: u64,
    max_size: u64,
    /// Who has written the begin of a line, whose rest is to come.
    open_line: Option<Kind>,
    /// What stands last in the file is not the end of a line, and nobody goes on with it.
    torn: bool,
    /// Rotate at the next end of a line, whatever the size.
    due: bool,
    failure: Option<Failure>,
    told: Option<Instant>,
}

/// A file that cannot be written to at the moment.
#[derive(Debug)]
struct Failure {
    at: Instant,
    told: bool,
    /// Bytes that are not in the file.
    missing: u64,
}

impl LogFile {
    pub(super) fn open(names: Names, max_size: u64) -> Self {
        let mut it = Self {
            names,
            file: None,
            size: 0,
            max_size: max_size.max(1),
            open_line: None,
            torn: false,
            due: false,
            failure: None,
            told: None,
        };
        if let Err(error) = it.reopen() {
            it.fail(&error, 0);
        }
        it
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Opens the file anew by its name, and makes its folder if need be.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        fs::create_dir_all(self.names.dir())?;
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(self.names.current())?;
        self.size = file.metadata()?.len();
        // A runner that was killed, or a full disk, may have left half a line.
        let mut last = [b'\n'];
        if self.size > 0 && file.seek(SeekFrom::End(-1)).is_ok() {
            let _ = file.read(&mut last);
        }
        self.torn = last != *b"\n";
        self.open_line = None;
        self.file = Some(file);
        Ok(())
    }

    /// Empties it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.set_len(0)?;
        }
        self.size = 0;
        self.torn = false;
        Ok(())
    }

    /// Rotates it now or at the end of the line, unless it is empty.
    pub(super) fn rotate_soon(&mut self, archivist: &Archivist) {
        self.due = self.size > 0;
        if self.due
            && self.open_line.is_none()
            && let Err(error) = self.rotate(archivist)
        {
            self.fail(&error, 0);
        }
    }

    /// Writes, rotating between two lines where one more would pass the size. A
    /// file that cannot be written to is told; the container's output goes on.
    pub(super) fn write(&mut self, bytes: &[u8], piece: Piece, kind: Kind, archivist: &Archivist) {
        if self.failure.as_ref().is_some_and(|failure| failure.at.elapsed() < RETRY) {
            return self.miss(bytes.len());
        }
        match self.try_write(bytes, piece, kind, archivist) {
            Ok(()) => self.recovered(),
            Err((error, missing)) => self.fail(&error, missing),
        }
    }

    /// The error says how many bytes are missing.
    fn try_write(
        &mut self,
        mut bytes: &[u8],
        piece: Piece,
        kind: Kind,
        archivist: &Archivist,
    ) -> Result<(), (io::Error, usize)> {
        if self.file.is_none() {
            self.reopen().map_err(|error| (error, bytes.len()))?;
        }
        // Neither half a line of before nor one of the other stream gets glued to this.
        let foreign = self.open_line.is_some_and(|owner| piece.starts || owner != kind);
        if self.torn || foreign {
            self.append(b"\n").map_err(|error| (error, bytes.len()))?;
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.share(bytes, piece.whole));
            let before = self.size;
            self.append(now).map_err(|error| {
                let written = usize::try_from(self.size - before).unwrap_or(0);
                (error, bytes.len() - written)
            })?;
            self.open_line = (!piece.whole).then_some(kind);
            self.torn = false;
            bytes = later;
            let over = self.size >= self.max_size.saturating_mul(MAX_OVERSIZE);
            if over || piece.whole && (self.due || self.size >= self.max_size) {
                self.rotate(archivist).map_err(|error| (error, bytes.len()))?;
            }
        }
        Ok(())
    }

    /// Writes all of it, or notes where it got torn.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut rest = bytes;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.torn = rest[n - 1] != b'\n';
                    self.open_line = None;
                    self.size += n as u64;
                    rest = &rest[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How much of `bytes` goes into this file: lines up to the one that fills it.
    fn share(&self, bytes: &[u8], whole: bool) -> usize {
        let room = usize::try_from(self.max_size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if !whole || bytes.len() <= room {
            return bytes.len();
        }
        let from = room.saturating_sub(1);
        memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at + 1)
    }

    fn rotate(&mut self, archivist: &Archivist) -> io::Result<()> {
        let rotated = self.names.rotated(epoch_millis())?;
        let renamed = match fs::rename(self.names.current(), &rotated) {
            Ok(()) => true,
            // Somebody has taken it away, or the last attempt got no further than this.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        self.due = false;
        self.reopen()?;
        if renamed {
            archivist.take(self.names.clone(), rotated);
        }
        Ok(())
    }

    fn miss(&mut self, bytes: usize) {
        if let Some(failure) = &mut self.failure {
            failure.missing += bytes as u64;
        }
    }

    fn fail(&mut self, error: &io::Error, missing: usize) {
        let now = Instant::now();
        let before = self.failure.take();
        let mut told = before.as_ref().is_some_and(|failure| failure.told);
        if before.is_none() && self.told.is_none_or(|told| told.elapsed() >= TELL) {
            told = true;
            self.told = Some(now);
            let path = self.names.current().display();
            say!("{path} cannot be written: {error}; kubectl logs has the lines");
        }
        let missing = before.map_or(0, |failure| failure.missing) + missing as u64;
        self.failure = Some(Failure { at: now, told, missing });
    }

    fn recovered(&mut self) {
        if let Some(failure) = self.failure.take().filter(|failure| failure.told) {
            let path = self.names.current().display();
            say!("{path} is written again; {} bytes are missing, kubectl logs has them", failure.missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::Keep;
    use super::super::names::tests::names;
    use super::*;

    fn archivist() -> Archivist {
        Archivist::start(Keep { retain: 9, compress: false }).unwrap()
    }

    fn text(file: &LogFile) -> String {
        fs::read_to_string(file.names.current()).unwrap()
    }

    #[test]
    fn a_file_that_somebody_takes_away_is_there_again_after_the_next_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let archivist = archivist();
        let mut file = LogFile::open(names(dir.path(), "web-out"), 10);
        file.write(b"one\n", Piece::LINES, Kind::Out, &archivist);
        fs::remove_file(file.names.current()).unwrap();
        file.write(b"two three\n", Piece::LINES, Kind::Out, &archivist);
        file.write(b"four\n", Piece::LINES, Kind::Out, &archivist);
        assert_eq!(text(&file), "four\n");
        assert!(file.failure.is_none());
    }

    #[test]
    fn a_torn_line_on_a_full_disk_is_not_glued_to_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let archivist = archivist();
        let mut file = LogFile::open(names(dir.path(), "web-out"), 1_000);
        file.write(b"one\n", Piece::LINES, Kind::Out, &archivist);
        // As if the disk had been full after half a line, and then entirely.
        file.append(b"tw").unwrap();
        let disk = file.file.replace(OpenOptions::new().write(true).open("/dev/full").unwrap());
        file.write(b"three\n", Piece::LINES, Kind::Out, &archivist);
        assert!(file.failure.as_ref().is_some_and(|failure| failure.missing == 6 && failure.told));
        file.write(b"four\n", Piece::LINES, Kind::Out, &archivist);
        assert_eq!(file.failure.as_ref().map(|failure| failure.missing), Some(11));
        // Space again, and time for another attempt.
        file.file = disk;
        let failure = file.failure.as_mut().unwrap();
        failure.at = failure.at.checked_sub(RETRY).unwrap();
        file.write(b"five\n", Piece::LINES, Kind::Out, &archivist);
        assert_eq!(text(&file), "one\ntw\nfive\n");
        assert!(file.failure.is_none());
    }

    #[test]
    fn half_a_line_that_a_killed_runner_left_gets_its_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("web-out.log"), "half").unwrap();
        let mut file = LogFile::open(names(dir.path(), "web-out"), 1_000);
        file.write(b"whole\n", Piece::LINES, Kind::Out, &archivist());
        assert_eq!(text(&file), "half\nwhole\n");
    }

    #[test]
    fn two_streams_in_one_file_do_not_share_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let archivist = archivist();
        let mut file = LogFile::open(names(dir.path(), "web"), 1_000);
        let (begin, rest) = (Piece { starts: true, whole: false }, Piece { starts: false, whole: true });
        file.write(b"lo", begin, Kind::Out, &archivist);
        file.write(b"ng\n", rest, Kind::Out, &archivist);
        file.write(b"lo", begin, Kind::Out, &archivist);
        file.write(b"error\n", Piece::LINES, Kind::Error, &archivist);
        file.write(b"ng\n", rest, Kind::Out, &archivist);
        file.write(b"er", begin, Kind::Error, &archivist);
        file.write(b"ou", begin, Kind::Out, &archivist);
        file.write(b"ror\n", rest, Kind::Error, &archivist);
        assert_eq!(text(&file), "long\nlo\nerror\nng\ner\nou\nror\n");
    }

    #[test]
    fn a_scheduled_rotation_waits_for_the_end_of_the_line_and_leaves_empty_files_alone() {
        let dir = tempfile::tempdir().unwrap();
        let archivist = archivist();
        let mut file = LogFile::open(names(dir.path(), "web-out"), 1_000);
        file.rotate_soon(&archivist);
        assert_eq!(file.names.plain().unwrap().len(), 0);
        file.write(b"lo", Piece { starts: true, whole: false }, Kind::Out, &archivist);
        file.rotate_soon(&archivist);
        assert_eq!(file.names.plain().unwrap().len(), 0);
        file.write(b"ng\n", Piece { starts: false, whole: true }, Kind::Out, &archivist);
        let rotated = file.names.plain().unwrap();
        assert_eq!(fs::read_to_string(&rotated[0]).unwrap(), "long\n");
        file.write(b"next\n", Piece::LINES, Kind::Out, &archivist);
        file.rotate_soon(&archivist);
        assert_eq!((file.names.plain().unwrap().len(), text(&file).as_str()), (2, ""));
    }

    #[test]
    fn a_flushed_file_is_empty_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let archivist = archivist();
        let mut file = LogFile::open(names(dir.path(), "web-out"), 10);
        file.write(b"one\n", Piece::LINES, Kind::Out, &archivist);
        file.flush().unwrap();
        file.write(b"two\n", Piece::LINES, Kind::Out, &archivist);
        assert_eq!(text(&file), "two\n");
        fs::rename(file.names.current(), dir.path().join("moved")).unwrap();
        file.reopen().unwrap();
        file.write(b"three\n", Piece::LINES, Kind::Out, &archivist);
        assert_eq!((text(&file).as_str(), file.names.plain().unwrap().len()), ("three\n", 0));
    }
}
