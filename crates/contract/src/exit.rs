//! Exit codes of the runner itself; the forwarder uses `Usage` and `System` of them.
//!
//! The code of the app is passed on where there is one; these stand for the
//! cases in which the app never ran. They follow `sysexits.h` and stay clear of
//! the codes that Node.js uses (1 to 13) and of signals (128 and up).

/// Why the runner ended without an app to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The command line is wrong (`EX_USAGE`).
    Usage = 64,
    /// The script does not exist or cannot be read (`EX_NOINPUT`).
    ScriptMissing = 66,
    /// Node.js, or the program of `command`, is not in the image (`EX_UNAVAILABLE`).
    ProgramMissing = 69,
    /// A bug in the runner (`EX_SOFTWARE`).
    Internal = 70,
    /// The system refused something the runner needs (`EX_OSERR`).
    System = 71,
    /// The configuration cannot be read (`EX_CONFIG`).
    Config = 78,
}

impl ExitCode {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}
