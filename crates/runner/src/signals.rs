//! Signals by name, and the pipes through which they reach the main loop.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::low_level::pipe;

const NAMES: [(&str, Signal); 16] = [
    ("SIGHUP", Signal::HUP),
    ("SIGINT", Signal::INT),
    ("SIGQUIT", Signal::QUIT),
    ("SIGABRT", Signal::ABORT),
    ("SIGKILL", Signal::KILL),
    ("SIGUSR1", Signal::USR1),
    ("SIGUSR2", Signal::USR2),
    ("SIGTERM", Signal::TERM),
    ("SIGCONT", Signal::CONT),
    ("SIGSTOP", Signal::STOP),
    ("SIGALRM", Signal::ALARM),
    ("SIGTSTP", Signal::TSTP),
    ("SIGWINCH", Signal::WINCH),
    ("SIGSEGV", Signal::SEGV),
    ("SIGBUS", Signal::BUS),
    ("SIGILL", Signal::ILL),
];

/// The signal of a name such as `SIGINT`.
pub(crate) fn by_name(name: &str) -> Option<Signal> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal)
}

/// The names, for a person who has misspelt one.
pub(crate) fn known() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

/// The name of a signal's number.
pub(crate) fn name(number: i32) -> String {
    NAMES
        .iter()
        .find(|(_, signal)| signal.as_raw() == number)
        .map_or_else(|| format!("signal {number}"), |(name, _)| (*name).to_owned())
}

/// Pipes that get a byte per signal.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// SIGTERM and SIGINT: stop.
    pub(crate) stop: UnixStream,
    /// SIGCHLD: a child has ended.
    pub(crate) child: UnixStream,
    /// SIGUSR2: open the log files anew, as PM2's daemon does.
    pub(crate) reopen: UnixStream,
}

impl Pipes {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { stop: catch(&[SIGTERM, SIGINT])?, child: catch(&[SIGCHLD])?, reopen: catch(&[SIGUSR2])? })
    }
}

fn catch(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in signals {
        pipe::register(*signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Empties a pipe; the number of signals since the last time, at most 64.
pub(crate) fn take(pipe: &UnixStream) -> usize {
    let mut bytes = [0_u8; 64];
    rustix::io::read(pipe, &mut bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for (text, signal) in NAMES {
            assert_eq!(by_name(text), Some(signal));
            assert_eq!(name(signal.as_raw()), text);
        }
        assert_eq!(by_name("sigint"), None);
        assert_eq!(name(63), "signal 63");
    }
}
