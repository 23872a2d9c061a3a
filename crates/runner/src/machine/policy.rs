//! Stories of the restart policy: lasting states, and crashes while draining.

use nodeapp_contract::config::{Millis, RestartPolicy};
use proptest::prelude::*;

use super::tests::{QUIET, SIGINT, config, exited, ms, recorded};
use super::*;

fn with(policy: RestartPolicy) -> Machine {
    let mut it = Machine::new(&RunnerConfig { restart: policy, ..config() }, SIGINT);
    assert_eq!(it.on(ms(0), Event::Tick), [Action::Start]);
    it.on(ms(100), Event::Ready);
    it
}

fn default() -> RestartPolicy {
    RestartPolicy::default()
}

#[test]
fn without_autorestart_a_finished_process_leaves_the_runner_stopped_for_good() {
    for end in [End::Code(0), End::Code(1), End::Signal(9)] {
        let mut it = with(RestartPolicy { autorestart: false, ..default() });
        let actions = it.on(ms(5_000), exited(end));
        assert_eq!(recorded(&actions), (&Ended::ByItself, Next::Rest(Rest::NoAutorestart)));
        assert_eq!(it.process_state(), ProcessState::Stopped);
        assert_eq!(it.deadline(), None, "nothing will ever happen by itself");
        assert!(it.turns_away(), "clients are refused instead of waiting for ever");
        assert!(it.on(ms(9_000_000), Event::Tick).is_empty());
    }
}

#[test]
fn a_stopped_app_is_brought_back_by_hand_and_leaves_when_told_to() {
    let mut it = with(RestartPolicy { autorestart: false, ..default() });
    it.on(ms(5_000), exited(End::Code(3)));
    assert!(it.on(ms(6_000), Event::Restart(Cause::MemoryLimit)).is_empty(), "there is nothing to restart");
    assert_eq!(it.on(ms(6_000), Event::Drain), [Action::Drained]);
    assert_eq!(it.on(ms(6_001), Event::Restart(Cause::Ordered)), [Action::Start]);
    it.on(ms(7_000), exited(End::Code(3)));
    assert_eq!(it.on(ms(8_000), Event::Stop), [Action::Leave(0)]);
}

#[test]
fn a_stop_exit_code_stops_and_any_other_code_does_not() {
    let policy = RestartPolicy { stop_exit_codes: vec![0, 7], ..default() };
    for (end, next) in [
        (End::Code(0), Next::Rest(Rest::StopExitCode(0))),
        (End::Code(7), Next::Rest(Rest::StopExitCode(7))),
        (End::Code(1), Next::Start(Duration::ZERO)),
        (End::Signal(7), Next::Start(Duration::ZERO)),
    ] {
        let mut it = with(policy.clone());
        assert_eq!(recorded(&it.on(ms(5_000), exited(end))).1, next, "{end:?}");
    }
}

#[test]
fn what_the_runner_restarts_by_itself_comes_back_also_without_autorestart() {
    let mut it = with(RestartPolicy { autorestart: false, stop_exit_codes: vec![0], ..default() });
    it.on(ms(5_000), Event::Restart(Cause::MemoryLimit));
    it.on(ms(5_010), QUIET);
    let actions = it.on(ms(5_020), exited(End::Code(0)));
    assert_eq!(recorded(&actions).1, Next::Start(Duration::ZERO));
}

#[test]
fn errored_lasts_for_ever_where_the_retry_is_switched_off() {
    let mut it = with(RestartPolicy { max_restarts: 1, errored_retry: Millis(0), ..default() });
    assert_eq!(recorded(&it.on(ms(200), exited(End::Code(1)))).1, Next::Errored(None));
    assert_eq!(it.deadline(), None);
    assert!(it.turns_away());
    assert_eq!(it.on(ms(99_000_000), Event::Restart(Cause::Ordered)), [Action::Start]);
}

#[test]
fn an_errored_app_is_tried_again_after_its_own_time() {
    let mut it = with(RestartPolicy { max_restarts: 1, errored_retry: Millis(7_000), ..default() });
    it.on(ms(200), exited(End::Code(1)));
    assert!(it.on(ms(7_199), Event::Tick).is_empty());
    assert_eq!(it.on(ms(7_200), Event::Tick), [Action::Start]);
}

#[test]
fn the_growing_wait_starts_anew_after_a_life_of_the_reset_time() {
    let policy = RestartPolicy {
        exp_backoff_restart_delay: Some(Millis(100)),
        exp_backoff_reset: Millis(2_000),
        ..default()
    };
    let mut it = with(policy);
    let mut now = ms(0);
    for (life, wait) in [(1_500, 100), (1_999, 150), (1_500, 225), (2_000, 100), (1_500, 150)] {
        now += ms(life);
        let next = recorded(&it.on(now, exited(End::Code(1)))).1;
        assert_eq!(next, Next::Start(ms(wait)), "after a life of {life} ms");
        now += ms(wait);
        assert_eq!(it.on(now, Event::Tick), [Action::Start]);
    }
}

#[test]
fn a_crash_during_the_drain_delay_is_followed_by_a_process_that_serves_the_rest_of_it() {
    for order in [Event::Drain, Event::Stop] {
        let mut it = with(default());
        it.on(ms(10_000), order.clone());
        let phase = it.phase();
        let actions = it.on(ms(11_000), exited(End::Code(1)));
        assert_eq!(recorded(&actions), (&Ended::ByItself, Next::Start(Duration::ZERO)));
        assert_eq!((it.phase(), it.turns_away()), (phase, false), "connections wait for the next process");
        assert_eq!(it.on(ms(11_000), Event::Tick), [Action::Start, Action::Announce]);
        assert_eq!(it.deadline(), Some(ms(15_000)), "the delay is not prolonged");
        assert_eq!(it.on(ms(15_000), Event::Tick), [Action::Close]);
    }
}

#[test]
fn a_crash_during_the_drain_delay_is_the_end_where_the_policy_wants_no_other_process() {
    for policy in [
        RestartPolicy { autorestart: false, ..default() },
        RestartPolicy { max_restarts: 0, ..default() },
        RestartPolicy { restart_delay: Millis(4_000), ..default() },
    ] {
        let mut it = with(policy);
        it.on(ms(10_000), Event::Drain);
        let actions = it.on(ms(11_000), exited(End::Code(1)));
        assert_eq!(actions.last(), Some(&Action::Drained), "the hook does not wait for nothing");
        assert_eq!(it.process_state(), ProcessState::Stopped);
    }
}

#[test]
fn told_twice_to_stop_between_two_processes_the_runner_leaves_at_once() {
    let mut it = with(RestartPolicy { restart_delay: Millis(1_000), ..default() });
    it.on(ms(10_000), Event::Stop);
    it.on(ms(11_000), exited(End::Code(1)));
    assert_eq!(it.on(ms(11_100), Event::Stop), [Action::Leave(0)]);
}

#[test]
fn a_crash_while_requests_are_drained_is_the_end() {
    let mut it = with(default());
    it.on(ms(10_000), Event::Drain);
    it.on(ms(15_000), Event::Tick);
    assert_eq!(it.on(ms(15_010), exited(End::Code(1))).last(), Some(&Action::Drained));
}

proptest! {
    #[test]
    fn lasting_states_last(
        autorestart in any::<bool>(), code in 0..256, uptime in 0_u64..100_000, wait in 0_u64..10_000_000,
    ) {
        let mut it = with(RestartPolicy {
            autorestart, stop_exit_codes: vec![1], max_restarts: 0, errored_retry: Millis(0), ..default()
        });
        it.on(ms(uptime), exited(End::Code(code)));
        let state = it.process_state();
        let stopped = !autorestart || code == 1;
        prop_assert_eq!(state, if stopped { ProcessState::Stopped } else { ProcessState::Errored });
        for event in [Event::Tick, Event::Ready, Event::TreeGone, QUIET, Event::Restart(Cause::ProbeFailed)] {
            prop_assert!(it.on(ms(uptime + wait), event).is_empty());
            prop_assert_eq!(it.process_state(), state);
        }
    }
}
