//! The held socket: who takes it over, who does not, and that nobody gets wider
//! exposure than it asked for.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::net::TcpStream;

use serde_json::json;
use support::{Runner, Setup, get, has_node};

fn server(listen: &str) -> Setup {
    Setup::script(&format!(
        "const port = Number(process.env.PORT);
         const server = require('node:http').createServer((q, r) => r.end(JSON.stringify(server.address())));
         server.{listen};"
    ))
}

#[test]
fn every_way_to_ask_for_all_addresses_takes_it_over() {
    if !has_node() {
        return;
    }
    for (listen, address) in [
        ("listen(port)", "::"),
        ("listen(String(port))", "::"),
        ("listen(port, () => {})", "::"),
        ("listen(port, '::', 5)", "::"),
        ("listen({port, backlog: 5})", "::"),
        ("listen({port, host: '0.0.0.0', exclusive: true})", "0.0.0.0"),
        ("listen(port, '0.0.0.0')", "0.0.0.0"),
    ] {
        let runner = server(listen).start().ready();
        let line = runner.told();
        assert!(line.ends_with("held over restarts"), "{listen}: {line}");
        let (code, body) = runner.get("/");
        assert_eq!(code, 200);
        assert!(body.contains(&format!("\"address\":\"{address}\"")), "{listen}: {body}");
    }
}

#[test]
fn an_app_that_asks_for_loopback_gets_loopback_and_nothing_wider() {
    if !has_node() {
        return;
    }
    for listen in ["listen(port, '127.0.0.1')", "listen({port, host: 'localhost', family: 4})"] {
        let runner = server(listen).start();
        let line = runner.told();
        assert!(line.contains(", by itself: host "), "{line}");
        runner.wait_for("the reason why it gets no traffic", || {
            runner
                .page("/ready")
                .filter(|(code, text)| *code == 503 && text.contains("loopback address only"))
        });
        let wide = std::fs::read_to_string("/proc/net/tcp6").unwrap()
            + &std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!(":{:04X} ", runner.setup.port);
        for socket in wide.lines().filter(|row| row.contains(&port) && row.contains(" 0A ")) {
            let local = socket.split_whitespace().nth(1).unwrap();
            let loopback =
                local.starts_with("0100007F:") || local.starts_with("00000000000000000000000001000000:");
            assert!(loopback, "it listens on {local}");
        }
    }
}

#[test]
fn an_app_that_asks_for_ipv4_is_not_reachable_over_ipv6() {
    if !has_node() {
        return;
    }
    let runner = server("listen(port, '0.0.0.0')").start().ready();
    assert_eq!(runner.get("/").0, 200);
    assert!(TcpStream::connect(("::1", runner.setup.port)).is_err());
}

#[test]
fn a_server_may_close_and_listen_again() {
    if !has_node() {
        return;
    }
    let source = "
        const port = Number(process.env.PORT);
        let round = 0;
        const again = () => {
          const server = require('node:http').createServer((q, r) => { r.end(String(round)); });
          server.listen(port, () => {
            if (round++ < 10) server.close(again);
            else process.send('ready');
          });
        };
        again();";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    assert_eq!(runner.get("/"), (200, "11".into()));
    assert!(runner.told().ends_with("held over restarts"));
}

#[test]
fn a_server_that_closes_and_listens_without_end_listens_by_itself_in_the_end() {
    if !has_node() {
        return;
    }
    let source = "
        const port = Number(process.env.PORT);
        let round = 0;
        const again = () => {
          const server = require('node:http').createServer((q, r) => { r.end(String(round)); });
          server.listen(port, () => {
            if (round++ < 40) server.close(again);
            else process.send('ready');
          });
        };
        again();";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    assert_eq!(runner.get("/"), (200, "41".into()));
    let lines = || runner.output("stderr").lines().filter(|line| line.contains("listens on")).count();
    assert!(runner.output("stderr").contains("by itself: no descriptor left"));
    assert_eq!(lines(), 2, "one line for each change");
    runner.crash();
    assert_eq!(runner.get("/"), (200, "41".into()), "the next process has all of them again");
    assert_eq!(lines(), 4);
}

#[test]
fn an_app_that_moves_to_loopback_is_not_kept_from_it() {
    if !has_node() {
        return;
    }
    let source = "
        const http = require('node:http');
        const port = Number(process.env.PORT);
        const first = http.createServer().listen(port, () => first.close(() => {
          http.createServer((q, r) => r.end('moved')).listen(port, '127.0.0.1', () => process.send('ready'));
        }));";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    assert_eq!(runner.get("/"), (200, "moved".into()));
    assert!(TcpStream::connect(("::1", runner.setup.port)).is_err());
}

#[test]
fn an_app_that_closes_its_port_is_unready() {
    if !has_node() {
        return;
    }
    let source = "const server = require('node:http').createServer().listen(Number(process.env.PORT));
                  setInterval(() => {}, 1e6); process.on('SIGUSR2', () => server.close());";
    let runner = Setup::script(source).start().ready();
    Runner::kill(runner.app_pid(), "USR2");
    let (_, text) = runner.wait_for("unready", || runner.page("/ready").filter(|(code, _)| *code == 503));
    assert!(text.contains("does not listen"), "{text}");
}

#[test]
fn a_second_server_on_the_port_fails_as_without_the_runner() {
    if !has_node() {
        return;
    }
    let source = "
        const http = require('node:http');
        const port = Number(process.env.PORT);
        let said = 'nothing';
        http.createServer((q, r) => r.end(said)).listen(port, () => {
          http.createServer().on('error', (error) => { said = error.code; process.send('ready'); }).listen(port);
        });";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    assert_eq!(runner.get("/"), (200, "EADDRINUSE".into()));
}

#[test]
fn other_ports_are_none_of_the_runners_business() {
    if !has_node() {
        return;
    }
    let source = "
        const http = require('node:http');
        const other = http.createServer((q, r) => r.end('other')).listen(0, () => {
          http.createServer((q, r) => r.end(String(other.address().port))).listen(Number(process.env.PORT));
        });";
    let runner = Setup::script(source).start().ready();
    let other: u16 = runner.get("/").1.parse().unwrap();
    assert_eq!(get(other, "/").unwrap(), (200, "other".into()));
}

#[test]
fn children_do_not_take_it_over() {
    if !has_node() {
        return;
    }
    let source = "
        const http = require('node:http');
        if (process.argv[2]) {
          http.createServer().on('error', (error) => process.send(error.code)).listen(Number(process.env.PORT));
        } else {
          let said = 'nothing';
          http.createServer((q, r) => r.end(said)).listen(Number(process.env.PORT), () => {
            require('node:child_process').fork(__filename, ['child'])
              .on('message', (code) => { said = code; process.send('ready'); });
          });
        }";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    assert_eq!(runner.get("/"), (200, "EADDRINUSE".into()));
}

#[test]
fn the_apps_own_cluster_works_and_drains() {
    if !has_node() {
        return;
    }
    for policy in ["SCHED_RR", "SCHED_NONE"] {
        let source = format!(
            "const cluster = require('node:cluster');
             cluster.schedulingPolicy = cluster.{policy};
             if (cluster.isPrimary) {{
               for (let i = 0; i < 2; i++) cluster.fork();
             }} else {{
               require('node:http').createServer((q, r) => setTimeout(() => r.end('w' + cluster.worker.id), q.url === '/slow' ? 2500 : 0))
                 .listen(Number(process.env.PORT));
             }}"
        );
        let mut runner = Setup::script(&source).start().ready();
        assert!(runner.told().contains("held over restarts"), "{policy}: {}", runner.told());
        assert!(runner.get("/").1.starts_with('w'));
        let port = runner.setup.port;
        let request = std::thread::spawn(move || get(port, "/slow"));
        runner.wait_for("a request in a worker", || runner.status()?.in_flight.filter(|count| *count > 0));
        runner.stop();
        assert_eq!(request.join().unwrap().unwrap().0, 200, "{policy}: a worker's request is waited for");
    }
}

#[test]
fn a_node_behind_a_shell_and_npm_start_takes_it_over() {
    if !has_node() {
        return;
    }
    let setup = Setup::script(
        "require('node:http').createServer((q, r) => r.end('ok')).listen(Number(process.env.PORT));",
    );
    let package = json!({"name": "x", "version": "1.0.0", "scripts": {"start": "node app.js"}});
    std::fs::write(setup.dir.path().join("package.json"), package.to_string()).unwrap();
    let dir = setup.dir.path().to_str().unwrap().to_owned();
    let mut setup = setup.with("cwd", json!(dir)).var("HOME", &dir);
    setup.config["launch"] = json!({"command": {"argv": ["npm", "start"]}});
    let runner = setup.start().ready();
    assert!(runner.told().ends_with("held over restarts"));
    assert_eq!(runner.get("/").0, 200);
}

#[test]
fn a_server_in_a_worker_thread_takes_it_over() {
    if !has_node() {
        return;
    }
    let source = "
        const threads = require('node:worker_threads');
        if (threads.isMainThread) new threads.Worker(__filename);
        else require('node:http').createServer((q, r) => r.end('thread')).listen(Number(process.env.PORT));";
    let runner = Setup::script(source).start().ready();
    assert!(runner.told().ends_with("held over restarts"));
    assert_eq!(runner.get("/"), (200, "thread".into()));
}

#[test]
fn a_port_that_is_taken_is_the_apps_error_not_the_runners() {
    if !has_node() {
        return;
    }
    let setup = server("listen(port)").with("restart", json!({"maxRestarts": 1, "minUptime": 20_000}));
    let taken = std::net::TcpListener::bind(("::", setup.port)).unwrap();
    let runner = setup.start();
    runner.wait_for("errored", || runner.page("/ready").filter(|(_, text)| text.contains("errored")));
    let log = runner.output("stderr");
    assert!(log.contains("cannot be held over restarts"), "{log}");
    assert!(log.contains("EADDRINUSE"), "{log}");
    drop(taken);
}

#[test]
fn descriptors_that_did_not_arrive_are_offered_to_nobody() {
    if !has_node() {
        return;
    }
    let source = "
        const port = process.env.PORT;
        if (process.argv[2]) process.send(String(process.env.NODEAPP_LISTEN_FDS));
        else {
          const env = { ...process.env, NODEAPP_LISTEN_FDS: `[::]:${port}=900,901` };
          require('node:child_process').fork(__filename, ['child'], { env }).on('message', (said) => {
            require('node:http').createServer((q, r) => r.end(said)).listen(port);
          });
        }";
    let runner = Setup::script(source).start().ready();
    assert_eq!(runner.get("/"), (200, "undefined".into()));
}

#[test]
fn what_listens_by_itself_serves_in_the_context_that_it_was_started_in() {
    if !has_node() {
        return;
    }
    let source = "
        const context = new (require('node:async_hooks').AsyncLocalStorage)();
        const server = require('node:http').createServer((q, r) => r.end(String(context.getStore())));
        const begin = () => server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('ready'));
        require('node:http').createServer().listen(0, () => context.run('kept', begin));";
    let runner = Setup::script(source).with("readiness", json!({"waitReady": true})).start().ready();
    assert_eq!(runner.get("/"), (200, "kept".into()));
}

#[test]
fn a_thread_takes_other_descriptors_than_the_main_thread() {
    if !has_node() {
        return;
    }
    let serve =
        "const server = require('node:http').createServer((q, r) => r.end(String(server._handle.fd)));
                 server.listen(Number(process.env.PORT));";
    let in_thread = format!("new (require('node:worker_threads').Worker)({serve:?}, {{ eval: true }});");
    let taken = |source: &str| {
        let runner = Setup::script(source).start().ready();
        assert!(runner.told().ends_with("held over restarts"));
        runner.get("/").1.parse::<i32>().unwrap()
    };
    let (main, thread) = (taken(serve), taken(&in_thread));
    assert!(main >= 40 && thread > main, "{main} and {thread}");
}
