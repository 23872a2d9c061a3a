//! What a reconcile came to. Waiting and invalid are outcomes, not errors.

use std::time::Duration;

use kube::runtime::controller::Action;

/// The result of one reconcile; also a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it should be.
    Unchanged,
    /// Something was written.
    Changed,
    /// The spec cannot be carried out; nothing that runs was touched.
    Invalid,
    /// A name that is needed belongs to someone else.
    NameTaken,
    /// The app or its namespace is being deleted.
    Deleting,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unchanged, Self::Changed, Self::Invalid, Self::NameTaken, Self::Deleting];

    /// Its name as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Invalid => "invalid",
            Self::NameTaken => "name_taken",
            Self::Deleting => "deleting",
        }
    }

    /// When to look again, should no watch say so earlier. `spread` from 0 to 1
    /// keeps a fleet from returning at once.
    pub fn next(self, spread: f64) -> Action {
        let half_an_hour = Duration::from_mins(30).mul_f64(1.0 + spread.clamp(0.0, 1.0));
        Action::requeue(match self {
            Self::Unchanged | Self::Changed | Self::Invalid | Self::Deleting => half_an_hour,
            // Objects of others are not watched.
            Self::NameTaken => Duration::from_secs(20).mul_f64(1.0 + spread.clamp(0.0, 1.0)),
        })
    }
}
