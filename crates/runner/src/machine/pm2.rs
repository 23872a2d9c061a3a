//! PM2's restart policy, fact by fact (its handling of exits, steps 1 to 7 and
//! what surrounds them): where we follow, where we differ, and why.

use nodeapp_contract::config::{Millis, RestartPolicy};

use super::tests::{QUIET, SIGINT, config, exited, ms, recorded};
use super::*;

enum Ours {
    Follows,
    /// And why.
    Differs(&'static str),
}
use Ours::{Differs, Follows};

struct Fact {
    number: &'static str,
    pm2: &'static str,
    ours: Ours,
    /// Runs our machine through the story and asserts what `ours` says.
    proof: fn(),
}

const AT_ONCE: Next = Next::Start(Duration::ZERO);
const RETRY: Next = Next::Errored(Some(Duration::from_mins(5)));
const CRASH: End = End::Code(1);

fn default() -> RestartPolicy {
    RestartPolicy::default()
}

/// A machine, the time, and how many processes it has started.
struct Story {
    it: Machine,
    now: Now,
    starts: usize,
}

impl Story {
    fn new(restart: RestartPolicy) -> Self {
        let it = Machine::new(&RunnerConfig { restart, ..config() }, SIGINT);
        Self { it, now: ms(0), starts: 0 }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let actions = self.it.on(self.now, event);
        self.starts += actions.iter().filter(|action| **action == Action::Start).count();
        actions
    }

    /// The next process starts when it is due.
    fn start(&mut self) {
        self.now = self.it.deadline().expect("a start is due");
        assert_eq!(self.on(Event::Tick), [Action::Start]);
    }

    /// A process starts when it is due, lives, and ends; what follows.
    fn life(&mut self, millis: u64, end: End) -> Next {
        self.start();
        self.end_after(millis, end)
    }

    fn end_after(&mut self, millis: u64, end: End) -> Next {
        self.now += ms(millis);
        recorded(&self.on(exited(end))).1
    }

    fn lives(&mut self, lives: &[u64]) -> Vec<Next> {
        lives.iter().map(|life| self.life(*life, CRASH)).collect()
    }

    /// The runner restarts the process, which reacts at once.
    fn restarted(&mut self, cause: Cause) -> Next {
        self.on(Event::Restart(cause));
        self.on(QUIET);
        recorded(&self.on(exited(End::Signal(SIGINT)))).1
    }
}

const FACTS: &[Fact] = &[
    Fact {
        number: "1 stopping",
        pm2: "a process that ends while it is being stopped is not restarted",
        ours: Follows,
        proof: || {
            let mut story = Story::new(default());
            story.start();
            story.on(Event::Stop);
            story.on(QUIET);
            assert_eq!(story.end_after(10, CRASH), Next::Nothing);
        },
    },
    Fact {
        number: "1 autorestart",
        pm2: "with autorestart false no end is followed by a restart",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { autorestart: false, ..default() });
            assert_eq!(story.life(60_000, CRASH), Next::Rest(Rest::NoAutorestart));
            assert_eq!(story.it.process_state(), ProcessState::Stopped);
        },
    },
    Fact {
        number: "1 stop_exit_codes",
        pm2: "an exit code of the list is not followed by a restart",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { stop_exit_codes: vec![1], ..default() });
            assert_eq!(story.life(60_000, CRASH), Next::Rest(Rest::StopExitCode(1)));
        },
    },
    Fact {
        number: "1 exit code",
        pm2: "a death by a signal counts as exit code 0",
        ours: Differs("an app that the kernel kills for memory has not said that it is done"),
        proof: || {
            let mut story = Story::new(RestartPolicy { stop_exit_codes: vec![0], ..default() });
            assert_eq!(story.life(60_000, End::Signal(9)), AT_ONCE);
            assert_eq!(story.life(60_000, End::Code(0)), Next::Rest(Rest::StopExitCode(0)));
        },
    },
    Fact {
        number: "2",
        pm2: "between an end and the restart the status is stopped, with the dead process' id",
        ours: Differs("stopped is a lasting state for us; what waits says so"),
        proof: || {
            let mut story = Story::new(default());
            story.life(10, CRASH);
            assert_eq!(story.it.process_state(), ProcessState::WaitingRestart);
        },
    },
    Fact {
        number: "3 min_uptime",
        pm2: "an end counts as unstable if the life was shorter than min_uptime",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 2, ..default() });
            assert_eq!(story.lives(&[1_000; 50]), [AT_ONCE; 50]);
            assert_eq!(story.lives(&[999, 999]), [AT_ONCE, RETRY]);
        },
    },
    Fact {
        number: "3 window",
        pm2: "ends count only within min_uptime × max_restarts after the first start, and never again later",
        ours: Differs(
            "a crash loop of an app that has run for long would never be noticed: the window slides",
        ),
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 3, ..default() });
            assert_eq!(story.lives(&[3_600_000, 1, 1, 1]), [AT_ONCE, AT_ONCE, AT_ONCE, RETRY]);
        },
    },
    Fact {
        number: "3 manual stops",
        pm2: "a process that a person stops early counts as unstable too",
        ours: Differs("nothing is wrong with an app because somebody restarts it"),
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 1, ..default() });
            story.start();
            assert_eq!(story.restarted(Cause::Ordered), AT_ONCE);
            assert_eq!(story.it.unstable(), 0);
        },
    },
    Fact {
        number: "4 limit",
        pm2: "at max_restarts unstable ends the app is errored: 16 ends, 15 restarts",
        ours: Follows,
        proof: || {
            let mut story = Story::new(default());
            assert_eq!(story.lives(&[10; 15]), [AT_ONCE; 15]);
            assert_eq!(story.life(10, CRASH), RETRY);
            assert_eq!((story.starts, story.it.process_state()), (16, ProcessState::Errored));
        },
    },
    Fact {
        number: "4 counters",
        pm2: "the counters start anew with errored",
        ours: Differs("the slow retry would allow 16 more crashes each time; one fast end is enough"),
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 3, ..default() });
            assert_eq!(story.lives(&[1; 4]), [AT_ONCE, AT_ONCE, RETRY, RETRY]);
        },
    },
    Fact {
        number: "5 restart_delay",
        pm2: "restart_delay is waited before each automatic restart",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { restart_delay: Millis(700), ..default() });
            assert_eq!(story.life(10, CRASH), Next::Start(ms(700)));
            assert!(story.on(Event::Tick).is_empty());
            story.start();
            assert_eq!(story.now, ms(710));
        },
    },
    Fact {
        number: "5 status",
        pm2: "with a delay the status is `waiting restart` also where nothing will follow",
        ours: Differs("a state that is not true misleads: errored and stopped are shown as such"),
        proof: || {
            let delay = RestartPolicy { restart_delay: Millis(700), ..default() };
            let mut story = Story::new(RestartPolicy { max_restarts: 1, ..delay.clone() });
            story.life(10, CRASH);
            assert_eq!(story.it.process_state(), ProcessState::Errored);
            let mut story = Story::new(RestartPolicy { autorestart: false, ..delay });
            story.life(10, CRASH);
            assert_eq!(story.it.process_state(), ProcessState::Stopped);
        },
    },
    Fact {
        number: "5 delays and the limit",
        pm2: "a restart_delay of about a second defeats the limit, since the window is wall-clock time",
        ours: Differs("the window counts running time only"),
        proof: || {
            let policy = RestartPolicy { restart_delay: Millis(60_000), max_restarts: 3, ..default() };
            assert_eq!(Story::new(policy).lives(&[1; 3])[2], RETRY);
        },
    },
    Fact {
        number: "6",
        pm2: "the growing delay replaces restart_delay: × 1.5, whole milliseconds, 15 s at most",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy {
                exp_backoff_restart_delay: Some(Millis(100)),
                restart_delay: Millis(9_999),
                ..default()
            });
            let waits =
                [100, 150, 225, 337, 505, 757, 1135, 1702, 2553, 3829, 5743, 8614, 12921, 15000, 15000];
            assert_eq!(story.lives(&[2_000; 15]), waits.map(|wait| Next::Start(ms(wait))));
        },
    },
    Fact {
        number: "7",
        pm2: "without a delay the next process starts at once, and the restart is counted",
        ours: Follows,
        proof: || {
            let mut story = Story::new(default());
            story.life(10, CRASH);
            story.start();
            assert_eq!(
                (story.now, story.starts),
                (ms(10), 2),
                "the supervisor counts every start but the first"
            );
        },
    },
    Fact {
        number: "resets, by a person",
        pm2: "a restart by hand starts the counts and the growing delay anew",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy {
                max_restarts: 2,
                exp_backoff_restart_delay: Some(Millis(100)),
                ..default()
            });
            assert_eq!(story.life(10, CRASH), Next::Start(ms(100)));
            story.start();
            story.restarted(Cause::Ordered);
            assert_eq!(story.life(10, CRASH), Next::Start(ms(100)));
        },
    },
    Fact {
        number: "resets, by memory",
        pm2: "a restart for memory starts the counts anew, so that a leak is never errored",
        ours: Differs(
            "an app that passes its line as soon as it runs is broken, and takes the CPU from others",
        ),
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 2, ..default() });
            story.start();
            assert_eq!(story.restarted(Cause::MemoryLimit), AT_ONCE);
            story.start();
            assert_eq!(story.restarted(Cause::MemoryLimit), RETRY);
        },
    },
    Fact {
        number: "resets, memory and autorestart",
        pm2: "a restart for memory takes place with autorestart false as well",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { autorestart: false, ..default() });
            story.start();
            story.now += ms(60_000);
            assert_eq!(story.restarted(Cause::MemoryLimit), AT_ONCE);
        },
    },
    Fact {
        number: "not reset by",
        pm2: "after a restoration of the process list there is no protection at all",
        ours: Differs(
            "a runner that starts anew knows nothing of before, and protects from its first start on",
        ),
        proof: || assert_eq!(Story::new(default()).lives(&[1; 16])[15], RETRY),
    },
    Fact {
        number: "backoff reset",
        pm2: "the growing delay is reset by a look every 30 s at a life longer than 30 s: after 30 to 60 s",
        ours: Differs("exactly after exp_backoff_reset, which is a field"),
        proof: || {
            let mut story =
                Story::new(RestartPolicy { exp_backoff_restart_delay: Some(Millis(100)), ..default() });
            let waits = [100, 150, 225, 100].map(|wait| Next::Start(ms(wait)));
            assert_eq!(story.lives(&[2_000, 2_000, 29_999, 30_000]), waits);
        },
    },
    Fact {
        number: "backoff growth",
        pm2: "with the default limits a growing delay never leads to errored",
        ours: Differs("the limit is about crashes, whatever the delay between them"),
        proof: || {
            let policy = RestartPolicy { exp_backoff_restart_delay: Some(Millis(100)), ..default() };
            assert_eq!(Story::new(policy).lives(&[10; 16])[15], RETRY);
        },
    },
    Fact {
        number: "errored leaves, by a person",
        pm2: "errored is left by a restart by hand",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 1, ..default() });
            story.life(1, CRASH);
            assert_eq!(story.on(Event::Restart(Cause::Ordered)), [Action::Start]);
        },
    },
    Fact {
        number: "errored leaves, by itself",
        pm2: "errored is never left without a person, cron or watch",
        ours: Differs(
            "what broke the app is often gone by itself (a database that was down); tried again after \
             errored_retry, and 0 is PM2's way",
        ),
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 1, ..default() });
            assert_eq!(story.life(1, CRASH), RETRY);
            story.start();
            assert_eq!(story.now, ms(1) + Duration::from_mins(5));
            let never = RestartPolicy { max_restarts: 1, errored_retry: Millis(0), ..default() };
            let mut story = Story::new(never);
            assert_eq!(story.life(1, CRASH), Next::Errored(None));
            assert_eq!(story.it.deadline(), None);
        },
    },
    Fact {
        number: "during the wait, restart",
        pm2: "a restart by hand fails while the delayed restart is waited for",
        ours: Differs("whoever asks for it has repaired something and does not want to wait"),
        proof: || {
            let mut story = Story::new(RestartPolicy { restart_delay: Millis(60_000), ..default() });
            story.life(1, CRASH);
            assert_eq!(story.on(Event::Restart(Cause::Ordered)), [Action::Start]);
        },
    },
    Fact {
        number: "during the wait, stop",
        pm2: "a stop cancels the delayed restart",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { restart_delay: Millis(60_000), ..default() });
            story.life(1, CRASH);
            assert_eq!(story.on(Event::Stop), [Action::Leave(0)]);
            assert_eq!(story.it.deadline(), None);
        },
    },
    Fact {
        number: "counters",
        pm2: "each restart counts, but the start of a stopped app does not",
        ours: Differs("the figure is the number of processes that have been replaced, whoever asked for it"),
        proof: || {
            let mut story = Story::new(RestartPolicy { autorestart: false, ..default() });
            story.life(60_000, CRASH);
            story.on(Event::Restart(Cause::Ordered));
            assert_eq!(story.starts, 2);
        },
    },
    Fact {
        number: "reset",
        pm2: "`pm2 reset` sets the counters to zero and leaves the growing delay",
        ours: Differs("there is no such order: a restart by hand does it, with the delay"),
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 3, ..default() });
            story.lives(&[1, 1]);
            assert_eq!(story.it.unstable(), 2);
            story.on(Event::Restart(Cause::Ordered));
            assert_eq!(story.it.unstable(), 0);
        },
    },
    Fact {
        number: "example",
        pm2: "10 s × 10 with both delays: the growing one holds, over the limit after ten instant ends in 8 to 9 s",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy {
                min_uptime: Millis(10_000),
                max_restarts: 10,
                restart_delay: Millis(1_000),
                exp_backoff_restart_delay: Some(Millis(100)),
                ..default()
            });
            let nexts = story.lives(&[100; 10]);
            assert_eq!((nexts[0], nexts[9]), (Next::Start(ms(100)), RETRY));
            assert!((ms(8_000)..ms(9_000)).contains(&story.now), "{:?}", story.now);
        },
    },
    Fact {
        number: "max_restarts 0",
        pm2: "max_restarts 0 means errored at the first end",
        ours: Follows,
        proof: || {
            let mut story = Story::new(RestartPolicy { max_restarts: 0, ..default() });
            assert_eq!(story.life(60_000, CRASH), RETRY);
        },
    },
];

#[test]
fn each_numbered_fact_of_pm2() {
    for Fact { number, pm2, ours, proof } in FACTS {
        let how = match ours {
            Follows => "as we do".to_owned(),
            Differs(why) => format!("we differ: {why}"),
        };
        println!("{number}: {pm2} ({how})");
        // Each has to hold alone; the last line printed is the one that does not.
        proof();
    }
}
