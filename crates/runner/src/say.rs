//! The runner's own log: one line per event on standard error.

use std::io::Write;

/// Writes `nodeapp-runner: <text>`; a closed output is nobody's problem here.
pub(crate) fn line(text: &str) {
    let mut line = String::with_capacity(text.len() + 17);
    line.push_str("nodeapp-runner: ");
    line.push_str(text);
    line.push('\n');
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// [`line`] with formatting.
macro_rules! say {
    ($($part:tt)*) => { $crate::say::line(&format!($($part)*)) };
}
pub(crate) use say;
