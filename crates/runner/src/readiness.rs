//! Whether the pod may get traffic, and why not.

use std::time::Duration;

use nodeapp_contract::RunnerConfig;

use crate::ends;
use crate::machine::{Now, Phase};
use crate::procfs::Reach;

/// While the runner holds the listening socket, connections wait for the next
/// process; for this long it is better to let them come than to turn them away.
const GRACE: Duration = Duration::from_secs(5);

/// What is known about the current process.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    message: bool,
    reach: Reach,
    startup: bool,
    probe: bool,
}

/// The rules and what is known.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(crate) struct Readiness {
    wait_ready: bool,
    port: Option<u16>,
    has_startup: bool,
    has_probe: bool,
    listen_timeout: Duration,
    errored_retry: Duration,
    started: Now,
    signs: Signs,
    /// Ready at least once in this life.
    reached: bool,
    overdue_told: bool,
    /// The runner's socket listens, whoever the process is.
    held: bool,
    last_ready: Option<Now>,
}

impl Readiness {
    pub(crate) fn new(config: &RunnerConfig) -> Self {
        Self {
            wait_ready: config.readiness.wait_ready,
            port: config.port,
            has_startup: config.startup.is_some(),
            has_probe: config.readiness.probe.is_some(),
            listen_timeout: config.readiness.listen_timeout.into(),
            errored_retry: config.restart.errored_retry.into(),
            started: Duration::ZERO,
            signs: Signs::default(),
            reached: false,
            overdue_told: false,
            held: false,
            last_ready: None,
        }
    }

    /// A new process has started.
    pub(crate) fn process_started(&mut self, now: Now) {
        self.started = now;
        self.signs = Signs::default();
        self.reached = false;
        self.overdue_told = false;
    }

    /// The app has sent `ready`.
    pub(crate) fn message(&mut self) {
        self.signs.message = true;
    }

    /// The app listens on its port, or does so no more.
    pub(crate) fn listening(&mut self, reach: Reach, adopted: bool) {
        self.signs.reach = reach;
        self.held |= reach == Reach::Others && adopted;
    }

    /// Verdict of the startup probe.
    pub(crate) fn startup(&mut self, passed: bool) {
        self.signs.startup = passed;
    }

    /// Verdict of the readiness probe.
    pub(crate) fn probe(&mut self, passed: bool) {
        self.signs.probe = passed;
    }

    /// Whether the port still has to be looked for.
    pub(crate) fn wants_port(&self) -> bool {
        !self.wait_ready && self.port.is_some() && self.signs.reach != Reach::Others
    }

    /// Whether the runner's socket listens, whoever the process is.
    pub(crate) fn held(&self) -> bool {
        self.held
    }

    /// The runner has ended the listening: nothing waits for the next process.
    pub(crate) fn refused(&mut self) {
        self.held = false;
    }

    /// Looks again; true at the moment at which the process got ready.
    pub(crate) fn update(&mut self, now: Now, phase: Phase) -> bool {
        let ready = phase == Phase::Running && self.missing().is_none();
        let first = ready && !self.reached;
        if ready {
            self.reached = true;
            self.last_ready = Some(now);
        }
        first
    }

    /// True once, when the process is not ready in its time.
    pub(crate) fn overdue(&mut self, now: Now, phase: Phase) -> bool {
        let late = self.overdue_at(phase).is_some_and(|at| at <= now);
        self.overdue_told |= late;
        late
    }

    /// When [`Self::overdue`] may turn true.
    pub(crate) fn overdue_at(&self, phase: Phase) -> Option<Now> {
        let waits = phase == Phase::Running && !self.reached && !self.overdue_told;
        waits.then(|| self.started.saturating_add(self.listen_timeout))
    }

    /// Why the pod may not get traffic; `None` if it may.
    pub(crate) fn reason(&self, now: Now, phase: Phase) -> Option<String> {
        let reason = match phase {
            Phase::Running | Phase::Lingering => self.missing()?,
            Phase::Restarting => "the process is being restarted".to_owned(),
            Phase::Waiting => "the process has ended and is started again after its delay".to_owned(),
            Phase::Errored => {
                let again = match self.errored_retry {
                    Duration::ZERO => "not tried again, since erroredRetryDelay is 0".to_owned(),
                    wait => format!("tried again after {}", ends::spoken(wait)),
                };
                return Some(format!("the process ended too often (errored); {again}"));
            }
            Phase::Resting(rest) => {
                return Some(format!("the process has ended and stays stopped: {}", ends::why_at_rest(rest)));
            }
            Phase::Stopping => return Some("the runner was told to stop".to_owned()),
            Phase::Stopped => return Some("the process has ended after the drain".to_owned()),
        };
        let recent = self.last_ready.is_some_and(|at| now.saturating_sub(at) < GRACE);
        let replacing = phase != Phase::Running || !self.reached;
        if self.held && recent && replacing { None } else { Some(reason) }
    }

    fn missing(&self) -> Option<String> {
        if self.wait_ready && !self.signs.message {
            return Some("the app has not sent process.send('ready') yet".to_owned());
        }
        if let Some(port) = self.port
            && !self.wait_ready
        {
            match self.signs.reach {
                Reach::Others => {}
                Reach::Nobody => return Some(format!("the app does not listen on port {port}")),
                Reach::Loopback => {
                    return Some(format!(
                        "the app listens on port {port} of the loopback address only, where no traffic comes from; \
                         let it listen on :: or 0.0.0.0"
                    ));
                }
            }
        }
        if self.has_startup && !self.signs.startup {
            return Some("the startup probe has not passed yet".to_owned());
        }
        if self.has_probe && !self.signs.probe {
            return Some("the readiness probe does not pass".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use nodeapp_contract::config::{Launch, Millis};

    use super::*;

    fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn readiness(change: impl FnOnce(&mut RunnerConfig)) -> Readiness {
        let launch = Launch::Command { argv: vec!["app".into()] };
        let mut config: RunnerConfig = serde_json::from_value(serde_json::json!({
            "name": "web", "port": 3000, "launch": launch,
        }))
        .unwrap();
        change(&mut config);
        Readiness::new(&config)
    }

    #[test]
    fn an_app_with_a_port_is_ready_when_it_listens() {
        let mut it = readiness(|_| {});
        assert!(!it.update(s(1), Phase::Running));
        assert_eq!(it.reason(s(1), Phase::Running).unwrap(), "the app does not listen on port 3000");
        it.listening(Reach::Others, true);
        assert!(it.update(s(2), Phase::Running));
        assert!(!it.update(s(3), Phase::Running), "only the first time");
        assert_eq!(it.reason(s(3), Phase::Running), None);
    }

    #[test]
    fn an_app_on_the_loopback_address_is_not_ready_since_nothing_reaches_it() {
        let mut it = readiness(|_| {});
        it.listening(Reach::Loopback, false);
        assert!(!it.update(s(1), Phase::Running));
        assert!(it.reason(s(1), Phase::Running).unwrap().contains("let it listen on :: or 0.0.0.0"));
    }

    #[test]
    fn wait_ready_is_about_the_message_alone() {
        let mut it = readiness(|config| config.readiness.wait_ready = true);
        it.listening(Reach::Others, true);
        assert!(!it.update(s(1), Phase::Running));
        it.message();
        assert!(it.update(s(1), Phase::Running));
    }

    #[test]
    fn a_worker_is_ready_as_soon_as_it_runs() {
        assert!(readiness(|config| config.port = None).update(s(0), Phase::Running));
    }

    #[test]
    fn a_held_socket_keeps_readiness_for_a_grace_over_a_restart() {
        let mut it = readiness(|_| {});
        it.listening(Reach::Others, true);
        it.update(s(10), Phase::Running);
        assert_eq!(it.reason(s(11), Phase::Restarting), None);
        assert_eq!(it.reason(s(11), Phase::Waiting), None);
        it.process_started(s(12));
        it.update(s(12), Phase::Running);
        assert_eq!(it.reason(s(14), Phase::Running), None, "the new process is still starting");
        assert!(it.reason(s(15), Phase::Running).is_some(), "the grace is over");
        assert!(it.reason(s(11), Phase::Errored).is_some(), "errored has no grace");
    }

    #[test]
    fn without_a_held_socket_there_is_no_grace() {
        let mut it = readiness(|_| {});
        it.listening(Reach::Others, false);
        it.update(s(10), Phase::Running);
        assert!(it.reason(s(10), Phase::Waiting).is_some());
    }

    #[test]
    fn an_app_that_closes_its_port_is_unready_at_once() {
        let mut it = readiness(|_| {});
        it.listening(Reach::Others, true);
        it.update(s(10), Phase::Running);
        it.listening(Reach::Nobody, true);
        it.update(s(10), Phase::Running);
        assert!(it.reason(s(10), Phase::Running).is_some());
    }

    #[test]
    fn at_pod_deletion_readiness_stays_until_the_delay_is_over() {
        let mut it = readiness(|_| {});
        it.listening(Reach::Others, true);
        it.update(s(10), Phase::Running);
        assert_eq!(it.reason(s(14), Phase::Lingering), None);
        assert!(it.reason(s(14), Phase::Stopping).is_some());
    }

    #[test]
    fn a_slow_start_is_told_once() {
        let mut it = readiness(|config| config.readiness.listen_timeout = Millis(2_000));
        it.process_started(s(1));
        assert!(!it.overdue(s(2), Phase::Running));
        assert!(it.overdue(s(3), Phase::Running));
        assert!(!it.overdue(s(4), Phase::Running));
    }

    #[test]
    fn probes_are_asked_in_addition() {
        let mut it = readiness(|_| {});
        it.has_probe = true;
        it.has_startup = true;
        it.listening(Reach::Others, false);
        assert!(!it.update(s(1), Phase::Running));
        it.startup(true);
        it.probe(true);
        assert!(it.update(s(1), Phase::Running));
        it.probe(false);
        assert_eq!(it.reason(s(9), Phase::Running).unwrap(), "the readiness probe does not pass");
    }
}
