//! What hangs, breaks or goes away in the middle of something.

use std::time::Duration;

use http::Method;
use nodeapp_operator::controller::cache::AppKey;
use nodeapp_operator::controller::error::Class;
use tokio::time::Instant;

use super::fake::{Fake, Fault, HANG, PANIC};
use super::{APP, app, eventually, healthy, on_deployment, start};

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_answers_is_given_up_and_tried_again() {
    let fake = Fake::default();
    fake.fail(on_deployment(HANG, "", 1));
    fake.put(APP, Some(app(1, 1)));
    let operator = start(&fake);
    let begin = Instant::now();
    healthy(&fake).await;
    assert!(begin.elapsed() > Duration::from_secs(29), "{:?}", begin.elapsed());
    let metrics = operator.metrics.render();
    assert!(metrics.contains("reconcile_failures_total{class=\"unavailable\"} 1"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn apps_are_watched_again_soon_after_an_outage_however_long() {
    let fake = Fake::default();
    fake.fail(Fault { on: (Method::GET, "/nodeapps"), code: 503, message: "away", times: usize::MAX });
    let _operator = start(&fake);
    let tries = || fake.answers(&Method::GET, "/nodeapps").len();
    tokio::time::sleep(Duration::from_mins(5)).await;
    let before = tries();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!((9..=16).contains(&(tries() - before)), "{} tries in a minute", tries() - before);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_ends_the_operator_instead_of_leaving_it_blind() {
    let fake = Fake::default();
    fake.put(APP, Some(app(1, 1)));
    let mut operator = start(&fake);
    healthy(&fake).await;
    fake.fail(Fault { on: (Method::GET, "/services"), code: PANIC, message: "", times: 1 });
    fake.cut_watches(false);
    let ended = tokio::time::timeout(Duration::from_mins(1), &mut operator.task).await;
    let error = ended.expect("it ends").expect("not by a panic of its own").expect_err("and not in peace");
    assert!(error.to_string().contains("start anew"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_goes_while_it_fails_is_forgotten() {
    let fake = Fake::default();
    fake.fail(on_deployment(HANG, "", 1));
    fake.put(APP, Some(app(1, 1)));
    let operator = start(&fake);
    eventually("it hangs", || (!fake.answers(&Method::PATCH, "/deployments/").is_empty()).then_some(()))
        .await;
    fake.put(APP, None);
    tokio::time::sleep(Duration::from_secs(40)).await;
    let key = AppKey { namespace: "shop".to_owned(), name: "cart".to_owned() };
    let failed = operator.context.memory.failed(key, Some(1), Class::Unavailable, "another", 0.5);
    assert_eq!(failed.delay, Duration::from_secs(1), "the first failure of what is not known");
}

#[tokio::test]
async fn two_hundred_apps_that_come_and_go_leave_nothing_in_the_caches() {
    let fake = Fake::default();
    let operator = start(&fake);
    for cycle in 0..200 {
        let name = format!("cart-{cycle}");
        let path = APP.replace("/cart", &format!("/{name}"));
        let mut object = app(1, 2);
        object["metadata"]["name"] = name.clone().into();
        object["metadata"]["uid"] = format!("u-{cycle}").into();
        fake.put(&path, Some(object));
        eventually("the app is reported", || {
            fake.get(&path).filter(|app| app["status"]["observedGeneration"] == 1)
        })
        .await;
        // What the garbage collector does with the children of an app that is gone.
        fake.put(&path, None);
        for child in fake.paths(&name) {
            fake.put(&child, None);
        }
    }
    eventually("nothing is kept", || {
        let caches = &operator.context.caches;
        let empty = caches.service_accounts.is_empty()
            && caches.revisions.is_empty()
            && caches.services.is_empty()
            && caches.disruption_budgets.is_empty()
            && caches.deployments.is_empty()
            && caches.pods.is_empty();
        empty.then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_api_server_is_given_its_time_and_nothing_is_written_twice() {
    let fake = Fake::default();
    fake.slow(Duration::from_secs(3));
    fake.put(APP, Some(app(1, 2)));
    let operator = start(&fake);
    let begin = Instant::now();
    healthy(&fake).await;
    assert!(begin.elapsed() > Duration::from_secs(15), "{:?}", begin.elapsed());
    // Five children, none of them twice, and no failure.
    assert_eq!(fake.answers(&Method::PATCH, "/cart").iter().filter(|code| **code == 201).count(), 5);
    let errors = "controller_runtime_reconcile_errors_total{controller=\"nodeapp\"} 0";
    assert!(operator.metrics.render().contains(errors));
}
