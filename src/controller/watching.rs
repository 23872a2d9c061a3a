//! The health of watches: what is everyday, what is said, when a failed one
//! begins again.

use std::time::{Duration, Instant};

use k8s_openapi::Resource as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{Error, Event};

use super::error::chain;
use super::gateway::{HttpRoute, is_absent};
use crate::health::Health;
use crate::metrics::Metrics;

const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Shorter than the library's half minute: after an outage, every app of the
/// cluster waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After so long without an error the first wait is the first again.
const QUIET: Duration = Duration::from_mins(1);

/// Waits between two tries of a watch, growing, with a spread.
#[derive(Debug, Default)]
pub(super) struct WatchBackoff {
    last: Option<(Instant, Duration)>,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let recent = self.last.filter(|(at, _)| at.elapsed() < QUIET);
        let wait = recent.map_or(FIRST_WAIT, |(_, wait)| (wait * 2).min(LONGEST_WAIT));
        self.last = Some((Instant::now(), wait));
        Some(wait.mul_f64(rand::random_range(0.8..1.2)))
    }
}

impl Backoff for WatchBackoff {
    /// The library resets with every event, the beginning of a list included;
    /// only a quiet time says that a watch is well.
    fn reset(&mut self) {}
}

/// Keeps health, metrics and logs informed about a watch of this kind and name.
pub(super) fn note<K>(
    health: &Health,
    metrics: &Metrics,
    kind: &str,
    name: &str,
    event: &Result<Event<K>, Error>,
) {
    match event {
        // A list has begun; it may still fail.
        Ok(Event::Init) => {}
        Ok(event) => {
            if health.watch_delivers(name, matches!(event, Event::InitDone)) {
                tracing::debug!(watch = name, "the watch delivers again");
            }
        }
        // No part of Kubernetes: there is nothing to watch, and that is known.
        Err(error) if kind == HttpRoute::KIND && is_absent(error) => {
            health.watch_delivers(name, true);
        }
        Err(error) => {
            metrics.watch_failed(kind);
            let text = chain(error);
            // Our place in the history is gone: the watch lists again.
            let news = !is_expired(error) && health.watch_failed(name, &text, Instant::now());
            if news && answered(error) {
                tracing::warn!(watch = name, error = text, "the watch fails; trying again");
            } else {
                tracing::debug!(watch = name, error = text, "the watch was cut; trying again");
            }
            if news {
                // If it is not about this watch alone, that is said once for all.
                health.look_again();
            }
        }
    }
}

fn is_expired(error: &Error) -> bool {
    matches!(error, Error::WatchError(status) if status.code == 410)
}

/// Whether the API server itself said no, which is about this kind.
fn answered(error: &Error) -> bool {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code < 500)
        }
        Error::WatchError(status) => status.code < 500,
        Error::NoResourceVersion => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_of_a_watch_grow_to_a_limit_whatever_the_library_resets() {
        let mut backoff = WatchBackoff::default();
        let waits: Vec<f64> = (0..8)
            .map(|_| {
                backoff.reset();
                backoff.next().unwrap_or_default().as_secs_f64()
            })
            .collect();
        assert!(waits[0] < 0.61 && waits[7] > 3.9 && waits[7] < 6.1, "{waits:?}");
    }

    #[test]
    fn an_expired_place_in_the_history_is_no_failure() {
        let health = Health::new(&[]);
        health.found_missing(Vec::new());
        let metrics = Metrics::new();
        let gone = kube::core::Status::failure("too old", "Expired").with_code(410).boxed();
        let event: Result<Event<()>, Error> = Err(Error::WatchError(gone));
        for _ in 0..5 {
            note(&health, &metrics, "Service", "Service", &event);
        }
        assert!(health.missing().is_empty());
    }
}
