//! Logs of the operator, on standard output.

use std::fmt;
use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged unless `RUST_LOG` says otherwise. The library would log each
/// failed request; who made it says once what it means.
const DEFAULT_FILTER: &str = "info,kube_client=off,kube_runtime=off";

/// What is logged, to be read and changed while the operator runs.
#[derive(Clone)]
pub struct LogLevel(Arc<dyn Adjust>);

trait Adjust: Send + Sync {
    fn get(&self) -> String;
    fn set(&self, filter: EnvFilter) -> Result<(), String>;
}

impl<S> Adjust for reload::Handle<EnvFilter, S> {
    fn get(&self) -> String {
        self.with_current(ToString::to_string).unwrap_or_default()
    }

    fn set(&self, filter: EnvFilter) -> Result<(), String> {
        self.reload(filter).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevel").field(&self.0.get()).finish()
    }
}

impl LogLevel {
    /// The filter in use.
    pub fn get(&self) -> String {
        self.0.get()
    }

    /// Takes another filter in the syntax of `RUST_LOG`; the one of the start for an
    /// empty one.
    ///
    /// # Errors
    /// Says what is wrong with the filter, which then stays as it was.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = match filter.trim() {
            "" => initial(),
            given => EnvFilter::try_new(given).map_err(|error| {
                format!("{error}; a filter looks like debug or info,nodeapp_operator=debug")
            })?,
        };
        self.0.set(filter)
    }
}

fn initial() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER))
}

/// Sets up logging for the whole process.
pub fn init(format: LogFormat) -> LogLevel {
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(initial());
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    LogLevel(Arc::new(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_taken_or_refused_as_a_whole() {
        let (_layer, handle) = reload::Layer::<EnvFilter, Registry>::new(EnvFilter::new("info"));
        let level = LogLevel(Arc::new(handle));
        level.set("warn,nodeapp_operator=debug").unwrap();
        assert!(level.get().contains("nodeapp_operator=debug"), "{}", level.get());
        let refused = level.set("nodeapp_operator=loud").unwrap_err();
        assert!(refused.contains("a filter looks like"), "{refused}");
        assert!(level.get().contains("nodeapp_operator=debug"), "{}", level.get());
    }
}
