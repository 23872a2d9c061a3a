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
