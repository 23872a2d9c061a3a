//! How often news of exits is written. The first stands in the status at once; while
//! more of them come, from however many instances, they wait longer and longer, so
//! that a crash loop is a write every half minute at most.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cache::AppKey;

/// Wait after the first news.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait, and the silence after which the next is the first again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// When news of each app may be written.
#[derive(Debug, Default)]
pub struct Pace {
    apps: Mutex<HashMap<AppKey, Turn>>,
}

#[derive(Debug)]
struct Turn {
    next: Instant,
    wait: Duration,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, HashMap<AppKey, Turn>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long news of an app has to wait yet; nothing if it may be written.
    pub fn wait(&self, app: &AppKey, now: Instant) -> Option<Duration> {
        let wait = self.lock().get(app)?.next.saturating_duration_since(now);
        Some(wait).filter(|wait| !wait.is_zero())
    }

    /// Takes in that news of an app was written.
    pub fn told(&self, app: &AppKey, now: Instant) {
        let mut apps = self.lock();
        let turn = apps.entry(app.clone()).or_insert(Turn { next: now, wait: FIRST_WAIT });
        if now >= turn.next + LONGEST_WAIT {
            turn.wait = FIRST_WAIT;
        }
        turn.next = now + turn.wait;
        turn.wait = (turn.wait * 2).min(LONGEST_WAIT);
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
    fn a_crash_loop_is_written_more_and_more_seldom_and_the_next_story_at_once() {
        let app = AppKey { namespace: "shop".into(), name: "web".into() };
        let (pace, start) = (Pace::default(), Instant::now());
        // Fifty instances that crash in turn, several in each second.
        let writes = |seconds: std::ops::Range<u64>| -> Vec<u64> {
            let write = |second: &u64| {
                let now = start + Duration::from_secs(*second);
                let may = pace.wait(&app, now).is_none();
                if may {
                    pace.told(&app, now);
                }
                may
            };
            seconds.filter(write).collect()
        };
        assert_eq!(writes(0..125), [0, 1, 3, 7, 15, 31, 61, 91, 121]);
        assert_eq!(writes(200..204), [200, 201, 203], "it was quiet for long enough");
        let now = start + Duration::from_secs(203);
        assert_eq!(pace.wait(&app, now), Some(Duration::from_secs(4)));
        pace.forget(&app);
        assert_eq!(pace.wait(&app, now), None);
    }
}
