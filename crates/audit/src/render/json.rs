//! For programs.

use serde_json::json;

use crate::finding::Findings;

/// An object with `version`, `files`, `findings`, `suppressed` and `notes`; `docs/audit.md` tells the fields.
pub fn json(findings: &Findings) -> String {
    let mut value = json!(findings);
    if let Some(object) = value.as_object_mut() {
        object.insert("version".to_owned(), json!(1));
    }
    format!("{value:#}\n")
}
