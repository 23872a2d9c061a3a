//! Waiting until what was asked for has come, or has failed.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use nodeapp_operator::controller::names::{RESTARTED_ANNOTATION, is_paused};
use nodeapp_operator::crd::{ConditionType, NodeApp, NodeAppStatus, Reason};

use crate::cluster::{Attempt, Cluster, told};
use crate::select::{RESOURCE, understood};
use crate::state::condition;
use crate::words::span;

/// Time between two looks at an app.
const EVERY: Duration = Duration::from_millis(500);
/// The same for each of many, so that waiting for all of them does not keep the API server busy.
const EACH: Duration = Duration::from_millis(25);

/// Time between two looks at each of so many apps.
pub(crate) fn pace(apps: usize) -> Duration {
    EACH.saturating_mul(u32::try_from(apps).unwrap_or(u32::MAX)).max(EVERY)
}

/// Why nothing happens to an app that is to be left alone.
pub(crate) const PAUSED: &str =
    "the annotation nodeapp.dev/paused keeps the operator from carrying it out; `resume` takes it away";

/// How long nothing is said of what is on its way.
const QUIET: Duration = Duration::from_secs(1);
/// What is waited for first.
const UNSEEN: &str = "the operator has not begun yet";

/// Flags of verbs that wait.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Do not wait until it is done.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Wait no longer than this, such as 90s, 5m or 1h; what was asked for goes on.
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "10m")]
    pub(crate) timeout: Duration,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// All instances are ready and run what the spec of this generation asks for.
    Ready(i64),
    /// No instance is left after the spec of this generation.
    Stopped(i64),
    /// All instances are younger than this request of the annotation for restarts.
    Reloaded(String),
    /// An earlier revision runs in all instances.
    RolledBack(String),
    /// No earlier revision runs any more.
    NotRolledBack,
    /// The object is gone, and its instances too.
    Gone,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    Waiting(String),
    Failed(String),
}

/// Reasons for which waiting is of no use: somebody has to do something.
const FAILURES: [Reason; 10] = [
    Reason::RolloutStuck,
    Reason::RolledBack,
    Reason::BeforeRolloutFailed,
    Reason::PodsRefused,
    Reason::ApplyRefused,
    Reason::CapacityUnknown,
    Reason::UnknownRevision,
    Reason::InvalidSpec,
    Reason::NameTaken,
    Reason::TemplateRefused,
];

/// How far an app is with a spec.
pub(crate) fn of_spec(app: &NodeApp, generation: i64) -> Progress {
    let unseen = || UNSEEN.to_owned();
    let Some(status) = &app.status else { return Progress::Waiting(unseen()) };
    if is_paused(&app.metadata) && status.observed_generation.unwrap_or(0) < generation {
        return Progress::Failed(PAUSED.to_owned());
    }
    if status.observed_generation.unwrap_or(0) < generation {
        return Progress::Waiting(unseen());
    }
    if let Some(failure) = failure(status, &FAILURES) {
        return Progress::Failed(failure);
    }
    let Some(ready) = condition(status, ConditionType::Ready) else { return Progress::Waiting(unseen()) };
    if ready.status == "True" {
        return Progress::Done;
    }
    let is = |reason: Reason| ready.reason == reason.name();
    let complete = status.desired_replicas > 0 && status.available_replicas >= status.desired_replicas;
    if is(Reason::RolledBackByHand) && complete {
        return Progress::Done;
    }
    if is(Reason::RolloutPaused) {
        return Progress::Failed(ready.message.clone());
    }
    Progress::Waiting(ready.message.clone())
}

/// Which of these failures there is, if any.
fn failure(status: &NodeAppStatus, failures: &[Reason]) -> Option<String> {
    let is_final = |reason: &str| failures.iter().any(|failure| failure.name() == reason);
    let invalid = condition(status, ConditionType::Valid).filter(|it| it.status == "False");
    let degraded =
        condition(status, ConditionType::Degraded).filter(|it| it.status == "True" && is_final(&it.reason));
    invalid.or(degraded).map(|it| format!("{}: {}", it.reason, it.message))
}

/// Of the failures, those that keep an app from being stopped too. A build that does not get ready stops well.
const UNSTOPPABLE: [Reason; 4] =
    [Reason::ApplyRefused, Reason::InvalidSpec, Reason::NameTaken, Reason::TemplateRefused];

/// How far a stop is, with so many pods left.
fn of_stop(app: &NodeApp, generation: i64, pods: usize) -> Progress {
    if seen(app) < generation {
        return of_spec(app, generation);
    }
    let kept = app.status.as_ref().and_then(|status| failure(status, &UNSTOPPABLE));
    match (pods, kept) {
        (0, _) => Progress::Done,
        (_, Some(why)) => Progress::Failed(why),
        (1, None) => Progress::Waiting("one instance drains and ends".to_owned()),
        (pods, None) => Progress::Waiting(format!("{pods} instances drain and end")),
    }
}

fn seen(app: &NodeApp) -> i64 {
    app.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0)
}

/// How far a restart on request is. What failed before it says nothing about it, so the Deployment is looked at.
fn of_reload(app: &NodeApp, deployment: Option<&Deployment>, request: &str) -> Progress {
    let template = |deployment: &Deployment| deployment.spec.as_ref()?.template.metadata.clone()?.annotations;
    let taken = |deployment: &Deployment| {
        template(deployment)
            .is_some_and(|all| all.get(RESTARTED_ANNOTATION).is_some_and(|value| value == request))
    };
    let Some(deployment) = deployment.filter(|deployment| taken(deployment)) else { return not_begun(app) };
    let status = deployment.status.clone().unwrap_or_default();
    let number = |number: Option<i32>| number.unwrap_or(0);
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let (updated, available, all) =
        (number(status.updated_replicas), number(status.available_replicas), number(status.replicas));
    let is_current = status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0);
    if is_current && [updated, available, all] == [wanted; 3] {
        return Progress::Done;
    }
    let mut conditions = status.conditions.into_iter().flatten();
    let late = conditions.find(|it| it.type_ == "Progressing" && it.status == "False").filter(|_| is_current);
    match late {
        Some(late) => {
            let why = app.status.as_ref().and_then(|status| failure(status, &FAILURES)).or(late.message);
            Progress::Failed(why.unwrap_or_else(|| "new pods do not get ready".to_owned()))
        }
        None => Progress::Waiting(format!(
            "{updated} of {wanted} instances are new, {available} serve, {all} exist"
        )),
    }
}

/// How far a rollback by hand is.
fn of_rollback(app: &NodeApp, to: &str) -> Progress {
    let Some(status) = &app.status else {
        return Progress::Waiting(UNSEEN.to_owned());
    };
    let seen = status.rollback.as_ref().is_some_and(|rollback| rollback.to == to);
    let unknown =
        condition(status, ConditionType::Degraded).filter(|it| it.reason == Reason::UnknownRevision.name());
    if let Some(unknown) = unknown.filter(|_| seen) {
        return Progress::Failed(unknown.message.clone());
    }
    if !seen || status.revision.as_deref() != Some(to) {
        return Progress::Waiting(UNSEEN.to_owned());
    }
    if let Some(failure) = failure(status, &FAILURES) {
        return Progress::Failed(failure);
    }
    let wanted = status.desired_replicas;
    if [status.updated_replicas, status.available_replicas, status.replicas] == [wanted; 3] {
        return Progress::Done;
    }
    let (updated, all) = (status.updated_replicas, status.replicas);
    Progress::Waiting(format!("{updated} of {wanted} instances run it, {all} exist"))
}

/// How far the end of a rollback is.
fn of_return(app: &NodeApp) -> Progress {
    let known = app.status.as_ref().and_then(|status| status.rollback.as_ref());
    match known {
        Some(_) => Progress::Waiting(UNSEEN.to_owned()),
        None => of_spec(app, app.metadata.generation.unwrap_or(0)),
    }
}

/// What keeps a restart on request from beginning.
fn not_begun(app: &NodeApp) -> Progress {
    let valid = app.status.as_ref().and_then(|status| condition(status, ConditionType::Valid));
    match valid.filter(|valid| valid.status == "False") {
        Some(invalid) => Progress::Failed(format!("{}: {}", invalid.reason, invalid.message)),
        None if is_paused(&app.metadata) => Progress::Failed(PAUSED.to_owned()),
        None => Progress::Waiting(UNSEEN.to_owned()),
    }
}

impl Cluster {
    /// Waits for an app, with so much time between two looks, and says on standard error how far it is whenever that is
    /// news.
    ///
    /// # Errors
    /// What has failed; how far it was when the time was over; what the cluster refuses.
    pub(crate) async fn wait(
        &self,
        app: &NodeApp,
        goal: &Goal,
        timeout: Duration,
        every: Duration,
    ) -> Result<(), String> {
        let (start, mut said) = (Instant::now(), String::new());
        loop {
            let news = match self.progress(app, goal).await? {
                Progress::Done => return Ok(()),
                Progress::Failed(why) => return Err(why),
                Progress::Waiting(news) => news,
            };
            if start.elapsed() >= timeout {
                let after = timeout.as_secs();
                let hint = if news == UNSEEN { "; does it run? `version` tells" } else { "" };
                return Err(format!("not done after {after} s, and it goes on: {news}{hint}"));
            }
            // What is over at once needs no words.
            if news != said && start.elapsed() >= QUIET {
                eprintln!("{}: {news}", app.name_any());
                said = news;
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn progress(&self, app: &NodeApp, goal: &Goal) -> Result<Progress, String> {
        let namespace = app.metadata.namespace.as_deref();
        let name = app.name_any();
        let attempt = |verb, resource| Attempt { verb, resource, namespace };
        let found = self.nodeapps_beside(app).get_opt(&name).await;
        let found = found.map_err(|error| told(&attempt("get", RESOURCE), &error))?.map(understood);
        // Not another one of its name that came meanwhile.
        let found = found.filter(|found| app.uid().is_none() || found.uid() == app.uid());
        let Some(found) = found else {
            if *goal != Goal::Gone {
                return Ok(Progress::Failed("it was deleted meanwhile".to_owned()));
            }
            let left = self.instances(app).await?.len();
            return Ok(match left {
                0 => Progress::Done,
                left => Progress::Waiting(format!("{left} of its instances drain and end")),
            });
        };
        Ok(match goal {
            Goal::Ready(generation) => of_spec(&found, *generation),
            Goal::Stopped(generation) => of_stop(&found, *generation, self.instances(app).await?.len()),
            Goal::Reloaded(request) => {
                let deployment = self.beside::<Deployment>(app).get_opt(&name).await;
                let attempt = attempt("get", "deployments.apps");
                let deployment = deployment.map_err(|error| told(&attempt, &error))?;
                of_reload(&found, deployment.as_ref(), request)
            }
            Goal::RolledBack(to) => of_rollback(&found, to),
            Goal::NotRolledBack => of_return(&found),
            Goal::Gone => Progress::Waiting("a finalizer keeps it".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::state::tests::app;

    fn word(progress: &Progress) -> &'static str {
        match progress {
            Progress::Done => "done",
            Progress::Waiting(_) => "waiting",
            Progress::Failed(_) => "failed",
        }
    }

    #[test]
    fn what_is_asked_for_is_done_when_it_is_ready_and_fails_when_waiting_is_of_no_use() {
        for (conditions, expected) in [
            (vec!["Ready=True:AllInstancesReady"], "done"),
            (vec!["Ready=True:Stopped"], "done"),
            (vec!["Ready=False:RollingOut"], "waiting"),
            (vec!["Ready=False:BeforeRollout"], "waiting"),
            (vec!["Ready=False:RolloutPaused"], "failed"),
            (vec!["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], "failed"),
            (vec!["Ready=False:RolledBack", "Degraded=True:RolledBack"], "failed"),
            (vec!["Ready=False:RollingOut", "Degraded=True:RedisNotReady"], "waiting"),
            (vec!["Ready=False:InvalidSpec", "Valid=False:InvalidSpec"], "failed"),
        ] {
            assert_eq!(word(&of_spec(&app(&conditions, &json!({})), 1)), expected, "{conditions:?}");
        }
        let ready = app(&["Ready=True:AllInstancesReady"], &json!({}));
        assert_eq!(word(&of_spec(&ready, 2)), "waiting", "that is about the spec before");
    }

    #[test]
    fn a_stop_is_done_when_no_pod_is_left() {
        let stopped = app(&["Ready=True:Stopped"], &json!({"desiredReplicas": 0}));
        assert_eq!(word(&of_stop(&stopped, 1, 1)), "waiting");
        assert_eq!(word(&of_stop(&stopped, 1, 0)), "done");
        assert_eq!(word(&of_stop(&stopped, 2, 0)), "waiting", "they are missing for another reason");
        let stuck = app(&["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], &json!({}));
        assert_eq!(word(&of_stop(&stuck, 1, 1)), "waiting", "a build that never got ready stops too");
        let invalid = app(&["Valid=False:InvalidSpec"], &json!({}));
        assert_eq!(word(&of_stop(&invalid, 1, 1)), "failed", "nobody carries it out");
    }

    #[test]
    fn many_apps_are_looked_at_less_often_each() {
        assert_eq!((pace(1), pace(20)), (EVERY, EVERY));
        assert_eq!(pace(1000), Duration::from_secs(25));
    }

    #[test]
    fn a_reload_is_done_when_all_instances_are_new_and_fails_with_the_deployment() {
        let well = app(&["Ready=True:AllInstancesReady"], &json!({}));
        let deployment = |request: &str, status: Value| -> Deployment {
            let template = json!({"metadata": {"annotations": {RESTARTED_ANNOTATION: request}}});
            serde_json::from_value(json!({
                "metadata": {"generation": 4},
                "spec": {"replicas": 2, "selector": {}, "template": template},
                "status": status,
            }))
            .expect("a Deployment")
        };
        let done =
            json!({"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        let of = |request: &str, status: Value| of_reload(&well, Some(&deployment(request, status)), "t2");
        assert_eq!(of("t2", done.clone()), Progress::Done);
        assert_eq!(word(&of("t1", done.clone())), "waiting", "not begun");
        let mut behind = done.clone();
        behind["observedGeneration"] = json!(3);
        assert_eq!(word(&of("t2", behind)), "waiting", "not seen");
        let mut half = done.clone();
        half["updatedReplicas"] = json!(1);
        half["conditions"] = json!([{"type": "Progressing", "status": "False", "message": "too late"}]);
        assert_eq!(of("t2", half), Progress::Failed("too late".to_owned()));
        let stuck = app(&["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], &json!({}));
        assert_eq!(word(&of_reload(&stuck, None, "t2")), "waiting", "it may be what mends it");
        let invalid = app(&["Valid=False:InvalidSpec"], &json!({}));
        assert_eq!(word(&of_reload(&invalid, None, "t2")), "failed");
    }

    #[test]
    fn a_rollback_is_done_when_all_instances_run_the_revision() {
        let of =
            |status: Value| word(&of_rollback(&app(&["Ready=False:RolledBackByHand"], &status), "shop-1"));
        let by_hand = json!({"to": "shop-1", "from": "shop-2"});
        let numbers = |updated| {
            json!({"revision": "shop-1", "rollback": by_hand, "replicas": 2, "availableReplicas": 2,
                "updatedReplicas": updated})
        };
        assert_eq!(of(json!({"revision": "shop-2"})), "waiting");
        assert_eq!(of(numbers(1)), "waiting");
        assert_eq!(of(numbers(2)), "done");
        let unknown = json!({"rollback": by_hand});
        let unknown = app(&["Degraded=True:UnknownRevision"], &unknown);
        assert_eq!(word(&of_rollback(&unknown, "shop-1")), "failed");
    }
}
