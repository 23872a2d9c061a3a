//! Which runner is asked when. Plain: the clock and the dice are passed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address;
use crate::controller::cache::AppKey;
use crate::controller::names::APP_CONTAINER;
use crate::controller::pods::AppPod;

/// Wait after a question to a runner that something is up with: it doubles from the
/// first to the longest, so that a crash loop makes a write every half minute at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest after questions that were not answered: where the network is closed,
/// every one of them costs seconds that others wait for.
const LONGEST_SILENCE: Duration = Duration::from_mins(10);
/// Wait where all is well, for a small fleet.
const QUIET_WAIT: Duration = Duration::from_mins(1);
/// A large fleet is asked more seldom, so that there are 20 questions a second at most.
const PER_POD: Duration = Duration::from_millis(50);
/// Questions in one go.
const MOST: usize = 64;

/// A runner that is to be asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Due {
    pub(super) app: AppKey,
    pub(super) uid: String,
    pub(super) ip: IpAddr,
}

/// When the runner of each pod is asked next.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    pods: HashMap<String, Turn>,
    round: u64,
}

#[derive(Debug)]
struct Turn {
    next: Instant,
    wait: Duration,
    /// What the kubelet says: ready, and restarts of the container.
    seen: (bool, i32),
    /// Whether the last question was not answered.
    silent: bool,
    round: u64,
}

impl Turn {
    fn new(next: Instant, seen: (bool, i32), round: u64) -> Self {
        Self { next, wait: FIRST_WAIT, seen, silent: false, round }
    }

    /// Moves on after a question. `quiet`: the wait where all is well.
    fn asked(&mut self, now: Instant, quiet: Duration, dice: &mut dyn FnMut() -> f64) {
        let wait = match self.seen.0 {
            true if self.silent => self.wait.max(quiet),
            true => quiet,
            false => self.wait,
        };
        self.next = now + wait.mul_f64(0.9 + 0.2 * dice());
        let longest = if self.silent { LONGEST_SILENCE.max(quiet) } else { LONGEST_WAIT };
        self.wait = (wait * 2).min(longest);
    }
}

impl Schedule {
    /// Whether there is such a pod.
    pub(super) fn knows(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    /// Who is to be asked now. `dice` gives a number from 0 to 1.
    pub(super) fn due(
        &mut self,
        pods: &[(AppKey, Arc<AppPod>)],
        now: Instant,
        dice: &mut dyn FnMut() -> f64,
    ) -> Vec<Due> {
        self.round += 1;
        let count = u32::try_from(pods.len()).unwrap_or(u32::MAX);
        let quiet = QUIET_WAIT.max(PER_POD.saturating_mul(count));
        let mut due = Vec::new();
        for (app, pod) in pods {
            let (Some(ip), Some(uid)) = (address(pod), pod.metadata.uid.clone()) else { continue };
            let (seen, round) = (seen(pod), self.round);
            let turn = self.pods.entry(uid.clone()).or_insert_with(|| {
                // All is well with a pod that nobody has asked yet: there is time.
                let first = if seen == (true, 0) { quiet.mul_f64(dice()) } else { Duration::ZERO };
                Turn::new(now + first, seen, round)
            });
            turn.round = round;
            if turn.seen != seen {
                *turn = Turn::new(now, seen, round);
            }
            if turn.next <= now {
                due.push((seen.0, turn.next, Due { app: app.clone(), uid, ip }));
            }
        }
        // Who waits longest comes first, or the same ones would come first for ever.
        due.sort_by_key(|(ready, since, _)| (*ready, *since));
        due.truncate(MOST);
        for (_, _, due) in &due {
            if let Some(turn) = self.pods.get_mut(&due.uid) {
                turn.asked(now, quiet, dice);
            }
        }
        let round = self.round;
        self.pods.retain(|_, turn| turn.round == round);
        due.into_iter().map(|(_, _, due)| due).collect()
    }

    /// Takes in whether a runner has answered.
    pub(super) fn answered(&mut self, uid: &str, answered: bool, now: Instant) {
        let Some(turn) = self.pods.get_mut(uid) else { return };
        if answered && turn.silent {
            turn.wait = turn.wait.min(LONGEST_WAIT);
            turn.next = turn.next.min(now + LONGEST_WAIT);
        }
        turn.silent = !answered;
    }
}

fn seen(pod: &AppPod) -> (bool, i32) {
    let app = pod.status.container_statuses.iter().find(|container| container.name == APP_CONTAINER);
    app.map_or((false, 0), |app| (app.ready, app.restart_count))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: bool, restarts: i32) -> (AppKey, Arc<AppPod>) {
        let pod = json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "status": {
                "phase": "Running", "podIP": "10.0.0.7",
                "containerStatuses": [{"name": APP_CONTAINER, "ready": ready, "restartCount": restarts}],
            },
        });
        let app = AppKey { namespace: "shop".into(), name: "web".into() };
        (app, Arc::new(serde_json::from_value(pod).unwrap()))
    }

    /// At which seconds a pod is asked that stays as it is.
    fn asked(pod: &(AppKey, Arc<AppPod>), seconds: u64) -> Vec<u64> {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let ask = |second: &u64| {
            let now = start + Duration::from_secs(*second);
            !schedule.due(std::slice::from_ref(pod), now, &mut || 0.5).is_empty()
        };
        (0..=seconds).filter(ask).collect()
    }

    #[test]
    fn a_pod_that_is_not_ready_is_asked_at_once_and_then_more_and_more_seldom() {
        assert_eq!(asked(&pod("a", false, 0), 120), [0, 1, 3, 7, 15, 31, 61, 91]);
    }

    #[test]
    fn where_all_is_well_there_is_time() {
        assert_eq!(asked(&pod("a", true, 0), 300), [30, 90, 150, 210, 270]);
        assert_eq!(asked(&pod("a", true, 2), 100), [0, 60], "one with a past is asked at once");
    }

    #[test]
    fn a_change_that_the_kubelet_tells_of_is_asked_about_at_once() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let mut ask = |pod: (AppKey, Arc<AppPod>), second| {
            schedule.due(&[pod], start + Duration::from_secs(second), &mut || 0.5).len()
        };
        assert_eq!(ask(pod("a", true, 0), 0), 0);
        assert_eq!(ask(pod("a", false, 0), 5), 1);
        assert_eq!(ask(pod("a", true, 0), 5), 1);
        assert_eq!(ask(pod("a", true, 1), 5), 1);
        assert_eq!(ask(pod("a", true, 1), 6), 0);
    }

    #[test]
    fn a_large_fleet_is_asked_twenty_times_a_second_at_most() {
        let pods: Vec<_> = (0..3_000).map(|n| pod(&n.to_string(), true, 0)).collect();
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let mut dice = rand::random::<f64>;
        let asked: usize = (0..300)
            .map(|second| schedule.due(&pods, start + Duration::from_secs(second), &mut dice).len())
            .sum();
        assert!(asked < 300 * 24, "{asked} in 300 s");
        assert!(asked > 3_000, "{asked}: each once, and more");
    }

    #[test]
    fn nobody_is_passed_over_when_there_is_more_to_ask_than_time() {
        let pods: Vec<_> = (0..200).map(|n| pod(&n.to_string(), false, 0)).collect();
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let asked: std::collections::HashSet<_> = (0..10)
            .flat_map(|round| schedule.due(&pods, start + Duration::from_secs(16 * round), &mut || 0.5))
            .map(|due| due.uid)
            .collect();
        assert_eq!(asked.len(), 200);
    }

    #[test]
    fn one_that_does_not_answer_is_asked_more_and_more_seldom_until_it_does() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let mut asked = |ready: bool, answers: bool, seconds: std::ops::Range<u64>| -> Vec<u64> {
            let ask = |second: &u64| {
                let now = start + Duration::from_secs(*second);
                let due = schedule.due(&[pod("a", ready, 0)], now, &mut || 0.5);
                for due in &due {
                    schedule.answered(&due.uid, answers, now);
                }
                !due.is_empty()
            };
            seconds.filter(ask).collect()
        };
        assert_eq!(asked(false, false, 0..1_500), [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1_023]);
        assert_eq!(asked(false, true, 1_600..1_800), [1_623, 1_653, 1_683, 1_713, 1_743, 1_773]);
        assert_eq!(asked(true, false, 2_000..3_000), [2_000, 2_060, 2_120, 2_240, 2_480, 2_960]);
    }

    #[test]
    fn a_pod_that_is_gone_is_forgotten_and_one_that_does_not_run_is_not_asked() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        assert_eq!(schedule.due(&[pod("a", false, 0)], now, &mut || 0.5).len(), 1);
        assert!(schedule.knows("a"));
        schedule.due(&[], now, &mut || 0.5);
        assert!(!schedule.knows("a"));
        let (app, waiting) = pod("b", false, 0);
        let mut waiting = (*waiting).clone();
        waiting.status.phase = Some("Pending".into());
        assert!(schedule.due(&[(app, Arc::new(waiting))], now, &mut || 0.5).is_empty());
    }
}
