//! Starts the process that `launch` has put together.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

use crate::held::Held;
use crate::launch::Plan;

/// Standard output and standard error of the app.
pub(crate) enum Output {
    /// The container's own: nothing to do for the runner.
    Inherited,
    /// Pipes whose other ends the runner reads.
    Pipes { out: OwnedFd, err: OwnedFd },
    /// The same for standard error alone.
    ErrorPipe(OwnedFd),
}

/// Starts it with its end of the IPC channel and the held sockets.
///
/// Descriptors are made inheritable for this moment only: the runner has one
/// thread that starts processes, so nobody else can catch them.
pub(crate) fn spawn(plan: &Plan, ipc: &UnixStream, held: Option<&Held>, output: Output) -> io::Result<Pid> {
    let mut command = Command::new(&plan.program);
    command.args(&plan.args).env_clear().envs(&plan.env).stdin(Stdio::null());
    // A terminal's Ctrl-C reaches the runner alone, which has an order to keep.
    command.process_group(0);
    if let Some(cwd) = &plan.cwd {
        command.current_dir(cwd);
    }
    match output {
        Output::Inherited => {}
        Output::Pipes { out, err } => drop(command.stdout(out).stderr(err)),
        Output::ErrorPipe(err) => drop(command.stderr(err)),
    }
    fcntl_setfd(ipc.as_fd(), FdFlags::empty())?;
    if let Some(held) = held {
        held.inherit(true)?;
    }
    let result = command.spawn();
    if let Some(held) = held {
        held.inherit(false)?;
    }
    let child = result?;
    Ok(Pid::from_child(&child))
}
