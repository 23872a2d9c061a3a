//! What the operator does when the API server does not do as it should.

mod endurance;
mod fake;
mod runners;

use std::sync::Arc;
use std::time::Duration;

use fake::{Fake, Fault};
use http::Method;
use nodeapp_operator::controller;
use nodeapp_operator::controller::context::Context;
use nodeapp_operator::controller::desired::Settings;
use nodeapp_operator::controller::wiring::{WATCHED, WatchEnded};
use nodeapp_operator::health::Health;
use nodeapp_operator::metrics::Metrics;
use nodeapp_operator::startup::{self, Needs};
use serde_json::{Value, json};
use tokio::time::Instant;

const APP: &str = "/apis/nodeapp.dev/v1alpha1/namespaces/shop/nodeapps/cart";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/cart";
const SERVICE: &str = "/api/v1/namespaces/shop/services/cart";

fn app(generation: i64, instances: i64) -> Value {
    json!({
        "apiVersion": "nodeapp.dev/v1alpha1",
        "kind": "NodeApp",
        "metadata": {"name": "cart", "namespace": "shop", "uid": "u1", "generation": generation},
        "spec": {"image": "a:1", "script": "a.js", "port": 3000, "instances": instances},
    })
}

struct Operator {
    task: tokio::task::JoinHandle<Result<(), WatchEnded>>,
    context: Arc<Context>,
    health: Arc<Health>,
    metrics: Metrics,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start(fake: &Fake) -> Operator {
    start_in(fake, &[])
}

fn start_in(fake: &Fake, namespaces: &[String]) -> Operator {
    let health = Arc::new(Health::in_namespaces(&WATCHED, namespaces));
    health.found_missing(Vec::new());
    let settings = Settings { runner_image: "runner:1".to_owned(), ..Settings::default() };
    let metrics = Metrics::new();
    let mut context = Context::new(fake.client(), settings, metrics.clone(), health.clone());
    context.namespaces = namespaces.to_vec();
    let context = Arc::new(context);
    let task = tokio::spawn(controller::run(context.clone(), std::future::pending()));
    Operator { task, context, health, metrics }
}

/// Polls until the check gives something.
async fn eventually<T>(what: &str, check: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn condition(fake: &Fake, type_: &str) -> Option<Value> {
    let app = fake.get(APP)?;
    let conditions = app["status"]["conditions"].as_array()?.clone();
    conditions.into_iter().find(|condition| condition["type"] == type_)
}

async fn healthy(fake: &Fake) {
    eventually("the app is carried out", || {
        let fine = condition(fake, "Degraded").is_some_and(|condition| condition["status"] == "False");
        (fine && fake.get(DEPLOYMENT).is_some()).then_some(())
    })
    .await;
}

fn on_deployment(code: u16, message: &'static str, times: usize) -> Fault {
    Fault { on: (Method::PATCH, "/deployments/"), code, message, times }
}

// On a clock that stands still while anything is done, so that only waits count.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_refused_degrades_the_app_with_the_servers_words_until_it_is_taken() {
    for (code, message) in [(403, "exceeded quota: compute"), (422, "spec.template: Invalid value")] {
        let fake = Fake::default();
        fake.fail(on_deployment(code, message, usize::MAX));
        fake.put(APP, Some(app(1, 1)));
        let _operator = start(&fake);
        let degraded = eventually("the app is degraded", || {
            condition(&fake, "Degraded").filter(|condition| condition["status"] == "True")
        })
        .await;
        assert_eq!(degraded["reason"], "ApplyRefused");
        let text = degraded["message"].as_str().unwrap_or_default();
        assert!(text.contains("cannot create Deployment cart") && text.contains(message), "{text}");
        eventually("several tries have failed", || {
            (fake.answers(&Method::PATCH, "/deployments/").len() >= 3).then_some(())
        })
        .await;
        // A person corrects it, and a new generation does not wait for the back-off:
        // after three failures that is 16 seconds or more.
        fake.heal();
        fake.put(APP, Some(app(2, 1)));
        let corrected = Instant::now();
        healthy(&fake).await;
        let waited = corrected.elapsed();
        assert!(waited < Duration::from_secs(5), "{code}: waited {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_error_that_lasts_reaches_the_status_and_goes_from_it_when_it_heals() {
    let fake = Fake::default();
    fake.fail(on_deployment(500, "etcd", usize::MAX));
    fake.put(APP, Some(app(1, 1)));
    let _operator = start(&fake);
    let degraded = eventually("the app is degraded", || {
        condition(&fake, "Degraded").filter(|condition| condition["status"] == "True")
    })
    .await;
    assert_eq!(degraded["reason"], "ApplyFailing");
    assert!(degraded["message"].as_str().unwrap_or_default().contains("etcd"), "{degraded}");
    assert!(fake.answers(&Method::PATCH, "/deployments/").len() >= 5, "not at the first hiccup");
    fake.heal();
    healthy(&fake).await;
}

// A right that is missing, or a webhook that refuses.
#[tokio::test(start_paused = true)]
async fn pods_that_cannot_be_given_their_numbers_are_told_and_nothing_is_held_against_the_spec() {
    let fake = Fake::default();
    let message = "pods is forbidden: no right to patch";
    fake.fail(Fault { on: (Method::PATCH, "/pods/"), code: 403, message, times: usize::MAX });
    let mut numbered = app(1, 1);
    numbered["spec"]["instanceIndex"] = json!(true);
    fake.put(APP, Some(numbered.clone()));
    let operator = start(&fake);
    healthy(&fake).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "cart-7d-x", "namespace": "shop", "uid": "p1",
            "labels": {
                "nodeapp.dev/app": "cart", "app.kubernetes.io/managed-by": "nodeapp-operator",
                "pod-template-hash": "7d",
            },
        },
        "spec": {"schedulingGates": [{"name": "nodeapp.dev/instance-index"}]},
    });
    fake.put("/api/v1/namespaces/shop/pods/cart-7d-x", Some(pod));
    let degraded = eventually("the app is degraded", || {
        condition(&fake, "Degraded").filter(|condition| condition["status"] == "True")
    })
    .await;
    assert_eq!(degraded["reason"], "ApplyRefused");
    let text = degraded["message"].as_str().unwrap_or_default();
    assert!(text.contains("cannot number Pod cart-7d-x") && text.contains(message), "{text}");
    assert_eq!(condition(&fake, "Valid").unwrap_or_default()["status"], "True");
    // Everything else goes on, and so do the tries.
    numbered["metadata"]["generation"] = json!(2);
    numbered["spec"]["instances"] = json!(3);
    fake.put(APP, Some(numbered));
    eventually("the Deployment has three replicas", || {
        (fake.get(DEPLOYMENT)?["spec"]["replicas"] == 3).then_some(())
    })
    .await;
    eventually("it is tried again", || (fake.answers(&Method::PATCH, "/pods/").len() >= 3).then_some(()))
        .await;
    let counted = operator.metrics.render();
    assert!(!counted.contains("{class=\"forbidden\"} 0"), "{counted}");
}

#[tokio::test]
async fn an_addition_of_someone_else_that_cannot_be_taken_out_yet_is_no_fault_of_the_spec() {
    let fake = Fake::default();
    fake.put(APP, Some(app(1, 1)));
    let operator = start(&fake);
    healthy(&fake).await;
    let mut paused = fake.get(DEPLOYMENT).unwrap_or_default();
    paused["spec"]["paused"] = json!(true);
    let theirs = json!({"manager": "kubectl-rollout", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}});
    let ours = paused["metadata"]["managedFields"][0].clone();
    paused["metadata"]["managedFields"] = json!([ours, theirs]);
    fake.put(DEPLOYMENT, Some(paused));
    eventually("it was tried", || fake.answers(&Method::PATCH, "/deployments/").contains(&422).then_some(()))
        .await;
    fake.put(APP, Some(app(2, 3)));
    eventually("a change is carried out and reported", || {
        let replicas = fake.get(DEPLOYMENT)?["spec"]["replicas"].clone();
        (replicas == 3 && fake.get(APP)?["status"]["observedGeneration"] == 2).then_some(())
    })
    .await;
    assert_eq!(condition(&fake, "Valid").unwrap_or_default()["status"], "True");
    let errors = "controller_runtime_reconcile_errors_total{controller=\"nodeapp\"} 0";
    assert!(operator.metrics.render().contains(errors), "{}", operator.metrics.render());
}

#[tokio::test]
async fn a_watch_that_fails_in_one_namespace_is_not_hidden_by_the_others() {
    let fake = Fake::default();
    let on = (Method::GET, "/namespaces/blog/services");
    fake.fail(Fault { on, code: 403, message: "no right", times: usize::MAX });
    let namespaces = ["shop", "blog"].map(str::to_owned);
    let operator = start_in(&fake, &namespaces);
    let missing = eventually("the watch is named", || {
        operator.health.missing().into_iter().find(|missing| missing.contains("no right"))
    })
    .await;
    assert_eq!(missing.split(':').next(), Some("watch of Service in the namespace blog"));
    fake.heal();
    eventually("nothing is missing", || operator.health.missing().is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_heals_by_itself_is_tried_again_and_is_no_matter_for_the_status() {
    for (code, message) in
        [(409, "conflict"), (429, "slow down"), (500, "etcd"), (503, "away"), (504, "late")]
    {
        let fake = Fake::default();
        fake.put(APP, Some(app(1, 1)));
        let operator = start(&fake);
        healthy(&fake).await;
        // Of an object that exists, since a conflict over a new one is about its name.
        fake.fail(on_deployment(code, message, 2));
        fake.put(APP, Some(app(2, 5)));
        eventually("the Deployment has five replicas", || {
            (fake.get(DEPLOYMENT)?["spec"]["replicas"] == 5).then_some(())
        })
        .await;
        let answers = fake.answers(&Method::PATCH, "/deployments/");
        assert_eq!(answers.iter().filter(|answer| **answer == code).count(), 2, "{answers:?}");
        assert_eq!(condition(&fake, "Degraded").unwrap_or_default()["status"], "False");
        assert!(
            operator
                .metrics
                .render()
                .contains("controller_runtime_reconcile_errors_total{controller=\"nodeapp\"} 2")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_more_and_more_seldom() {
    let fake = Fake::default();
    fake.fail(on_deployment(503, "away", usize::MAX));
    fake.put(APP, Some(app(1, 1)));
    let _operator = start(&fake);
    let tries = || fake.answers(&Method::PATCH, "/deployments/").len();
    eventually("the first try", || (tries() > 0).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    // After 0, 1, 3 and 7 seconds, give or take a fifth.
    assert!((2..=4).contains(&tries()), "{} tries", tries());
}

#[tokio::test]
async fn a_cut_watch_goes_on_where_it_was() {
    for forget in [false, true] {
        let fake = Fake::default();
        fake.put(APP, Some(app(1, 1)));
        let operator = start(&fake);
        healthy(&fake).await;
        fake.cut_watches(forget);
        fake.put(APP, Some(app(2, 3)));
        fake.put(SERVICE, None);
        eventually("what happened meanwhile is seen", || {
            let replicas = fake.get(DEPLOYMENT)?["spec"]["replicas"].clone();
            (replicas == 3 && fake.get(SERVICE).is_some()).then_some(())
        })
        .await;
        assert!(operator.health.missing().is_empty(), "{:?}", operator.health.missing());
    }
}

#[tokio::test]
async fn a_settled_app_is_not_written_when_the_watches_list_again() {
    let fake = Fake::default();
    fake.put(APP, Some(app(1, 2)));
    let _operator = start(&fake);
    healthy(&fake).await;
    eventually("it rests", || (fake.answers(&Method::PATCH, "/status").len() == 1).then_some(())).await;
    let (writes, lists) = (fake.writes(), fake.answers(&Method::GET, "/deployments").len());
    fake.cut_watches(true);
    eventually("the watches have listed again", || {
        (fake.answers(&Method::GET, "/deployments").len() >= lists + 2).then_some(())
    })
    .await;
    // What the new lists led to comes before what this change leads to.
    fake.put(APP, Some(app(2, 3)));
    eventually("the change is carried out and reported", || {
        let replicas = fake.get(DEPLOYMENT)?["spec"]["replicas"].clone();
        let reported = fake.get(APP)?["status"]["observedGeneration"] == 2;
        (replicas == 3 && reported).then_some(())
    })
    .await;
    assert_eq!(fake.writes() - writes, 2, "one of the Deployment and one of the status");
}

#[tokio::test]
async fn a_watch_that_is_forbidden_is_named_by_readyz() {
    let fake = Fake::default();
    fake.fail(Fault { on: (Method::GET, "/services"), code: 403, message: "no right", times: usize::MAX });
    fake.put(APP, Some(app(1, 1)));
    let operator = start(&fake);
    let missing = eventually("the watch is named", || {
        operator.health.missing().into_iter().find(|missing| missing.starts_with("watch of Service"))
    })
    .await;
    assert!(missing.contains("no right"), "{missing}");
    assert!(fake.get(DEPLOYMENT).is_none(), "nothing is decided before everything is known");
    fake.heal();
    healthy(&fake).await;
    eventually("nothing is missing", || operator.health.missing().is_empty().then_some(())).await;
}

#[tokio::test]
async fn an_app_that_cannot_be_read_stops_no_other() {
    let fake = Fake::default();
    let mut unreadable = app(1, 1);
    unreadable["metadata"]["name"] = json!("odd");
    unreadable["metadata"]["uid"] = json!("u2");
    unreadable["spec"]["args"] = json!({"not": "a list"});
    fake.put("/apis/nodeapp.dev/v1alpha1/namespaces/shop/nodeapps/odd", Some(unreadable));
    fake.put(APP, Some(app(1, 1)));
    let _operator = start(&fake);
    healthy(&fake).await;
    eventually("an Event tells of it", || (!fake.answers(&Method::POST, "/events").is_empty()).then_some(()))
        .await;
}

#[tokio::test]
async fn an_app_on_its_way_out_is_left_alone() {
    let fake = Fake::default();
    let mut leaving = app(1, 1);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    fake.put(APP, Some(leaving));
    let operator = start(&fake);
    looked_at_in_vain(&operator).await;
    assert_eq!(fake.writes(), 0);
}

#[tokio::test]
async fn a_namespace_on_its_way_out_is_no_failure_and_no_matter_for_the_status() {
    let fake = Fake::default();
    fake.fail(Fault {
        on: (Method::PATCH, "/serviceaccounts/"),
        code: 403,
        message: fake::TERMINATING,
        times: usize::MAX,
    });
    fake.put(APP, Some(app(1, 1)));
    let operator = start(&fake);
    looked_at_in_vain(&operator).await;
    assert_eq!(fake.writes(), 1, "only the try to create the ServiceAccount");
    let errors = "controller_runtime_reconcile_errors_total{controller=\"nodeapp\"} 0";
    assert!(operator.metrics.render().contains(errors));
}

async fn looked_at_in_vain(operator: &Operator) {
    eventually("it was looked at", || {
        operator.metrics.render().contains("outcomes_total{outcome=\"deleting\"} 1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_its_api_the_operator_waits_and_says_so() {
    let fake = Fake::default();
    let apps = |code| Fault { on: (Method::GET, "/nodeapps"), code, message: "not found", times: usize::MAX };
    fake.fail(apps(404));
    let health = Arc::new(Health::new(&[]));
    let (client, waiting) = (fake.client(), health.clone());
    let task =
        tokio::spawn(async move { startup::wait_until_ready(&client, Needs::default(), &waiting).await });
    eventually("the definition is named as missing", || {
        health.missing().iter().any(|missing| missing.contains("nodeapps.nodeapp.dev")).then_some(())
    })
    .await;
    fake.heal();
    fake.fail(apps(503));
    eventually("the API server is named as missing", || {
        health.missing().iter().any(|missing| missing.starts_with("the API server")).then_some(())
    })
    .await;
    assert!(!task.is_finished());
    fake.heal();
    // The fake reviews no rights: it answers without rules, as other authorizers do.
    eventually("it goes on", || task.is_finished().then_some(())).await;
    assert!(health.missing().is_empty());
}

#[tokio::test]
async fn a_refusal_that_no_review_explains_is_told_in_the_servers_words() {
    let fake = Fake::default();
    // The fake reviews no rights, as a webhook that authorizes.
    fake.fail(Fault {
        on: (Method::GET, "/nodeapps"),
        code: 403,
        message: "the webhook says no",
        times: usize::MAX,
    });
    let health = Arc::new(Health::new(&[]));
    let (client, waiting) = (fake.client(), health.clone());
    let task =
        tokio::spawn(async move { startup::wait_until_ready(&client, Needs::default(), &waiting).await });
    let missing = eventually("the refusal is told", || {
        health.missing().into_iter().find(|missing| missing.contains("the webhook says no"))
    })
    .await;
    assert!(missing.contains("nodeapp-operator rbac"), "{missing}");
    assert!(!task.is_finished());
    fake.heal();
    eventually("it goes on", || task.is_finished().then_some(())).await;
}
