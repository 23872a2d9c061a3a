//! How often the operator takes out what someone else puts in. Whoever reconciles an object of
//! ours by a rule of their own puts it back at once, and each turn may be a rollout: after a few
//! the operator leaves it there for a while, and says so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cache::AppKey;

/// So often the same is taken out within [`WINDOW`].
pub const MOST: usize = 3;
/// How long a turn is remembered.
pub const WINDOW: Duration = Duration::from_mins(10);

/// What was taken out of the children of all apps.
#[derive(Debug, Default)]
pub struct Fights {
    apps: Mutex<HashMap<AppKey, Vec<(Round, Instant)>>>,
}

/// What someone has put into a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Kind and name of the child.
    pub child: String,
    /// Who it was.
    pub by: String,
    /// Which fields.
    pub fields: String,
}

/// What is left in a child though it does not belong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// What it is, whose it is, and what to do about it.
    pub message: String,
    /// When to take it out once more.
    pub again: Duration,
}

impl Fights {
    fn lock(&self) -> MutexGuard<'_, HashMap<AppKey, Vec<(Round, Instant)>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it has to be left where it is, if it has been taken out too often.
    pub fn wait(&self, app: &AppKey, round: &Round, now: Instant) -> Option<Duration> {
        let apps = self.lock();
        let turns = apps.get(app)?.iter().filter(|(known, _)| known == round).map(|(_, at)| *at + WINDOW);
        let ends: Vec<_> = turns.filter(|end| *end > now).collect();
        let next = ends.iter().rev().nth(MOST - 1)?;
        Some(next.duration_since(now))
    }

    /// Takes in that it was taken out.
    pub fn taken_out(&self, app: &AppKey, round: Round, now: Instant) {
        let mut apps = self.lock();
        let turns = apps.entry(app.clone()).or_default();
        turns.retain(|(_, at)| *at + WINDOW > now);
        turns.push((round, now));
    }

    /// Forgets an app.
    pub fn forget(&self, app: &AppKey) {
        self.lock().remove(app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_taken_out_thrice_in_ten_minutes_and_then_once_more_for_each_that_is_forgotten() {
        let app = AppKey { namespace: "shop".into(), name: "web".into() };
        let round = |fields: &str| Round {
            child: "Deployment web".into(),
            by: "kyverno".into(),
            fields: fields.into(),
        };
        let (fights, start) = (Fights::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let tried = |fields: &str, seconds: u64| {
            let wait = fights.wait(&app, &round(fields), at(seconds));
            if wait.is_none() {
                fights.taken_out(&app, round(fields), at(seconds));
            }
            wait.map(|wait| wait.as_secs())
        };
        assert_eq!([0, 10, 20, 30].map(|second| tried("/spec/a", second)), [None, None, None, Some(570)]);
        assert_eq!(tried("/spec/b", 30), None, "that is another story");
        assert_eq!([599, 600, 601].map(|second| tried("/spec/a", second)), [Some(1), None, Some(9)]);
        fights.forget(&app);
        assert_eq!(tried("/spec/a", 602), None);
    }
}
