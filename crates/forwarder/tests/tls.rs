//! TLS to a real Redis.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod support;

use support::client::{Answer, text};
use support::{Forwarder, Redis, Secret, certificates, free_port, has_redis};

/// A Redis that speaks TLS alone.
fn redis(files: &Secret, clients: &str, more: &[&str]) -> Redis {
    let port = free_port();
    let path = |name| files.path(name).to_string_lossy().into_owned();
    let (port_text, ca, cert, key) = (port.to_string(), path("ca.crt"), path("tls.crt"), path("tls.key"));
    let mut options = vec!["--port", "0", "--tls-port", &port_text, "--tls-auth-clients", clients];
    options.extend(["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key]);
    options.extend(more);
    Redis::start_on(port, &options)
}

fn trusting(files: &Secret) -> Vec<String> {
    vec!["--tls".to_owned(), files.option("--tls-ca-file", "ca.crt")]
}

#[test]
fn an_app_without_tls_and_password_uses_a_redis_that_wants_both() {
    if !has_redis() {
        return;
    }
    let files = certificates::make(&["127.0.0.1"]);
    files.write("password", "s3cret");
    let redis = redis(&files, "no", &["--requirepass", "s3cret"]);
    let mut options = trusting(&files);
    options.push(files.option("--password-file", "password"));
    let forwarder = Forwarder::to(redis.port, &options);
    let mut app = forwarder.client();
    let value = "x".repeat(1_000_000);
    assert_eq!(app.ask(&["SET", "large", &value]), text("OK"));
    assert_eq!(app.ask(&["GET", "large"]), text(&value));
    assert_eq!(app.ask(&["QUIT"]), text("OK"));
    assert_eq!(app.answer(), Answer::End);
    files.write("password", "wrong");
    assert!(forwarder.client().ask(&["PING"]).error().starts_with("WRONGPASS"));
}

#[test]
fn the_older_tls_is_spoken_too() {
    if !has_redis() {
        return;
    }
    let files = certificates::make(&["127.0.0.1"]);
    let redis = redis(&files, "no", &["--tls-protocols", "TLSv1.2"]);
    let forwarder = Forwarder::to(redis.port, &trusting(&files));
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"));
}

#[test]
fn a_certificate_must_be_for_the_name_that_was_asked_for() {
    if !has_redis() {
        return;
    }
    let files = certificates::make(&["redis.shop.svc"]);
    let redis = redis(&files, "no", &[]);
    let forwarder = Forwarder::to(redis.port, &trusting(&files));
    assert_eq!(forwarder.client().answer(), Answer::End);
    assert!(forwarder.says("no TLS connection").contains("127.0.0.1"));
    let mut named = trusting(&files);
    named.push("--tls-server-name=redis.shop.svc".to_owned());
    assert_eq!(Forwarder::to(redis.port, &named).client().ask(&["PING"]), text("PONG"));
}

#[test]
fn a_certificate_of_a_stranger_is_not_trusted_until_its_authority_is_there() {
    if !has_redis() {
        return;
    }
    let (files, others) = (certificates::make(&["127.0.0.1"]), certificates::make(&["127.0.0.1"]));
    let redis = redis(&files, "no", &[]);
    let forwarder = Forwarder::to(redis.port, &trusting(&others));
    let mut app = forwarder.client();
    app.send(&["PING"]);
    assert_eq!(app.answer(), Answer::End);
    assert!(forwarder.says("no TLS connection").contains("must hold the authority"));
    let public = Forwarder::to(redis.port, &["--tls".to_owned()]);
    assert_eq!(public.client().answer(), Answer::End);
    assert!(public.says("no TLS connection").contains("unless a public one has signed it"));
    others.write("ca.crt", &std::fs::read_to_string(files.path("ca.crt")).unwrap());
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"));
}

#[test]
fn a_redis_that_wants_a_certificate_gets_the_one_that_is_there_now() {
    if !has_redis() {
        return;
    }
    let (files, others) = (certificates::make(&["127.0.0.1"]), certificates::make(&["127.0.0.1"]));
    let redis = redis(&files, "yes", &[]);
    let without = Forwarder::to(redis.port, &trusting(&files));
    let mut app = without.client();
    app.send(&["PING"]);
    assert_eq!(app.answer(), Answer::End);
    without.says("one of the client's");
    let mut options = trusting(&files);
    options.push(others.option("--tls-cert-file", "client.crt"));
    options.push(others.option("--tls-key-file", "client.key"));
    let forwarder = Forwarder::to(redis.port, &options);
    let mut app = forwarder.client();
    app.send(&["PING"]);
    assert_eq!(app.answer(), Answer::End, "nobody here knows who has signed that one");
    for name in ["client.crt", "client.key"] {
        others.write(name, &std::fs::read_to_string(files.path(name)).unwrap());
    }
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"));
    others.write("client.key", "no key");
    assert!(forwarder.client().ask(&["PING"]).error().contains("holds no key in PEM"));
}

#[test]
fn a_redis_that_wants_tls_and_gets_none_is_told() {
    if !has_redis() {
        return;
    }
    let files = certificates::make(&["127.0.0.1"]);
    let redis = redis(&files, "no", &["--requirepass", "s3cret"]);
    files.write("password", "s3cret");
    let forwarder = Forwarder::to(redis.port, &[files.option("--password-file", "password")]);
    assert_eq!(forwarder.client().answer(), Answer::End);
    forwarder.says("does it want TLS");
}

#[test]
fn what_a_connection_with_tls_keeps_open_outlives_a_reader_that_is_late() {
    if !has_redis() {
        return;
    }
    let files = certificates::make(&["127.0.0.1"]);
    let redis = redis(&files, "no", &[]);
    let forwarder = Forwarder::to(redis.port, &trusting(&files));
    let mut app = forwarder.client();
    let value = "y".repeat(3_000_000);
    app.ask(&["SET", "large", &value]);
    (0..5).for_each(|_| app.send(&["GET", "large"]));
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"));
    (0..5).for_each(|_| assert!(app.answer() == text(&value)));
}
