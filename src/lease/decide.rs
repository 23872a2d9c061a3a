//! Who may work, as a plain function of what was seen of the Lease.

use std::time::{Duration, Instant};

/// The times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long the Lease holds after its last renewal, by the clock of whoever
    /// waits for it.
    pub duration: Duration,
    /// A leader that could not renew for so long ends. Shorter than `duration`, so
    /// that it has ended before another one begins.
    pub renew_deadline: Duration,
    /// Time between two renewals, and between two looks of one that waits.
    pub period: Duration,
}

/// The times of the controllers of Kubernetes itself.
impl Default for Times {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            period: Duration::from_secs(2),
        }
    }
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write our name into it.
    Claim,
    /// It is ours already: renew it.
    Renew,
    /// It is someone's: look again.
    Wait,
}

/// Decides by the holder and by how long the Lease has not changed in our own
/// eyes; the times written in it are another machine's.
pub(super) fn decide(holder: Option<&str>, me: &str, unchanged_for: Duration, duration: Duration) -> Step {
    match holder {
        None | Some("") => Step::Claim,
        Some(holder) if holder == me => Step::Renew,
        Some(_) if unchanged_for >= duration => Step::Claim,
        Some(_) => Step::Wait,
    }
}

/// Since when a Lease has been as it is, by our own clock.
#[derive(Debug, Default)]
pub(super) struct Watched {
    seen: Option<(String, Instant)>,
}

impl Watched {
    /// Takes in a version; returns how long it has been the same.
    pub(super) fn unchanged_for(&mut self, version: &str, now: Instant) -> Duration {
        match &self.seen {
            Some((seen, since)) if seen == version => now.duration_since(*since),
            _ => {
                self.seen = Some((version.to_owned(), now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_nobody_holds_is_claimed_at_once() {
        assert_eq!(decide(None, "a", after(0), DURATION), Step::Claim);
        assert_eq!(decide(Some(""), "a", after(0), DURATION), Step::Claim, "released");
    }

    #[test]
    fn the_own_lease_is_renewed_however_old_it_is() {
        assert_eq!(decide(Some("a"), "a", after(0), DURATION), Step::Renew);
        assert_eq!(decide(Some("a"), "a", after(60), DURATION), Step::Renew);
    }

    #[test]
    fn anothers_lease_is_taken_only_when_it_stood_still_for_its_whole_time() {
        assert_eq!(decide(Some("b"), "a", after(0), DURATION), Step::Wait);
        assert_eq!(decide(Some("b"), "a", after(14), DURATION), Step::Wait);
        assert_eq!(decide(Some("b"), "a", after(15), DURATION), Step::Claim);
    }

    #[test]
    fn time_runs_from_the_first_sight_of_a_version_whatever_clock_wrote_it() {
        let (mut watched, start) = (Watched::default(), Instant::now());
        assert_eq!(watched.unchanged_for("1", start), after(0));
        assert_eq!(watched.unchanged_for("1", start + after(14)), after(14));
        assert_eq!(watched.unchanged_for("2", start + after(15)), after(0), "renewed");
        assert_eq!(watched.unchanged_for("2", start + after(30)), after(15));
    }

    #[test]
    fn a_leader_ends_before_another_one_begins() {
        let times = Times::default();
        assert!(times.renew_deadline + times.period < times.duration);
    }
}
