//! The way to the API server, with every request counted.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service};

use crate::controller::wiring::WATCH_SECONDS;
use crate::metrics::Metrics;

/// A connection that is not there by then will not come.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Longer than a watch, which may be silent from its beginning to its end.
const READ_PATIENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 20);

/// A client for the cluster that the process runs in or that its kubeconfig names.
///
/// # Errors
/// When neither is there, or its certificates cannot be read.
pub async fn connect(metrics: &Metrics) -> Result<Client, kube::Error> {
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    Ok(ClientBuilder::try_from(tuned(config))?.with_layer(&CountRequests(metrics.clone())).build())
}

/// A configuration from anywhere, with the operator's own patience.
#[must_use]
pub fn tuned(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_PATIENCE);
    // Also for what streams; without the reset, the rest of a connection between
    // two requests would count as silence.
    config.read_timeout = Some(READ_PATIENCE);
    config.reset_reader_on_write = true;
    // The library would ask again up to fifteen times, for minutes, before anyone
    // learned of it: our own back-off, the statuses and the metrics.
    config.default_retry = false;
    config
}

/// Counts requests by method and answer.
#[derive(Clone)]
pub struct CountRequests(pub Metrics);

impl<S> Layer<S> for CountRequests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counted { inner, metrics: self.0.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Clone)]
pub struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (metrics, method) = (self.metrics.clone(), request.method().clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code =
                answer.as_ref().map_or("<error>".to_owned(), |answer| answer.status().as_str().to_owned());
            metrics.requested(&code, method.as_str());
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_busy_api_server_is_asked_once_since_the_next_try_is_ours_to_time() {
        for code in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let busy = Router::new().fallback(move || {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::ready(code)
            });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let server = tokio::spawn(async move { axum::serve(listener, busy).await });
            let config = tuned(Config::new(address.parse().unwrap()));
            let client = ClientBuilder::try_from(config).unwrap().build();
            let request = Request::get("/version").body(Vec::new()).unwrap();
            client.request::<serde_json::Value>(request).await.unwrap_err();
            assert_eq!(asked.load(Ordering::SeqCst), 1, "{code}");
            server.abort();
        }
    }

    #[test]
    fn no_answer_is_waited_for_without_end_and_no_healthy_watch_is_cut() {
        let config = tuned(Config::new("http://localhost".parse().unwrap()));
        let patience = config.read_timeout.unwrap();
        assert!(patience > Duration::from_secs(WATCH_SECONDS.into()) && patience < Duration::from_mins(5));
        assert!(config.reset_reader_on_write, "a connection's rest does not count");
    }
}
