//! Stories of the machine, and laws that hold in every one of them.

use nodeapp_contract::config::{Launch, Millis, RestartPolicy};
use proptest::prelude::*;

use super::stopping::IDLE_WAIT;
use super::*;

pub(super) const SIGINT: i32 = 2;
const OK: End = End::Code(0);
const BY_SIGNAL: End = End::Signal(SIGINT);

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn config() -> RunnerConfig {
    RunnerConfig {
        port: Some(3000),
        stop: StopPolicy { kill_timeout: Millis(3_000), ..StopPolicy::default() },
        ..RunnerConfig::new("web", Launch::Command { argv: vec!["app".into()] })
    }
}

fn running() -> Machine {
    let mut machine = Machine::new(&config(), SIGINT);
    assert_eq!(machine.on(ms(0), Event::Tick), [Action::Start]);
    assert_eq!(machine.process_state(), ProcessState::Launching);
    machine.on(ms(100), Event::Ready);
    assert_eq!(machine.process_state(), ProcessState::Online);
    machine
}

pub(super) fn exited(end: End) -> Event {
    Event::Exited { end, tree_left: false }
}

const ERRORED_RETRY: Duration = Duration::from_mins(5);
pub(super) const QUIET: Event = Event::Load { in_flight: 0, open: 0 };

pub(super) fn recorded(actions: &[Action]) -> (&Ended, Next) {
    let found = actions.iter().find_map(|action| match action {
        Action::Record { ended, next, .. } => Some((ended, *next)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no end in {actions:?}"))
}

#[test]
fn sigterm_runs_the_whole_order_and_passes_the_apps_code_on() {
    let mut it = running();
    assert_eq!(it.on(ms(1_000), Event::Stop), [Action::Announce]);
    assert_eq!(it.phase(), Phase::Stopping, "nobody in the API server asked: unready at once");
    assert_eq!(it.deadline(), Some(ms(6_000)));
    assert!(it.on(ms(2_000), QUIET).is_empty(), "the delay is kept also when nothing is in flight");
    assert_eq!(it.on(ms(6_000), Event::Tick), [Action::Close]);
    assert!(it.on(ms(6_050), Event::Load { in_flight: 1, open: 1 }).is_empty());
    assert_eq!(it.on(ms(6_100), QUIET), [Action::Signal]);
    let actions = it.on(ms(6_200), exited(End::Code(7)));
    assert_eq!(recorded(&actions), (&Ended::Stop, Next::Nothing));
    assert_eq!(actions.last(), Some(&Action::Leave(7)));
}

#[test]
fn an_end_by_our_own_signal_is_a_success() {
    let mut it = running();
    it.on(ms(1_000), Event::Stop);
    it.on(ms(6_000), Event::Tick);
    it.on(ms(6_000), QUIET);
    assert_eq!(it.on(ms(6_100), exited(BY_SIGNAL)).last(), Some(&Action::Leave(0)));
}

#[test]
fn what_does_not_end_in_its_time_is_killed_and_the_code_says_so() {
    let mut it = running();
    it.on(ms(0), Event::Stop);
    it.on(ms(5_000), Event::Tick);
    it.on(ms(5_000), QUIET);
    assert!(it.on(ms(7_999), Event::Tick).is_empty());
    assert_eq!(it.on(ms(8_000), Event::Tick), [Action::KillTree]);
    assert_eq!(it.on(ms(8_010), exited(End::Signal(9))).last(), Some(&Action::Leave(137)));
}

#[test]
fn requests_in_flight_get_the_drain_timeout_and_no_more() {
    let mut it = running();
    it.on(ms(0), Event::Stop);
    it.on(ms(5_000), Event::Tick);
    assert_eq!(it.on(ms(5_100), Event::Tick), [Action::CloseIdle], "the delay was time enough for idle ones");
    assert!(it.on(ms(14_999), Event::Load { in_flight: 1, open: 9 }).is_empty());
    assert_eq!(it.on(ms(15_000), Event::Tick), [Action::Signal]);
}

#[test]
fn the_prestop_hook_drains_and_the_signal_waits_for_sigterm() {
    let mut it = running();
    assert_eq!(it.on(ms(0), Event::Drain), [Action::Announce]);
    assert_eq!(it.phase(), Phase::Lingering, "readiness stays");
    assert!(it.on(ms(10), Event::Drain).is_empty(), "a second hook waits with the first");
    assert_eq!(it.on(ms(5_000), Event::Tick), [Action::Close]);
    assert_eq!(it.phase(), Phase::Stopping);
    assert_eq!(it.on(ms(5_001), QUIET), [Action::Drained]);
    assert_eq!(it.deadline(), None);
    assert_eq!(it.on(ms(5_500), Event::Drain), [Action::Drained], "it is over already");
    assert_eq!(it.on(ms(6_000), Event::Stop), [Action::Signal]);
    assert_eq!(it.on(ms(6_100), exited(OK)).last(), Some(&Action::Leave(0)));
}

#[test]
fn sigterm_during_the_hook_does_not_start_the_delay_anew() {
    let mut it = running();
    it.on(ms(0), Event::Drain);
    assert!(it.on(ms(4_000), Event::Stop).is_empty());
    assert_eq!(it.on(ms(5_000), Event::Tick), [Action::Close]);
    assert_eq!(it.on(ms(5_000), QUIET), [Action::Signal]);
}

#[test]
fn a_second_sigterm_skips_the_drain() {
    let mut it = running();
    it.on(ms(0), Event::Stop);
    assert_eq!(it.on(ms(10), Event::Stop), [Action::Signal]);
    assert!(it.on(ms(20), Event::Stop).is_empty());
}

#[test]
fn an_app_that_ends_after_the_delay_of_the_hook_leaves_the_runner_waiting_for_sigterm() {
    let mut it = running();
    it.on(ms(0), Event::Drain);
    it.on(ms(5_000), Event::Tick);
    let actions = it.on(ms(5_100), exited(End::Code(3)));
    assert_eq!(recorded(&actions), (&Ended::Stop, Next::Nothing));
    assert_eq!(actions.last(), Some(&Action::Drained));
    assert_eq!(it.process_state(), ProcessState::Stopped);
    assert_eq!(it.on(ms(5_200), Event::Stop), [Action::Leave(3)]);
}

#[test]
fn a_restart_in_place_skips_the_delay_and_waits_for_connections_to_end() {
    let mut it = running();
    assert_eq!(it.on(ms(1_000), Event::Restart(Cause::MemoryLimit)), [Action::Announce, Action::Close]);
    assert_eq!(it.phase(), Phase::Restarting);
    assert!(it.on(ms(1_010), Event::Load { in_flight: 0, open: 3 }).is_empty(), "idle ones get their chance");
    assert_eq!(it.deadline(), Some(ms(1_000) + IDLE_WAIT));
    assert_eq!(it.on(ms(2_000), Event::Tick), [Action::CloseIdle]);
    assert!(it.on(ms(2_010), Event::Load { in_flight: 1, open: 1 }).is_empty());
    assert_eq!(it.on(ms(2_020), Event::Load { in_flight: 0, open: 1 }), [Action::Signal]);
    let actions = it.on(ms(2_030), exited(BY_SIGNAL));
    assert_eq!(recorded(&actions), (&Ended::Restart(Cause::MemoryLimit), Next::Start(Duration::ZERO)));
    assert_eq!(it.deadline(), Some(ms(2_030)));
    assert_eq!(it.on(ms(2_030), Event::Tick), [Action::Start]);
}

#[test]
fn a_crash_is_followed_by_another_start() {
    let mut it = running();
    let actions = it.on(ms(5_000), exited(End::Code(1)));
    assert_eq!(recorded(&actions), (&Ended::ByItself, Next::Start(Duration::ZERO)));
    assert_eq!(it.process_state(), ProcessState::WaitingRestart);
    assert_eq!(it.on(ms(5_000), Event::Tick), [Action::Start]);
}

#[test]
fn what_a_crashed_process_leaves_behind_is_killed_before_the_next_start() {
    let mut it = running();
    let actions = it.on(ms(5_000), Event::Exited { end: End::Code(1), tree_left: true });
    assert_eq!(actions[0], Action::KillTree);
}

#[test]
fn after_the_signal_children_have_the_kill_timeout_too() {
    let mut it = running();
    it.on(ms(0), Event::Stop);
    it.on(ms(0), Event::Stop);
    assert!(it.on(ms(100), Event::Exited { end: End::Code(5), tree_left: true }).is_empty());
    assert!(it.awaits_tree());
    let mut gone = Machine { state: it.state.clone(), ..running() };
    assert_eq!(gone.on(ms(200), Event::TreeGone).last(), Some(&Action::Leave(5)));
    assert_eq!(it.on(ms(3_000), Event::Tick), [Action::KillTree]);
    assert_eq!(it.on(ms(3_010), Event::TreeGone).last(), Some(&Action::Leave(5)));
}

#[test]
fn a_crash_loop_ends_in_errored_and_is_tried_again_after_a_while() {
    let mut it = Machine::new(&config(), SIGINT);
    let mut now = ms(0);
    for life in 1..=16 {
        assert_eq!(it.on(now, Event::Tick), [Action::Start]);
        now += ms(50);
        let actions = it.on(now, exited(End::Code(1)));
        let expected =
            if life < 16 { Next::Start(Duration::ZERO) } else { Next::Errored(Some(ERRORED_RETRY)) };
        assert_eq!(recorded(&actions), (&Ended::ByItself, expected));
    }
    assert_eq!(it.phase(), Phase::Errored);
    assert_eq!(it.deadline(), Some(now + ERRORED_RETRY));
    assert_eq!(it.on(now + ERRORED_RETRY, Event::Tick), [Action::Start]);
}

#[test]
fn a_person_may_restart_an_errored_app_at_once() {
    let mut it = Machine::new(&RunnerConfig { restart: one_chance(), ..config() }, SIGINT);
    it.on(ms(0), Event::Tick);
    it.on(ms(1), exited(End::Code(1)));
    assert_eq!(it.phase(), Phase::Errored);
    assert!(it.on(ms(2), Event::Restart(Cause::MemoryLimit)).is_empty(), "there is nothing to restart");
    assert_eq!(it.on(ms(3), Event::Restart(Cause::Ordered)), [Action::Start]);
}

fn one_chance() -> RestartPolicy {
    RestartPolicy { max_restarts: 1, ..RestartPolicy::default() }
}

#[test]
fn an_errored_app_leaves_at_once_when_told_to() {
    let mut it = Machine::new(&RunnerConfig { restart: one_chance(), ..config() }, SIGINT);
    it.on(ms(0), Event::Tick);
    it.on(ms(1), exited(End::Code(1)));
    assert_eq!(it.on(ms(2), Event::Drain), [Action::Drained]);
    assert_eq!(it.on(ms(3), Event::Stop), [Action::Leave(0)]);
}

#[test]
fn a_worker_has_no_delay_since_nothing_routes_to_it() {
    let mut it = Machine::new(&RunnerConfig { port: None, ..config() }, SIGINT);
    it.on(ms(0), Event::Tick);
    assert_eq!(it.on(ms(10), Event::Stop), [Action::Announce, Action::Close]);
    assert_eq!(it.on(ms(11), QUIET), [Action::Signal]);
}

#[test]
fn an_app_that_was_never_ready_has_no_delay_either() {
    let mut it = Machine::new(&config(), SIGINT);
    it.on(ms(0), Event::Tick);
    assert_eq!(it.on(ms(10), Event::Drain), [Action::Announce, Action::Close]);
}

#[test]
fn an_app_that_is_starting_again_keeps_the_delay_since_connections_wait_for_it() {
    let mut it = running();
    it.on(ms(5_000), exited(End::Code(1)));
    it.on(ms(5_000), Event::Tick);
    assert_eq!(it.on(ms(5_010), Event::Drain), [Action::Announce]);
}

#[test]
fn sigterm_during_a_restart_in_place_ends_the_runner_instead() {
    let mut it = running();
    it.on(ms(0), Event::Restart(Cause::Ordered));
    it.on(ms(10), QUIET);
    assert!(it.on(ms(20), Event::Stop).is_empty());
    assert_eq!(it.on(ms(30), exited(OK)).last(), Some(&Action::Leave(0)));
}

#[test]
fn the_hook_during_a_restart_in_place_waits_for_the_process_that_serves_on() {
    let mut it = running();
    it.on(ms(0), Event::Restart(Cause::Ordered));
    assert!(it.on(ms(5), Event::Drain).is_empty());
    assert!(!it.turns_away(), "connections wait for the next process");
    it.on(ms(10), QUIET);
    assert!(it.on(ms(20), Event::Drain).is_empty(), "asked twice is asked once");
    let actions = it.on(ms(30), exited(OK));
    assert_eq!(recorded(&actions), (&Ended::Restart(Cause::Ordered), Next::Start(Duration::ZERO)));
    assert_eq!(it.on(ms(30), Event::Tick), [Action::Start, Action::Announce]);
    assert_eq!(it.phase(), Phase::Lingering);
    assert_eq!(it.on(ms(5_030), Event::Tick), [Action::Close]);
    assert_eq!(it.on(ms(5_040), QUIET), [Action::Drained]);
}

#[test]
fn the_hook_between_two_processes_waits_for_the_one_that_is_due() {
    let mut it = running();
    it.on(ms(1_000), exited(End::Code(1)));
    assert_eq!(it.on(ms(1_000), Event::Drain), [Action::Start, Action::Announce]);
    assert_eq!(it.phase(), Phase::Lingering);
}

#[test]
fn the_hook_during_a_restart_in_place_that_nobody_waits_for_is_answered_when_the_process_is_gone() {
    let mut it = Machine::new(&config(), SIGINT);
    it.on(ms(0), Event::Tick);
    it.on(ms(0), Event::Restart(Cause::Ordered));
    it.on(ms(10), QUIET);
    it.on(ms(20), Event::Drain);
    assert_eq!(it.on(ms(30), exited(OK)).last(), Some(&Action::Drained));
}

#[test]
fn the_hook_during_a_restart_in_place_that_was_one_too_many_is_answered_too() {
    let mut it = Machine::new(&RunnerConfig { restart: one_chance(), ..config() }, SIGINT);
    it.on(ms(0), Event::Tick);
    it.on(ms(100), Event::Ready);
    it.on(ms(200), Event::Restart(Cause::MemoryLimit));
    it.on(ms(210), QUIET);
    it.on(ms(220), Event::Drain);
    let actions = it.on(ms(230), exited(BY_SIGNAL));
    assert_eq!(recorded(&actions).1, Next::Errored(Some(ERRORED_RETRY)));
    assert_eq!(actions.last(), Some(&Action::Drained));
    assert_eq!(it.process_state(), ProcessState::Stopped);
}

#[test]
fn an_unkillable_process_does_not_keep_the_runner() {
    let mut it = running();
    it.on(ms(0), Event::Stop);
    it.on(ms(0), Event::Stop);
    it.on(ms(3_000), Event::Tick);
    assert_eq!(it.on(ms(3_000) + KILL_WAIT, Event::Tick), [Action::Leave(137)]);
}

/// Configs of every kind of restart policy.
fn any_policy() -> impl Strategy<Value = RunnerConfig> {
    let codes = prop::collection::vec(0..256, 0..3);
    let waits = (0_u64..3_000, prop::option::of(1_u64..3_000), 0_u64..5_000);
    (any::<bool>(), codes, 0_u32..6, waits).prop_map(|(autorestart, stop_exit_codes, max_restarts, waits)| {
        let restart = RestartPolicy {
            autorestart,
            stop_exit_codes,
            max_restarts,
            restart_delay: Millis(waits.0),
            exp_backoff_restart_delay: waits.1.map(Millis),
            errored_retry: Millis(waits.2),
            ..RestartPolicy::default()
        };
        RunnerConfig { restart, ..config() }
    })
}

fn event() -> impl Strategy<Value = Event> {
    let end = prop_oneof![(0..256).prop_map(End::Code), (1..32).prop_map(End::Signal)];
    let cause = prop_oneof![
        Just(Cause::Ordered),
        Just(Cause::MemoryLimit),
        Just(Cause::ProbeFailed),
        Just(Cause::Hung)
    ];
    prop_oneof![
        4 => Just(Event::Tick),
        2 => Just(Event::Ready),
        4 => (end, any::<bool>()).prop_map(|(end, tree_left)| Event::Exited { end, tree_left }),
        2 => Just(Event::TreeGone),
        1 => Just(Event::Stop),
        1 => Just(Event::Drain),
        1 => cause.prop_map(Event::Restart),
        3 => (0_u64..2, 0_u64..3).prop_map(|(in_flight, open)| Event::Load { in_flight, open }),
    ]
}

/// Whether a process exists after what has been done so far.
fn follow(alive: &mut bool, actions: &[Action]) {
    for action in actions {
        match action {
            Action::Start => {
                assert!(!*alive, "two processes at once");
                *alive = true;
            }
            Action::Record { .. } => *alive = false,
            Action::Signal | Action::Announce | Action::Close | Action::CloseIdle => {
                assert!(*alive, "{action:?} without a process");
            }
            Action::KillTree | Action::Drained | Action::Leave(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn there_is_never_more_than_one_process_and_nothing_after_the_end(
        config in any_policy(),
        events in prop::collection::vec((event(), 0_u64..4_000), 1..120),
    ) {
        let mut it = Machine::new(&config, SIGINT);
        let (mut now, mut alive, mut left, mut root) = (ms(0), false, false, false);
        for (event, wait) in events {
            now += ms(wait);
            // Only a process that exists can end.
            if matches!(event, Event::Exited { .. }) && !std::mem::take(&mut root) {
                continue;
            }
            let actions = it.on(now, event);
            prop_assert!(!left || actions.is_empty(), "after Leave: {actions:?}");
            root |= actions.contains(&Action::Start);
            follow(&mut alive, &actions);
            left |= actions.iter().any(|action| matches!(action, Action::Leave(_)));
        }
    }

    #[test]
    fn once_told_to_stop_the_runner_ends_within_its_grace(
        config in any_policy(),
        events in prop::collection::vec((event(), 0_u64..4_000), 0..60),
        stubborn in any::<bool>(),
    ) {
        let mut it = Machine::new(&config, SIGINT);
        let (mut now, mut root, mut left) = (ms(0), false, false);
        let mut run = |it: &mut Machine, now: Now, event: Event| {
            if matches!(event, Event::Exited { .. }) && !std::mem::take(&mut root) {
                return;
            }
            let actions = it.on(now, event);
            root |= actions.contains(&Action::Start);
            left |= actions.iter().any(|action| matches!(action, Action::Leave(_)));
            let signalled = actions.contains(&Action::Signal) && !stubborn;
            if (signalled || actions.contains(&Action::KillTree)) && std::mem::take(&mut root) {
                let actions = it.on(now, exited(BY_SIGNAL));
                left |= actions.iter().any(|action| matches!(action, Action::Leave(_)));
            }
        };
        for (event, wait) in events {
            now += ms(wait);
            run(&mut it, now, event);
        }
        let told = now;
        run(&mut it, now, Event::Stop);
        while let Some(at) = it.deadline() {
            now = now.max(at);
            run(&mut it, now, Event::Tick);
        }
        prop_assert!(left, "it never ended: {it:?}");
        let took = now.saturating_sub(told);
        prop_assert!(took <= config.stop.total() + KILL_WAIT, "took {took:?}");
    }
}
