//! What an app says to its Redis goes through as it is.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod support;

use std::io::Write;

use support::client::{Answer, Client, command, text};
use support::{Forwarder, Redis, has_redis, wait_for};

/// A Redis with a password, and a forwarder that knows it.
fn pair() -> Option<(Redis, Forwarder)> {
    if !has_redis() {
        return None;
    }
    let redis = Redis::start(&["--requirepass", "s3cret"]);
    let forwarder = Forwarder::with_password(redis.port, "s3cret\n");
    Some((redis, forwarder))
}

#[test]
fn an_app_without_a_password_uses_a_redis_that_wants_one() {
    let Some((redis, forwarder)) = pair() else { return };
    assert!(redis.client().ask(&["GET", "x"]).error().starts_with("NOAUTH"));
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["SET", "cart", "full"]), text("OK"));
    assert_eq!(app.ask(&["GET", "cart"]), text("full"));
}

#[test]
fn both_addresses_of_localhost_answer_and_no_other_does() {
    let Some((_redis, forwarder)) = pair() else { return };
    assert!(std::net::TcpStream::connect(("127.0.0.1", forwarder.port)).is_ok());
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert!(std::net::TcpStream::connect(("::1", forwarder.port)).is_ok());
    } else {
        forwarder.says("no ::1");
    }
    // All of 127/8 is this host, and is nobody's business.
    assert!(std::net::TcpStream::connect(("127.0.0.2", forwarder.port)).is_err());
}

#[test]
fn commands_sent_before_auth_is_answered_keep_their_order() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    let many = 2_000;
    let commands: Vec<u8> = (0..many).flat_map(|_| command(&["INCR", "hits"])).collect();
    app.write(&commands);
    for number in 1..=many {
        assert_eq!(app.answer(), Answer::Number(number));
    }
}

#[test]
fn a_client_that_sends_auth_itself_is_served_as_redis_serves_it() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["AUTH", "s3cret"]), text("OK"));
    assert!(app.ask(&["AUTH", "wrong"]).error().starts_with("WRONGPASS"));
    assert_eq!(app.ask(&["PING"]), text("PONG"), "a wrong password takes nothing away");
    assert_eq!(app.ask(&["RESET"]), text("RESET"));
    assert!(app.ask(&["GET", "x"]).error().starts_with("NOAUTH"), "RESET does, as the manual says");
}

#[test]
fn resp3_with_its_pushes_goes_through() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    assert!(matches!(app.ask(&["HELLO", "3"]), Answer::Map(_)));
    app.ask(&["CLIENT", "TRACKING", "ON"]);
    app.ask(&["GET", "watched"]);
    forwarder.client().ask(&["SET", "watched", "1"]);
    let keys = Answer::List(vec![text("watched")]);
    assert_eq!(app.answer(), Answer::Push(vec![text("invalidate"), keys]));
    let mut named = forwarder.client();
    assert!(matches!(named.ask(&["HELLO", "3", "AUTH", "default", "s3cret"]), Answer::Map(_)));
}

#[test]
fn a_blocking_command_waits_until_another_connection_feeds_it() {
    let Some((redis, forwarder)) = pair() else { return };
    let mut worker = forwarder.client();
    worker.send(&["BLPOP", "jobs", "0"]);
    let mut observer = redis.client();
    observer.ask(&["AUTH", "s3cret"]);
    wait_for("a blocked client", || match observer.ask(&["INFO", "clients"]) {
        Answer::Text(info) if info.contains("blocked_clients:1") => Some(()),
        _ => None,
    });
    forwarder.client().ask(&["RPUSH", "jobs", "mail"]);
    assert_eq!(worker.answer(), Answer::List(vec![text("jobs"), text("mail")]));
}

#[test]
fn a_transaction_is_one() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["WATCH", "stock"]), text("OK"));
    assert_eq!(app.ask(&["MULTI"]), text("OK"));
    assert_eq!(app.ask(&["INCR", "stock"]), text("QUEUED"));
    forwarder.client().ask(&["SET", "stock", "5"]);
    assert_eq!(app.ask(&["EXEC"]), Answer::Nothing, "somebody else was there first");
    app.ask(&["MULTI"]);
    app.ask(&["INCR", "stock"]);
    assert_eq!(app.ask(&["EXEC"]), Answer::List(vec![Answer::Number(6)]));
}

#[test]
fn subscribers_get_every_message_in_order() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut subscriber = forwarder.client();
    subscriber.ask(&["SUBSCRIBE", "news"]);
    let mut publisher = forwarder.client();
    for number in 0..500 {
        assert_eq!(publisher.ask(&["PUBLISH", "news", &number.to_string()]), Answer::Number(1));
    }
    for number in 0..500 {
        let message = vec![text("message"), text("news"), text(&number.to_string())];
        assert_eq!(subscriber.answer(), Answer::List(message));
    }
}

#[test]
fn monitor_shows_what_others_do() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut monitor = forwarder.client();
    assert_eq!(monitor.ask(&["MONITOR"]), text("OK"));
    forwarder.client().ask(&["SET", "seen", "1"]);
    let seen = (0..10).any(|_| matches!(monitor.answer(), Answer::Text(line) if line.contains("\"seen\"")));
    assert!(seen);
}

#[test]
fn an_app_that_ends_its_side_still_gets_its_answers() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    app.write(b"PING\r\nECHO done\r\n");
    app.end_writing();
    assert_eq!(app.answer(), text("PONG"));
    assert_eq!(app.answer(), text("done"));
    assert_eq!(app.answer(), Answer::End);
}

#[test]
fn the_last_words_of_redis_arrive_before_the_end() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    assert_eq!(app.ask(&["QUIT"]), text("OK"));
    assert_eq!(app.answer(), Answer::End);
    let mut broken = forwarder.client();
    broken.write(b"*1\r\nnonsense\r\n");
    assert!(broken.answer().error().contains("Protocol error"));
    assert_eq!(broken.answer(), Answer::End);
}

#[test]
fn an_app_that_reads_late_gets_every_byte_of_a_large_value() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    let value: String = (0..4_000_000).map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
    assert_eq!(app.ask(&["SET", "large", &value]), text("OK"));
    // Far more than the buffers on the way hold, asked for before anything is read.
    let times = 8;
    let asking: Vec<u8> = (0..times).flat_map(|_| command(&["GET", "large"])).collect();
    app.write(&asking);
    assert_eq!(forwarder.client().ask(&["PING"]), text("PONG"), "others do not wait for it");
    for _ in 0..times {
        assert!(app.answer() == Answer::Text(value.clone()));
    }
}

#[test]
fn writing_and_reading_at_the_same_time_loses_nothing() {
    let Some((_redis, forwarder)) = pair() else { return };
    let mut app = forwarder.client();
    let mut writer = app.writer();
    let value = "v".repeat(10_000);
    let commands = 3_000;
    let bytes = command(&["ECHO", &value]);
    let writing = std::thread::spawn(move || (0..commands).for_each(|_| writer.write_all(&bytes).unwrap()));
    for _ in 0..commands {
        assert!(app.answer() == Answer::Text(value.clone()));
    }
    writing.join().unwrap();
}

#[test]
fn a_counter_over_many_connections_is_exact() {
    let Some((_redis, forwarder)) = pair() else { return };
    let port = forwarder.port;
    let threads: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || {
                let mut app = Client::connect(port);
                (0..200).for_each(|_| drop(app.ask(&["INCR", "orders"])));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(forwarder.client().ask(&["GET", "orders"]), text("4000"));
}

#[test]
fn a_connection_that_the_app_leaves_is_left_at_redis_too() {
    let Some((redis, forwarder)) = pair() else { return };
    let mut observer = redis.client();
    observer.ask(&["AUTH", "s3cret"]);
    let mut connected = || match observer.ask(&["INFO", "clients"]) {
        Answer::Text(info) => {
            info.lines().find(|line| line.starts_with("connected_clients:")).unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    };
    let mut apps: Vec<_> = (0..5).map(|_| forwarder.client()).collect();
    for app in &mut apps {
        assert_eq!(app.ask(&["PING"]), text("PONG"));
    }
    assert_eq!(connected(), "connected_clients:6");
    apps[0].send(&["BLPOP", "nothing", "0"]);
    drop(apps);
    wait_for("the connections to be gone", || (connected() == "connected_clients:1").then_some(()));
}
