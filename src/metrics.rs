//! Metrics of the operator. Names are controller-runtime's where it has one, so
//! that the usual dashboards work; labels come from enums, never from texts.

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, Encoder, Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::controller::error::Class;
use crate::controller::outcome::Outcome;

/// Name of the one controller, as a label.
const CONTROLLER: &str = "nodeapp";

/// All metrics, in a registry of their own.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_errors: IntCounterVec,
    reconcile_time: HistogramVec,
    outcomes: IntCounterVec,
    error_classes: IntCounterVec,
    writes: IntCounterVec,
    watch_errors: IntCounterVec,
    requests: IntCounterVec,
    running: IntGauge,
    leads: IntGauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let counter = IntCounterVec::new(Opts::new(name, help), labels).expect("name and labels are valid");
    registry.register(Box::new(counter.clone())).expect("each name is registered once");
    counter
}

impl Metrics {
    /// New metrics; every label value that is known beforehand starts at 0.
    pub fn new() -> Self {
        let registry = Registry::new();
        let buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let time = HistogramOpts::new(
            "controller_runtime_reconcile_time_seconds",
            "Length of time per reconciliation per controller",
        );
        let reconcile_time =
            HistogramVec::new(time.buckets(buckets), &["controller"]).expect("name and labels are valid");
        registry.register(Box::new(reconcile_time.clone())).expect("each name is registered once");
        let running = IntGauge::new("controller_runtime_active_workers", "Reconciles that are under way")
            .expect("the name is valid");
        registry.register(Box::new(running.clone())).expect("each name is registered once");
        let leads = IntGauge::with_opts(
            Opts::new("leader_election_master_status", "1 while this operator leads")
                .const_label("name", CONTROLLER),
        )
        .expect("the name is valid");
        registry.register(Box::new(leads.clone())).expect("each name is registered once");
        registry.register(Box::new(Process::new())).expect("each name is registered once");
        let of = |name: &str, help: &str, labels: &[&str]| counter(&registry, name, help, labels);
        let metrics = Self {
            reconciles: of(
                "controller_runtime_reconcile_total",
                "Total number of reconciliations per controller",
                &["controller", "result"],
            ),
            reconcile_errors: of(
                "controller_runtime_reconcile_errors_total",
                "Total number of reconciliation errors per controller",
                &["controller"],
            ),
            outcomes: of("nodeapp_reconcile_outcomes_total", "Reconciles by what they came to", &["outcome"]),
            error_classes: of(
                "nodeapp_reconcile_failures_total",
                "Failed reconciles by class of error",
                &["class"],
            ),
            writes: of("nodeapp_writes_total", "Writes of children and statuses", &["what"]),
            watch_errors: of("nodeapp_watch_errors_total", "Errors of a watch", &["kind"]),
            requests: of("rest_client_requests_total", "Requests to the API server", &["code", "method"]),
            reconcile_time,
            running,
            leads,
            registry: registry.clone(),
        };
        metrics.start_at_zero();
        metrics
    }

    fn start_at_zero(&self) {
        for result in ["success", "error"] {
            self.reconciles.with_label_values(&[CONTROLLER, result]);
        }
        self.reconcile_errors.with_label_values(&[CONTROLLER]);
        for outcome in Outcome::ALL {
            self.outcomes.with_label_values(&[outcome.name()]);
        }
        for class in Class::ALL {
            self.error_classes.with_label_values(&[class.name()]);
        }
        for what in ["children", "status"] {
            self.writes.with_label_values(&[what]);
        }
    }

    /// Counts a reconcile that has begun, until the guard is dropped.
    pub fn begin(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// Counts a reconcile that came to something.
    pub fn succeeded(&self, outcome: Outcome, took: Duration) {
        self.reconciles.with_label_values(&[CONTROLLER, "success"]).inc();
        self.outcomes.with_label_values(&[outcome.name()]).inc();
        self.reconcile_time.with_label_values(&[CONTROLLER]).observe(took.as_secs_f64());
    }

    /// Counts a reconcile that failed.
    pub fn failed(&self, class: Class, took: Duration) {
        self.reconciles.with_label_values(&[CONTROLLER, "error"]).inc();
        self.reconcile_errors.with_label_values(&[CONTROLLER]).inc();
        self.error_classes.with_label_values(&[class.name()]).inc();
        self.reconcile_time.with_label_values(&[CONTROLLER]).observe(took.as_secs_f64());
    }

    /// Notes whether this operator leads.
    pub fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    /// Counts writes of children.
    pub fn wrote_children(&self, writes: u32) {
        self.writes.with_label_values(&["children"]).inc_by(u64::from(writes));
    }

    /// Counts a write of a status.
    pub fn wrote_status(&self) {
        self.writes.with_label_values(&["status"]).inc();
    }

    /// Counts an error of a watch.
    pub fn watch_failed(&self, kind: &str) {
        self.watch_errors.with_label_values(&[kind]).inc();
    }

    /// Counts a request.
    pub fn requested(&self, code: &str, method: &str) {
        self.requests.with_label_values(&[code, method]).inc();
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "cannot render the metrics");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// A reconcile under way.
pub struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What the process itself uses, read anew by each scrape.
struct Process {
    resident_memory: Gauge,
    cpu_seconds: Counter,
}

impl Process {
    fn new() -> Self {
        let resident_memory = Gauge::new("process_resident_memory_bytes", "Resident memory size in bytes")
            .expect("a valid name");
        let cpu_seconds =
            Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds")
                .expect("a valid name");
        Self { resident_memory, cpu_seconds }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.resident_memory.desc(), self.cpu_seconds.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(usage) = process_usage() else { return Vec::new() };
        // New ones, since a counter cannot be set and scrapes may come at once.
        let now = Self::new();
        now.resident_memory.set(usage.resident_bytes);
        now.cpu_seconds.inc_by(usage.cpu_seconds);
        [now.resident_memory.collect(), now.cpu_seconds.collect()].concat()
    }
}

struct Usage {
    resident_bytes: f64,
    cpu_seconds: f64,
}

/// Linux counts CPU time in hundredths of a second for all programs.
const TICKS_PER_SECOND: f64 = 100.0;

fn process_usage() -> Option<Usage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the process, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(Usage { resident_bytes: kibibytes * 1024.0, cpu_seconds: ticks / TICKS_PER_SECOND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboards_find_the_names_they_know() {
        let metrics = Metrics::new();
        metrics.succeeded(Outcome::Changed, Duration::from_millis(3));
        metrics.failed(Class::Forbidden, Duration::from_millis(3));
        metrics.requested("200", "PATCH");
        let text = metrics.render();
        for line in [
            r#"controller_runtime_reconcile_total{controller="nodeapp",result="success"} 1"#,
            r#"controller_runtime_reconcile_errors_total{controller="nodeapp"} 1"#,
            r#"controller_runtime_reconcile_time_seconds_count{controller="nodeapp"} 2"#,
            r#"rest_client_requests_total{code="200",method="PATCH"} 1"#,
            r#"nodeapp_reconcile_outcomes_total{outcome="unchanged"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_process_tells_its_memory_and_its_processor_time() {
        let metrics = Metrics::new();
        // Each scrape reads anew and adds nothing up.
        for _ in 0..2 {
            let text = metrics.render();
            assert!(text.contains("# TYPE process_resident_memory_bytes gauge"), "{text}");
            assert!(text.contains("# TYPE process_cpu_seconds_total counter"), "{text}");
            let used = process_usage().unwrap().cpu_seconds;
            let told = text.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
            let told: f64 = told.unwrap().parse().unwrap();
            assert!(told <= used, "{told} s told, {used} s used");
        }
    }

    #[test]
    fn a_reconcile_under_way_is_counted_until_it_ends() {
        let metrics = Metrics::new();
        let running = metrics.begin();
        assert!(metrics.render().contains("controller_runtime_active_workers 1"));
        drop(running);
        assert!(metrics.render().contains("controller_runtime_active_workers 0"));
    }
}
