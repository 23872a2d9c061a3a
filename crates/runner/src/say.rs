//! The runner's own log: one line per event on standard error.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PREFIX: &str = "nodeapp-runner: ";
/// A pipe that is ready to be written to takes this much without blocking.
const PIPE_BUF: usize = 4_096;
/// How long a reader may keep the runner waiting before the line is dropped.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Writes `nodeapp-runner: <text>` as one line, whatever is in it. What nobody takes is dropped: the runner has
/// other things to do than to wait for whoever reads the container's output.
pub(crate) fn line(text: &str) {
    let text = text.replace(char::is_control, " ");
    let room = PIPE_BUF - PREFIX.len() - 1;
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let line = format!("{PREFIX}{}\n", &text[..end]);
    let stderr = rustix::stdio::stderr();
    let mut fds = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    if poll(&mut fds, Some(&PATIENCE)).is_ok_and(|ready| ready > 0) {
        let _ = rustix::io::write(stderr, line.as_bytes());
    }
}

/// [`line`] with formatting.
macro_rules! say {
    ($($part:tt)*) => { $crate::say::line(&format!($($part)*)) };
}
pub(crate) use say;
