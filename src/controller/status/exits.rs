//! Restarts and the last exit: from what the kubelet says of containers and what the
//! runners say of the processes in them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use nodeapp_contract as contract;
use nodeapp_contract::ExitReason;

use crate::controller::names::APP_CONTAINER;
use crate::controller::pods::{AppContainer, AppPod};
use crate::controller::runners::Told;
use crate::controller::text::cut;
use crate::crd::NodeAppStatus;
use crate::crd::status::LastExit;

/// Longest message and longest line, in bytes, and most lines. The runner keeps to less, but an app
/// can write a termination message of its own, and what the schema refuses could never be written.
const LONGEST_MESSAGE: usize = 1024;
const LONGEST_LINE: usize = 2048;
const MOST_LINES: usize = 10;
const LONGEST_SIGNAL: usize = 16;
/// How much clocks of nodes may be ahead of the operator's.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);
/// What stands before the lines in a sentence.
const BEFORE_LINES: &str = "; its last lines: ";
/// Lines of the tail that a condition repeats.
const LINES_IN_CONDITION: usize = 3;
/// The same in bytes.
const LONGEST_IN_CONDITION: usize = 512;

/// A pod with what its runner has told, if it has been asked.
pub type Instance = (Arc<AppPod>, Option<Arc<Told>>);

/// The status with what the instances have gone through. What is known stays until
/// there is something newer: pods go, and an operator that has just started has asked
/// nobody yet. `keep_lines`: whether lines of the app may stand in its status.
pub fn learn(
    previous: NodeAppStatus,
    instances: &[Instance],
    keep_lines: bool,
    now: Timestamp,
) -> NodeAppStatus {
    let alive: Vec<_> = instances.iter().filter(|(pod, _)| !pod.is_terminating()).collect();
    let restarts = alive.iter().map(|(pod, told)| restarts(pod, told.as_deref())).sum::<i64>();
    let complete = alive.iter().all(|(pod, told)| told.is_some() || !is_running(pod));
    let all = alive.iter().flat_map(|(pod, told)| exits(pod, told.as_deref()));
    // By the pod too: of two in one second it is always the same, or writes would never end.
    let latest = all.max_by_key(|exit| (age(exit, now), exit.pod.clone()));
    let learned = NodeAppStatus {
        restarts: if complete { restarts } else { restarts.max(previous.restarts) },
        last_exit: match (previous.last_exit, latest) {
            (Some(known), Some(latest)) if age(&known, now) > age(&latest, now) => Some(known),
            (Some(known), Some(latest)) => Some(with_known_lines(latest, known)),
            (known, latest) => latest.or(known),
        },
        ..previous
    };
    if keep_lines { learned } else { without_lines(learned) }
}

/// The same without lines of the app: they stay in its pods.
pub fn without_lines(status: NodeAppStatus) -> NodeAppStatus {
    let last_exit = status.last_exit.map(|exit| LastExit { log_tail: Vec::new(), ..exit });
    let failed_reason = status.failed_reason.map(|reason| match reason.split_once(BEFORE_LINES) {
        Some((before, _)) => before.to_owned(),
        None => reason,
    });
    NodeAppStatus { last_exit, failed_reason, ..status }
}

/// What is told of the same end as before, perhaps by a runner whose lines could not
/// be had this time.
fn with_known_lines(latest: LastExit, known: LastExit) -> LastExit {
    let same = latest.log_tail.is_empty() && latest == LastExit { log_tail: Vec::new(), ..known.clone() };
    if same { known } else { latest }
}

/// By which ends are sorted. One that is still to come, by a clock that is wrong or in
/// the words of an app, counts as older than any other: it would keep them all back.
fn age(exit: &LastExit, now: Timestamp) -> (bool, String) {
    let border = now.saturating_add(AHEAD).map_or_else(|_| exit.time.clone(), super::seconds);
    (exit.time <= border, exit.time.clone())
}

fn app_container(pod: &AppPod) -> Option<&AppContainer> {
    pod.status.container_statuses.iter().find(|container| container.name == APP_CONTAINER)
}

fn is_running(pod: &AppPod) -> bool {
    pod.status.phase.as_deref() == Some("Running")
}

fn restarts(pod: &AppPod, told: Option<&Told>) -> i64 {
    let of_container = app_container(pod).map_or(0, |container| i64::from(container.restart_count));
    let all = of_container + told.map_or(0, |told| i64::try_from(told.restarts).unwrap_or(i64::MAX / 2));
    (all - pod.restarts_before()).max(0)
}

fn exits(pod: &AppPod, told: Option<&Told>) -> Vec<LastExit> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let of_process = told.and_then(|told| of_process(name, told.last_exit.as_ref()?, &told.log_tail));
    let states =
        app_container(pod).into_iter().flat_map(|container| [&container.state, &container.last_state]);
    let ends = states.flatten().filter_map(|state| state.terminated.as_ref());
    let of_containers = ends.filter_map(|end| of_container(name, end));
    of_process.into_iter().chain(of_containers).collect()
}

/// An order is no news: whoever gave it knows.
fn is_news(reason: ExitReason) -> bool {
    reason != ExitReason::StopOrdered
}

fn of_process(pod: &str, exit: &contract::LastExit, log_tail: &[String]) -> Option<LastExit> {
    let at = i64::try_from(exit.at.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok())?;
    is_news(exit.reason).then(|| LastExit {
        time: super::seconds(at),
        pod: pod.to_owned(),
        code: exit.code,
        signal: exit.signal.as_deref().map(|signal| cut(signal, LONGEST_SIGNAL)),
        reason: word(exit.reason),
        message: cut(&exit.message, LONGEST_MESSAGE),
        log_tail: log_tail[log_tail.len().saturating_sub(MOST_LINES)..]
            .iter()
            .map(|line| cut(line, LONGEST_LINE))
            .collect(),
    })
}

/// The end of a container: in the runner's words if it had time for some, in the
/// kubelet's otherwise.
fn of_container(pod: &str, end: &ContainerStateTerminated) -> Option<LastExit> {
    let time = super::seconds(end.finished_at.as_ref()?.0);
    let told: Option<contract::LastExit> =
        end.message.as_deref().and_then(|message| serde_json::from_str(message).ok());
    let killed_for_memory = end.reason.as_deref() == Some("OOMKilled");
    if let Some(told) = told.filter(|_| !killed_for_memory) {
        return of_process(pod, &told, &told.log_tail);
    }
    let (reason, message) = match (killed_for_memory, end.exit_code) {
        (true, _) => (
            ExitReason::OutOfMemory,
            "the kernel killed the container for memory; raise resources.limits.memory, or set maxMemoryRestart to \
             restart the app before"
                .to_owned(),
        ),
        // The kubelet, or whoever deletes a pod, was out of patience.
        (false, 0) => return None,
        (false, code) => (ExitReason::Crash, format!("the container ended with exit code {code}; see its log")),
    };
    Some(LastExit {
        time,
        pod: pod.to_owned(),
        code: Some(end.exit_code),
        signal: None,
        reason: word(reason),
        message,
        log_tail: Vec::new(),
    })
}

fn word(reason: ExitReason) -> String {
    let word = serde_json::to_value(reason).ok();
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The last exit for a sentence about a rollout that got stuck or an instance that was
/// lost.
pub(super) fn last_words(exit: &LastExit) -> String {
    let LastExit { pod, message, log_tail, .. } = exit;
    let lines = log_tail.iter().rev().take(LINES_IN_CONDITION).rev().map(String::as_str);
    let lines = cut(&lines.collect::<Vec<_>>().join(" ⏎ "), LONGEST_IN_CONDITION);
    let lines = if lines.is_empty() { String::new() } else { format!("{BEFORE_LINES}{lines}") };
    format!("The last exit, in {pod}: {message}{lines}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::names::RESTARTS_BEFORE_ANNOTATION;

    fn pod(name: &str, container: &Value) -> Arc<AppPod> {
        let mut container = container.clone();
        container["name"] = APP_CONTAINER.into();
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "uid": name},
                "status": {"phase": "Running", "containerStatuses": [container]},
            }))
            .unwrap(),
        )
    }

    fn exit(reason: &str, at: u64) -> contract::LastExit {
        serde_json::from_value(json!({"code": 7, "reason": reason, "message": "it crashed", "at": at}))
            .unwrap()
    }

    #[expect(clippy::unnecessary_wraps, reason = "what an instance may not have told")]
    fn told(restarts: u64, last_exit: Option<contract::LastExit>) -> Option<Arc<Told>> {
        Some(Arc::new(Told {
            restarts,
            last_exit,
            log_tail: vec!["Error: no".into()],
            lines_are_missing: false,
        }))
    }

    fn ended(reason: &str, code: i32, message: &str) -> Value {
        let end = json!({"exitCode": code, "reason": reason, "message": message, "finishedAt": "1970-01-01T00:00:09Z"});
        json!({"restartCount": 2, "lastState": {"terminated": end}})
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn learned(previous: NodeAppStatus, instances: &[Instance]) -> NodeAppStatus {
        learn(previous, instances, true, at(10_000))
    }

    #[test]
    fn restarts_of_processes_and_of_containers_are_added_up() {
        let instances =
            [(pod("a", &json!({"restartCount": 2})), told(3, None)), (pod("b", &json!({})), told(4, None))];
        assert_eq!(learned(NodeAppStatus::default(), &instances).restarts, 9);
    }

    #[test]
    fn restarts_before_a_reset_are_not_counted_any_more() {
        let reset = |count: &str| {
            let mut pod = (*pod("a", &json!({"restartCount": 2}))).clone();
            let annotation = (RESTARTS_BEFORE_ANNOTATION.to_owned(), count.to_owned());
            pod.metadata.annotations = Some([annotation].into());
            learned(NodeAppStatus::default(), &[(Arc::new(pod), told(5, None))]).restarts
        };
        assert_eq!((reset("7"), reset("4")), (0, 3));
        assert_eq!((reset("9"), reset("-9"), reset("many")), (0, 7, 7), "whatever someone writes there");
    }

    #[test]
    fn an_operator_that_has_not_asked_yet_forgets_nothing() {
        let known =
            learned(NodeAppStatus::default(), &[(pod("a", &json!({})), told(3, Some(exit("Crash", 5_000))))]);
        assert_eq!(learned(known.clone(), &[(pod("a", &json!({})), None)]), known);
        assert_eq!(learned(known.clone(), &[]).last_exit, known.last_exit, "the pod is gone, its end is not");
    }

    #[test]
    fn restarts_of_a_runner_that_cannot_be_reached_are_not_taken_for_none() {
        let pods = |told_by_a: u64, told_by_b: Option<u64>| {
            let b = told_by_b.and_then(|restarts| told(restarts, None));
            [(pod("a", &json!({})), told(told_by_a, None)), (pod("b", &json!({"restartCount": 1})), b)]
        };
        let both = learned(NodeAppStatus::default(), &pods(3, Some(4)));
        assert_eq!(both.restarts, 8);
        // After a start of the operator, one of them does not answer.
        let one = learned(both.clone(), &pods(3, None));
        assert_eq!(one.restarts, 8, "what is known of all of them, not what one of them has left");
        assert_eq!(learned(one.clone(), &pods(9, None)).restarts, 10, "what is known for certain is more");
        assert_eq!(learned(one.clone(), &pods(3, Some(0))).restarts, 4, "all answer: that counts");
        let stopped = learned(one, &[]);
        assert_eq!(stopped.restarts, 0, "no instance is left to be asked");
    }

    #[test]
    fn the_latest_exit_is_told_with_its_code_reason_and_lines() {
        let instances = [
            (pod("a", &json!({})), told(1, Some(exit("Crash", 7_000)))),
            (pod("b", &json!({})), told(1, Some(exit("MemoryLimit", 5_000)))),
        ];
        let last = learned(NodeAppStatus::default(), &instances).last_exit.unwrap();
        assert_eq!((last.pod.as_str(), last.reason.as_str(), last.code), ("a", "Crash", Some(7)));
        assert_eq!((last.time.as_str(), last.log_tail.len()), ("1970-01-01T00:00:07Z", 1));
        let words = last_words(&last);
        assert_eq!(words, "The last exit, in a: it crashed; its last lines: Error: no");
    }

    #[test]
    fn of_two_ends_in_one_second_it_is_always_the_same_that_is_told() {
        let [a, b] = ["a", "b"].map(|name| (pod(name, &json!({})), told(1, Some(exit("Crash", 7_000)))));
        let one = learned(NodeAppStatus::default(), &[a.clone(), b.clone()]);
        assert_eq!(learned(one.clone(), &[b, a]), one);
    }

    #[test]
    fn an_end_in_the_words_of_the_app_is_cut_to_what_the_schema_takes() {
        let mut wild = exit("Crash", 7_000);
        (wild.message, wild.signal) = ("m".repeat(9_000), Some("S".repeat(99)));
        wild.log_tail = vec!["x".repeat(9_000); 99];
        let message = serde_json::to_string(&wild).unwrap();
        let last = learned(NodeAppStatus::default(), &[(pod("a", &ended("Error", 7, &message)), None)]);
        let last = last.last_exit.unwrap();
        assert!(last.message.len() < 4_096 && last.log_tail.len() <= 16);
        assert!(last.log_tail[0].len() < 4_096 && last.signal.unwrap().chars().count() <= 32);
    }

    #[test]
    fn lines_that_could_not_be_had_this_time_take_none_away() {
        let crashed = |at: u64| [(pod("a", &json!({})), told(1, Some(exit("Crash", at))))];
        let silent = |at: u64| {
            let told = Told { restarts: 1, last_exit: Some(exit("Crash", at)), ..Told::default() };
            [(pod("a", &json!({})), Some(Arc::new(told)))]
        };
        let known = learned(NodeAppStatus::default(), &crashed(7_000));
        assert_eq!(learned(known.clone(), &silent(7_000)), known);
        let other = learned(known, &silent(8_000)).last_exit.unwrap();
        assert!(other.log_tail.is_empty(), "those are of another end: {other:?}");
    }

    #[test]
    fn lines_that_are_not_wanted_any_more_go_from_wherever_they_stand() {
        let crashed = [(pod("a", &json!({})), told(1, Some(exit("Crash", 7_000))))];
        let mut known = learned(NodeAppStatus::default(), &crashed);
        known.failed_reason = Some(format!("stuck. {}", last_words(known.last_exit.as_ref().unwrap())));
        for instances in [&crashed[..], &[]] {
            let off = learn(known.clone(), instances, false, at(10_000));
            assert_eq!(off.failed_reason.as_deref(), Some("stuck. The last exit, in a: it crashed"));
            let exit = off.last_exit.unwrap();
            assert_eq!((exit.code, exit.log_tail.len()), (Some(7), 0));
        }
        let mut words = exit("Crash", 8_000);
        words.log_tail = vec!["Error: no".to_owned()];
        let words = serde_json::to_string(&words).unwrap();
        let ended = [(pod("a", &ended("Error", 7, &words)), None)];
        let off = learn(NodeAppStatus::default(), &ended, false, at(10_000)).last_exit.unwrap();
        assert_eq!((off.time.as_str(), off.log_tail.len()), ("1970-01-01T00:00:08Z", 0));
    }

    #[test]
    fn an_end_that_is_still_to_come_keeps_no_other_back() {
        let crashed = |name: &str, at| (pod(name, &json!({})), told(1, Some(exit("Crash", at))));
        let far = 253_402_000_000_000;
        let first = learned(NodeAppStatus::default(), &[crashed("ahead", far)]);
        assert_eq!(first.last_exit.as_ref().unwrap().pod, "ahead", "it is all that is known");
        let both = [crashed("ahead", far), crashed("b", 9_000_000)];
        let second = learned(first, &both);
        assert_eq!(second.last_exit.as_ref().unwrap().pod, "b");
        assert_eq!(learned(second.clone(), &both), second, "and it stays so, without a write");
        let later = learned(second, &[crashed("ahead", far), crashed("c", 9_500_000)]);
        assert_eq!(later.last_exit.unwrap().pod, "c");
        let a_little = learned(later_known(), &[crashed("d", 10_030_000)]);
        assert_eq!(a_little.last_exit.unwrap().pod, "d", "no clock is exact");
    }

    fn later_known() -> NodeAppStatus {
        learned(NodeAppStatus::default(), &[(pod("c", &json!({})), told(1, Some(exit("Crash", 9_900_000))))])
    }

    #[test]
    fn an_order_is_no_exit_worth_telling() {
        let ordered = [(pod("a", &json!({})), told(1, Some(exit("StopOrdered", 7_000))))];
        assert_eq!(learned(NodeAppStatus::default(), &ordered).last_exit, None);
    }

    #[test]
    fn the_end_of_a_container_is_told_in_the_words_of_the_runner_or_of_the_kubelet() {
        let of =
            |container: Value| learned(NodeAppStatus::default(), &[(pod("a", &container), None)]).last_exit;
        let told = serde_json::to_string(&exit("Hung", 8_000)).unwrap();
        assert_eq!(of(ended("Error", 7, &told)).unwrap().reason, "Hung");
        let oom = of(ended("OOMKilled", 137, &told)).unwrap();
        assert_eq!((oom.reason.as_str(), oom.time.as_str()), ("OutOfMemory", "1970-01-01T00:00:09Z"));
        assert_eq!(of(ended("Error", 2, "panicked")).unwrap().reason, "Crash");
        assert_eq!(of(ended("Completed", 0, "")), None);
    }
}
