//! How the app is stopped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signal that asks an app to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // The signals' own names; docs on variants would not reach the schema.
pub enum KillSignal {
    #[default]
    SigInt,
    SigTerm,
    SigQuit,
    SigHup,
    SigUsr2,
    SigKill,
}

impl KillSignal {
    /// Name of the signal, such as `SIGINT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SigInt => "SIGINT",
            Self::SigTerm => "SIGTERM",
            Self::SigQuit => "SIGQUIT",
            Self::SigHup => "SIGHUP",
            Self::SigUsr2 => "SIGUSR2",
            Self::SigKill => "SIGKILL",
        }
    }
}
