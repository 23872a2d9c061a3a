//! What an audit says.

use std::path::PathBuf;

use serde::Serialize;

/// How bad a finding is. The order is that of [`Severity::Note`] < [`Severity::Warning`] < [`Severity::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, though not as it did with one instance.
    Note,
    /// Gives wrong results, or loses data, in some requests.
    Warning,
    /// Does not work with several instances, or not in a pod at all.
    Error,
}

impl Severity {
    /// Every level, the mildest first.
    pub const ALL: [Self; 3] = [Self::Note, Self::Warning, Self::Error];

    /// As it is written on the command line, and in SARIF.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place in a file; both numbers begin at 1, the column counts characters (Unicode scalar values).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as given on the command line plus what is below.
    pub file: PathBuf,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// One thing that breaks with several instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Id of the rule; see [`crate::rules`].
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What was found here.
    pub message: String,
    /// Why it breaks with several instances.
    pub why: &'static str,
    /// What to use instead.
    pub instead: &'static str,
    /// Where else to look: the places that write, the handler they are reached from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that belongs to a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Related {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What happens there.
    pub message: String,
}

/// A finding that a comment in the source has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// What would have been said.
    #[serde(flatten)]
    pub finding: Finding,
    /// What stands behind `--` in the comment; empty if nothing does.
    pub reason: String,
}

/// Something that was not audited, or a comment that does not work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// The file or folder.
    pub file: PathBuf,
    /// The line, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What happened, and what to do.
    pub message: String,
}

/// The result of an audit, sorted by file and line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Number of files that were read and parsed.
    pub files: usize,
    /// What breaks.
    pub findings: Vec<Finding>,
    /// What comments in the source have accepted.
    pub suppressed: Vec<Suppressed>,
    /// What was not audited, and why.
    pub notes: Vec<Note>,
}

impl Findings {
    /// The worst of all; `None` without findings.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Number of findings at this level or above.
    pub fn at_least(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity >= severity).count()
    }
}
