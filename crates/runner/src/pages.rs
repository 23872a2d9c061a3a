//! The four pages of the endpoint, made from one view of the state.

use std::fmt::Write as _;

use nodeapp_contract::RunnerStatus;
use nodeapp_contract::status::ProcessState;

use crate::http::Answer;

/// What the pages show.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) status: RunnerStatus,
    pub(crate) cpu_seconds: f64,
    pub(crate) uptime_seconds: f64,
}

/// The page of a path. The whole view is only made where it is shown: `/ready`
/// is asked for all the time.
pub(crate) fn page(path: &str, not_ready: Option<&str>, view: impl FnOnce() -> View) -> Answer {
    match path {
        "/ready" => match not_ready {
            None => Answer::text(200, "ready\n"),
            Some(reason) => Answer::text(503, format!("not ready: {reason}\n")),
        },
        // Whoever gets this answer has asked a runner that works.
        "/live" => Answer::text(200, "live\n"),
        "/status" => Answer {
            status: 200,
            kind: "application/json",
            body: serde_json::to_string(&view().status).unwrap_or_default() + "\n",
        },
        "/metrics" => {
            Answer { status: 200, kind: "text/plain; version=0.0.4; charset=utf-8", body: metrics(&view()) }
        }
        _ => Answer::text(404, "known paths: /ready /live /status /metrics\n"),
    }
}

/// Prometheus text. The `pm2_process_*` names and their meaning are what
/// dashboards of teams that come from PM2 are built on.
fn metrics(view: &View) -> String {
    let status = &view.status;
    let state = match status.state {
        ProcessState::Errored => 2,
        _ if status.pid.is_some() => 1,
        _ => 0,
    };
    let label = view.name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut text = String::with_capacity(1_500);
    let mut add = |name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display| {
        let _ = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{name=\"{label}\",instance=\"0\"}} {value}\n"
        );
    };
    add("pm2_process_cpu_seconds_total", "counter", "Processor time of the process tree.", &view.cpu_seconds);
    add(
        "pm2_process_memory_bytes",
        "gauge",
        "Resident memory of the process tree.",
        &status.rss.unwrap_or(0),
    );
    add("pm2_process_restart_count", "counter", "Restarts in place.", &status.restarts);
    add("pm2_process_status", "gauge", "0 stopped, 1 online, 2 errored.", &state);
    add("pm2_process_uptime_seconds", "gauge", "Age of the process.", &view.uptime_seconds);
    add("nodeapp_ready", "gauge", "1 if the pod may get traffic.", &u8::from(status.ready));
    if let Some(in_flight) = status.in_flight {
        add("nodeapp_http_requests_in_flight", "gauge", "Requests being answered.", &in_flight);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(state: ProcessState, pid: Option<u32>) -> View {
        let status = RunnerStatus {
            state,
            ready: pid.is_some(),
            not_ready_reason: pid.is_none().then(|| "it does not run".to_owned()),
            pid,
            restarts: 4,
            started_at: None,
            rss: Some(1_024),
            in_flight: Some(2),
            last_exit: None,
        };
        View { name: "we\"b".into(), status, cpu_seconds: 1.5, uptime_seconds: 3.0 }
    }

    #[test]
    fn readiness_is_told_with_its_reason() {
        assert_eq!(page("/ready", None, || view(ProcessState::Online, Some(7))).status, 200);
        let answer = page("/ready", Some("it does not run"), || view(ProcessState::WaitingRestart, None));
        assert_eq!((answer.status, answer.body.as_str()), (503, "not ready: it does not run\n"));
        assert_eq!(page("/env", None, || view(ProcessState::Online, None)).status, 404);
    }

    #[test]
    fn status_is_the_contracts_json() {
        let answer = page("/status", None, || view(ProcessState::Online, Some(7)));
        let status: RunnerStatus = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((status.restarts, status.pid), (4, Some(7)));
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
        assert!(
            metrics(&view(ProcessState::Errored, None)).contains("status{name=\"we\\\"b\",instance=\"0\"} 2")
        );
        assert!(metrics(&view(ProcessState::WaitingRestart, None)).contains("instance=\"0\"} 0"));
    }
}
