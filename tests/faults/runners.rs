//! What runners tell reaches the status, and runners that tell nothing change nothing.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::fake::Fake;
use super::{APP, DEPLOYMENT, app, eventually, healthy, start};

const POD: &str = "/api/v1/namespaces/shop/pods/cart-7d-x";

fn pod(ip: &str, container_restarts: i32) -> Value {
    let container = json!({"name": "app", "ready": false, "restartCount": container_restarts});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "cart-7d-x", "namespace": "shop", "uid": "p1",
            "labels": {"nodeapp.dev/app": "cart", "app.kubernetes.io/managed-by": "nodeapp-operator"},
        },
        "status": {"phase": "Running", "podIP": ip, "containerStatuses": [container]},
    })
}

/// A runner on an address of its own, too busy for so many questions about its last
/// lines; keeps what it is asked.
async fn runner(ip: &str, restarts: u64, mut busy: usize) -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind((ip, 9615)).await.expect("the address is free");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4_096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let path =
                String::from_utf8_lossy(&request[..read]).split(' ').nth(1).unwrap_or_default().to_owned();
            let mut exit = json!({"code": 7, "reason": "Crash", "message": "the app crashed", "at": 1_000});
            let body = if path == "/status" {
                json!({"state": "errored", "ready": false, "restarts": restarts, "lastExit": exit})
            } else {
                exit["logTail"] = json!(["Error: no database"]);
                exit
            };
            let code = if path != "/status" && busy > 0 { "503 Service Unavailable" } else { "200 OK" };
            busy -= usize::from(code != "200 OK");
            log.lock().expect("nobody panics with it").push(path);
            let _ = stream.write_all(format!("HTTP/1.1 {code}\r\n\r\n{body}").as_bytes()).await;
        }
    });
    asked
}

fn status(fake: &Fake) -> Value {
    fake.get(APP).map(|app| app["status"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn what_a_runner_tells_stands_in_the_status_with_the_last_lines() {
    let fake = Fake::default();
    fake.put(APP, Some(app(1, 1)));
    let asked = runner("127.0.0.77", 4, 0).await;
    let _operator = start(&fake);
    healthy(&fake).await;
    fake.put(POD, Some(pod("127.0.0.77", 2)));
    eventually("restarts and the last exit", || {
        let status = status(&fake);
        (status["restarts"] == 6 && status["lastExit"]["logTail"] == json!(["Error: no database"]))
            .then_some(())
    })
    .await;
    let exit = status(&fake)["lastExit"].clone();
    assert_eq!((exit["code"].as_i64(), exit["pod"].as_str()), (Some(7), Some("cart-7d-x")), "{exit}");
    assert_eq!(exit["time"], "1970-01-01T00:00:01Z");
    let asked = asked.lock().unwrap().clone();
    assert!(asked.contains(&"/last-exit/u1".to_owned()), "{asked:?}");
    assert!(asked.iter().filter(|path| *path != "/status").count() == 1, "lines are fetched once: {asked:?}");
}

#[tokio::test]
async fn last_lines_that_could_not_be_had_are_asked_for_again() {
    let fake = Fake::default();
    fake.put(APP, Some(app(1, 1)));
    let _asked = runner("127.0.0.79", 4, 2).await;
    let _operator = start(&fake);
    healthy(&fake).await;
    fake.put(POD, Some(pod("127.0.0.79", 2)));
    eventually("the exit, though its lines are not to be had", || {
        (status(&fake)["lastExit"]["code"] == 7).then_some(())
    })
    .await;
    eventually("the last lines", || {
        (status(&fake)["lastExit"]["logTail"] == json!(["Error: no database"])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_runner_that_does_not_answer_changes_nothing() {
    let fake = Fake::default();
    fake.put(APP, Some(app(1, 1)));
    let _operator = start(&fake);
    healthy(&fake).await;
    let mut known = fake.get(APP).unwrap();
    known["status"]["restarts"] = json!(9);
    fake.put(APP, Some(known));
    // Nobody listens there.
    fake.put(POD, Some(pod("127.0.0.78", 0)));
    fake.put(
        APP,
        Some({
            let mut more = app(2, 3);
            more["status"] = status(&fake);
            more
        }),
    );
    eventually("the change is carried out", || {
        (fake.get(DEPLOYMENT)?["spec"]["replicas"] == 3 && status(&fake)["observedGeneration"] == 2)
            .then_some(())
    })
    .await;
    assert_eq!(status(&fake)["restarts"], 9);
}
