//! Real frameworks from npm: ready, no connection refused by a crash, and no
//! request failed by a restart in place.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use support::load::{Client, Connects, Load};
use support::npm::supported;
use support::{Runner, Setup, has_node};

fn keeps_every_promise(setup: Setup, path: &'static str) -> Runner {
    let runner = setup.start().ready();
    assert!(runner.told().ends_with("held over restarts"), "{}", runner.told());
    assert_eq!(runner.get(path).0, 200);
    let connects = Connects::start(runner.setup.port, 4);
    connects.more(20);
    runner.crash();
    connects.more(20);
    let refused = connects.finish();
    assert!(refused.is_empty(), "{refused:?}");

    let busy = Client { keep_alive: true, pause: Duration::from_millis(1), path };
    let new = Client { keep_alive: false, pause: Duration::from_millis(5), path };
    let load = Load::start(runner.setup.port, &[(3, busy), (2, new)]);
    for restart in 2..=3 {
        load.more(100);
        assert!(runner.command("ctl restart").status().unwrap().success());
        runner.wait_for("the restart", || runner.status().filter(|status| status.restarts == restart));
        runner.wait_ready();
    }
    load.more(100);
    let report = load.finish();
    assert!(report.failed.is_empty(), "{report:?}");
    runner
}

#[test]
fn express_keeps_its_connections_and_its_requests() {
    if has_node()
        && supported("express", 18)
        && let Some(setup) = Setup::npm_app("frameworks", "express.cjs")
    {
        let runner = keeps_every_promise(setup, "/");
        assert_eq!(runner.get("/").1, "express");
    }
}

#[test]
fn fastify_that_listens_for_every_address_keeps_its_connections_and_its_requests() {
    if has_node()
        && supported("fastify", 20)
        && let Some(setup) = Setup::npm_app("frameworks", "fastify.cjs")
    {
        let runner = keeps_every_promise(setup.var("LISTEN_HOST", "::"), "/");
        assert_eq!(runner.get("/").1, "fastify");
    }
}

#[test]
fn fastify_as_it_comes_listens_on_loopback_and_is_told_why_it_gets_no_traffic() {
    if has_node()
        && supported("fastify", 20)
        && let Some(setup) = Setup::npm_app("frameworks", "fastify.cjs")
    {
        let runner = setup.start();
        assert!(runner.told().contains("by itself: host "), "{}", runner.told());
        let (_, text) = runner
            .wait_for("unready", || runner.page("/ready").filter(|(_, text)| text.contains("loopback")));
        assert!(text.contains("let it listen on :: or 0.0.0.0"), "{text}");
    }
}

#[test]
fn koa_keeps_its_connections_and_its_requests() {
    if has_node()
        && supported("koa", 18)
        && let Some(setup) = Setup::npm_app("frameworks", "koa.mjs")
    {
        let runner = keeps_every_promise(setup, "/");
        assert_eq!(runner.get("/").1, "koa");
    }
}

#[test]
fn nestjs_keeps_its_connections_and_its_requests() {
    if has_node()
        && supported("@nestjs/core", 22)
        && let Some(setup) = Setup::npm_app("frameworks", "nest.mjs")
    {
        let runner = keeps_every_promise(setup, "/");
        assert_eq!(runner.get("/").1, "nest");
    }
}

/// A WebSocket of socket.io: the connection after its handshake.
fn socket_io(port: u16) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    .unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    reader
}

/// Text of the frames up to the one that closes, which is answered.
fn frames(mut socket: BufReader<TcpStream>) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head)?;
        // The server's frames are not masked, and these are short.
        let length = usize::from(head[1]);
        assert!(length < 126, "a longer frame: {head:?}");
        let mut body = vec![0; length];
        socket.read_exact(&mut body)?;
        if head[0] == 0x88 {
            socket.get_mut().write_all(&[0x88, 0x80, 0, 0, 0, 0])?;
            return Ok(text);
        }
        text += &String::from_utf8_lossy(&body);
    }
}

#[test]
fn socket_io_keeps_its_connections_and_closes_its_websockets_itself() {
    if has_node()
        && supported("socket.io", 18)
        && let Some(setup) = Setup::npm_app("frameworks", "socketio.cjs")
    {
        let stop =
            json!({"killSignal": "SIGINT", "drainTimeout": 120_000, "drainDelay": 0, "killTimeout": 5_000});
        let mut runner = keeps_every_promise(setup.with("stop", stop), "/socket.io/?EIO=4&transport=polling");
        let socket = socket_io(runner.setup.port);
        let client = std::thread::spawn(move || frames(socket));
        assert_eq!(runner.stop().code(), Some(0), "the app's handler has run");
        let text = client.join().unwrap().expect("a frame that closes");
        assert!(text.contains("pingInterval"), "the first packet of the protocol: {text}");
    }
}

#[test]
fn a_poll_of_socket_io_is_waited_for_until_it_is_answered() {
    if has_node()
        && supported("socket.io", 18)
        && let Some(setup) = Setup::npm_app("frameworks", "socketio.cjs")
    {
        let stop =
            json!({"killSignal": "SIGINT", "drainTimeout": 1_500, "drainDelay": 0, "killTimeout": 5_000});
        let mut runner = setup.with("stop", stop).start().ready();
        let port = runner.setup.port;
        let base = "/socket.io/?EIO=4&transport=polling";
        let open = runner.get(base).1;
        let id = open.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let poll = std::thread::spawn(move || support::get(port, &format!("{base}&sid={id}")));
        runner.wait_for("the poll in flight", || runner.status()?.in_flight.filter(|count| *count == 1));
        runner.stop();
        // Nobody has news for it: the app closes it when the signal comes.
        let log = runner.output("stderr");
        assert!(log.contains("still open when the drain ended: 1 requests in flight"), "{log}");
        drop(poll.join().unwrap());
    }
}

#[test]
fn nextjs_keeps_its_connections_and_its_requests() {
    if std::env::var_os("NODEAPP_TEST_ALL").is_none() {
        println!("skipped: a build of Next.js takes a minute; NODEAPP_TEST_ALL=1 has it");
        return;
    }
    if has_node()
        && supported("next", 20)
        && let Some(setup) = Setup::npm_app("next", "node_modules/next/dist/bin/next")
    {
        let dir = setup.dir.path().join("project");
        let build = support::node_command()
            .args(["node_modules/next/dist/bin/next", "build", "--webpack"])
            .env("NEXT_TELEMETRY_DISABLED", "1")
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
        let mut setup = setup.var("NEXT_TELEMETRY_DISABLED", "1");
        setup.config["launch"]["script"]["args"] = json!(["start"]);
        let runner = keeps_every_promise(setup, "/plain");
        assert!(runner.get("/").1.contains("<h1>next</h1>"));
    }
}
