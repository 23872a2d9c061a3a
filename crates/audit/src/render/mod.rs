//! Findings for people, for programs, and for code hosts.

mod json;
mod sarif;
mod text;

pub use self::json::json;
pub use self::sarif::sarif;
pub use self::text::text;
