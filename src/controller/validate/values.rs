//! Values of a spec with their defaults; what cannot be read is a problem.

use std::time::Duration;

use super::Problems;
use crate::crd::notation::{Delay, Time};

/// A time, or its default.
pub(super) fn time(
    field: &str,
    given: Option<&Time>,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    given.map_or(default, |given| problems.take(field, given.parse(), default))
}

/// As [`time`], for a time that needs its unit.
pub(super) fn delay(
    field: &str,
    given: Option<&Delay>,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    given.map_or(default, |given| problems.take(field, given.parse(), default))
}

/// A number that is at least `least`.
pub(super) fn count(
    field: &str,
    given: Option<i32>,
    default: u32,
    least: u32,
    problems: &mut Problems,
) -> u32 {
    let Some(given) = given else { return default };
    match u32::try_from(given) {
        Ok(count) if count >= least => count,
        _ => {
            problems.add(field, &format!("must be {least} or more"));
            default
        }
    }
}

/// A port from 1 to 65535.
pub(super) fn port(field: &str, port: i32, problems: &mut Problems) -> Option<u16> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    if port.is_none() {
        problems.add(field, "must be a port from 1 to 65535");
    }
    port
}
