//! The order of a stop.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::time::{Duration, Instant};

use nodeapp_contract::ExitReason;
use serde_json::json;
use support::{Runner, Setup, get, has_node};

fn policy(delay: u64, drain: u64, kill: u64) -> serde_json::Value {
    json!({"killSignal": "SIGINT", "drainDelay": delay, "drainTimeout": drain, "killTimeout": kill})
}

/// A request that takes its time, in a thread of its own.
fn slow(runner: &Runner) -> std::thread::JoinHandle<std::io::Result<(u16, String)>> {
    let port = runner.setup.port;
    let request = std::thread::spawn(move || get(port, "/slow"));
    runner.wait_for("the request to be in flight", || runner.status()?.in_flight.filter(|count| *count > 0));
    request
}

#[test]
fn a_request_in_flight_is_answered_before_an_app_without_handler_dies() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer((q, r) => setTimeout(() => r.end('done'), 1500))
                  .listen(process.env.PORT)";
    let mut runner = Setup::script(source).with("stop", policy(100, 30_000, 30_000)).start().ready();
    let request = slow(&runner);
    let begun = Instant::now();
    assert!(runner.stop().success());
    assert_eq!(request.join().unwrap().unwrap(), (200, "done".into()));
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    assert_eq!(runner.termination().reason, ExitReason::StopOrdered);
}

#[test]
fn a_request_that_keeps_the_processor_busy_is_waited_for_as_well() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer((q, r) => {
                    require('node:fs').writeSync(1, 'begun');
                    for (const until = Date.now() + 3000; Date.now() < until;);
                    r.end('done');
                  }).listen(process.env.PORT)";
    let mut runner = Setup::script(source).with("stop", policy(0, 30_000, 30_000)).start().ready();
    let port = runner.setup.port;
    let request = std::thread::spawn(move || get(port, "/"));
    runner
        .wait_for("the request to be in flight", || runner.output("stdout").contains("begun").then_some(()));
    assert!(runner.stop().success());
    assert_eq!(request.join().unwrap().unwrap(), (200, "done".into()));
}

#[test]
fn what_the_app_has_made_of_its_server_does_not_make_the_drain_throw() {
    if !has_node() {
        return;
    }
    let source =
        "const server = require('node:http').createServer((q, r) => r.end('ok')).listen(process.env.PORT);
                  server.closeIdleConnections = () => { throw new Error('of the app'); };
                  process.on('SIGINT', () => process.exit(5));";
    let mut runner = Setup::script(source).with("stop", policy(0, 5_000, 5_000)).start().ready();
    let idle = std::net::TcpStream::connect(("127.0.0.1", runner.setup.port)).unwrap();
    assert_eq!(runner.get("/").0, 200, "it comes after the idle one, which is accepted therefore");
    assert_eq!(runner.stop().code(), Some(5), "{}", runner.output("stderr"));
    drop(idle);
}

#[test]
fn a_request_that_never_ends_is_waited_for_no_longer_than_the_drain_timeout() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer(() => {}).listen(process.env.PORT)";
    let mut runner = Setup::script(source).with("stop", policy(0, 700, 30_000)).start().ready();
    let request = slow(&runner);
    let begun = Instant::now();
    assert!(runner.stop().success());
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(30), "it took {took:?}");
    assert!(request.join().unwrap().is_err());
}

#[test]
fn the_prestop_hook_keeps_readiness_for_the_delay_and_returns_when_drained() {
    if !has_node() {
        return;
    }
    let mut runner = Setup::app("plain.js").with("stop", policy(3_000, 5_000, 5_000)).start().ready();
    let begun = Instant::now();
    let mut hook = runner.command("drain").spawn().unwrap();
    runner.wait_for("the drain", || runner.output("stderr").contains("draining").then_some(()));
    assert_eq!(runner.page("/ready").unwrap().0, 200, "the API server asked: readiness stays");
    assert_eq!(runner.get("/").0, 200, "and it serves on");
    assert!(hook.wait().unwrap().success());
    assert!(begun.elapsed() >= Duration::from_secs(3), "it returned after {:?}", begun.elapsed());
    assert_eq!(runner.page("/ready").unwrap().0, 503);
    assert!(runner.command("drain").status().unwrap().success(), "a second time is fine");
    let error = get(runner.setup.port, "/").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "not left waiting: {error}");
    let begun = Instant::now();
    assert!(runner.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it waited for its kill timeout: {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_drained_app_can_be_brought_back() {
    if !has_node() {
        return;
    }
    let runner = Setup::app("plain.js").with("stop", policy(0, 5_000, 5_000)).start().ready();
    assert!(runner.command("drain").status().unwrap().success());
    assert!(runner.command("ctl restart").status().unwrap().success());
    runner.wait_ready();
    assert_eq!(runner.get("/").0, 200);
}

#[test]
fn a_stop_that_nobody_announced_fails_readiness_first() {
    if !has_node() {
        return;
    }
    let mut runner = Setup::app("plain.js").with("stop", policy(3_000, 5_000, 5_000)).start().ready();
    Runner::kill(runner.pid(), "TERM");
    runner.wait_for("unready", || runner.page("/ready").filter(|(code, _)| *code == 503));
    assert_eq!(runner.get("/").0, 200, "while it serves on");
    let output = runner.command("ctl restart").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("being stopped"), "{told}");
    assert!(runner.wait_end().success());
}

#[test]
fn during_a_drain_answers_say_close_also_where_the_app_says_keep_alive() {
    if !has_node() {
        return;
    }
    let source = "
        const http = require('node:http');
        const ways = {
          '/object': (r) => r.writeHead(200, {connection: 'keep-alive', 'x-own': '1'}),
          '/flat': (r) => r.writeHead(200, ['Connection', 'keep-alive', 'x-own', '1']),
          '/set': (r) => { r.setHeader('Connection', 'keep-alive'); r.setHeader('x-own', '1'); },
          '/both': (r) => { r.setHeader('connection', 'keep-alive'); r.writeHead(200, {'x-own': '1'}); },
          '/none': (r) => { r.removeHeader('connection'); r.setHeader('x-own', '1'); },
        };
        http.createServer((q, r) => { ways[q.url](r); r.end('ok'); }).listen(process.env.PORT);";
    let runner = Setup::script(source).with("stop", policy(60_000, 5_000, 5_000)).start().ready();
    Runner::kill(runner.pid(), "TERM");
    runner.wait_for("the drain", || runner.output("stderr").contains("draining").then_some(()));
    for path in ["/object", "/flat", "/set", "/both", "/none"] {
        let head = runner.wait_for("an answer with close", || {
            Some(raw(runner.setup.port, path)).filter(|head| head.contains("\r\nconnection: close\r\n"))
        });
        assert!(head.contains("\r\nx-own: 1\r\n"), "{path}: {head}");
        assert!(!head.contains("keep-alive"), "{path}: {head}");
    }
}

/// Head of the answer to a request with keep-alive, in lower case.
fn raw(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut text = vec![];
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 1024];
        let n = stream.read(&mut chunk).unwrap();
        assert!(n > 0, "closed without an answer");
        text.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8_lossy(&text).to_ascii_lowercase()
}

#[test]
fn the_apps_own_handler_runs_and_its_exit_code_is_kept() {
    if !has_node() {
        return;
    }
    let mut runner = Setup::app("graceful.mjs").start().ready();
    let status = runner.stop();
    assert_eq!(status.code(), Some(7));
    assert_eq!(runner.output("stdout"), "closing\nclosed\n");
    assert_eq!(runner.termination().code, Some(7));
}

#[test]
fn a_handler_that_only_closes_lets_the_process_run_dry() {
    if !has_node() {
        return;
    }
    let source =
        "const s = require('node:http').createServer((q, r) => r.end('ok')).listen(process.env.PORT);
                  process.on('SIGINT', () => s.close());";
    let mut runner = Setup::script(source).with("stop", policy(0, 5_000, 20_000)).start().ready();
    assert_eq!(runner.get("/").0, 200);
    let begun = Instant::now();
    assert_eq!(runner.stop().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20), "the preload kept it alive: {:?}", begun.elapsed());
}

#[test]
fn what_ignores_every_signal_is_killed_with_all_its_children() {
    let script =
        "trap '' INT TERM HUP; setsid sh -c 'sleep 601; :' & sleep 602 & while :; do sleep 603; done";
    let mut runner =
        Setup::command(&["sh", "-c", script]).worker().with("stop", policy(0, 0, 300)).start().ready();
    let children = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    let tree = runner.wait_for("the whole tree", || {
        let first = children(runner.app_pid());
        let second: Vec<u32> = first.iter().flat_map(|pid| children(*pid)).collect();
        (first.len() >= 3 && !second.is_empty()).then(|| [first, second].concat())
    });
    assert_eq!(runner.stop().code(), Some(137));
    for pid in tree {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{pid} lives on: {stat}");
    }
}

#[test]
fn another_stop_signal_may_be_chosen() {
    if !has_node() {
        return;
    }
    let source = "setInterval(() => {}, 1e6); process.on('SIGTERM', () => process.exit(5));
                  process.on('SIGINT', () => {}); process.send('ready');";
    let mut policy = policy(0, 0, 5_000);
    policy["killSignal"] = json!("SIGTERM");
    let mut runner = Setup::script(source)
        .worker()
        .with("readiness", json!({"waitReady": true}))
        .with("stop", policy)
        .start()
        .ready();
    assert_eq!(runner.stop().code(), Some(5));
}

#[test]
fn an_errored_app_stops_at_once() {
    let mut runner =
        Setup::command(&["false"]).with("restart", json!({"maxRestarts": 1, "minUptime": 20_000})).start();
    runner.wait_for("errored", || runner.output("stderr").contains("errored").then_some(()));
    assert!(runner.command("drain").status().unwrap().success());
    assert_eq!(runner.stop().code(), Some(0));
}
