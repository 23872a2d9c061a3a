//! The end of a pod, and its start.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod support;

use std::process::Command;

use support::client::{Answer, text};
use support::{Forwarder, Redis, free_port, has_redis, program};

#[test]
fn without_connections_sigterm_ends_it_at_once() {
    let mut forwarder = Forwarder::to(free_port(), &[]);
    forwarder.signal("-TERM");
    assert_eq!(forwarder.ended().code(), Some(0));
}

#[test]
fn after_sigterm_the_app_keeps_its_redis_until_it_closes_the_last_connection() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&[]);
    let mut forwarder = Forwarder::to(redis.port, &["--drain-timeout=300s".to_owned()]);
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["SET", "order", "open"]), text("OK"));
    forwarder.signal("-TERM");
    forwarder.says("1 connections of the app go on");
    assert_eq!(app.ask(&["SET", "order", "saved"]), text("OK"));
    let mut late = forwarder.client();
    assert_eq!(late.ask(&["GET", "order"]), text("saved"), "a good-bye may need a connection of its own");
    drop(app);
    assert_eq!(late.ask(&["PING"]), text("PONG"));
    assert!(forwarder.runs());
    drop(late);
    assert_eq!(forwarder.ended().code(), Some(0));
}

#[test]
fn connections_that_never_end_are_cut_when_the_time_is_over() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&[]);
    let mut forwarder = Forwarder::to(redis.port, &["--drain-timeout=100ms".to_owned()]);
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["PING"]), text("PONG"));
    forwarder.signal("-TERM");
    assert_eq!(app.answer(), Answer::End);
    assert_eq!(forwarder.ended().code(), Some(0));
    forwarder.says("1 connections are cut");
}

#[test]
fn a_second_signal_ends_the_waiting() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&[]);
    let mut forwarder = Forwarder::to(redis.port, &["--drain-timeout=300s".to_owned()]);
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["PING"]), text("PONG"));
    forwarder.signal("-TERM");
    forwarder.says("go on");
    forwarder.signal("-INT");
    assert_eq!(forwarder.ended().code(), Some(0));
}

#[test]
fn wait_returns_when_the_port_is_there_and_connects_to_nothing() {
    let forwarder = Forwarder::to(free_port(), &[]);
    let waited = Command::new(program()).args(["wait", &forwarder.port.to_string()]).output().unwrap();
    assert!(waited.status.success());
    assert_eq!(forwarder.said().len(), 1, "a connection to a Redis that is away would be in the log");
}
