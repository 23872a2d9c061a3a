//! Events: what a person who asks `kubectl describe` should see of an app's
//! history. They follow from two statuses; failing to publish only logs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::apply::Repair;
use super::names::{MANAGER, PAUSED_ANNOTATION, RESTARTED_ANNOTATION};
use super::restarts::News;
use super::text::cut;
use crate::crd::{Condition, ConditionType, NodeAppStatus, Reason};

/// Longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;
/// How long a repeated Event is counted up instead of written anew.
const SERIES: SignedDuration = SignedDuration::from_mins(6);

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// Whether something is wrong.
    pub warning: bool,
    /// One word.
    pub reason: String,
    /// What happened, and what to do about it.
    pub text: String,
}

/// What changed between two statuses and is worth an Event.
pub fn between(previous: &NodeAppStatus, current: &NodeAppStatus) -> Vec<Note> {
    let find = |status: &NodeAppStatus, type_: ConditionType| -> Option<Condition> {
        status.conditions.iter().find(|condition| condition.type_ == type_.name()).cloned()
    };
    let mut notes: Vec<Note> = Vec::new();
    for type_ in ConditionType::ALL {
        let Some(now) = find(current, type_) else { continue };
        let before = find(previous, type_);
        let is = |condition: &Condition, status: &str| condition.status == status;
        let flipped = before.as_ref().is_none_or(|before| before.status != now.status);
        let other = before.as_ref().is_none_or(|before| before.reason != now.reason);
        // Problems may change while the condition stays.
        let reworded = before.as_ref().is_none_or(|before| before.message != now.message);
        let note = match type_ {
            ConditionType::Valid if is(&now, "False") && (flipped || reworded) => Some(true),
            ConditionType::Valid if now.reason == Reason::PlainCredentials.name() => {
                (other || reworded).then_some(true)
            }
            ConditionType::Valid if flipped && before.is_some() => Some(false),
            ConditionType::Degraded if is(&now, "True") && (flipped || other) => Some(true),
            // What else happens tells it, if anything does.
            ConditionType::Degraded if flipped && before.is_some() && notes.is_empty() => Some(false),
            ConditionType::Available if flipped && before.is_some() && is(&now, "False") => Some(true),
            ConditionType::Progressing if other && says_why_nothing_moves(&now) => Some(false),
            // That a new app begins is no news to whoever made it, and with a fleet of
            // them one request in seven.
            ConditionType::Progressing if before.is_none() => None,
            ConditionType::Progressing | ConditionType::Ready if is(&now, "True") && (flipped || other) => {
                Some(false)
            }
            _ => None,
        };
        let Some(warning) = note else { continue };
        if notes.iter().all(|note| note.reason != now.reason) {
            notes.push(Note { warning, reason: now.reason, text: now.message });
        }
    }
    notes.extend(another_exit(previous, current));
    if let Some(note) = another_template(previous, current) {
        notes.insert(0, note);
    }
    notes
}

/// Whether something was told to wait, and by whom.
fn says_why_nothing_moves(progressing: &Condition) -> bool {
    let reasons = [Reason::Paused, Reason::RolloutPaused, Reason::RolledBackByHand];
    reasons.iter().any(|reason| reason.name() == progressing.reason)
}

/// An exit, unless the last one of its kind is just over: a crash loop is one story,
/// of however many instances.
fn another_exit(previous: &NodeAppStatus, current: &NodeAppStatus) -> Option<Note> {
    let exit = current.last_exit.as_ref()?;
    if let Some(before) = &previous.last_exit {
        let time = |time: &str| time.parse::<Timestamp>().ok();
        let known = before.reason == exit.reason;
        let apart = time(&exit.time).zip(time(&before.time)).map(|(now, before)| now.duration_since(before));
        if before == exit || (known && apart.is_some_and(|apart| apart < SERIES)) {
            return None;
        }
    }
    Some(Note {
        warning: exit.reason != "Completed",
        reason: exit.reason.clone(),
        text: format!("{}: {}", exit.pod, exit.message),
    })
}

fn another_template(previous: &NodeAppStatus, current: &NodeAppStatus) -> Option<Note> {
    let (before, now) = (previous.revision.as_ref()?, current.revision.as_ref()?);
    (before != now).then(|| Note {
        warning: false,
        reason: "RevisionChanged".to_owned(),
        text: format!("pods are now made from the template of {now}; before, it was {before}"),
    })
}

/// What to tell of a child that was put right.
pub fn of_repair(repair: &Repair) -> Note {
    let Repair { kind, name, changed_by } = repair;
    let (reason, text) = match changed_by {
        Some(culprit) => (
            "Reverted",
            format!(
                "the {kind} {name}, changed by {culprit}, is again as the NodeApp says; change the NodeApp instead, \
                 or annotate it with {PAUSED_ANNOTATION}=true to have it left alone"
            ),
        ),
        None => ("Recreated", format!("the {kind} {name} was missing and has been made again")),
    };
    Note { warning: true, reason: reason.to_owned(), text }
}

/// What to tell of a restart.
pub fn of_restart(news: &News) -> Note {
    let (reason, text) = match news {
        News::Requested => (
            "RestartRequested",
            format!(
                "all instances are replaced, one surge at a time, as the annotation {RESTARTED_ANNOTATION} asks"
            ),
        ),
        News::RequestedOfJob(name) => (
            "RestartRequested",
            format!(
                "a job has no instances to replace, and each of its runs begins anew. To run it now: kubectl create \
                 job --from=cronjob/{name} {name}-now"
            ),
        ),
        News::Scheduled(schedule) => (
            "ScheduledRestart",
            format!("all instances are replaced, one surge at a time, as cronRestart says: {schedule}"),
        ),
        News::Skipped(why) => (
            "ScheduledRestartSkipped",
            format!("it is time for a restart by cronRestart, which is left out: {why}"),
        ),
    };
    Note { warning: false, reason: reason.to_owned(), text }
}

/// Publishes Events.
///
/// The library's recorder would repeat the first note of a reason for six
/// minutes, even when the problems have become others; so this one has its own
/// memory of what it said.
pub struct Publisher {
    client: Client,
    instance: String,
    said: Mutex<HashMap<(String, Note), Said>>,
}

#[derive(Clone)]
struct Said {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Publisher {
    /// A publisher that calls itself `instance`.
    pub fn new(client: Client, instance: String) -> Self {
        Self { client, instance, said: Mutex::default() }
    }

    /// Publishes a note about an object.
    pub async fn publish(&self, about: &ObjectReference, note: Note) {
        let note = Note { text: cut(&note.text, LONGEST_NOTE), ..note };
        let now = Timestamp::now();
        let key = (about.uid.clone().unwrap_or_default(), note.clone());
        let known = self.known(&key, now);
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let result = match &known {
            Some(said) => self.repeat(&api, said, now).await,
            None => api.create(&PostParams::default(), &self.event(about, &note, now)).await.map(drop),
        };
        match result {
            Ok(()) => {
                let name = event_name(about, now);
                let said = known.unwrap_or(Said { name, count: 0, last: now });
                let said = Said { count: said.count + 1, last: now, ..said };
                self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(key, said);
            }
            Err(error) => tracing::warn!(%error, reason = note.reason, "cannot publish an event"),
        }
    }

    fn known(&self, key: &(String, Note), now: Timestamp) -> Option<Said> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, said| said.last + SERIES > now);
        said.get(key).cloned()
    }

    async fn repeat(&self, api: &Api<Event>, said: &Said, now: Timestamp) -> Result<(), kube::Error> {
        let series = EventSeries { count: said.count + 1, last_observed_time: MicroTime(now) };
        let patch = Patch::Merge(json!({"series": series}));
        api.patch(&said.name, &PatchParams::default(), &patch).await.map(drop)
    }

    fn event(&self, about: &ObjectReference, note: &Note, now: Timestamp) -> Event {
        Event {
            metadata: ObjectMeta {
                name: Some(event_name(about, now)),
                namespace: about.namespace.clone(),
                ..ObjectMeta::default()
            },
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(note.text.clone()),
            reason: Some(note.reason.clone()),
            regarding: Some(about.clone()),
            reporting_controller: Some(format!("nodeapp.dev/{MANAGER}")),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        }
    }
}

fn event_name(about: &ObjectReference, now: Timestamp) -> String {
    format!("{}.{:x}", about.name.as_deref().unwrap_or("nodeapp"), now.as_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::status::LastExit;

    fn status(conditions: &[(ConditionType, &str, Reason, &str)]) -> NodeAppStatus {
        let condition = |(type_, status, reason, message): &(ConditionType, &str, Reason, &str)| Condition {
            type_: type_.name().to_owned(),
            status: (*status).to_owned(),
            reason: reason.name().to_owned(),
            message: (*message).to_owned(),
            ..Condition::default()
        };
        NodeAppStatus { conditions: conditions.iter().map(condition).collect(), ..NodeAppStatus::default() }
    }

    fn reasons(previous: &NodeAppStatus, current: &NodeAppStatus) -> Vec<(bool, String)> {
        between(previous, current).into_iter().map(|note| (note.warning, note.reason)).collect()
    }

    #[test]
    fn the_same_status_tells_nothing() {
        let same = status(&[(ConditionType::Valid, "False", Reason::InvalidSpec, "a")]);
        assert!(between(&same, &same).is_empty());
    }

    #[test]
    fn other_problems_are_told_even_if_the_spec_stays_invalid() {
        let first = status(&[(ConditionType::Valid, "False", Reason::InvalidSpec, "a")]);
        let second = status(&[(ConditionType::Valid, "False", Reason::InvalidSpec, "b")]);
        assert_eq!(reasons(&first, &second), [(true, "InvalidSpec".to_owned())]);
    }

    #[test]
    fn an_exit_is_told_and_a_crash_loop_is_one_story() {
        let exited_in = |pod: &str, time: &str, reason: &str| NodeAppStatus {
            last_exit: Some(LastExit {
                time: time.to_owned(),
                pod: pod.to_owned(),
                reason: reason.to_owned(),
                ..LastExit::default()
            }),
            ..NodeAppStatus::default()
        };
        let exited = |time: &str, reason: &str| exited_in("cart-1", time, reason);
        let first = exited("2026-01-01T00:00:00Z", "Crash");
        assert_eq!(reasons(&NodeAppStatus::default(), &first), [(true, "Crash".to_owned())]);
        assert!(between(&first, &exited("2026-01-01T00:00:30Z", "Crash")).is_empty());
        assert!(between(&first, &exited_in("cart-2", "2026-01-01T00:00:30Z", "Crash")).is_empty());
        let other = exited("2026-01-01T00:00:30Z", "OutOfMemory");
        assert_eq!(reasons(&first, &other), [(true, "OutOfMemory".to_owned())]);
        assert_eq!(reasons(&first, &exited("2026-01-01T01:00:00Z", "Crash")).len(), 1);
    }

    #[test]
    fn a_credential_in_plain_text_is_told_once() {
        let before = status(&[(ConditionType::Valid, "True", Reason::Accepted, "")]);
        let after = status(&[(ConditionType::Valid, "True", Reason::PlainCredentials, "DB_PASSWORD")]);
        assert_eq!(reasons(&before, &after), [(true, "PlainCredentials".to_owned())]);
        assert!(between(&after, &after).is_empty());
    }

    #[test]
    fn getting_ready_and_being_degraded_are_told_once_each() {
        let before = status(&[(ConditionType::Ready, "False", Reason::RollingOut, "1 of 2")]);
        let after = status(&[
            (ConditionType::Ready, "True", Reason::AllInstancesReady, "2 of 2"),
            (ConditionType::Degraded, "False", Reason::Healthy, ""),
        ]);
        assert_eq!(reasons(&before, &after), [(false, "AllInstancesReady".to_owned())]);
        let stuck = status(&[(ConditionType::Degraded, "True", Reason::RolloutStuck, "stuck")]);
        assert_eq!(reasons(&after, &stuck), [(true, "RolloutStuck".to_owned())]);
    }

    #[test]
    fn that_nothing_serves_and_that_nothing_is_wrong_any_more_are_told() {
        let serves = status(&[(ConditionType::Available, "True", Reason::InstancesAvailable, "2 of 2")]);
        let none = status(&[(ConditionType::Available, "False", Reason::NoInstanceAvailable, "0 of 2")]);
        assert_eq!(reasons(&serves, &none), [(true, "NoInstanceAvailable".to_owned())]);
        assert!(between(&NodeAppStatus::default(), &none).is_empty(), "a new app");
        let wrong = status(&[(ConditionType::Degraded, "True", Reason::ForeignAutoscaler, "web")]);
        let right = status(&[(ConditionType::Degraded, "False", Reason::Healthy, "nothing is wrong")]);
        assert_eq!(reasons(&wrong, &right), [(false, "Healthy".to_owned())]);
        assert!(between(&NodeAppStatus::default(), &right).is_empty(), "a new app");
    }

    #[test]
    fn who_lets_a_rollout_wait_or_takes_it_back_finds_it_in_the_history() {
        let rolls = status(&[(ConditionType::Progressing, "True", Reason::RollingOut, "1 of 2")]);
        for reason in [Reason::Paused, Reason::RolloutPaused, Reason::RolledBackByHand] {
            let waits = status(&[(ConditionType::Progressing, "False", reason, "waits")]);
            assert_eq!(reasons(&rolls, &waits), [(false, reason.name().to_owned())]);
            assert!(between(&waits, &waits).is_empty());
        }
    }

    #[test]
    fn that_a_new_app_begins_is_no_event_and_that_its_rollout_begins_is_one() {
        let begins = status(&[(ConditionType::Progressing, "True", Reason::RollingOut, "0 of 2")]);
        assert!(between(&NodeAppStatus::default(), &begins).is_empty());
        let rest = status(&[(ConditionType::Progressing, "False", Reason::Settled, "2 of 2")]);
        assert_eq!(reasons(&rest, &begins), [(false, "RollingOut".to_owned())]);
    }

    #[test]
    fn a_rollback_is_not_told_as_a_change_of_the_spec() {
        let before = NodeAppStatus { revision: Some("cart-2".into()), ..NodeAppStatus::default() };
        let back = NodeAppStatus { revision: Some("cart-1".into()), ..NodeAppStatus::default() };
        let notes = between(&before, &back);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].text.contains("cart-1") && !notes[0].text.contains("spec"), "{}", notes[0].text);
    }
}
