//! The Gateway API, which a cluster may have, get and lose: it is no part of Kubernetes. Its routes are
//! watched like other children where it is there. Where it is not, it is looked for now and then while
//! an app asks for a route, and nothing else waits for it.

mod object;
mod watch;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub use object::{HttpRoute, ParentReference, RouteParentStatus, RouteStatus};
pub(super) use watch::{is_absent, keep_watching};

use super::cache::AppKey;

/// How often the API is looked for while an app asks for a route.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Whether the API is there, and which apps want to know.
#[derive(Debug, Default)]
pub struct Gateway {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    apps: BTreeSet<AppKey>,
    served: bool,
}

impl Gateway {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the cluster has the API, as far as is known.
    pub fn is_served(&self) -> bool {
        self.lock().served
    }

    /// Notes whether an app asks for a route.
    pub fn wants(&self, app: &AppKey, wants: bool) {
        let mut state = self.lock();
        if !wants {
            state.apps.remove(app);
        } else if !state.apps.contains(app) {
            state.apps.insert(app.clone());
            self.asked.notify_one();
        }
    }

    /// Notes whether the API is there; returns the apps for which that is news.
    fn learn(&self, served: bool) -> Vec<AppKey> {
        let mut state = self.lock();
        let news = std::mem::replace(&mut state.served, served) != served;
        if news { state.apps.iter().cloned().collect() } else { Vec::new() }
    }

    /// Resolves when it is time to look for the API again: never while nobody wants to know, and at
    /// once when somebody new does.
    async fn worth_a_look(&self) {
        if self.lock().apps.is_empty() {
            self.asked.notified().await;
            return;
        }
        tokio::select! {
            () = self.asked.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> AppKey {
        AppKey { namespace: "shop".into(), name: name.into() }
    }

    #[test]
    fn that_the_api_comes_and_goes_is_news_for_those_who_ask_for_routes() {
        let gateway = Gateway::default();
        gateway.wants(&key("web"), true);
        gateway.wants(&key("api"), true);
        gateway.wants(&key("api"), false);
        assert!(gateway.learn(false).is_empty(), "it was not there before");
        assert_eq!(gateway.learn(true), [key("web")]);
        assert!(gateway.is_served());
        assert!(gateway.learn(true).is_empty());
        assert_eq!(gateway.learn(false), [key("web")]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_looks_for_an_api_that_nobody_wants_and_a_new_wish_is_looked_after_at_once() {
        let gateway = Gateway::default();
        let day = Duration::from_hours(24);
        assert!(tokio::time::timeout(day, gateway.worth_a_look()).await.is_err());
        gateway.wants(&key("web"), true);
        let start = tokio::time::Instant::now();
        gateway.worth_a_look().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        gateway.worth_a_look().await;
        assert_eq!(start.elapsed(), LOOK_EVERY);
    }
}
