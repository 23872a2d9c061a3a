//! How the app is executed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Node.js does when a promise is rejected and nothing handles it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // Node's own names; docs on variants would not reach the schema.
pub enum UnhandledRejections {
    #[default]
    Throw,
    Warn,
    Strict,
    None,
    WarnWithErrorCode,
}

impl UnhandledRejections {
    /// The value as the option `--unhandled-rejections` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throw => "throw",
            Self::Warn => "warn",
            Self::Strict => "strict",
            Self::None => "none",
            Self::WarnWithErrorCode => "warn-with-error-code",
        }
    }
}
