//! Each way to fail, made to happen by a server on the loopback address.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nodeapp_load::report::Failure;
use nodeapp_load::stats::Stats;
use nodeapp_load::target::{Target, Token};
use nodeapp_load::workers::{self, Plan, Shared};
use nodeapp_load::{Report, client};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 2\r\n\r\nok";

/// Runs one kind of load against `listener`'s port until `enough`.
fn load(port: u16, keep_alive: bool, enough: impl Fn(&Report) -> bool) -> Report {
    let target =
        Target::parse(&format!("http://127.0.0.1:{port}/"), Some(Token::Header("x-version".into()))).unwrap();
    let address = target.resolve().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stats = Arc::new(Stats::new());
    let shared = Arc::new(Shared { target, address, stats: Arc::clone(&stats), stop: Arc::clone(&stop) });
    let plan = Plan {
        keep_alive: u32::from(keep_alive),
        keep_alive_rate: 100.0,
        new_per_second: if keep_alive { 0.0 } else { 10.0 },
        timeout: Duration::from_millis(300),
    };
    let handles = workers::start(plan, &shared).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !enough(&stats.report(false)) {
        assert!(Instant::now() < deadline, "not in time: {:?}", stats.report(false));
        thread::sleep(Duration::from_millis(5));
    }
    stop.store(true, Ordering::Relaxed);
    for handle in handles {
        handle.join().unwrap();
    }
    stats.report(true)
}

/// Serves every connection by `serve` until the process ends.
fn server(serve: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

/// Reads one request; false when the client has gone.
fn request(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut buffer = [0; 512];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
    true
}

fn fails_with(serve: fn(TcpStream), failure: Failure) {
    let report = load(server(serve), false, |report| report.failed() >= 2);
    let failures: Vec<Failure> = report.new_connection.failures.keys().copied().collect();
    assert_eq!(failures, [failure], "{report:?}");
    assert_eq!(report.new_connection.requests, report.new_connection.failed, "{report:?}");
    assert!(!report.samples.is_empty());
}

#[test]
fn a_kept_connection_carries_many_requests() {
    let port = server(|mut stream| while request(&mut stream) && stream.write_all(OK).is_ok() {});
    let report = load(port, true, |report| report.ok() >= 20);
    assert_eq!((report.failed(), report.idle_close_race()), (0, 0), "{report:?}");
    assert_eq!(report.keep_alive.connections, 1);
    assert_eq!(report.tokens.get("v1"), Some(&report.ok()));
    assert!(report.keep_alive.latency.p50_ms > 0.0);
}

#[test]
fn a_new_connection_carries_one_request() {
    let port = server(|mut stream| while request(&mut stream) && stream.write_all(OK).is_ok() {});
    let report = load(port, false, |report| report.ok() >= 3);
    assert_eq!(report.new_connection.connections, report.new_connection.requests);
}

#[test]
fn a_port_without_listener_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let report = load(free, true, |report| report.failed() >= 2);
    assert_eq!(report.keep_alive.failures.keys().copied().collect::<Vec<_>>(), [Failure::Refused]);
    assert_eq!(report.keep_alive.connections, 0);
}

#[test]
fn a_close_before_the_first_response_is_a_reset() {
    fails_with(
        |mut stream| {
            request(&mut stream);
        },
        Failure::ResetBeforeResponse,
    );
}

#[test]
fn a_close_in_the_middle_of_a_response_is_told_apart() {
    fails_with(
        |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(&OK[..OK.len() - 1]);
        },
        Failure::ResetMidResponse,
    );
}

#[test]
fn a_server_that_never_answers_times_out() {
    fails_with(
        |mut stream| {
            request(&mut stream);
            // Holds the connection until the client gives up.
            request(&mut stream);
        },
        Failure::Timeout,
    );
}

#[test]
fn an_error_status_is_a_failure() {
    fails_with(
        |mut stream| {
            request(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        },
        Failure::BadStatus,
    );
}

#[test]
fn a_reused_connection_closed_without_a_byte_is_the_race_and_no_failure() {
    let port = server(|mut stream| {
        if request(&mut stream) && stream.write_all(OK).is_ok() {
            // The second request is read, never answered.
            request(&mut stream);
        }
    });
    let report = load(port, true, |report| report.idle_close_race() >= 2);
    assert_eq!(report.failed(), 0, "{report:?}");
    assert!(report.keep_alive.connections >= 2);
}

#[test]
fn a_connection_closed_between_requests_costs_nothing() {
    let port = server(|mut stream| {
        if request(&mut stream) {
            let _ = stream.write_all(OK);
        }
    });
    let report = load(port, true, |report| report.keep_alive.closed_while_idle >= 3);
    assert_eq!((report.failed(), report.idle_close_race()), (0, 0), "{report:?}");
}

#[test]
fn a_target_that_comes_late_is_waited_for() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = Target::parse(&format!("http://{free}/"), None).unwrap();
    let short = Duration::from_millis(100);
    let refused = client::await_answer(&target, short, short).unwrap_err();
    assert!(refused.contains("Refused"), "{refused}");
    let server = thread::spawn(move || {
        let listener = TcpListener::bind(free).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream) && stream.write_all(OK).is_ok()
    });
    let found = client::await_answer(&target, Duration::from_secs(1), Duration::from_secs(10));
    assert_eq!(found, Ok(free));
    assert!(server.join().unwrap());
}
