//! What a runner's page of metrics says of its process.

/// The figures of one instance at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Of all lives of the process.
    pub(crate) cpu_seconds: f64,
    pub(crate) memory: f64,
    pub(crate) restarts: f64,
    /// 0 stopped, 1 online, 2 errored.
    pub(crate) status: f64,
    pub(crate) uptime: f64,
    pub(crate) ready: bool,
    /// Median and 99th percentile of the event loop's delay, in seconds.
    pub(crate) lag: Option<(f64, f64)>,
    /// In use, and what it can grow to.
    pub(crate) heap: Option<(f64, f64)>,
    pub(crate) handles: Option<f64>,
    pub(crate) requests: f64,
    pub(crate) in_flight: Option<f64>,
    pub(crate) node: Option<String>,
    /// Custom metrics of the app with their values and units.
    pub(crate) custom: Vec<(String, f64, String)>,
}

impl Figures {
    /// Reads Prometheus' text; what is not known is skipped.
    pub(crate) fn of(page: &str) -> Self {
        let mut all = Self::default();
        let (mut p50, mut p99, mut used, mut limit) = (None, None, None, None);
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let name = series.split('{').next().unwrap_or(series);
            match name {
                "pm2_process_cpu_seconds_total" => all.cpu_seconds = value,
                "pm2_process_memory_bytes" => all.memory = value,
                "pm2_process_restart_count" => all.restarts = value,
                "pm2_process_status" => all.status = value,
                "pm2_process_uptime_seconds" => all.uptime = value,
                "nodeapp_ready" => all.ready = value > 0.0,
                "nodeapp_http_requests_total" => all.requests += value,
                "nodeapp_http_requests_in_flight" => all.in_flight = Some(value),
                "nodejs_eventloop_lag_p50_seconds" => p50 = Some(value),
                "nodejs_eventloop_lag_p99_seconds" => p99 = Some(value),
                "nodejs_heap_size_used_bytes" => used = Some(value),
                "nodejs_heap_size_limit_bytes" => limit = Some(value),
                "nodejs_active_handles_total" => all.handles = Some(value),
                "nodejs_version_info" => all.node = label(series, "version"),
                "nodeapp_custom" => {
                    let text = |name| label(series, name).unwrap_or_default();
                    all.custom.push((text("metric"), value, text("unit")));
                }
                _ => {}
            }
        }
        all.lag = p50.zip(p99);
        all.heap = used.zip(limit);
        all
    }
}

/// The value of a label.
fn label(series: &str, name: &str) -> Option<String> {
    let labels = series.split_once('{')?.1;
    let begin = labels.find(&format!("{name}=\""))? + name.len() + 2;
    let (mut text, mut escaped) = (String::new(), false);
    for letter in labels[begin..].chars() {
        match letter {
            'n' if escaped => text.push(' '),
            _ if escaped => text.push(letter),
            '\\' => {}
            '"' => return Some(text),
            _ => text.push(letter),
        }
        escaped = letter == '\\' && !escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_metrics_is_read_and_what_is_unknown_skipped() {
        let page = r#"# HELP pm2_process_memory_bytes Resident memory of the process tree.
pm2_process_cpu_seconds_total{name="web",instance="0"} 12.5
pm2_process_memory_bytes{name="web",instance="0"} 52428800
pm2_process_status{name="web",instance="0"} 1
nodeapp_ready{name="web",instance="0"} 1
nodeapp_http_requests_total{name="web",instance="0",code="2xx"} 40
nodeapp_http_requests_total{name="web",instance="0",code="5xx"} 2
nodeapp_custom{name="web",instance="0",metric="Queue \"a\"",unit="jobs"} 3
nodejs_eventloop_lag_p50_seconds 0.0005
nodejs_eventloop_lag_p99_seconds 0.012
nodejs_version_info{version="v24.1.0",major="24"} 1
something_new{a="b"} 7
not a number x"#;
        let figures = Figures::of(page);
        let expected = Figures {
            cpu_seconds: 12.5,
            memory: 52_428_800.0,
            status: 1.0,
            ready: true,
            lag: Some((0.0005, 0.012)),
            requests: 42.0,
            node: Some("v24.1.0".to_owned()),
            custom: vec![("Queue \"a\"".to_owned(), 3.0, "jobs".to_owned())],
            ..Figures::default()
        };
        assert_eq!(figures, expected);
    }
}
