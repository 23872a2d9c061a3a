//! Puts the end of a process into words.

use std::time::Duration;

use nodeapp_contract::config::Millis;
use nodeapp_contract::{ExitReason, LastExit};

use crate::machine::{Cause, End, Ended, Next, Rest};
use crate::signals;

/// What is known beside the end itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// The kernel has counted an out-of-memory kill in this container.
    pub(crate) oom_kill: bool,
    /// Why the runner restarted it, in figures.
    pub(crate) why: Option<String>,
    /// Milliseconds since the epoch.
    pub(crate) at: u64,
}

/// The record of an end.
pub(crate) fn describe(end: End, ended: &Ended, next: Next, context: &Context) -> LastExit {
    let (code, signal) = match end {
        End::Code(code) => (Some(code), None),
        End::Signal(signal) => (None, Some(signals::name(signal))),
    };
    let reason = reason(end, ended, context.oom_kill);
    let how = match &signal {
        Some(signal) => format!("killed by {signal}"),
        None => format!("exit code {}", code.unwrap_or_default()),
    };
    let what = match (reason, &context.why) {
        (ExitReason::Completed, _) => "the app ended by itself with exit code 0".to_owned(),
        (ExitReason::OutOfMemory, _) => format!(
            "the kernel killed the app for memory ({how}); raise resources.limits.memory, or set maxMemoryRestart \
             to restart it before"
        ),
        (ExitReason::MemoryLimit | ExitReason::ProbeFailed | ExitReason::Hung, Some(why)) => {
            format!("restarted: {why} ({how})")
        }
        (ExitReason::StopOrdered, _) => format!("stopped as ordered ({how})"),
        (_, Some(why)) => format!("{why} ({how})"),
        (ExitReason::Crash, None) if end == End::Signal(9) => {
            "the app was killed by SIGKILL, which the runner did not send; often it is the kernel for want of memory"
                .to_owned()
        }
        _ => format!("the app crashed ({how}); see its last log lines"),
    };
    let follows = match next {
        Next::Start(delay) if delay.is_zero() => "; starting it again".to_owned(),
        Next::Start(delay) => format!("; starting it again in {}", spoken(delay)),
        Next::Errored(Some(wait)) => {
            format!("; it ended too often and is errored: tried again in {}", spoken(wait))
        }
        Next::Errored(None) => {
            "; it ended too often and is errored: not tried again (erroredRetryDelay is 0)".to_owned()
        }
        Next::Rest(rest) => format!("; not started again: {}", why_at_rest(rest)),
        Next::Nothing => String::new(),
    };
    LastExit {
        code,
        signal,
        reason,
        message: format!("{what}{follows}"),
        at: Millis(context.at),
        log_tail: vec![],
    }
}

/// Why a process that has ended is left at that.
pub(crate) fn why_at_rest(rest: Rest) -> String {
    match rest {
        Rest::NoAutorestart => "autorestart is false".to_owned(),
        Rest::StopExitCode(code) => format!("exit code {code} is one of stopExitCodes"),
    }
}

/// A time for a person.
pub(crate) fn spoken(time: Duration) -> String {
    let (millis, seconds) = (time.as_millis(), time.as_secs());
    match (millis % 1_000, seconds % 60) {
        (0, 0) if seconds == 60 => "1 minute".to_owned(),
        (0, 0) if seconds > 0 => format!("{} minutes", seconds / 60),
        (0, _) => format!("{seconds} s"),
        _ => format!("{millis} ms"),
    }
}

fn reason(end: End, ended: &Ended, oom_kill: bool) -> ExitReason {
    match ended {
        Ended::Stop | Ended::Restart(Cause::Ordered) => ExitReason::StopOrdered,
        Ended::Restart(Cause::MemoryLimit) => ExitReason::MemoryLimit,
        Ended::Restart(Cause::ProbeFailed) => ExitReason::ProbeFailed,
        Ended::Restart(Cause::Hung) => ExitReason::Hung,
        Ended::ByItself => match end {
            End::Code(0) => ExitReason::Completed,
            End::Signal(9) if oom_kill => ExitReason::OutOfMemory,
            _ => ExitReason::Crash,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Next = Next::Start(Duration::ZERO);

    fn exit(end: End, ended: &Ended, oom_kill: bool) -> LastExit {
        describe(end, ended, AGAIN, &Context { oom_kill, ..Context::default() })
    }

    #[test]
    fn the_reason_is_told_apart() {
        for (end, ended, oom, reason) in [
            (End::Code(0), Ended::ByItself, false, ExitReason::Completed),
            (End::Code(1), Ended::ByItself, true, ExitReason::Crash),
            (End::Signal(11), Ended::ByItself, false, ExitReason::Crash),
            (End::Signal(9), Ended::ByItself, false, ExitReason::Crash),
            (End::Signal(9), Ended::ByItself, true, ExitReason::OutOfMemory),
            (End::Signal(2), Ended::Stop, false, ExitReason::StopOrdered),
            (End::Code(0), Ended::Restart(Cause::MemoryLimit), false, ExitReason::MemoryLimit),
            (End::Signal(9), Ended::Restart(Cause::ProbeFailed), true, ExitReason::ProbeFailed),
            (End::Signal(9), Ended::Restart(Cause::Hung), false, ExitReason::Hung),
        ] {
            assert_eq!(exit(end, &ended, oom).reason, reason, "{end:?} {ended:?}");
        }
    }

    #[test]
    fn a_signal_is_not_an_exit_code() {
        let exit = exit(End::Signal(15), &Ended::ByItself, false);
        assert_eq!((exit.code, exit.signal.as_deref()), (None, Some("SIGTERM")));
        assert_eq!(
            exit.message,
            "the app crashed (killed by SIGTERM); see its last log lines; starting it again"
        );
    }
}
