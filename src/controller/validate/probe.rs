//! Checks of the app.

use std::time::Duration;

use nodeapp_contract::config::{Check, Probe};

use super::Problems;
use super::values::{self, count, delay};
use crate::crd::{defaults, probes};

/// One probe.
pub(super) fn probe(
    field: &str,
    given: &probes::Probe,
    port: Option<u16>,
    problems: &mut Problems,
) -> Option<Probe> {
    let check = check(field, given, port, problems);
    let period = delay(&format!("{field}.period"), given.period.as_ref(), defaults::PROBE_PERIOD, problems);
    if period < Duration::from_millis(100) {
        problems.add(&format!("{field}.period"), "must be at least 100ms");
    }
    let timeout =
        delay(&format!("{field}.timeout"), given.timeout.as_ref(), defaults::PROBE_TIMEOUT, problems);
    if timeout.is_zero() {
        problems.add(&format!("{field}.timeout"), "must be more than 0");
    }
    Some(Probe {
        check: check?,
        initial_delay: delay(
            &format!("{field}.initialDelay"),
            given.initial_delay.as_ref(),
            Duration::ZERO,
            problems,
        )
        .into(),
        period: period.into(),
        timeout: timeout.into(),
        failure_threshold: count(
            &format!("{field}.failureThreshold"),
            given.failure_threshold,
            defaults::PROBE_FAILURES,
            1,
            problems,
        ),
        success_threshold: count(
            &format!("{field}.successThreshold"),
            given.success_threshold,
            defaults::PROBE_SUCCESSES,
            1,
            problems,
        ),
    })
}

fn check(
    field: &str,
    given: &probes::Probe,
    app_port: Option<u16>,
    problems: &mut Problems,
) -> Option<Check> {
    let mut port = |kind: &str, given: Option<i32>| match given {
        Some(port) => values::port(&format!("{field}.{kind}.port"), port, problems),
        None if app_port.is_some() => app_port,
        None => {
            problems.add(&format!("{field}.{kind}.port"), "is needed, since the app has no spec.port");
            None
        }
    };
    let http = given.http.as_ref().map(|http| {
        let headers = http.headers.iter().map(|header| (header.name.clone(), header.value.clone()));
        Some(Check::Http {
            port: port("http", http.port)?,
            path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
            headers: headers.collect(),
        })
    });
    let tcp = given.tcp.as_ref().map(|tcp| Some(Check::Tcp { port: port("tcp", tcp.port)? }));
    let exec = given.exec.as_ref().map(|exec| Some(Check::Exec { argv: exec.command.clone() }));
    let grpc = given.grpc.as_ref().map(|grpc| {
        Some(Check::Grpc {
            port: port("grpc", grpc.port)?,
            service: grpc.service.clone().unwrap_or_default(),
        })
    });
    if exec.is_some() && given.exec.as_ref().is_none_or(|exec| exec.command.is_empty()) {
        problems.add(&format!("{field}.exec.command"), "must name a program");
    }
    let mut given: Vec<_> = [http, tcp, exec, grpc].into_iter().flatten().collect();
    if given.len() == 1 {
        return given.remove(0);
    }
    problems.add(field, "has exactly one of http, tcp, exec and grpc");
    None
}
