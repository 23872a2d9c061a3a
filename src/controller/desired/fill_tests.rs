use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::controller::pods::AppPod;
use crate::controller::validate::validate;

const GIB: u64 = 1 << 30;

fn key() -> AppKey {
    AppKey { namespace: "shop".into(), name: "web".into() }
}

fn app(spec: &Value) -> ValidatedApp {
    let mut whole = json!({"image": "a:1", "script": "a.js", "fillCluster": {}, "rollout": {"maxSurge": 1}});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let app = json!({
        "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": whole,
    });
    validate(&serde_json::from_value(app).unwrap()).unwrap()
}

fn node(cpu: u64, requested: u64) -> NodeRoom {
    NodeRoom {
        allocatable: Room { cpu, memory: 64 * GIB, pods: 110 },
        requested: Room { cpu: requested, memory: GIB, pods: 3 },
        ..NodeRoom::default()
    }
}

fn survey(nodes: Vec<NodeRoom>) -> Survey {
    let named = nodes.into_iter().enumerate().map(|(index, node)| (format!("n{index}"), node));
    Survey { nodes: named.collect(), apps: HashSet::from([key()]) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn observed(nodes: Vec<NodeRoom>, before: Option<&FillStatus>, second: i64) -> Observed {
    let replicas = before.map(|before| before.wanted);
    let mut deployment = Deployment::default();
    deployment.spec.get_or_insert_default().replicas = replicas;
    Observed {
        nodes: Known::Room(Arc::new(survey(nodes))),
        filled: before.cloned(),
        same_spec: true,
        now: at(second),
        deployment: replicas.map(|_| Arc::new(deployment)),
        ..Observed::default()
    }
}

fn filled(app: &ValidatedApp, observed: &Observed) -> FillStatus {
    decide(app, observed).unwrap().status.unwrap()
}

fn pod(spec: &Value, status: &Value) -> Arc<AppPod> {
    let pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": status});
    Arc::new(serde_json::from_value(pod).unwrap())
}

#[test]
fn an_instance_gets_a_cpu_beside_what_others_request() {
    let status = filled(&app(&json!({})), &observed(vec![node(4000, 500), node(2000, 0)], None, 0));
    assert_eq!((status.wanted, status.fits), (4, 4), "3 and 2, less one for a rollout");
    let text = "5 fit on 2 nodes (n0 3: by CPU, n1 2: by CPU); 1 for a rollout; makes 4";
    assert_eq!(status.arithmetic, text);
}

#[test]
fn a_request_of_its_own_counts_instead_of_a_whole_cpu() {
    let half = json!({"resources": {"requests": {"cpu": "500m"}}});
    assert_eq!(filled(&app(&half), &observed(vec![node(4000, 500)], None, 0)).wanted, 6);
}

#[test]
fn memory_that_it_may_take_counts_where_that_is_less() {
    // The seed's example: 2 GB and 400 MB make 4, whatever the CPUs.
    let mut small = node(8000, 0);
    small.allocatable.memory = 2_000_000_000;
    small.requested.memory = 0;
    let spec = json!({"resources": {"limits": {"memory": "400M"}}});
    let status = filled(&app(&spec), &observed(vec![small], None, 0));
    assert_eq!(status.wanted, 4);
    assert!(status.arithmetic.starts_with("5 fit on 1 node (n0 5: by memory)"), "{}", status.arithmetic);
}

#[test]
fn some_are_left_and_there_is_a_most_and_a_least() {
    let eight = || vec![node(8000, 0)];
    let wanted =
        |fill: Value| filled(&app(&json!({"fillCluster": fill})), &observed(eight(), None, 0)).wanted;
    assert_eq!(wanted(json!({})), 7);
    assert_eq!(wanted(json!({"leave": 2})), 5);
    assert_eq!(wanted(json!({"maxInstances": 3})), 3);
    assert_eq!(wanted(json!({"leave": 100})), 1, "as in PM2");
    let none = filled(&app(&json!({})), &observed(vec![], None, 0));
    assert_eq!((none.wanted, none.arithmetic.as_str()), (1, "0 fit on 0 nodes; at least 1; makes 1"));
}

#[test]
fn closed_nodes_count_nothing_and_its_own_pods_are_no_obstacle() {
    let closed = NodeRoom { closed: Some("has the taint gpu".into()), ..node(8000, 0) };
    let mut own = node(4000, 4000);
    own.of_apps.insert(key(), Room { cpu: 3000, memory: 0, pods: 3 });
    let status = filled(&app(&json!({})), &observed(vec![closed, own], None, 0));
    assert_eq!(status.wanted, 2);
    assert!(status.arithmetic.contains("n0 0: has the taint gpu, n1 3: by CPU"), "{}", status.arithmetic);
}

#[test]
fn a_new_node_is_filled_when_it_has_stayed_for_a_moment() {
    let app = app(&json!({}));
    let first = filled(&app, &observed(vec![node(4000, 0)], None, 0));
    assert_eq!(first.wanted, 3);
    let two = || vec![node(4000, 0), node(4000, 0)];
    let seen = filled(&app, &observed(two(), Some(&first), 100));
    assert_eq!((seen.wanted, seen.fits, changes_at(&seen)), (3, 7, Some(at(115))));
    assert_eq!(filled(&app, &observed(two(), Some(&seen), 114)).wanted, 3);
    let grown = filled(&app, &observed(two(), Some(&seen), 115));
    assert_eq!((grown.wanted, grown.since), (7, None));
}

#[test]
fn a_node_that_comes_back_soon_costs_no_instance() {
    let app = app(&json!({}));
    let two = || vec![node(4000, 0), node(4000, 0)];
    let full = filled(&app, &observed(two(), None, 0));
    let lost = filled(&app, &observed(vec![node(4000, 0)], Some(&full), 100));
    assert_eq!((lost.wanted, lost.fits), (7, 3));
    let back = filled(&app, &observed(two(), Some(&lost), 200));
    assert_eq!((back.wanted, back.since.clone()), (7, None));
    assert_eq!(filled(&app, &observed(vec![node(4000, 0)], Some(&lost), 220)).wanted, 3, "it stayed away");
    let mut unplaced = observed(vec![node(4000, 0)], Some(&full), 100);
    unplaced.pods = vec![pod(
        &json!({}),
        &json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}),
    )];
    assert_eq!(filled(&app, &unplaced).wanted, 3, "a pod without a place would call for a node");
}

#[test]
fn it_does_not_grow_while_an_instance_waits_for_a_node() {
    let app = app(&json!({}));
    let first = filled(&app, &observed(vec![node(4000, 0)], None, 0));
    let mut waiting = observed(vec![node(8000, 0)], Some(&first), 100);
    waiting.pods = vec![pod(&json!({}), &json!({"phase": "Pending"}))];
    let status = filled(&app, &waiting);
    assert_eq!((status.wanted, status.since.clone(), changes_at(&status)), (3, None, None));
    waiting.same_spec = false;
    assert_eq!(filled(&app, &waiting).wanted, 3, "not for a new spec either");
    waiting.pods = vec![pod(&json!({"nodeName": "n0"}), &json!({"phase": "Pending"}))];
    assert_eq!(filled(&app, &waiting).wanted, 7, "a new spec is followed at once");
}

#[test]
fn without_the_right_to_look_it_keeps_the_count_it_has_and_says_what_to_do() {
    let app = app(&json!({}));
    let first = filled(&app, &observed(vec![node(4000, 0)], None, 0));
    let forbidden = |before: Option<&FillStatus>| Observed {
        nodes: Known::Forbidden("nodes is forbidden".into()),
        ..observed(vec![], before, 0)
    };
    let kept = decide(&app, &forbidden(Some(&first))).unwrap();
    assert_eq!(kept.wanted, 3);
    assert!(kept.trouble.unwrap().contains("or replace fillCluster by instances"));
    let new = decide(&app, &forbidden(None)).unwrap();
    assert_eq!((new.wanted, new.status), (1, None));
}

#[test]
fn before_the_nodes_are_looked_at_everything_stays_as_it_was_told() {
    let app = app(&json!({}));
    let first = filled(&app, &observed(vec![node(4000, 0)], None, 0));
    let grows = filled(&app, &observed(vec![node(8000, 0)], Some(&first), 100));
    let not_yet =
        |before: Option<&FillStatus>| Observed { nodes: Known::NotYet, ..observed(vec![], before, 999) };
    let start = decide(&app, &not_yet(Some(&grows))).unwrap();
    assert_eq!((start.wanted, start.awaits_nodes), (3, true));
    assert_eq!(start.status, Some(grows), "since when, too");
    let new = decide(&app, &not_yet(None)).unwrap();
    assert_eq!((new.wanted, new.status), (1, None));
}

#[test]
fn a_long_list_of_nodes_is_cut_short() {
    let nodes = (0..40).map(|_| node(2000, 0)).collect();
    let status = filled(&app(&json!({})), &observed(nodes, None, 0));
    assert_eq!(status.wanted, 79);
    assert!(status.arithmetic.contains(", and 32 more nodes)"), "{}", status.arithmetic);
}

fn rooms() -> impl Strategy<Value = NodeRoom> {
    let closed = proptest::option::weighted(0.2, Just("not ready".to_owned()));
    (0..20_000u64, 0..20_000u64, 0..200 * GIB, 0..200 * GIB, 0..200u64, closed).prop_map(
        |(cpu, taken, memory, used, pods, closed)| NodeRoom {
            closed,
            allocatable: Room { cpu, memory, pods },
            requested: Room { cpu: taken, memory: used, pods: pods / 3 },
            of_apps: HashMap::new(),
        },
    )
}

fn surges() -> impl Strategy<Value = IntOrString> {
    prop_oneof![
        (0..5i32).prop_map(IntOrString::Int),
        (0..200u32).prop_map(|percent| IntOrString::String(format!("{percent}%"))),
    ]
}

fn policy(leave: u64, max_instances: Option<u64>, cpu: u64, memory: u64) -> FillPolicy {
    FillPolicy { leave, max_instances, needs: Room { cpu, memory, pods: 1 } }
}

proptest! {
    #[test]
    fn what_is_wanted_fits_and_is_never_less_than_one(
        nodes in proptest::collection::vec(rooms(), 0..6),
        surge in surges(),
        leave in 0..10u64,
        most in proptest::option::of(1..40u64),
        cpu in 0..3000u64,
        memory in 1..4 * GIB,
    ) {
        let survey = survey(nodes);
        let policy = policy(leave, most, cpu, memory);
        let (wanted, text) = count(&policy, &surge, &key(), &survey);
        let wanted = u64::try_from(wanted).unwrap();
        prop_assert!(wanted >= 1 && wanted <= most.unwrap_or(MOST));
        prop_assert!(text.len() <= 4096, "{}", text);
        let mut room = 0;
        for node in survey.nodes.values() {
            let fits = share(node, policy.needs, &key()).fits;
            prop_assert!(node.closed.is_none() || fits == 0);
            let free = node.allocatable.minus(node.requested);
            prop_assert!(fits * cpu <= free.cpu && fits * memory <= free.memory && fits <= free.pods);
            room += fits;
        }
        let surge = match &surge {
            IntOrString::Int(pods) => u64::try_from(*pods).unwrap(),
            IntOrString::String(text) => {
                (wanted * text.trim_end_matches('%').parse::<u64>().unwrap()).div_ceil(100)
            }
        };
        prop_assert!(wanted == 1 || wanted + surge + leave <= room, "{} {} {} {}", wanted, surge, leave, room);
    }

    #[test]
    fn more_room_never_makes_fewer_and_more_of_others_never_more(
        nodes in proptest::collection::vec(rooms(), 1..5),
        surge in surges(),
        leave in 0..10u64,
        more in 0..5000u64,
        cpu in 1..3000u64,
    ) {
        let policy = policy(leave, None, cpu, 1);
        let number = |nodes: Vec<NodeRoom>| count(&policy, &surge, &key(), &survey(nodes)).0;
        let now = number(nodes.clone());
        let mut larger = nodes.clone();
        larger[0].allocatable.cpu += more;
        prop_assert!(number(larger) >= now);
        let mut fuller = nodes.clone();
        fuller[0].requested.cpu += more;
        prop_assert!(number(fuller) <= now);
        let mut one_more = nodes;
        one_more.push(node(more, 0));
        prop_assert!(number(one_more) >= now);
    }

    #[test]
    fn room_for_a_rollout_is_as_large_as_can_be(room in 0..5000u64, percent in 0..300u64) {
        let number = with_surge(room, &IntOrString::String(format!("{percent}%")));
        let all = |number: u64| number + (number * percent).div_ceil(100);
        prop_assert!(number == 0 || all(number) <= room);
        prop_assert!(all(number + 1) > room);
    }
}
