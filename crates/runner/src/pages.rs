//! The four pages of the endpoint, made from one view of the state.

use nodeapp_contract::{LAST_EXIT_PAGE, LastExit, RunnerStatus};

use crate::custom::Registry;
use crate::http::Answer;
use crate::ipc::Traffic;
use crate::metrics::metrics;
use crate::telemetry::{Http, Vitals};

/// What the pages show.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) name: String,
    pub(crate) status: RunnerStatus,
    pub(crate) cpu_seconds: f64,
    pub(crate) uptime_seconds: f64,
    pub(crate) open_files: Option<usize>,
    pub(crate) vitals: Option<&'a Vitals>,
    pub(crate) http: Http,
    pub(crate) registry: Option<&'a Registry>,
    pub(crate) traffic: Traffic,
}

/// The page of a path. The whole view is only made where it is shown: `/ready`
/// is asked for all the time.
pub(crate) fn page<'v>(path: &str, not_ready: Option<&str>, view: impl FnOnce() -> View<'v>) -> Answer {
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

/// The last exit with its last lines, for who knows the key; nothing if that is not
/// what was asked for.
pub(crate) fn last_exit(path: &str, key: Option<&str>, exit: Option<&LastExit>) -> Option<Answer> {
    let given = path.strip_prefix(LAST_EXIT_PAGE)?;
    if given.is_empty() || Some(given) != key {
        return None;
    }
    let body = serde_json::to_string(&exit).unwrap_or_default() + "\n";
    Some(Answer { status: 200, kind: "application/json", body })
}

#[cfg(test)]
pub(crate) mod tests {
    use nodeapp_contract::status::ProcessState;

    use super::*;

    pub(crate) fn view(state: ProcessState, pid: Option<u32>) -> View<'static> {
        let status = RunnerStatus {
            state,
            ready: pid.is_some(),
            not_ready_reason: pid.is_none().then(|| "it does not run".to_owned()),
            pid,
            restarts: 4,
            started_at: None,
            rss: Some(1_024),
            in_flight: Some(2),
            version: "1.2.3".into(),
            node_version: None,
            restarts_by_reason: [].into(),
            event_loop: None,
            heap: None,
            actions: vec![],
            last_exit: None,
        };
        View {
            name: "we\"b".into(),
            status,
            cpu_seconds: 1.5,
            uptime_seconds: 3.0,
            open_files: None,
            vitals: None,
            http: Http::default(),
            registry: None,
            traffic: Traffic::default(),
        }
    }

    #[test]
    fn readiness_is_told_with_its_reason() {
        assert_eq!(page("/ready", None, || view(ProcessState::Online, Some(7))).status, 200);
        let answer = page("/ready", Some("it does not run"), || view(ProcessState::WaitingRestart, None));
        assert_eq!((answer.status, answer.body.as_str()), (503, "not ready: it does not run\n"));
        assert_eq!(page("/env", None, || view(ProcessState::Online, None)).status, 404);
    }

    #[test]
    fn what_is_asked_all_the_time_costs_no_look_at_the_processes() {
        for path in ["/ready", "/live", "/nothing"] {
            page(path, None, || panic!("{path} needs no view"));
        }
    }

    #[test]
    fn last_lines_are_told_to_who_knows_the_key() {
        let exit: LastExit =
            serde_json::from_str(r#"{"reason":"Crash","message":"m","at":1,"logTail":["Error: no"]}"#)
                .unwrap();
        let ask = |path, key| last_exit(path, key, Some(&exit));
        assert!(ask("/last-exit/k1", Some("k1")).unwrap().body.contains("Error: no"));
        assert_eq!(ask("/last-exit/k2", Some("k1")), None);
        assert_eq!(ask("/last-exit/", Some("")), None);
        assert_eq!(ask("/last-exit/", None), None);
        assert_eq!(ask("/status", Some("k1")), None);
    }

    #[test]
    fn status_is_the_contracts_json() {
        let answer = page("/status", None, || view(ProcessState::Online, Some(7)));
        let status: RunnerStatus = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((status.restarts, status.pid), (4, Some(7)));
    }
}
