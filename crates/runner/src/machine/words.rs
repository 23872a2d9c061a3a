//! Events, actions and what else the machine has words for.

use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It exited.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl End {
    /// What a runner ends with whose process has ended so.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(code & 0xff).unwrap_or(1),
            Self::Signal(signal) => u8::try_from(128 + (signal & 0x7f)).unwrap_or(u8::MAX),
        }
    }
}

/// Why the runner restarts a process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A person asked for it.
    Ordered,
    /// It passed its memory line.
    MemoryLimit,
    /// Its liveness or startup probe failed.
    ProbeFailed,
    /// Its event loop was silent for too long.
    Hung,
}

/// What an end was, seen from the order that was going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nobody asked for it.
    ByItself,
    /// As part of a restart in place.
    Restart(Cause),
    /// The runner was told to stop.
    Stop,
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// The app is ready for traffic.
    Ready,
    /// The app's first process has ended; processes of its own may be left.
    Exited { end: End, tree_left: bool },
    /// The last process of the app is gone.
    TreeGone,
    /// SIGTERM or SIGINT.
    Stop,
    /// The preStop hook.
    Drain,
    /// Restart in place.
    Restart(Cause),
    /// The preload's count of requests and connections.
    Load { in_flight: u64, open: u64 },
}

/// What the supervisor has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a process.
    Start,
    /// Tell the app's processes to answer with `Connection: close`.
    Announce,
    /// Tell them to accept no more.
    Close,
    /// Tell them to close connections without a request.
    CloseIdle,
    /// Send the stop signal.
    Signal,
    /// SIGKILL the whole tree.
    KillTree,
    /// The drain that the preStop hook waits for is over.
    Drained,
    /// A process has ended: write it down. `next` is the wait before the next one.
    Record { end: End, ended: Ended, next: Next },
    /// End the runner with this exit code.
    Leave(u8),
}

/// What follows the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one, after this wait.
    Start(Duration),
    /// It ended too often: nothing for this long, or for ever.
    Errored(Option<Duration>),
    /// Nothing, until a person asks for it.
    Rest(Rest),
    /// Nothing any more.
    Nothing,
}

/// Why a process that has ended is not started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// `autorestart` is false.
    NoAutorestart,
    /// Its exit code is one of `stopExitCodes`.
    StopExitCode(i32),
}

/// What the outside wants to know about the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A process runs and is meant to serve.
    Running,
    /// It serves on for the drain delay, at the order of the API server.
    Lingering,
    /// It ends, another one will follow at once.
    Restarting,
    /// None runs; the next one follows after a delay.
    Waiting,
    /// It ended too often.
    Errored,
    /// It has ended, and the policy wants no other one.
    Resting(Rest),
    /// The end.
    Stopping,
    /// None runs, and none will.
    Stopped,
}
