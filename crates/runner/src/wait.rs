//! One wait for everything the runner reacts to.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::logs::Kind;
use crate::probe::Role;

/// Who has something to read, or room to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Stop,
    Child,
    /// SIGUSR2: log files are to be opened anew.
    Reopen,
    Ipc,
    SideListener,
    Side(u64),
    ControlListener,
    Control(u64),
    EndpointListener,
    Endpoint(u64),
    /// Output of the app.
    Log(Kind),
    /// Room in the container's output.
    LogCopy(Kind),
    Probe(Role),
}

/// What is waited for.
#[derive(Debug, Default)]
pub(crate) struct Interest<'fd> {
    tokens: Vec<Token>,
    fds: Vec<PollFd<'fd>>,
}

impl<'fd> Interest<'fd> {
    pub(crate) fn read(&mut self, token: Token, fd: BorrowedFd<'fd>) {
        self.add(token, fd, PollFlags::IN);
    }

    pub(crate) fn write(&mut self, token: Token, fd: BorrowedFd<'fd>) {
        self.add(token, fd, PollFlags::OUT);
    }

    /// For room to write if `write`, else for something to read.
    pub(crate) fn either(&mut self, token: Token, fd: BorrowedFd<'fd>, write: bool) {
        self.add(token, fd, if write { PollFlags::OUT } else { PollFlags::IN });
    }

    /// For something to read, and for room to write too if `write`.
    pub(crate) fn both(&mut self, token: Token, fd: BorrowedFd<'fd>, write: bool) {
        self.add(token, fd, if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN });
    }

    fn add(&mut self, token: Token, fd: BorrowedFd<'fd>, flags: PollFlags) {
        self.tokens.push(token);
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
    }

    /// Waits until something happens, or for `timeout` at most.
    pub(crate) fn wait(mut self, timeout: Option<Duration>) -> Vec<Token> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        // Interrupted by a signal: its pipe has the news at the next turn.
        if poll(&mut self.fds, timeout.as_ref()).is_err() {
            return vec![];
        }
        let ready = self.fds.iter().map(|fd| !fd.revents().is_empty());
        self.tokens.into_iter().zip(ready).filter_map(|(token, ready)| ready.then_some(token)).collect()
    }
}
