//! What can go wrong with a call, and how long it is worth waiting then.

use std::time::Duration;

use kube::core::Status;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {kind} {name}: {reason}", reason = explain(source))]
pub struct Error {
    /// What was tried.
    pub action: Action,
    /// Kind of the object.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// What the API server or the way to it said.
    #[source]
    pub source: kube::Error,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Server-side apply of an object that exists.
    Apply,
    /// Server-side apply of an object that must not exist yet.
    Create,
    /// Delete.
    Delete,
    /// Patch of a pod that waits for its number.
    Number,
    /// Get.
    Read,
    /// Server-side apply of a status.
    Report,
    /// Server-side apply that is not carried out.
    TryOut,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Apply => "apply",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Number => "number",
            Self::Read => "read",
            Self::Report => "report the status of",
            Self::TryOut => "give the new pod template to",
        })
    }
}

/// What an error means for the next try; also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Someone was faster, or our view was old: look again at once.
    Conflict,
    /// The API server asked for patience.
    Throttled,
    /// The API server is away, or failed.
    Unavailable,
    /// Something that we lean on does not exist.
    Missing,
    /// A right is missing, or a quota is used up.
    Forbidden,
    /// The API server does not take the object.
    Refused,
    /// The namespace is on its way out: nothing will come of it.
    Terminating,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Conflict,
        Self::Throttled,
        Self::Unavailable,
        Self::Missing,
        Self::Forbidden,
        Self::Refused,
        Self::Terminating,
    ];

    /// Its name as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Missing => "missing",
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::Terminating => "terminating",
        }
    }

    /// The first wait before a new try, and the longest.
    pub const fn delays(self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::Conflict => (Duration::from_millis(200), Duration::from_secs(5)),
            Self::Throttled => (Duration::from_secs(2), Duration::from_mins(1)),
            Self::Unavailable => (Duration::from_secs(1), Duration::from_secs(30)),
            Self::Missing | Self::Forbidden => (Duration::from_secs(5), Duration::from_mins(5)),
            Self::Refused => (Duration::from_secs(10), Duration::from_mins(10)),
            Self::Terminating => (Duration::from_mins(1), Duration::from_mins(10)),
        };
        (first, longest)
    }

    /// Whether a person has to do something, so that the app's status must say so.
    pub const fn needs_a_person(self) -> bool {
        match self {
            Self::Forbidden | Self::Refused => true,
            Self::Conflict | Self::Throttled | Self::Unavailable | Self::Missing | Self::Terminating => false,
        }
    }
}

impl Error {
    /// What it means for the next try.
    pub fn class(&self) -> Class {
        match &self.source {
            kube::Error::Api(status) => class_of(status),
            _ => Class::Unavailable,
        }
    }

    /// Whether an object that was to be new is there already.
    pub fn is_taken(&self) -> bool {
        self.action == Action::Create && self.class() == Class::Conflict
    }

    /// Whether the object is gone: what was to be deleted or reported on.
    pub fn is_gone(&self) -> bool {
        matches!(&self.source, kube::Error::Api(status) if status.code == 404 || is_other_uid(status))
    }
}

fn class_of(status: &Status) -> Class {
    match status.code {
        403 if has_cause(status, "NamespaceTerminating") => Class::Terminating,
        401 | 403 => Class::Forbidden,
        404 | 410 => Class::Missing,
        409 => Class::Conflict,
        422 if is_other_uid(status) => Class::Conflict,
        400 | 405..=408 | 411..=428 => Class::Refused,
        429 => Class::Throttled,
        // Of two items with one key it says so as if it had failed itself.
        500 if status.message.starts_with("failed to create typed patch object") => Class::Refused,
        _ => Class::Unavailable,
    }
}

/// We send the UID of the object that we mean. Another object of the same name
/// answers that the field cannot change, none at all that it does not match.
fn is_other_uid(status: &Status) -> bool {
    (status.code == 422 && status.message.contains("metadata.uid"))
        || (status.code == 409 && status.message.contains("uid mismatch"))
}

fn has_cause(status: &Status, reason: &str) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == reason)
}

/// The reason without the debug text that the client adds.
fn explain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => chain(other),
    }
}

/// An error with all that caused it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(action: Action, code: u16, message: &str) -> Error {
        let status = Status::failure(message, "").with_code(code);
        Error { action, kind: "Service", name: "web".into(), source: kube::Error::Api(status.boxed()) }
    }

    fn with_cause(code: u16, reason: &str) -> Error {
        let mut error = error(Action::Create, code, "forbidden");
        let details = serde_json::json!({"causes": [{"reason": reason, "message": "", "field": ""}]});
        if let kube::Error::Api(status) = &mut error.source {
            status.details = serde_json::from_value(details).unwrap();
        }
        error
    }

    #[test]
    fn every_answer_has_a_class() {
        for (code, class) in [
            (400, Class::Refused),
            (401, Class::Forbidden),
            (403, Class::Forbidden),
            (404, Class::Missing),
            (409, Class::Conflict),
            (410, Class::Missing),
            (422, Class::Refused),
            (429, Class::Throttled),
            (500, Class::Unavailable),
            (503, Class::Unavailable),
            (504, Class::Unavailable),
        ] {
            assert_eq!(error(Action::Apply, code, "").class(), class, "{code}");
        }
        let twice = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.template.spec.\
                     containers[name=\"app\"].env: duplicate entries for key [name=\"A\"]";
        assert_eq!(error(Action::TryOut, 500, twice).class(), Class::Refused);
        assert_eq!(with_cause(403, "NamespaceTerminating").class(), Class::Terminating);
        assert_eq!(with_cause(403, "SomethingElse").class(), Class::Forbidden);
    }

    #[test]
    fn an_object_that_was_replaced_meanwhile_is_a_conflict() {
        let replaced = error(Action::Apply, 422, "metadata.uid: Invalid value: field is immutable");
        assert_eq!(replaced.class(), Class::Conflict);
        assert!(replaced.is_gone());
    }

    #[test]
    fn only_a_new_object_can_find_its_name_taken() {
        assert!(error(Action::Create, 409, "the object has been modified").is_taken());
        assert!(!error(Action::Apply, 409, "the object has been modified").is_taken());
    }

    #[test]
    fn waits_grow_and_have_an_end() {
        for class in Class::ALL {
            let (first, longest) = class.delays();
            assert!(first < longest, "{class:?}");
        }
    }
}
