//! Gathers the apps whose children changed, so that a burst of events about the
//! same app causes one reconcile.

use std::collections::HashSet;
use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::cache::AppKey;

/// Emits each app once per `window`, which starts with the first event.
pub(super) fn debounced(
    events: UnboundedReceiver<AppKey>,
    window: Duration,
) -> impl Stream<Item = HashSet<AppKey>> {
    unfold(events, move |mut events| async move {
        let mut gathered = HashSet::from([events.recv().await?]);
        let end = Instant::now() + window;
        loop {
            tokio::select! {
                () = sleep_until(end) => break,
                event = events.recv() => match event {
                    Some(app) => { gathered.insert(app); }
                    None => break,
                },
            }
        }
        Some((gathered, events))
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_burst_comes_out_once() {
        let (send, receive) = tokio::sync::mpsc::unbounded_channel();
        let key = |name: &str| AppKey { namespace: "shop".into(), name: name.into() };
        for name in ["a", "b", "a", "a"] {
            send.send(key(name)).unwrap();
        }
        drop(send);
        let batches: Vec<_> = debounced(receive, Duration::from_millis(50)).collect().await;
        assert_eq!(batches, [HashSet::from([key("a"), key("b")])]);
    }
}
