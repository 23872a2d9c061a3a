//! The app's output where there is something to do with it: dressed line by
//! line, written to files, and to the container's own output for `kubectl logs`.
//!
//! A line is written to the files before it is offered to the container's
//! output. If nobody reads that, the runner stops reading from the app, as a
//! pipe would: nothing is lost and nothing piles up. What an app that has ended
//! left in its pipe still goes to the files at once, and waits for the
//! container's output beside whatever the runner does next.

use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nodeapp_contract::config::LogPolicy;
use nodeapp_contract::{RunnerConfig, Zone};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::machine::Now;
use crate::record::epoch_millis;
use crate::say::say;
use crate::spawn::Output;

mod archive;
mod date;
mod dress;
mod file;
mod files;
mod framer;
mod json;
mod names;
pub(crate) mod tail;
mod target;

use dress::{Dress, Origin};
use files::Files;
use framer::Framer;
use tail::Tail;
use target::Target;

/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// The same where only the tail is of interest.
const SMALL_CHUNK: usize = 4 * 1024;
/// What is dressed at once: empty lines grow two hundredfold in JSON.
const LINES: usize = 512;
/// With more than this waiting for the container's output nothing is dressed.
const ENOUGH: usize = 256 * 1024;
/// After a read that did not fill the buffer the app is let alone for this long:
/// an app that writes line by line would otherwise cost a wake-up for each.
const REST: Duration = Duration::from_millis(5);
/// What the app can write meanwhile; the most that needs no privilege.
const PIPE_SIZE: usize = 1024 * 1024;
/// A longer plain line goes through in pieces, and a longer one in JSON.
const MAX_LINE: usize = 64 * 1024;
const MAX_OBJECT: usize = 256 * 1024;
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
    /// Absent while nobody can write.
    pipe: Option<OwnedFd>,
    chunk: Vec<u8>,
    /// What of the chunk is still to be dressed.
    unread: Range<usize>,
    framer: Framer,
    dress: Dress,
    target: Target,
    /// Not read from before.
    rest: Option<Now>,
    /// Last lines, if they are kept.
    tail: Option<Tail>,
}

/// Both streams.
#[derive(Debug)]
pub(crate) struct Logs {
    streams: [Stream; 2],
    files: Option<Files>,
    /// Standard error alone is read, for its tail: it is where a crash is explained, and
    /// standard output stays free.
    tail_only: bool,
}

impl Logs {
    /// Nothing if there is nothing to do: the app then writes to the container's
    /// output itself. `instance` is the name of the pod.
    pub(crate) fn open(config: &RunnerConfig, instance: &str) -> Option<Self> {
        let policy = &config.log;
        let tail_only = config.log_files.is_none() && Self::is_bare(policy);
        if tail_only && config.log_tail.is_none() {
            return None;
        }
        let zone = policy.time_zone.as_deref().map_or(Ok(Zone::UTC), Zone::parse).unwrap_or_else(|problem| {
            say!("timeZone: {problem}; times are UTC");
            Zone::UTC
        });
        let stream = |kind| {
            let origin = Origin { app: config.name.clone(), instance: instance.to_owned(), kind };
            let dress = Dress::new(policy, &zone, origin);
            Stream {
                kind,
                pipe: None,
                chunk: vec![0; if tail_only { SMALL_CHUNK } else { CHUNK }],
                unread: 0..0,
                framer: Framer::new(if dress.is_json() { MAX_OBJECT } else { MAX_LINE }),
                dress,
                target: Target::new(kind),
                rest: None,
                tail: config.log_tail.as_ref().map(|_| Tail::default()),
            }
        };
        let streams = [stream(Kind::Out), stream(Kind::Error)];
        let files = config.log_files.as_ref().and_then(|files| {
            let opened = Files::open(&config.name, files, &zone);
            opened.map_err(|error| say!("no log files: {error}; kubectl logs has the lines")).ok()
        });
        Some(Self { streams, files, tail_only })
    }

    fn is_bare(policy: &LogPolicy) -> bool {
        LogPolicy { time_zone: None, ..policy.clone() } == LogPolicy::default()
    }

    /// Whether there are files, beside the container's output.
    pub(crate) fn has_files(&self) -> bool {
        self.files.is_some()
    }

    /// Pipes for a process that is about to start.
    pub(crate) fn pipes(&mut self) -> io::Result<Output> {
        // What the last one's children have written since its end.
        self.drain();
        let (err_read, err) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        if self.tail_only {
            // Of the usual size: a user may not have many that are larger.
            rustix::io::ioctl_fionbio(&err_read, true)?;
            let [_, error] = &mut self.streams;
            (error.pipe, error.rest) = (Some(err_read), None);
            return Ok(Output::ErrorPipe(err));
        }
        let (out_read, out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        for (stream, read) in self.streams.iter_mut().zip([out_read, err_read]) {
            rustix::io::ioctl_fionbio(&read, true)?;
            let _ = rustix::pipe::fcntl_setpipe_size(&read, PIPE_SIZE);
            stream.pipe = Some(read);
            stream.rest = None;
        }
        Ok(Output::Pipes { out, err })
    }

    /// The process that got them.
    pub(crate) fn written_by(&mut self, pid: u32) {
        for stream in &mut self.streams {
            stream.dress.written_by(pid);
        }
    }

    /// What can be read from, unless it rests or the container's output is full.
    pub(crate) fn readable(&self, now: Now) -> impl Iterator<Item = (Kind, &OwnedFd)> {
        self.streams
            .iter()
            .filter(move |stream| stream.is_free() && stream.rest.is_none_or(|until| until <= now))
            .filter_map(|stream| Some((stream.kind, stream.pipe.as_ref()?)))
    }

    /// When a rest is over, or a rotation due.
    pub(crate) fn deadline(&self, now: Now) -> Option<Now> {
        let resting = self.streams.iter().filter(|stream| stream.is_free() && stream.pipe.is_some());
        let rests = resting.filter_map(|stream| stream.rest.filter(|until| *until > now));
        let rotation = self.files.as_ref().and_then(Files::idle).map(|idle| now.saturating_add(idle));
        rests.chain(rotation).min()
    }

    /// What waits for room in the container's output.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Kind, BorrowedFd<'_>)> {
        let full = self.streams.iter().filter(|stream| !stream.is_free());
        full.map(|stream| (stream.kind, stream.target.fd()))
    }

    /// Reads from a stream once.
    pub(crate) fn read(&mut self, now: Now, kind: Kind) {
        let (streams, files) = (&mut self.streams, &mut self.files);
        if let Some(stream) = streams.iter_mut().find(|stream| stream.kind == kind) {
            let full = stream.read(files) == Some(stream.chunk.len());
            stream.pump(files, ENOUGH);
            stream.rest = (!full).then(|| now.saturating_add(REST));
        }
    }

    /// Goes on with what waits.
    pub(crate) fn write(&mut self, kind: Kind) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.kind == kind) {
            stream.target.write();
            stream.pump(&mut self.files, ENOUGH);
        }
    }

    /// Rotates if it is time to.
    pub(crate) fn tick(&mut self) {
        if let Some(files) = &mut self.files {
            files.tick();
        }
    }

    /// The process is gone: takes what is left in its pipes. They stay open for
    /// children that have outlived it, as long as those do.
    pub(crate) fn drain(&mut self) {
        for stream in &mut self.streams {
            stream.pump(&mut self.files, usize::MAX);
            let until = Instant::now() + LAST_READ;
            while stream.read(&mut self.files).is_some() && Instant::now() < until {
                stream.pump(&mut self.files, usize::MAX);
            }
            stream.pump(&mut self.files, usize::MAX);
            stream.end(&mut self.files);
        }
    }

    /// The last lines of the process: of standard error, or of standard output where
    /// that has none.
    pub(crate) fn tail(&mut self, secrets: &[Vec<u8>]) -> Vec<String> {
        let [out, error] = &mut self.streams;
        let take = |stream: &mut Stream| stream.tail.as_mut().map(|tail| tail.take(secrets));
        let (out, error) = (take(out).unwrap_or_default(), take(error).unwrap_or_default());
        if error.is_empty() { out } else { error }
    }

    /// Closes all files and opens them anew by their names: for whoever renames
    /// them from outside (PM2 `reloadLogs`). The first failure is the answer, the
    /// other files are opened all the same.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.files.as_mut().map_or(Ok(()), Files::reopen)
    }

    /// Empties the files that are written to (PM2 `flush`); rotated ones stay.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.files.as_mut().map_or(Ok(()), Files::flush)
    }

    /// The end of the runner: waits a little for what goes on beside it.
    pub(crate) fn finish(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        self.drain();
        for stream in &mut self.streams {
            stream.target.flush(until);
        }
        if let Some(files) = &mut self.files {
            files.finish(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Stream {
    /// Everything that was read has found its way.
    fn is_free(&self) -> bool {
        self.target.waiting() == 0 && self.unread.is_empty()
    }

    /// Bytes read; nothing if there were none.
    fn read(&mut self, files: &mut Option<Files>) -> Option<usize> {
        let pipe = self.pipe.as_ref()?;
        match rustix::io::read(pipe, &mut self.chunk[..]) {
            Ok(0) => {
                self.pipe = None;
                self.end(files);
                None
            }
            Ok(n) => {
                self.unread = 0..n;
                if let Some(tail) = &mut self.tail {
                    tail.push(&self.chunk[..n]);
                }
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

    /// Dresses what was read and hands it on, until so much waits.
    fn pump(&mut self, files: &mut Option<Files>, enough: usize) {
        let millis = epoch_millis();
        while !self.unread.is_empty() && self.target.waiting() < enough {
            let Self { framer, dress, target, chunk, unread, kind, .. } = self;
            let lines = memchr::memchr_iter(b'\n', &chunk[unread.clone()]);
            let end = if dress.is_bare() { None } else { { lines }.nth(LINES - 1) };
            let slice = unread.start..end.map_or(unread.end, |at| unread.start + at + 1);
            unread.start = slice.end;
            framer.feed(&chunk[slice], |bytes, piece| {
                dress.dress(bytes, piece, millis, |bytes, piece| {
                    hand_on(files, target, *kind, bytes, piece);
                });
            });
        }
    }

    /// Nothing follows for now: half a line gets its end.
    fn end(&mut self, files: &mut Option<Files>) {
        let Self { framer, dress, target, kind, .. } = self;
        framer.end(|bytes, piece| {
            dress.dress(bytes, piece, epoch_millis(), |bytes, piece| {
                hand_on(files, target, *kind, bytes, piece);
            });
        });
    }
}

fn hand_on(files: &mut Option<Files>, target: &mut Target, kind: Kind, bytes: &[u8], piece: dress::Piece) {
    if let Some(files) = files {
        files.write(kind, bytes, piece);
    }
    target.offer(bytes);
}
