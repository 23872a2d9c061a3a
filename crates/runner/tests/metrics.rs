//! `/metrics` and `/status` of real apps, and the endpoint under bad clients.

#![allow(clippy::unwrap_used, reason = "test code")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use support::npm::supported;
use support::prometheus::{Samples, parse};
use support::{Runner, Setup, has_node};

const SERVER: &str = "const http = require('node:http');
    http.createServer((request, response) => {
      if (request.url === '/block') for (const end = Date.now() + 400; Date.now() < end;);
      response.statusCode = Number(request.url.slice(1)) || 200;
      response.end('ok');
    }).listen(Number(process.env.PORT));";

fn samples(runner: &Runner) -> Samples {
    let (status, page) = runner.page("/metrics").unwrap();
    assert_eq!(status, 200);
    parse(&page)
}

/// The value of a sample, by its own labels beside `name` and `instance`.
fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: BTreeMap<String, String> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut found = samples.iter().filter(|((one, all), _)| {
        let mut all = all.clone();
        if all.get("name").is_some_and(|app| app == "web") {
            all.remove("name");
            assert_eq!(all.remove("instance").as_deref(), Some("0"), "{name}");
        }
        one == name && all == wanted
    });
    found.next().map(|(_, value)| *value)
}

fn at_least(runner: &Runner, name: &str, labels: &[(&str, &str)], least: f64) -> Samples {
    runner.wait_for(&format!("{name}{labels:?} of {least}"), || {
        let samples = samples(runner);
        value(&samples, name, labels).is_some_and(|value| value >= least).then_some(samples)
    })
}

#[test]
fn requests_and_the_event_loop_are_measured_under_the_names_of_known_dashboards() {
    if !has_node() {
        return;
    }
    let runner = Setup::script(SERVER).start().ready();
    for path in ["/", "/", "/404", "/503"] {
        runner.get(path);
    }
    // A pause is measured once the measuring has begun.
    at_least(&runner, "nodejs_eventloop_lag_max_seconds", &[], 1e-9);
    runner.get("/block");
    let all = at_least(&runner, "nodejs_eventloop_lag_max_seconds", &[], 0.3);
    for name in [
        "nodejs_eventloop_lag_seconds",
        "nodejs_eventloop_lag_min_seconds",
        "nodejs_eventloop_lag_mean_seconds",
        "nodejs_eventloop_lag_stddev_seconds",
        "nodejs_eventloop_lag_p90_seconds",
        "nodejs_eventloop_lag_p99_seconds",
        "nodejs_active_requests_total",
        "nodejs_external_memory_bytes",
    ] {
        assert!(value(&all, name, &[]).is_some_and(|value| value >= 0.0), "{name}");
    }
    let gauge = |name: &str| value(&all, name, &[]).unwrap();
    assert!(gauge("nodejs_heap_size_used_bytes") > 1e6);
    assert!(gauge("nodejs_heap_size_total_bytes") < gauge("nodejs_heap_size_limit_bytes"));
    assert!(gauge("nodejs_active_handles_total") >= 1.0, "the server");
    assert!(gauge("process_open_fds") >= 3.0);
    let all = at_least(&runner, "nodeapp_http_requests_total", &[("code", "2xx")], 3.0);
    assert_eq!(value(&all, "nodeapp_http_requests_total", &[("code", "4xx")]), Some(1.0));
    assert_eq!(value(&all, "nodeapp_http_requests_total", &[("code", "5xx")]), Some(1.0));
    let bucket =
        |end: &str| value(&all, "nodeapp_http_request_duration_seconds_bucket", &[("le", end)]).unwrap();
    assert!(bucket("+Inf") >= 5.0 && bucket("0.25") <= bucket("+Inf") - 1.0, "one took 0.4 s");
    assert!(value(&all, "pm2_process_cpu_seconds_total", &[]).unwrap() > 0.0);
    let status = runner.status().unwrap();
    assert!(status.event_loop.is_some() && status.heap.unwrap().used > 1_000_000, "{status:?}");
    assert!(status.node_version.unwrap().starts_with('v'));
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn counters_never_fall_when_the_process_is_replaced() {
    if !has_node() {
        return;
    }
    let runner = Setup::script(&format!("for (const end = Date.now() + 200; Date.now() < end;);{SERVER}"));
    let runner = runner.start().ready();
    let counters = ["pm2_process_cpu_seconds_total", "nodeapp_http_request_duration_seconds_count"];
    let mut last = [0.0; 2];
    for life in 1..=3_u32 {
        for _ in 0..10 {
            runner.get("/");
        }
        let count = f64::from(life * 10);
        let all = at_least(&runner, "nodeapp_http_requests_total", &[("code", "2xx")], count);
        assert_eq!(value(&all, "nodeapp_http_requests_total", &[("code", "2xx")]), Some(count));
        let check = |last: &mut [f64; 2], all: &Samples| {
            for (name, last) in counters.iter().zip(last) {
                let now = value(all, name, &[]).unwrap();
                assert!(now >= *last, "{name} fell from {last} to {now}");
                *last = now;
            }
        };
        check(&mut last, &all);
        assert!(runner.command("ctl restart").output().unwrap().status.success());
        runner.wait_for("the next life", || {
            check(&mut last, &samples(&runner));
            runner.status().filter(|status| status.ready && status.restarts == u64::from(life))
        });
    }
    let all = samples(&runner);
    assert_eq!(value(&all, "nodeapp_restarts_total", &[("reason", "StopOrdered")]), Some(3.0));
    assert_eq!(value(&all, "nodeapp_restarts_total", &[("reason", "Crash")]), Some(0.0));
    assert_eq!(runner.status().unwrap().restarts_by_reason.values().sum::<u64>(), 3);
}

#[test]
fn requests_of_cluster_workers_are_counted_together() {
    if !has_node() {
        return;
    }
    let source = format!(
        "const cluster = require('node:cluster');
         if (cluster.isPrimary) {{ cluster.fork(); cluster.fork(); }} else {{ {SERVER} }}"
    );
    let runner = Setup::script(&source).start().ready();
    for _ in 0..20 {
        runner.get("/");
    }
    let all = at_least(&runner, "nodeapp_http_requests_total", &[("code", "2xx")], 20.0);
    assert_eq!(value(&all, "nodeapp_http_requests_total", &[("code", "2xx")]), Some(20.0));
}

#[test]
fn streams_of_http2_are_requests_too() {
    if !has_node() {
        return;
    }
    let source = "const http2 = require('node:http2');
        const port = Number(process.env.PORT);
        http2.createServer((request, response) => { response.statusCode = 404; response.end('no'); })
          .listen(port, () => {
            const session = http2.connect(`http://127.0.0.1:${port}`);
            for (let n = 0; n < 10; n += 1) session.request({ ':path': '/' }).resume();
          });";
    let runner = Setup::script(source).start().ready();
    let all = at_least(&runner, "nodeapp_http_requests_total", &[("code", "4xx")], 10.0);
    assert_eq!(value(&all, "nodeapp_http_request_duration_seconds_count", &[]), Some(10.0));
}

#[test]
fn a_worker_without_a_port_tells_of_its_event_loop_and_stops_at_once_though_busy() {
    if !has_node() {
        return;
    }
    let source = "setTimeout(() => { console.log('busy'); for (;;); }, 2500);";
    let mut setup = Setup::script(source).worker();
    // Longer than the test is patient.
    setup.config["stop"]["drainTimeout"] = json!(300_000);
    let mut runner = setup.start().ready();
    at_least(&runner, "nodejs_heap_size_used_bytes", &[], 1.0);
    runner.wait_for("the busy loop", || runner.output("stdout").contains("busy").then_some(()));
    assert!(runner.stop().success(), "nothing is in flight that a drain would wait for");
}

#[test]
fn behind_npm_start_the_figures_are_those_of_the_app() {
    if !has_node() {
        return;
    }
    let setup = Setup::command(&["npm", "start"]);
    let app = format!("global.big = Array.from({{length: 3e6}}, (_, n) => [n]);{SERVER}");
    std::fs::write(setup.dir.path().join("app.js"), app).unwrap();
    let package = json!({"scripts": {"start": "sh -c 'node app.js'"}});
    std::fs::write(setup.dir.path().join("package.json"), package.to_string()).unwrap();
    let dir = setup.dir.path().to_str().unwrap().to_owned();
    let runner = setup.with("cwd", json!(dir)).start().ready();
    at_least(&runner, "nodejs_heap_size_used_bytes", &[], 100e6);
}

#[test]
fn behind_tsx_the_figures_are_those_of_the_app() {
    if has_node()
        && supported("tsx from node_modules/.bin", 20)
        && let Some(mut setup) = Setup::npm_app("runtimes", "app.ts")
    {
        let app = format!("global.big = Array.from({{length: 3e6}}, (_, n) => [n]);{SERVER}");
        std::fs::write(setup.dir.path().join("project/app.ts"), app).unwrap();
        setup.config["launch"]["script"]["interpreter"] = json!("tsx");
        let runner = setup.start().ready();
        at_least(&runner, "nodejs_heap_size_used_bytes", &[], 100e6);
    }
}

#[test]
fn slow_clients_and_garbage_do_not_keep_the_kubelet_out() {
    let runner = Setup::command(&["sleep", "1000"]).worker().start().ready();
    let connect = || TcpStream::connect(("127.0.0.1", runner.endpoint)).unwrap();
    let mut clients = vec![];
    for n in 0..200 {
        let mut client = connect();
        let _ = match n % 5 {
            0 => Ok(()),
            1 => client.write_all(b"GET /metrics HTTP/1.1\r\n"),
            2 => client.write_all(&[0xff; 4_000]),
            3 => client.write_all("x".repeat(20_000).as_bytes()),
            // Asks, and never reads the answer.
            _ => client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n"),
        };
        clients.push(client);
        if n % 20 == 0 {
            assert_eq!(runner.page("/ready").unwrap().0, 200);
        }
    }
    assert_eq!(runner.page("/live").unwrap().0, 200);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", runner.pid())).unwrap().count();
    assert!(descriptors < 100, "{descriptors} descriptors for {} clients", clients.len());
}

#[test]
fn an_app_that_puts_its_own_timers_in_place_is_measured_all_the_same() {
    if !has_node() {
        return;
    }
    let source = format!(
        "const never = () => ({{ ref() {{}}, unref() {{}} }});
         Object.assign(globalThis, {{ setTimeout: never, setInterval: never, setImmediate: never }});
         {SERVER}"
    );
    let runner = Setup::script(&source).start().ready();
    runner.get("/");
    at_least(&runner, "nodeapp_http_requests_total", &[("code", "2xx")], 1.0);
}

#[test]
fn what_the_preload_knows_of_a_request_is_no_property_of_it() {
    if !has_node() {
        return;
    }
    let source = "require('node:http').createServer((request, response) => {
          const bare = new (require('node:http').ServerResponse)(request);
          const names = (one) => Reflect.ownKeys(one).filter((name) => !Reflect.ownKeys(bare).includes(name));
          response.end(names(response).map(String).join());
        }).listen(Number(process.env.PORT));";
    let runner = Setup::script(source).start().ready();
    let names = runner.get("/").1;
    assert!(!names.contains("nodeapp"), "{names}");
}
