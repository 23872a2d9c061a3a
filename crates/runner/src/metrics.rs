//! The page `/metrics`.
//!
//! The `pm2_process_*` names and their meaning are what dashboards of teams that
//! come from PM2 are built on; `nodejs_*` and `process_*` are those of prom-client
//! and carry no labels of ours, as there.

use nodeapp_contract::ExitReason;
use nodeapp_contract::status::ProcessState;

use crate::exposition::{Exposition, Kind, Labels};
use crate::pages::View;
use crate::telemetry::{BUCKETS, Http, Vitals};

/// After these another process may follow.
const REASONS: [ExitReason; 7] = [
    ExitReason::Completed,
    ExitReason::Crash,
    ExitReason::OutOfMemory,
    ExitReason::MemoryLimit,
    ExitReason::ProbeFailed,
    ExitReason::Hung,
    ExitReason::StopOrdered,
];

const HTTP_CODES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Prometheus text.
pub(crate) fn metrics(view: &View<'_>) -> String {
    let own = [("name", view.name.as_str()), ("instance", "0")];
    let mut page = Exposition::default();
    process(&mut page, view, &own);
    runner(&mut page, view, &own);
    http(&mut page, &view.http, &own);
    if let Some(in_flight) = view.status.in_flight {
        let name = "nodeapp_http_requests_in_flight";
        page.single(name, Kind::Gauge, "Requests being answered.", &own, in_flight);
    }
    custom(&mut page, view, &own);
    if let Some(vitals) = view.vitals {
        node(&mut page, vitals, view.status.node_version.as_deref());
    }
    if let Some(files) = view.open_files {
        page.single("process_open_fds", Kind::Gauge, "Open descriptors of the main process.", &[], files);
    }
    page.finish()
}

fn process(page: &mut Exposition, view: &View<'_>, own: &Labels<'_>) {
    let status = &view.status;
    let state = match status.state {
        ProcessState::Errored => 2,
        _ if status.pid.is_some() => 1,
        _ => 0,
    };
    let help = "Processor time of the app's processes, of all lives.";
    page.single("pm2_process_cpu_seconds_total", Kind::Counter, help, own, view.cpu_seconds);
    let help = "Resident memory of the process tree.";
    page.single("pm2_process_memory_bytes", Kind::Gauge, help, own, status.rss.unwrap_or(0));
    page.single("pm2_process_restart_count", Kind::Counter, "Restarts in place.", own, status.restarts);
    page.single("pm2_process_status", Kind::Gauge, "0 stopped, 1 online, 2 errored.", own, state);
    let help = "Age of the process.";
    page.single("pm2_process_uptime_seconds", Kind::Gauge, help, own, view.uptime_seconds);
}

fn runner(page: &mut Exposition, view: &View<'_>, own: &Labels<'_>) {
    let ready = u8::from(view.status.ready);
    page.single("nodeapp_ready", Kind::Gauge, "1 if the pod may get traffic.", own, ready);
    let name = "nodeapp_restarts_total";
    page.family(name, Kind::Counter, "Restarts in place, by the reason of the end before.");
    for reason in REASONS {
        let text = serde_json::to_string(&reason).unwrap_or_default();
        let count = view.status.restarts_by_reason.get(&reason).copied().unwrap_or(0);
        page.sample(name, &with(own, ("reason", text.trim_matches('"'))), count);
    }
    let help = "Messages of the app on its IPC channel.";
    page.single("nodeapp_ipc_messages_total", Kind::Counter, help, own, view.traffic.messages);
    let help = "Messages that were longer than 1 MiB.";
    page.single("nodeapp_ipc_messages_dropped_total", Kind::Counter, help, own, view.traffic.dropped);
    let version = [("version", view.status.version.as_str())];
    page.single("nodeapp_runner_info", Kind::Gauge, "Version of the runner.", &version, 1);
}

fn with<'a>(own: &Labels<'a>, more: (&'a str, &'a str)) -> Vec<(&'a str, &'a str)> {
    own.iter().copied().chain([more]).collect()
}

fn http(page: &mut Exposition, http: &Http, own: &Labels<'_>) {
    let name = "nodeapp_http_requests_total";
    page.family(name, Kind::Counter, "HTTP requests answered, by class of status.");
    for (class, count) in HTTP_CODES.iter().zip(http.codes) {
        page.sample(name, &with(own, ("code", class)), count);
    }
    let name = "nodeapp_http_request_duration_seconds";
    page.family(name, Kind::Histogram, "Time from a request to the end of its answer.");
    let mut sum = 0_u64;
    let ends = BUCKETS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    for (end, count) in ends.zip(http.buckets) {
        sum = sum.saturating_add(count);
        page.sample(&format!("{name}_bucket"), &with(own, ("le", &end)), sum);
    }
    page.sample(&format!("{name}_sum"), own, http.seconds);
    page.sample(&format!("{name}_count"), own, sum);
}

fn custom(page: &mut Exposition, view: &View<'_>, own: &Labels<'_>) {
    let Some(registry) = view.registry.filter(|registry| !registry.metrics().is_empty()) else { return };
    page.family("nodeapp_custom", Kind::Gauge, "Custom metrics of the app (axm:monitor) that are numbers.");
    for (metric, value) in registry.metrics() {
        if let Some(number) = value.number() {
            let labels = with(&with(own, ("metric", metric)), ("unit", value.unit()));
            page.sample("nodeapp_custom", &labels, number);
        }
    }
}

fn node(page: &mut Exposition, vitals: &Vitals, version: Option<&str>) {
    let mut gauge = |name: &str, help: &str, value: &dyn std::fmt::Display| {
        page.single(name, Kind::Gauge, help, &[], value);
    };
    let lag = &vitals.lag;
    gauge("nodejs_eventloop_lag_seconds", "Lag of the last timer.", &lag.last);
    gauge("nodejs_eventloop_lag_min_seconds", "Least lag of the event loop.", &lag.min);
    gauge("nodejs_eventloop_lag_max_seconds", "Greatest lag of the event loop.", &lag.max);
    gauge("nodejs_eventloop_lag_mean_seconds", "Mean lag of the event loop.", &lag.mean);
    gauge("nodejs_eventloop_lag_stddev_seconds", "Standard deviation of the lag.", &lag.stddev);
    gauge("nodejs_eventloop_lag_p50_seconds", "Median of the lag.", &lag.p50);
    gauge("nodejs_eventloop_lag_p90_seconds", "90th percentile of the lag.", &lag.p90);
    gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the lag.", &lag.p99);
    let heap = &vitals.heap;
    gauge("nodejs_heap_size_total_bytes", "V8's heap, as taken from the system.", &heap.total);
    gauge("nodejs_heap_size_used_bytes", "V8's heap in use.", &heap.used);
    gauge("nodejs_heap_size_limit_bytes", "What V8's heap can grow to.", &heap.limit);
    gauge("nodejs_external_memory_bytes", "Memory of objects outside of V8's heap.", &heap.external);
    gauge("nodejs_active_handles_total", "Sockets, servers and the like that are open.", &vitals.handles());
    gauge("nodejs_active_requests_total", "Operations that are under way.", &vitals.requests());
    let total = vitals.resources.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    gauge("nodejs_active_resources_total", "What keeps the event loop alive.", &total);
    if !vitals.resources.is_empty() {
        page.family("nodejs_active_resources", Kind::Gauge, "What keeps the event loop alive, by type.");
        for (kind, count) in &vitals.resources {
            page.sample("nodejs_active_resources", &[("type", kind)], count);
        }
    }
    if let Some(version) = version {
        let mut parts = version.trim_start_matches('v').split('.');
        let mut next = || parts.next().unwrap_or_default();
        let (major, minor, patch) = (next(), next(), next());
        let labels = [("version", version), ("major", major), ("minor", minor), ("patch", patch)];
        page.single("nodejs_version_info", Kind::Gauge, "Version of Node.js.", &labels, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::custom::{self, Message, Registry};
    use crate::exposition::strict;
    use crate::pages::tests::view;
    use crate::telemetry::{Heap, Lag};

    fn value(samples: &strict::Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        *samples.get(&(name.to_owned(), labels.clone())).unwrap_or_else(|| panic!("no {name}{labels:?}"))
    }

    #[test]
    fn the_five_metrics_of_the_seed_have_their_exact_names() {
        let text = metrics(&view(ProcessState::Online, Some(7)));
        for line in [
            r#"pm2_process_cpu_seconds_total{name="we\"b",instance="0"} 1.5"#,
            r#"pm2_process_memory_bytes{name="we\"b",instance="0"} 1024"#,
            r#"pm2_process_restart_count{name="we\"b",instance="0"} 4"#,
            r#"pm2_process_status{name="we\"b",instance="0"} 1"#,
            r#"pm2_process_uptime_seconds{name="we\"b",instance="0"} 3"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} not in\n{text}");
        }
        let errored = metrics(&view(ProcessState::Errored, None));
        assert!(errored.contains("status{name=\"we\\\"b\",instance=\"0\"} 2"));
        assert!(metrics(&view(ProcessState::WaitingRestart, None)).contains("instance=\"0\"} 0"));
    }

    #[test]
    fn the_page_with_everything_is_valid() {
        let vitals = Vitals {
            lag: Lag { last: 0.001, p99: 0.25, ..Lag::default() },
            heap: Heap { used: 1, total: 2, limit: 3, external: 4 },
            resources: [("TCPServerWrap", 1), ("Timeout", 2), ("FSReqCallback", 1)]
                .map(|(kind, count)| (kind.to_owned(), count))
                .into(),
        };
        let mut registry = Registry::default();
        let line = br#"{"type":"axm:monitor","data":{"Users \"x\"":{"value":"7","unit":"u"},"mode":{"value":"warm"}}}"#;
        let Some(Message::Monitor(all)) = custom::parse(line) else { panic!("no monitor") };
        registry.monitor(all);
        let mut all = view(ProcessState::Online, Some(7));
        all.status.restarts_by_reason = [(ExitReason::Hung, 2)].into();
        all.status.node_version = Some("v22.1.3".into());
        all.vitals = Some(&vitals);
        all.registry = Some(&registry);
        all.open_files = Some(21);
        all.http.codes[1] = 3;
        all.http.buckets = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        all.http.seconds = 20.5;
        let samples = strict::parse(&metrics(&all));
        let own = [("name", "we\"b"), ("instance", "0")];
        let get = |name: &str, more: &[(&str, &str)]| value(&samples, name, &[&own[..], more].concat());
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        close(get("nodeapp_restarts_total", &[("reason", "Hung")]), 2.0);
        close(get("nodeapp_restarts_total", &[("reason", "Crash")]), 0.0);
        close(get("nodeapp_http_requests_total", &[("code", "2xx")]), 3.0);
        close(get("nodeapp_http_request_duration_seconds_bucket", &[("le", "0.05")]), 2.0);
        close(get("nodeapp_http_request_duration_seconds_count", &[]), 3.0);
        close(get("nodeapp_custom", &[("metric", "Users \"x\""), ("unit", "u")]), 7.0);
        close(value(&samples, "nodejs_eventloop_lag_p99_seconds", &[]), 0.25);
        close(value(&samples, "nodejs_active_handles_total", &[]), 1.0);
        close(value(&samples, "process_open_fds", &[]), 21.0);
        close(value(&samples, "nodeapp_runner_info", &[("version", "1.2.3")]), 1.0);
        let version = [("version", "v22.1.3"), ("major", "22"), ("minor", "1"), ("patch", "3")];
        close(value(&samples, "nodejs_version_info", &version), 1.0);
    }

    #[test]
    fn the_page_without_a_process_is_valid_too() {
        strict::parse(&metrics(&view(ProcessState::Errored, None)));
    }
}
