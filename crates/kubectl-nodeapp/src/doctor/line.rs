//! One line of the checklist.

use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Pass,
    /// It works, and something that protects it is missing or not known.
    Warn,
    /// It is broken, or requests are lost at the next stop.
    Fail,
}

impl Verdict {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// Name of the check, for programs.
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    /// What was found, in words.
    pub(crate) message: String,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

impl Line {
    pub(crate) fn pass(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Pass, message: message.into(), command: None }
    }

    pub(crate) fn warn(check: &'static str, message: impl Into<String>, command: String) -> Self {
        Self { check, verdict: Verdict::Warn, message: message.into(), command: Some(command) }
    }

    pub(crate) fn fail(check: &'static str, message: impl Into<String>, command: String) -> Self {
        Self { check, verdict: Verdict::Fail, message: message.into(), command: Some(command) }
    }
}
