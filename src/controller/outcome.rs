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
    /// It is to be left alone.
    Paused,
    /// The spec cannot be carried out; nothing that runs was touched.
    Invalid,
    /// A name that is needed belongs to someone else.
    NameTaken,
    /// The app or its namespace is being deleted.
    Deleting,
}

/// An outcome, and when the status that goes with it is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// What it came to.
    pub outcome: Outcome,
    /// How long the status is good for; without end if there is none.
    pub good_for: Option<Duration>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, good_for: None }
    }
}

impl Done {
    /// The same, to be looked at again after `again` at the latest.
    #[must_use]
    pub fn within(self, again: Option<Duration>) -> Self {
        Self { good_for: self.good_for.into_iter().chain(again).min(), ..self }
    }

    /// When to look again, should no watch say so earlier.
    pub fn next(self, spread: f64) -> Action {
        let next = self.outcome.wait(spread);
        Action::requeue(self.good_for.map_or(next, |good_for| next.min(good_for)))
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Unchanged, Self::Changed, Self::Paused, Self::Invalid, Self::NameTaken, Self::Deleting];

    /// Its name as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Paused => "paused",
            Self::Invalid => "invalid",
            Self::NameTaken => "name_taken",
            Self::Deleting => "deleting",
        }
    }

    /// When to look again, should no watch say so earlier. `spread` from 0 to 1
    /// keeps a fleet from returning at once.
    fn wait(self, spread: f64) -> Duration {
        let half_an_hour = Duration::from_mins(30).mul_f64(1.0 + spread.clamp(0.0, 1.0));
        match self {
            Self::Unchanged | Self::Changed | Self::Paused | Self::Invalid | Self::Deleting => half_an_hour,
            // Objects of others are not watched.
            Self::NameTaken => Duration::from_secs(20).mul_f64(1.0 + spread.clamp(0.0, 1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_gets_old_is_looked_at_when_it_does() {
        let soon = Duration::from_mins(10);
        let done = Done { outcome: Outcome::Unchanged, good_for: Some(soon) };
        assert_eq!(done.next(0.5), Action::requeue(soon));
        assert_eq!(Done::from(Outcome::Unchanged).next(0.0), Action::requeue(Duration::from_mins(30)));
    }
}
