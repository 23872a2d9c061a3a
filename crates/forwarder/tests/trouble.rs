//! Redis that refuses, is away, hangs, or is too far.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod support;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use support::client::{Answer, text};
use support::{Forwarder, PATIENCE, Redis, Secret, free_port, has_redis, program, wait_for};

fn with_password(redis: &Redis, secret: &Secret) -> Forwarder {
    Forwarder::to(redis.port, &[secret.option("--password-file", "password")])
}

#[test]
fn a_wrong_password_is_told_by_redis_own_words_at_the_first_command() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&["--requirepass", "s3cret"]);
    let secret = Secret::new(&[("password", "hunter2")]);
    let forwarder = with_password(&redis, &secret);
    for _ in 0..20 {
        let mut app = forwarder.client();
        assert_eq!(
            app.ask(&["GET", "x"]),
            Answer::Error("WRONGPASS invalid username-password pair or user is disabled.".into())
        );
        assert_eq!(app.answer(), Answer::End);
    }
    let line = forwarder.says("WRONGPASS");
    assert!(line.contains("into the Secret") && line.contains("nothing needs a restart"), "{line}");
    let said = forwarder.said();
    assert_eq!(said.iter().filter(|line| line.contains("WRONGPASS")).count(), 1, "{said:?}");
    assert!(!said.concat().contains("hunter2"), "{said:?}");
}

#[test]
fn a_new_password_holds_from_the_next_connection_on() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&["--requirepass", "old"]);
    let secret = Secret::new(&[("password", "old")]);
    let forwarder = with_password(&redis, &secret);
    let mut before = forwarder.client();
    assert_eq!(before.ask(&["CONFIG", "SET", "requirepass", "new"]), text("OK"));
    assert_eq!(before.ask(&["PING"]), text("PONG"), "what is open stays open");
    assert!(forwarder.client().ask(&["PING"]).error().starts_with("WRONGPASS"));
    secret.write("password", "new\n");
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"));
    forwarder.says("can be used again");
    secret.remove("password");
    let error = forwarder.client().ask(&["PING"]).error();
    assert!(error.starts_with("ERR nodeapp-forwarder: cannot read "), "{error}");
}

#[test]
fn a_user_of_an_acl_may_do_what_its_rules_say() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&[
        "--requirepass",
        "admin",
        "--user",
        "shop",
        "on",
        ">cart",
        "~shop:*",
        "+@all",
        "-@admin",
    ]);
    let secret = Secret::new(&[("username", "shop\n"), ("password", "cart\n")]);
    let options =
        [secret.option("--username-file", "username"), secret.option("--password-file", "password")];
    let forwarder = Forwarder::to(redis.port, &options);
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["ACL", "WHOAMI"]), text("shop"));
    assert_eq!(app.ask(&["SET", "shop:1", "x"]), text("OK"));
    assert!(app.ask(&["SET", "other", "x"]).error().starts_with("NOPERM"));
    secret.write("username", "nobody");
    assert!(forwarder.client().ask(&["PING"]).error().starts_with("WRONGPASS"));
}

#[test]
fn a_redis_without_a_password_that_gets_one_says_so() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&[]);
    let plain = Forwarder::to(redis.port, &[]);
    assert_eq!(plain.client().ask(&["PING"]), text("PONG"));
    let secret = Secret::new(&[("password", "x")]);
    let forwarder = with_password(&redis, &secret);
    assert!(forwarder.client().ask(&["PING"]).error().contains("without any password"));
    forwarder.says("take the credentials out");
}

#[test]
fn a_redis_that_is_full_is_heard_by_the_app() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&["--requirepass", "s3cret", "--maxclients", "1"]);
    let secret = Secret::new(&[("password", "s3cret")]);
    let forwarder = with_password(&redis, &secret);
    let mut first = forwarder.client();
    wait_for("the only place", || {
        let served = first.ask(&["PING"]) == text("PONG");
        if !served {
            first = forwarder.client();
        }
        served.then_some(())
    });
    assert!(forwarder.client().ask(&["PING"]).error().starts_with("ERR max number of clients reached"));
    assert_eq!(first.ask(&["PING"]), text("PONG"));
}

#[test]
fn while_redis_is_away_connections_end_at_once_and_afterwards_they_work() {
    if !has_redis() {
        return;
    }
    let port = free_port();
    let mut forwarder = Forwarder::to(port, &[]);
    for _ in 0..10 {
        assert_eq!(forwarder.client().answer(), Answer::End);
    }
    assert!(forwarder.says("cannot reach Redis").contains("NetworkPolicy"));
    let redis = Redis::start_on(port, &[]);
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["PING"]), text("PONG"));
    forwarder.says("can be used again");
    drop(redis);
    assert_eq!(app.answer(), Answer::End, "a Redis that dies takes its connections along");
    assert_eq!(forwarder.client().answer(), Answer::End);
    let _redis = Redis::start_on(port, &[]);
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"));
    assert!(forwarder.runs());
    let said = forwarder.said();
    assert_eq!(said.iter().filter(|line| line.contains("cannot reach")).count(), 1, "{said:?}");
}

#[test]
fn a_name_that_has_no_address_is_asked_for_again_at_each_connection() {
    let mut forwarder = Forwarder::start("nobody.invalid:6379", &[]);
    assert_eq!(forwarder.client().answer(), Answer::End);
    assert_eq!(forwarder.client().answer(), Answer::End);
    forwarder.says("cannot reach Redis at nobody.invalid:6379");
    assert!(forwarder.runs());
}

#[test]
fn a_host_that_never_answers_is_given_up_in_the_time_that_was_said() {
    // A queue of connections that is full: further ones get no answer. Linux lets backlog + 1 in.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let _waiting = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let forwarder = Forwarder::to(port, &["--connect-timeout=200ms".to_owned()]);
    assert_eq!(forwarder.client().answer(), Answer::End);
    assert!(forwarder.says("cannot reach Redis").contains("no answer in 200 ms"));
}

#[test]
fn a_redis_that_hangs_is_waited_for() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&["--requirepass", "s3cret"]);
    let secret = Secret::new(&[("password", "s3cret")]);
    let forwarder = with_password(&redis, &secret);
    let mut open = forwarder.client();
    assert_eq!(open.ask(&["PING"]), text("PONG"));
    redis.freeze();
    open.send(&["INCR", "x"]);
    let mut fresh = forwarder.client();
    fresh.send(&["INCR", "y"]);
    redis.thaw();
    assert_eq!(open.answer(), Answer::Number(1));
    assert_eq!(fresh.answer(), Answer::Number(1));
}

#[test]
fn something_else_than_redis_at_the_address_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = Secret::new(&[("password", "s3cret")]);
    let port = listener.local_addr().unwrap().port();
    let forwarder = Forwarder::to(port, &[secret.option("--password-file", "password")]);
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut got = vec![];
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.read_to_end(&mut got);
        got
    });
    let mut app = forwarder.client();
    app.send(&["PING"]);
    assert_eq!(app.answer(), Answer::End);
    forwarder.says("gave no answer of Redis");
    let got = serving.join().unwrap();
    assert_eq!(got, b"*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n", "nothing of the app's was sent to it");
}

#[test]
fn one_connection_too_many_is_refused_as_redis_does() {
    if !has_redis() {
        return;
    }
    let redis = Redis::start(&[]);
    let forwarder = Forwarder::to(redis.port, &["--max-connections=3".to_owned()]);
    let mut open: Vec<_> = (0..3).map(|_| forwarder.client()).collect();
    for app in &mut open {
        assert_eq!(app.ask(&["PING"]), text("PONG"));
    }
    let mut refused = forwarder.client();
    assert!(
        refused.answer().error().starts_with("ERR max number of clients reached: nodeapp-forwarder takes 3")
    );
    assert_eq!(refused.answer(), Answer::End);
    assert!(forwarder.says("3 connections are open").contains("--max-connections"));
    drop(open.pop());
    wait_for("a place for another one", || (forwarder.client().ask(&["PING"]) == text("PONG")).then_some(()));
}

#[test]
fn a_port_that_is_taken_ends_it_with_the_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--listen-port={}", taken.local_addr().unwrap().port());
    let output = Command::new(program()).args(["run", "--upstream=redis:1", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(71));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another container of this pod"));
}

#[test]
fn a_host_without_ipv6_has_it_on_ipv4_and_is_told() {
    // A network of its own, in which there is no IPv6.
    let alone = |script: &str| {
        let mut command = Command::new("unshare");
        let no_ipv6 = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && ip link set lo up";
        command.args(["-rn", "sh", "-c", &format!("{no_ipv6} && {script}"), "sh"]);
        command
    };
    if !alone("true").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: this user may not make a network of its own");
        return;
    }
    let mut command = alone("exec \"$@\"");
    command.arg(program()).args(["run", "--listen-port=0", "--upstream=127.0.0.1:1"]);
    let mut forwarder = Forwarder::spawn(command);
    forwarder.says("this host has no ::1, which is left out");
    let listening = forwarder.says("listening on 127.0.0.1:");
    assert!(!listening.contains("[::1]"), "{listening}");
    forwarder.signal("-TERM");
    assert!(forwarder.ended().success());
}

#[test]
fn a_wrong_command_line_says_where_help_is() {
    for args in [&["run"][..], &["run", "--upstream=redis"], &["serve"], &[], &["wait", "x"]] {
        let output = Command::new(program()).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--help"));
    }
    let help = Command::new(program()).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--tls-ca-file"));
    let version = Command::new(program()).arg("version").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&version.stdout).trim(),
        concat!("nodeapp-forwarder ", env!("CARGO_PKG_VERSION"))
    );
}
