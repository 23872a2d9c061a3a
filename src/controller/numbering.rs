//! The index of instances (PM2's `NODE_APP_INSTANCE`): which pod gets which number.
//!
//! Pods that want one come with a scheduling gate, so nothing of them runs before
//! they have it. Who has which number stands in the pods alone. [`plan`] is a plain
//! function; [`assign`] carries it out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::apply;
use super::cache::AppKey;
use super::context::Context;
use super::error::Error;
use super::names::INSTANCE_GATE;
use super::pods::AppPod;

/// A pod that should be gone for so long hangs on a node that is lost. Its number
/// stays its own, for its process may still run; but nobody waits for it any more.
const OVERDUE: SignedDuration = SignedDuration::from_secs(30);
/// When to look again after a number that could not be given: what was known of
/// the pod was out of date, and the watch may bring it any moment.
const AGAIN: Duration = Duration::from_secs(5);

/// A pod gets a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gift {
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub uid: String,
    /// Place of the gate among the pod's gates.
    pub gate: usize,
    /// The number.
    pub number: u32,
}

/// A pod whose number is beyond those that are wanted, while a smaller one is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub uid: String,
}

/// Who gets a number now, and when to look again though nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Numbers to give.
    pub gifts: Vec<Gift>,
    /// A pod to be deleted, so that its successor gets the number that is missing.
    pub misplaced: Option<Misplaced>,
    /// Time until a pod stops being waited for.
    pub again: Option<Duration>,
}

/// Numbers given lately, by the UID of their pod.
pub type Given = HashMap<String, u32>;

/// Gives the pods of one app their numbers: in each revision the smallest that is
/// free. A pod on its way out has its number until it is gone, and its successor
/// waits for it rather than taking one beyond `wanted`. `given` are the numbers
/// given lately, by UID, which the watch may not have brought yet.
pub fn plan(pods: &[Arc<AppPod>], wanted: u32, given: &Given, now: Timestamp) -> Plan {
    let mut revisions: BTreeMap<&str, Vec<&AppPod>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !pod.has_ended()) {
        if let Some(hash) = pod.template_hash() {
            revisions.entry(hash).or_default().push(pod);
        }
    }
    let mut plan = Plan::default();
    for pods in revisions.values() {
        of_revision(pods, wanted, given, now, &mut plan);
    }
    if let ([pods], None, true) =
        (&*revisions.into_values().collect::<Vec<_>>(), plan.again, plan.gifts.is_empty())
    {
        plan.misplaced = misplaced(pods, wanted);
    }
    plan
}

/// The pod with the highest number, where it is beyond those that are wanted and one of
/// them is free: a `ReplicaSet` that is scaled down removes pods that are not ready
/// first, whatever their numbers. Only at rest, and while all others are ready.
fn misplaced(pods: &[&AppPod], wanted: u32) -> Option<Misplaced> {
    let numbers: Option<BTreeSet<u32>> = pods.iter().map(|pod| pod.instance()).collect();
    let numbers = numbers?;
    let staying: Vec<&AppPod> = pods.iter().copied().filter(|pod| !pod.is_terminating()).collect();
    let is_missing = (0..wanted).any(|number| !numbers.contains(&number));
    if !is_missing || u32::try_from(staying.len()) != Ok(wanted) {
        return None;
    }
    let highest = staying.iter().max_by_key(|pod| pod.instance())?;
    let others_serve = staying.iter().all(|pod| pod.is_ready() || pod.metadata.uid == highest.metadata.uid);
    let name = |text: &Option<String>| text.clone().unwrap_or_default();
    (others_serve && highest.instance()? >= wanted)
        .then(|| Misplaced { pod: name(&highest.metadata.name), uid: name(&highest.metadata.uid) })
}

fn of_revision(pods: &[&AppPod], wanted: u32, given: &Given, now: Timestamp, plan: &mut Plan) {
    let number = |pod: &AppPod| pod.instance().or_else(|| given.get(pod.metadata.uid.as_ref()?).copied());
    let mut taken: BTreeSet<u32> = pods.iter().filter_map(|pod| number(pod)).collect();
    let mut leaving = 0;
    for pod in pods.iter().filter(|pod| number(pod).is_some_and(|number| number < wanted)) {
        let Some(Time(gone_by)) = pod.metadata.deletion_timestamp else { continue };
        let patience = gone_by.duration_since(now) + OVERDUE;
        if let Some(patience) = Duration::try_from(patience).ok().filter(|patience| !patience.is_zero()) {
            leaving += 1;
            plan.again = Some(plan.again.map_or(patience, |again| again.min(patience)));
        }
    }
    let mut waiting: Vec<(&AppPod, usize)> = pods
        .iter()
        .filter(|pod| number(pod).is_none() && !pod.is_terminating())
        .filter_map(|pod| Some((*pod, pod.gate(INSTANCE_GATE)?)))
        .collect();
    waiting.sort_by_key(|(pod, _)| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone()));
    for (pod, gate) in waiting {
        let free = (0..=u32::MAX).find(|number| !taken.contains(number)).unwrap_or(u32::MAX);
        if free >= wanted && leaving > 0 {
            leaving -= 1;
            continue;
        }
        taken.insert(free);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (name, uid) = (text(&pod.metadata.name), text(&pod.metadata.uid));
        plan.gifts.push(Gift { pod: name, uid, gate, number: free });
    }
}

/// Gives the waiting pods of an app their numbers, whatever its spec says by now:
/// they were made from a template that has the gate. Returns when to look again.
/// `replaces`: whether a pod may be deleted for its number.
pub(super) async fn assign(
    context: &Context,
    key: &AppKey,
    replaces: bool,
) -> Result<Option<Duration>, Error> {
    let pods = context.caches.pods.of(key);
    if pods.iter().all(|pod| pod.gate(INSTANCE_GATE).is_none() && pod.instance().is_none()) {
        return Ok(None);
    }
    let wanted = context.caches.wanted(key);
    let given = context.memory.numbers(key, |uid| {
        let pod = pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(uid));
        pod.is_some_and(|pod| pod.instance().is_none())
    });
    let Plan { gifts, misplaced, mut again } = plan(&pods, wanted, &given, Timestamp::now());
    if let Some(misplaced) = misplaced.filter(|_| replaces) {
        let (namespace, app, pod) = (&key.namespace, &key.name, &misplaced.pod);
        tracing::info!(
            namespace,
            app,
            pod,
            "is replaced, so that a smaller number than its own is not missing"
        );
        apply::replace(&context.client, namespace, &misplaced).await?;
    }
    for gift in gifts {
        if apply::give(&context.client, &key.namespace, &gift).await? {
            tracing::debug!(
                namespace = key.namespace,
                app = key.name,
                pod = gift.pod,
                number = gift.number,
                "numbered"
            );
            context.memory.numbered(key, gift.uid, gift.number);
        } else {
            again = Some(again.map_or(AGAIN, |again| again.min(AGAIN)));
        }
    }
    Ok(again)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A pod of a revision: its number, or waiting for one.
    fn pod(hash: &str, name: &str, number: Option<u32>) -> AppPod {
        let mut pod: AppPod = serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "labels": {"pod-template-hash": hash}},
        }))
        .unwrap();
        match number {
            None => {
                pod.spec.scheduling_gates = serde_json::from_value(json!([{"name": INSTANCE_GATE}])).unwrap();
            }
            Some(number) => {
                pod.metadata
                    .labels
                    .get_or_insert_default()
                    .insert("nodeapp.dev/instance".into(), number.to_string());
            }
        }
        pod
    }

    fn leaving(mut pod: AppPod, gone_by: i64) -> AppPod {
        pod.metadata.deletion_timestamp = Some(Time(at(gone_by)));
        pod
    }

    fn numbers(pods: &[AppPod], wanted: u32) -> Vec<(String, u32)> {
        let pods: Vec<_> = pods.iter().cloned().map(Arc::new).collect();
        let plan = plan(&pods, wanted, &HashMap::new(), at(100));
        plan.gifts.into_iter().map(|gift| (gift.pod, gift.number)).collect()
    }

    fn named(names: &[(&str, u32)]) -> Vec<(String, u32)> {
        names.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    #[test]
    fn the_smallest_free_number_comes_first_and_the_eldest_pod_gets_it() {
        let mut elder = pod("a", "z", None);
        elder.metadata.creation_timestamp = Some(Time(at(1)));
        let mut younger = pod("a", "b", None);
        younger.metadata.creation_timestamp = Some(Time(at(2)));
        let pods = [younger, pod("a", "x", Some(1)), elder];
        assert_eq!(numbers(&pods, 3), named(&[("z", 0), ("b", 2)]));
    }

    #[test]
    fn a_new_revision_counts_from_0_beside_the_old_one() {
        let pods = [pod("a", "x", Some(0)), pod("a", "y", Some(1)), pod("b", "z", None)];
        assert_eq!(numbers(&pods, 2), named(&[("z", 0)]));
    }

    #[test]
    fn a_successor_waits_until_its_predecessor_is_gone() {
        let gone_by = 110;
        let pods = [leaving(pod("a", "x", Some(0)), gone_by), pod("a", "y", Some(1)), pod("a", "z", None)];
        assert_eq!(numbers(&pods, 2), named(&[]));
        let pods: Vec<_> = pods.into_iter().map(Arc::new).collect();
        let plan = plan(&pods, 2, &HashMap::new(), at(100));
        assert_eq!(plan.again, Some(Duration::from_secs(40)), "10 s of its grace, and then some");
        assert_eq!(numbers(&[pod("a", "y", Some(1)), pod("a", "z", None)], 2), named(&[("z", 0)]));
    }

    #[test]
    fn one_more_instance_does_not_wait_for_the_successor_of_another() {
        let pods = [leaving(pod("a", "x", Some(0)), 110), pod("a", "y", None), pod("a", "z", None)];
        assert_eq!(numbers(&pods, 2), named(&[("y", 1)]));
    }

    #[test]
    fn a_number_on_a_lost_node_is_not_given_twice_but_nobody_waits_for_it() {
        let pods = [leaving(pod("a", "x", Some(0)), 60), pod("a", "y", Some(1)), pod("a", "z", None)];
        assert_eq!(numbers(&pods, 2), named(&[("z", 2)]));
    }

    #[test]
    fn a_pod_that_has_ended_holds_no_number_and_one_on_its_way_out_wants_none() {
        let mut evicted = pod("a", "x", Some(0));
        evicted.status.phase = Some("Failed".to_owned());
        let pods = [evicted, leaving(pod("a", "y", None), 110), pod("a", "z", None)];
        assert_eq!(numbers(&pods, 1), named(&[("z", 0)]));
    }

    #[test]
    fn a_number_given_lately_is_not_given_again_before_the_watch_has_brought_it() {
        let pods = [Arc::new(pod("a", "x", None)), Arc::new(pod("a", "y", None))];
        let given = HashMap::from([("y".to_owned(), 0)]);
        let plan = plan(&pods, 2, &given, at(100));
        assert_eq!(plan.gifts.len(), 1);
        assert_eq!((plan.gifts[0].pod.as_str(), plan.gifts[0].number), ("x", 1));
    }

    /// Pods that are ready, by their numbers.
    fn ready(numbers: &[u32]) -> Vec<AppPod> {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let ready = |number: &u32| {
            let mut pod = pod("a", &format!("p{number}"), Some(*number));
            pod.status.conditions = serde_json::from_value(ready.clone()).unwrap();
            pod
        };
        numbers.iter().map(ready).collect()
    }

    fn replaced(pods: &[AppPod], wanted: u32) -> Option<String> {
        let pods: Vec<_> = pods.iter().cloned().map(Arc::new).collect();
        plan(&pods, wanted, &HashMap::new(), at(100)).misplaced.map(|misplaced| misplaced.pod)
    }

    #[test]
    fn a_number_that_a_scale_down_took_away_comes_back_in_place_of_one_beyond() {
        assert_eq!(replaced(&ready(&[1, 2]), 2).as_deref(), Some("p2"), "0 was not ready, and went");
        assert_eq!(replaced(&ready(&[2, 3]), 2).as_deref(), Some("p3"), "one at a time");
        for (pods, wanted) in [(ready(&[0, 1]), 2), (ready(&[1, 2]), 3), (ready(&[1, 2, 3]), 2), (vec![], 0)]
        {
            assert_eq!(replaced(&pods, wanted), None, "{pods:?}");
        }
    }

    #[test]
    fn nothing_is_replaced_for_its_number_before_everything_rests() {
        let and = |other: AppPod| [ready(&[1, 2]), vec![other]].concat();
        assert_eq!(replaced(&and(leaving(pod("a", "x", Some(0)), 110)), 2), None, "it is on its way out");
        assert_eq!(replaced(&and(leaving(pod("a", "x", Some(0)), 10)), 2), None, "it may run on a lost node");
        assert_eq!(replaced(&and(pod("a", "x", None)), 3), None, "that one gets it");
        assert_eq!(replaced(&and(pod("b", "x", Some(0))), 2), None, "a rollout");
        let mut unready = ready(&[1, 2]);
        unready[0].status.conditions.clear();
        assert_eq!(replaced(&unready, 2), None, "nobody would serve");
        unready.swap(0, 1);
        unready[0].status.conditions.clear();
        unready[1] = ready(&[1])[0].clone();
        assert_eq!(replaced(&unready, 2).as_deref(), Some("p2"), "that one serves nobody");
    }

    #[test]
    fn gates_of_others_are_left_alone_and_pods_without_ours_want_nothing() {
        let mut both = pod("a", "x", None);
        both.spec.scheduling_gates =
            serde_json::from_value(json!([{"name": "other"}, {"name": INSTANCE_GATE}])).unwrap();
        let mut none = pod("a", "y", None);
        none.spec.scheduling_gates.clear();
        let pods = [Arc::new(both), Arc::new(none)];
        let plan = plan(&pods, 2, &HashMap::new(), at(100));
        assert_eq!(plan.gifts.len(), 1);
        assert_eq!(plan.gifts[0].gate, 1);
    }

    proptest! {
        /// Whatever there is, numbers of a revision stay unique, and no pod that
        /// could start is left waiting without a reason.
        #[test]
        fn numbers_are_unique_within_a_revision(
            states in proptest::collection::vec((0..2u8, 0..3u8, proptest::bool::ANY), 0..12),
            wanted in 0..8u32,
        ) {
            let mut next = [0, 0];
            let pods: Vec<Arc<AppPod>> = states.iter().enumerate().map(|(i, (hash, state, leaves))| {
                let number = (*state > 0).then(|| {
                    let number = next[usize::from(*hash)];
                    next[usize::from(*hash)] += u32::from(*state);
                    number
                });
                let pod = pod(&hash.to_string(), &format!("p{i}"), number);
                Arc::new(if *leaves { leaving(pod, 105) } else { pod })
            }).collect();
            let plan = plan(&pods, wanted, &HashMap::new(), at(100));
            for hash in ["0", "1"] {
                let of = |pod: &&Arc<AppPod>| pod.template_hash() == Some(hash);
                let mut all: Vec<u32> = pods.iter().filter(of).filter_map(|pod| pod.instance()).collect();
                let given: Vec<_> = plan.gifts.iter().filter(|gift| {
                    pods.iter().filter(of).any(|pod| pod.metadata.name.as_deref() == Some(&gift.pod))
                }).collect();
                all.extend(given.iter().map(|gift| gift.number));
                let unique: BTreeSet<u32> = all.iter().copied().collect();
                prop_assert_eq!(unique.len(), all.len());
                let waiting = pods.iter().filter(of)
                    .filter(|pod| pod.instance().is_none() && !pod.is_terminating()).count();
                let on_their_way = pods.iter().filter(of)
                    .filter(|pod| pod.is_terminating() && pod.instance().is_some_and(|n| n < wanted)).count();
                prop_assert!(waiting - given.len() <= on_their_way);
            }
        }
    }
}
