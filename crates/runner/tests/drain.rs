//! What is in flight when a process has to go: HTTP/1.1, HTTP/2, web sockets,
//! long polls and streams, in the main thread, in threads and in a cluster.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Runner, Setup, get, has_node, kinds};

fn policy(drain: u64) -> Value {
    json!({"killSignal": "SIGINT", "drainDelay": 0, "drainTimeout": drain, "killTimeout": 5_000})
}

fn wait_in_flight(runner: &Runner) {
    runner.wait_for("a request in flight", || runner.status()?.in_flight.filter(|count| *count > 0));
}

#[test]
fn a_request_of_every_protocol_is_answered_before_the_process_ends() {
    if !has_node() {
        return;
    }
    for kind in ["http", "https", "h2c", "h2"] {
        let mut runner = Setup::kind(kind, "kinds.cjs").with("stop", policy(20_000)).start().ready();
        let request = kinds::start_ask(kind, runner.setup.port, "/slow");
        wait_in_flight(&runner);
        assert!(runner.stop().success(), "{kind}");
        assert_eq!(kinds::answer(request.wait_with_output().unwrap()), "ok", "{kind}");
        let log = runner.output("stderr");
        assert!(!log.contains("still open"), "{kind}: nothing is cut off: {log}");
    }
}

#[test]
fn a_request_in_a_thread_or_a_worker_is_answered_before_the_process_ends() {
    if !has_node() {
        return;
    }
    let apps = [("threads.cjs", "SCHED_RR"), ("cluster.cjs", "SCHED_RR"), ("cluster.cjs", "SCHED_NONE")];
    for (app, policy_of_cluster) in apps {
        let mut runner =
            Setup::app(app).var("SCHED", policy_of_cluster).with("stop", policy(20_000)).start().ready();
        let port = runner.setup.port;
        let request = std::thread::spawn(move || get(port, "/slow"));
        wait_in_flight(&runner);
        runner.stop();
        assert_eq!(request.join().unwrap().unwrap().0, 200, "{app} {policy_of_cluster}");
    }
}

/// Restarts in place under load over HTTP/2; what the clients have counted.
fn restarts_under_http2(kind: &str) -> Value {
    let runner = Setup::kind(kind, "kinds.cjs").with("stop", policy(20_000)).start().ready();
    let mut load = kinds::client("h2-load.cjs")
        .args([kind, &runner.setup.port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(load.stdout.take().unwrap()).lines().map(Result::unwrap);
    for restart in 1..=3 {
        assert_eq!(lines.nth(2).unwrap(), ".", "300 more answers");
        assert!(runner.command("ctl restart").status().unwrap().success());
        runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == restart));
        runner.wait_ready();
    }
    assert_eq!(lines.nth(2).unwrap(), ".");
    drop(load.stdin.take());
    let counts = lines.find(|line| line.starts_with('{')).unwrap();
    println!("{kind}: {counts}");
    assert!(load.wait().unwrap().success());
    serde_json::from_str(&counts).unwrap()
}

#[test]
fn restarts_in_place_lose_no_stream_that_the_server_has_taken() {
    if !has_node() {
        return;
    }
    for kind in ["h2c", "h2"] {
        let counts = restarts_under_http2(kind);
        assert_eq!(counts["failed"], json!({}), "{kind}: {counts}");
        assert!(counts["connections"].as_u64().unwrap() >= 12, "GOAWAY moves each client: {kind}: {counts}");
    }
}

/// Opens a connection that is upgraded to something that is no HTTP.
fn upgraded(runner: &Runner) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", runner.setup.port)).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
    reader
}

#[test]
fn a_websocket_does_not_hold_the_drain_and_lives_until_the_app_closes_it() {
    if !has_node() {
        return;
    }
    let source = "
        const sockets = [];
        const server = require('node:http').createServer((q, r) => r.end('ok'));
        server.on('upgrade', (request, socket) => {
          sockets.push(socket);
          socket.on('error', () => {});
          socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n');
        });
        server.listen(Number(process.env.PORT));
        process.on('SIGINT', () => {
          for (const socket of sockets) socket.end('going away');
          server.close(() => process.exit(0));
        });";
    // Longer than the test harness waits: a drain held by the socket would fail.
    let mut runner = Setup::script(source).with("stop", policy(120_000)).start().ready();
    let mut socket = upgraded(&runner);
    let client = std::thread::spawn(move || {
        let mut text = String::new();
        socket.read_to_string(&mut text).map(|_| text)
    });
    assert_eq!(runner.stop().code(), Some(0));
    let text = client.join().unwrap().unwrap();
    assert!(text.ends_with("going away"), "{text:?}");
    let log = runner.output("stderr");
    assert!(log.contains("drain ended: 1 connections without a request, such as WebSockets"), "{log}");
}

#[test]
fn a_long_poll_is_answered_within_the_drain_timeout() {
    if !has_node() {
        return;
    }
    // The app answers its polls only when something happens, here another request.
    let source = "
        const polls = [];
        require('node:http').createServer((request, response) => {
          if (request.url === '/poll') { polls.push(response); setTimeout(() => response.end('news'), 2500); }
          else response.end('ok');
        }).listen(Number(process.env.PORT));";
    let mut runner = Setup::script(source).with("stop", policy(25_000)).start().ready();
    let port = runner.setup.port;
    let poll = std::thread::spawn(move || get(port, "/poll"));
    wait_in_flight(&runner);
    assert!(runner.stop().success());
    assert_eq!(poll.join().unwrap().unwrap(), (200, "news".into()));
}

#[test]
fn an_event_stream_is_cut_off_after_the_drain_timeout_and_the_log_says_so() {
    if !has_node() {
        return;
    }
    let source = "
        require('node:http').createServer((request, response) => {
          response.writeHead(200, { 'Content-Type': 'text/event-stream' });
          setInterval(() => response.write('data: tick\\n\\n'), 50);
        }).listen(Number(process.env.PORT));";
    let mut runner = Setup::script(source).with("stop", policy(1_000)).start().ready();
    let mut stream = TcpStream::connect(("127.0.0.1", runner.setup.port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_in_flight(&runner);
    assert!(runner.stop().success());
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    assert!(String::from_utf8_lossy(&text).contains("data: tick"));
    let log = runner.output("stderr");
    assert!(log.contains("still open when the drain ended: 1 requests in flight"), "{log}");
}

#[test]
fn a_child_that_serves_only_later_is_counted_as_well() {
    if !has_node() {
        return;
    }
    let port = support::free_port();
    let source = format!(
        "if (process.argv[2]) setTimeout(() => {{
           for (let i = 0; i < 3; i++) global.gc();
           require('node:http').createServer(() => {{}}).listen({port});
         }}, 200);
         else require('node:child_process')
           .spawn(process.execPath, ['--expose-gc', __filename, 'child'], {{ stdio: 'inherit' }});"
    );
    let runner = Setup::script(&source).worker().start().ready();
    let mut stream = runner.wait_for("the child", || TcpStream::connect(("127.0.0.1", port)).ok());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_in_flight(&runner);
}

#[test]
fn requests_that_clients_give_up_leave_nothing_behind() {
    if !has_node() {
        return;
    }
    let source = "
        const measure = () => { global.gc(); return process.memoryUsage().heapUsed; };
        require('node:http').createServer((request, response) => {
          if (request.url === '/heap') response.end(String(measure()));
          else if (request.url === '/never') return;
          else response.end('ok');
        }).listen(Number(process.env.PORT));";
    let mut setup = Setup::script(source);
    setup.config["launch"]["script"]["nodeArgs"] = json!(["--expose-gc"]);
    let runner = setup.start().ready();
    let port = runner.setup.port;
    let heap = || runner.get("/heap").1.parse::<i64>().unwrap();
    let give_up = |times: usize| {
        for _ in 0..times {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
        for _ in 0..times {
            stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut line = String::new();
            while line != "ok" {
                line.clear();
                // The body has no line end: it is what comes after the empty line.
                if stream.read_line(&mut line).unwrap() == 2 {
                    let mut body = [0; 2];
                    stream.read_exact(&mut body).unwrap();
                    line = String::from_utf8_lossy(&body).into_owned();
                }
            }
        }
    };
    give_up(500);
    let before = heap();
    give_up(4_000);
    // What clients gave up is noticed with the next report, after a second at most.
    runner.wait_for("a heap as before", || (heap() - before < 1_500_000).then_some(()));
}

#[test]
fn a_request_behind_another_one_is_not_in_flight_any_more_when_its_client_has_gone() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer(() => {}).listen(Number(process.env.PORT));";
    let runner = Setup::script(source).start().ready();
    let mut stream = TcpStream::connect(("127.0.0.1", runner.setup.port)).unwrap();
    stream.write_all("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2).as_bytes()).unwrap();
    let in_flight = |wanted| {
        let what = format!("{wanted} requests in flight");
        runner.wait_for(&what, || runner.status()?.in_flight.filter(|count| *count == wanted));
    };
    in_flight(2);
    drop(stream);
    in_flight(0);
}
