//! The app's output when it goes to files: whole lines, rotated by renaming,
//! and a copy to the container's own output for `kubectl logs`.
//!
//! A line is written to the file before it is offered to the container's
//! output. If nobody reads that, the runner stops reading from the app after
//! [`CHUNK`] bytes, as a pipe would: nothing is lost and nothing piles up. What
//! an app that has ended left in its pipe still goes to the file at once, and
//! waits for the container's output beside whatever the runner does next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nodeapp_contract::config::LogFiles;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::machine::Now;
use crate::record::epoch_millis;
use crate::say::say;
use crate::spawn::Output;

mod archive;
mod framer;

use archive::{Archivist, Keep, Names};
use framer::Framer;

/// What is read at once, and the most that waits for the container's output.
const CHUNK: usize = 64 * 1024;
/// After a read that did not fill the buffer the app is let alone for this long:
/// an app that writes line by line would otherwise cost a wake-up for each.
const REST: Duration = Duration::from_millis(5);
/// What the app can write meanwhile; the most that needs no privilege.
const PIPE_SIZE: usize = 1024 * 1024;
/// More than this does not wait for the container's output: a few apps in a row
/// may end and leave a full pipe each.
const MAX_COPY: usize = 4 * PIPE_SIZE;
/// A pipe that is ready to be written to takes this much without blocking.
const PIPE_BUF: usize = 4_096;
/// A line that never ends must not keep a file from being rotated for ever.
const MAX_OVERSIZE: u64 = 4;
/// At the end of the runner, the container's output has this long to take the
/// rest, and so has the compression.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a process that nobody could end may keep the runner reading.
const LAST_READ: Duration = Duration::from_millis(500);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Out,
    Error,
}

/// One of the app's two streams.
#[derive(Debug)]
struct Stream {
    kind: Kind,
    /// Absent while no process runs.
    pipe: Option<OwnedFd>,
    chunk: Vec<u8>,
    framer: Framer,
    file: LogFile,
    /// Still to be copied to the container's output.
    copy: Vec<u8>,
    copied: usize,
    /// Not read from before.
    rest: Option<Now>,
}

/// Both streams.
#[derive(Debug)]
pub(crate) struct Logs {
    streams: [Stream; 2],
    archivist: Archivist,
}

impl Logs {
    /// Opens the files of an app.
    pub(crate) fn open(name: &str, config: &LogFiles) -> io::Result<Self> {
        let dir = Path::new(&config.dir);
        fs::create_dir_all(dir)?;
        let stream = |kind, suffix: &str| -> io::Result<Stream> {
            let names = Names::new(dir, format!("{name}-{suffix}"));
            Ok(Stream {
                kind,
                pipe: None,
                chunk: vec![0; CHUNK],
                framer: Framer::default(),
                file: LogFile::open(names, config.max_size)?,
                copy: vec![],
                copied: 0,
                rest: None,
            })
        };
        let keep = Keep { retain: config.retain as usize, compress: config.compress };
        let streams = [stream(Kind::Out, "out")?, stream(Kind::Error, "error")?];
        let archivist = Archivist::start(keep)?;
        for stream in &streams {
            for path in stream.file.names.plain()? {
                archivist.take(stream.file.names.clone(), path);
            }
        }
        Ok(Self { streams, archivist })
    }

    /// Pipes for a process that is about to start.
    pub(crate) fn pipes(&mut self) -> io::Result<Output> {
        let (out_read, out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (err_read, err) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        for (stream, read) in self.streams.iter_mut().zip([out_read, err_read]) {
            rustix::io::ioctl_fionbio(&read, true)?;
            let _ = rustix::pipe::fcntl_setpipe_size(&read, PIPE_SIZE);
            stream.pipe = Some(read);
        }
        Ok(Output::Pipes { out, err })
    }

    /// What can be read from, unless it rests or its copy waits to be written.
    pub(crate) fn readable(&self, now: Now) -> impl Iterator<Item = (Kind, &OwnedFd)> {
        self.streams
            .iter()
            .filter(move |stream| stream.copy.is_empty() && stream.rest.is_none_or(|until| until <= now))
            .filter_map(|stream| Some((stream.kind, stream.pipe.as_ref()?)))
    }

    /// When a rest is over.
    pub(crate) fn deadline(&self, now: Now) -> Option<Now> {
        let resting = self.streams.iter().filter(|stream| stream.copy.is_empty() && stream.pipe.is_some());
        resting.filter_map(|stream| stream.rest.filter(|until| *until > now)).min()
    }

    /// Copies that wait for room in the container's output.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Kind> {
        self.streams.iter().filter(|stream| !stream.copy.is_empty()).map(|stream| stream.kind)
    }

    /// Reads from a stream once.
    pub(crate) fn read(&mut self, now: Now, kind: Kind) {
        let (streams, archivist) = (&mut self.streams, &self.archivist);
        if let Some(stream) = streams.iter_mut().find(|stream| stream.kind == kind) {
            let full = stream.read(archivist) == Some(CHUNK);
            stream.rest = (!full).then(|| now.saturating_add(REST));
        }
    }

    /// Goes on with a copy.
    pub(crate) fn write(&mut self, kind: Kind) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.kind == kind) {
            stream.write();
        }
    }

    /// The process is gone: takes what is left in its pipes.
    pub(crate) fn drain(&mut self) {
        for stream in &mut self.streams {
            let until = Instant::now() + LAST_READ;
            while stream.read(&self.archivist).is_some() && Instant::now() < until {}
            stream.pipe = None;
            stream.end(&self.archivist);
            stream.write();
        }
    }

    /// Closes all files and opens them anew by their names: for whoever renames
    /// them from outside (PM2 `reloadLogs`). The first failure is the answer, the
    /// other files are opened all the same.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        let all = self.streams.iter_mut().map(|stream| stream.file.reopen());
        all.fold(Ok(()), io::Result::and)
    }

    /// Empties the files that are written to (PM2 `flush`); rotated ones stay.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let all = self.streams.iter_mut().map(|stream| stream.file.flush());
        all.fold(Ok(()), io::Result::and)
    }

    /// The container's own output of a stream.
    pub(crate) fn target(kind: Kind) -> BorrowedFd<'static> {
        match kind {
            Kind::Out => rustix::stdio::stdout(),
            Kind::Error => rustix::stdio::stderr(),
        }
    }

    /// The end of the runner: waits a little for what goes on beside it.
    pub(crate) fn finish(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        self.drain();
        for stream in &mut self.streams {
            stream.flush(until);
        }
        self.archivist.finish(until.saturating_duration_since(Instant::now()));
    }
}

impl Stream {
    /// Bytes read; nothing if there were none.
    fn read(&mut self, archivist: &Archivist) -> Option<usize> {
        let pipe = self.pipe.as_ref()?;
        match rustix::io::read(pipe, &mut self.chunk[..]) {
            Ok(0) => {
                self.pipe = None;
                self.end(archivist);
                None
            }
            Ok(n) => {
                let Self { framer, file, copy, chunk, .. } = self;
                framer.feed(&chunk[..n], |bytes, whole| {
                    file.write(bytes, whole, archivist);
                    offer(copy, bytes);
                });
                self.write();
                Some(n)
            }
            Err(Errno::INTR) => Some(0),
            Err(Errno::AGAIN) => None,
            Err(_) => {
                self.pipe = None;
                None
            }
        }
    }

    fn end(&mut self, archivist: &Archivist) {
        let Self { framer, file, copy, .. } = self;
        framer.end(|bytes, whole| {
            file.write(bytes, whole, archivist);
            offer(copy, bytes);
        });
    }

    /// Writes as much of the copy as goes without blocking.
    fn write(&mut self) {
        while self.copied < self.copy.len() && self.writable(Duration::ZERO) {
            let rest = &self.copy[self.copied..];
            let piece = &rest[..rest.len().min(PIPE_BUF)];
            match rustix::io::write(Logs::target(self.kind), piece) {
                Ok(n) => self.copied += n,
                Err(Errno::INTR | Errno::AGAIN) => {}
                // Nobody reads any more, and nobody will.
                Err(_) => self.copied = self.copy.len(),
            }
        }
        if self.copied >= self.copy.len() {
            self.copy.clear();
            self.copy.shrink_to(2 * CHUNK);
            self.copied = 0;
        }
    }

    fn flush(&mut self, until: Instant) {
        while !self.copy.is_empty() && self.writable(until.saturating_duration_since(Instant::now())) {
            self.write();
        }
    }

    fn writable(&self, wait: Duration) -> bool {
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let mut fds = [PollFd::from_borrowed_fd(Logs::target(self.kind), PollFlags::OUT)];
        poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }
}

/// Adds to what waits for the container's output; the file has it anyway.
fn offer(copy: &mut Vec<u8>, bytes: &[u8]) {
    if copy.len() + bytes.len() <= MAX_COPY {
        copy.extend_from_slice(bytes);
    }
}

/// The file of one stream.
#[derive(Debug)]
struct LogFile {
    names: Names,
    file: Option<File>,
    size: u64,
    max_size: u64,
    failure_told: bool,
}

impl LogFile {
    fn open(names: Names, max_size: u64) -> io::Result<Self> {
        let mut it = Self { names, file: None, size: 0, max_size: max_size.max(1), failure_told: false };
        it.reopen()?;
        Ok(it)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(self.names.current())?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.set_len(0)?;
        }
        self.size = 0;
        Ok(())
    }

    /// Writes whole lines, rotating between two of them where one more would
    /// pass the size. A file that cannot be written to is told once; the copy
    /// in the container's output goes on.
    fn write(&mut self, mut bytes: &[u8], whole: bool, archivist: &Archivist) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.share(bytes, whole));
            let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(now));
            self.size += now.len() as u64;
            bytes = later;
            let full = self.size >= self.max_size;
            let result = written.and_then(|()| {
                let over = self.size >= self.max_size.saturating_mul(MAX_OVERSIZE);
                if full && (whole || over) { self.rotate(archivist) } else { Ok(()) }
            });
            match result {
                Ok(()) => self.failure_told = false,
                Err(error) if !self.failure_told => {
                    self.failure_told = true;
                    let path = self.names.current();
                    say!("{} cannot be written: {error}; kubectl logs has the lines", path.display());
                }
                Err(_) => {}
            }
        }
    }

    /// How much of `bytes` goes into this file: lines up to the one that fills it.
    fn share(&self, bytes: &[u8], whole: bool) -> usize {
        let room = usize::try_from(self.max_size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if !whole || bytes.len() <= room {
            return bytes.len();
        }
        let from = room.saturating_sub(1);
        bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| from + at + 1)
    }

    fn rotate(&mut self, archivist: &Archivist) -> io::Result<()> {
        let rotated = self.names.rotated(epoch_millis() / 1_000);
        let renamed = match fs::rename(self.names.current(), &rotated) {
            Ok(()) => true,
            // Somebody has taken it away, or the last attempt got no further than this.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        self.reopen()?;
        if renamed {
            archivist.take(self.names.clone(), rotated);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ended_runner_has_left_is_compressed_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("web-out__2026-11-23_08-01-32.log");
        fs::write(&left, "a line\n").unwrap();
        // It was killed while it compressed.
        fs::write(left.with_extension("gz.new"), "half").unwrap();
        let dir_name = dir.path().to_str().unwrap().to_owned();
        let config = LogFiles { max_size: 10, retain: 3, compress: true, ..LogFiles::in_dir(dir_name) };
        let mut logs = Logs::open("web", &config).unwrap();
        logs.archivist.finish(Duration::from_secs(20));
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["web-error.log", "web-out.log", "web-out__2026-11-23_08-01-32.log.gz"]);
    }

    #[test]
    fn a_file_that_somebody_takes_away_is_there_again_after_the_next_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names::new(dir.path(), "web-out".into());
        let archivist = Archivist::start(Keep { retain: 9, compress: false }).unwrap();
        let mut file = LogFile::open(names.clone(), 10).unwrap();
        file.write(b"one\n", true, &archivist);
        fs::remove_file(names.current()).unwrap();
        file.write(b"two three\n", true, &archivist);
        file.write(b"four\n", true, &archivist);
        assert_eq!(fs::read_to_string(names.current()).unwrap(), "four\n");
        assert!(!file.failure_told);
    }
}
