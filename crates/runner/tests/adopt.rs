//! What takes the held socket over, by kind of server and of process: a crash
//! refuses nobody. What does not take it over listens as without the runner.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use support::kinds;
use support::load::Connects;
use support::{Runner, Setup, has_node};

/// Kills the only process under a load of new connections.
fn survives_a_crash(name: &str, setup: Setup) -> Runner {
    let runner = setup.start().ready();
    assert!(runner.told().ends_with("held over restarts"), "{name}: {}", runner.told());
    let load = Connects::start(runner.setup.port, 4);
    load.more(20);
    runner.crash();
    load.more(20);
    let refused = load.finish();
    assert!(refused.is_empty(), "{name}: {refused:?}");
    runner
}

fn kind_survives(kind: &str) {
    for file in ["kinds.cjs", "kinds.mjs"] {
        let runner = survives_a_crash(kind, Setup::kind(kind, file));
        assert_eq!(kinds::ask(kind, runner.setup.port, "/"), "ok", "{kind} in {file}");
    }
}

#[test]
fn a_crash_of_an_http_server_refuses_no_connection() {
    if has_node() {
        kind_survives("http");
    }
}

#[test]
fn a_crash_of_an_https_server_refuses_no_connection() {
    if has_node() {
        kind_survives("https");
    }
}

#[test]
fn a_crash_of_an_http2_server_refuses_no_connection() {
    if has_node() {
        kind_survives("h2c");
        kind_survives("h2");
    }
}

#[test]
fn a_crash_of_a_plain_tcp_server_refuses_no_connection() {
    if has_node() {
        kind_survives("net");
    }
}

#[test]
fn a_crash_of_an_app_in_worker_threads_refuses_no_connection() {
    if has_node() {
        let runner = survives_a_crash("threads", Setup::app("threads.cjs"));
        assert_eq!(runner.get("/"), (200, "thread".into()));
    }
}

#[test]
fn a_crash_of_an_app_with_its_own_cluster_refuses_no_connection() {
    if has_node() {
        for policy in ["SCHED_RR", "SCHED_NONE"] {
            let runner = survives_a_crash(policy, Setup::app("cluster.cjs").var("SCHED", policy));
            assert!(runner.get("/").1.starts_with("worker"), "{policy}");
        }
    }
}

#[test]
fn a_server_in_a_forked_or_executed_child_takes_it_over() {
    if !has_node() {
        return;
    }
    for start in ["fork(__filename, ['child'])", "exec(`node ${__filename} child; :`)"] {
        let source = format!(
            "if (process.argv[2]) require('node:http').createServer((q, r) => r.end('child'))
               .listen(Number(process.env.PORT));
             else require('node:child_process').{start};"
        );
        let runner = survives_a_crash(start, Setup::script(&source));
        assert_eq!(runner.get("/"), (200, "child".into()));
    }
}

#[test]
fn an_app_with_two_ports_keeps_the_declared_one_and_has_the_other() {
    if !has_node() {
        return;
    }
    let other = support::free_port();
    let source = format!(
        "const http = require('node:http');
         http.createServer((q, r) => r.end('other')).listen({other}, () =>
           http.createServer((q, r) => r.end('main')).listen(Number(process.env.PORT)));"
    );
    let runner = survives_a_crash("two ports", Setup::script(&source));
    assert_eq!(runner.get("/"), (200, "main".into()));
    assert_eq!(support::get(other, "/").unwrap(), (200, "other".into()));
}

#[test]
fn what_is_not_for_every_address_listens_by_itself_and_the_log_says_so() {
    if !has_node() {
        return;
    }
    for (kind, why) in [("http", "host 127.0.0.1"), ("net", "host 127.0.0.1")] {
        let source = format!(
            "require('node:{kind}').createServer(() => {{}}).listen(Number(process.env.PORT), '127.0.0.1');"
        );
        let runner = Setup::script(&source).start();
        assert!(runner.told().ends_with(&format!("by itself: {why}")), "{}", runner.told());
    }
    let source = "require('node:net').createServer().listen({port: Number(process.env.PORT), host: '::', ipv6Only: true});";
    let runner = Setup::script(source).start().ready();
    assert!(runner.told().ends_with("by itself: ipv6Only is set"), "{}", runner.told());
    assert!(TcpStream::connect(("::1", runner.setup.port)).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", runner.setup.port)).is_err(), "it asked for IPv6 alone");
}

#[test]
fn a_port_that_the_system_chooses_is_not_the_held_one() {
    if !has_node() {
        return;
    }
    let source = "const server = require('node:http').createServer((q, r) => r.end('ok'));
                  server.listen(0, () => { console.log('port=' + server.address().port + ';'); process.send('ready'); });";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    let port = runner.wait_for("the port", || {
        let text = runner.output("stdout");
        Some(text.split_once("port=")?.1.split_once(';')?.0.parse::<u16>().unwrap())
    });
    assert_ne!(port, runner.setup.port);
    assert_eq!(support::get(port, "/").unwrap(), (200, "ok".into()));
    assert!(TcpStream::connect(("127.0.0.1", runner.setup.port)).is_err(), "nobody listens on the held one");
}

#[test]
fn the_backlog_is_the_apps() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer().listen(Number(process.env.PORT), '0.0.0.0', 3);";
    let runner = Setup::script(source).start().ready();
    assert!(runner.told().ends_with("held over restarts"));
    let app = runner.app_pid();
    Runner::kill(app, "STOP");
    let address = ([127, 0, 0, 1], runner.setup.port).into();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let taken: Vec<TcpStream> = (0..8).filter_map(connect).collect();
    Runner::kill(app, "CONT");
    // Linux takes one more than it is told to.
    assert_eq!(taken.len(), 4, "a backlog of 3");
}

#[test]
fn hold_socket_false_leaves_the_listening_to_the_app() {
    if !has_node() {
        return;
    }
    let runner =
        Setup::kind("http", "kinds.cjs").with("preload", json!({"holdSocket": false})).start().ready();
    assert!(runner.told().ends_with("by itself: holdSocket is false"), "{}", runner.told());
    assert_eq!(runner.get("/"), (200, "ok".into()));
    let environ = std::fs::read(format!("/proc/{}/environ", runner.app_pid())).unwrap();
    assert!(!String::from_utf8_lossy(&environ).contains("NODEAPP_LISTEN_FDS"));
    runner.crash();
    assert_eq!(runner.get("/"), (200, "ok".into()));
}
