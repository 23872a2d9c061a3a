//! How an app is, in one word as PM2 has them, and why it is not well. Plain functions of what the API has.

use kube::ResourceExt;
use nodeapp_operator::controller::names::is_paused;
use nodeapp_operator::crd::{Condition, ConditionType, NodeApp, NodeAppStatus, Reason};

use crate::table::Colour;

/// The state of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// `online`, `launching`, `stopped`, `errored`, …
    pub(crate) word: &'static str,
    /// Why it is not as it should be; none if it is.
    pub(crate) why: Option<String>,
}

impl State {
    fn well(word: &'static str) -> Self {
        Self { word, why: None }
    }

    fn because(word: &'static str, why: &str) -> Self {
        Self { word, why: Some(why.to_owned()) }
    }

    /// Green for what is as it should be, red for what somebody has to look at.
    pub(crate) fn colour(&self) -> Colour {
        match self.word {
            "online" | "scheduled" | "running" => Colour::Green,
            "stopped" | "stopping" | "deleting" | "paused" => Colour::Grey,
            "new" | "launching" | "reloading" | "scaling" | "waiting" => Colour::Yellow,
            _ => Colour::Red,
        }
    }
}

/// A condition of the app.
pub(crate) fn condition(status: &NodeAppStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_.name())
}

/// Whether it is one that runs by a schedule and ends.
pub(crate) fn is_job(app: &NodeApp) -> bool {
    app.spec.cron_restart.is_some() && app.spec.autorestart == Some(false)
}

/// Whether its instances are decided by something else than `instances`, and by what.
pub(crate) fn counted_by(app: &NodeApp) -> Option<&'static str> {
    match (&app.spec.fill_cluster, &app.spec.autoscaling) {
        (Some(_), _) => Some("fillCluster"),
        (_, Some(_)) => Some("autoscaling"),
        _ => None,
    }
}

/// How the app is.
pub(crate) fn state(app: &NodeApp) -> State {
    if app.metadata.deletion_timestamp.is_some() {
        return State::well("deleting");
    }
    let Some(status) = app.status.as_ref().filter(|status| !status.conditions.is_empty()) else {
        return State::because("new", "the operator has not looked at it yet; does it run?");
    };
    let says = |type_, wanted: &str| condition(status, type_).filter(|it| it.status == wanted);
    if let Some(invalid) = says(ConditionType::Valid, "False") {
        return State::because("invalid", &invalid.message);
    }
    if let Some(degraded) = says(ConditionType::Degraded, "True") {
        let serves = status.available_replicas > 0 || is_job(app);
        return State::because(if serves { "degraded" } else { "errored" }, &degraded.message);
    }
    let paused = is_paused(&app.metadata);
    let behind = status.observed_generation < app.metadata.generation;
    let pending = match (paused, behind) {
        (true, true) => Some("left alone by the annotation nodeapp.dev/paused; changes of the spec wait"),
        (true, false) => Some("left alone by the annotation nodeapp.dev/paused"),
        (false, true) => Some("the operator has not looked at the last change yet"),
        (false, false) => None,
    };
    let State { word, why } = course(app, status);
    State { word, why: why.or_else(|| pending.map(str::to_owned)) }
}

/// The same of one that nothing is wrong with.
fn course(app: &NodeApp, status: &NodeAppStatus) -> State {
    let reason = |type_| condition(status, type_).map_or("", |it| it.reason.as_str());
    let is = |type_, wanted: Reason| reason(type_) == wanted.name();
    let ready = condition(status, ConditionType::Ready);
    let is_ready = ready.is_some_and(|ready| ready.status == "True");
    if is(ConditionType::Ready, Reason::Stopped)
        || (status.desired_replicas == 0 && status.replicas == 0 && is_ready)
    {
        return State::well("stopped");
    }
    if is_job(app) {
        return State::well(if status.replicas > 0 { "running" } else { "scheduled" });
    }
    if is_ready {
        return State::well("online");
    }
    let why = ready.map_or("", |ready| ready.message.as_str());
    if status.desired_replicas == 0 && status.replicas > 0 {
        return State::because("stopping", why);
    }
    let word = if is(ConditionType::Ready, Reason::RolledBackByHand) && status.available_replicas > 0 {
        "online"
    } else if is(ConditionType::Ready, Reason::RolloutPaused) {
        "paused"
    } else if is(ConditionType::Ready, Reason::BeforeRollout) {
        "waiting"
    } else if status.available_replicas == 0 {
        "launching"
    } else if is(ConditionType::Ready, Reason::Scaling) {
        "scaling"
    } else {
        "reloading"
    };
    State::because(word, why)
}

/// Name with its namespace, where several are shown.
pub(crate) fn full_name(app: &NodeApp, with_namespace: bool) -> String {
    let name = app.name_any();
    match app.namespace().filter(|_| with_namespace) {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// An app with these conditions, as `Type=Status:Reason`, and this status.
    pub(crate) fn app(conditions: &[&str], status: &Value) -> NodeApp {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|text| {
                let (type_, rest) = text.split_once('=').expect("a type");
                let (holds, reason) = rest.split_once(':').expect("a reason");
                json!({"type": type_, "status": holds, "reason": reason, "message": format!("because {reason}"),
                    "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1})
            })
            .collect();
        let mut app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "shop", "namespace": "web", "generation": 1},
            "spec": {"image": "shop:1", "instances": 2},
            "status": {"observedGeneration": 1, "desiredReplicas": 2, "conditions": conditions},
        });
        for (name, value) in status.as_object().expect("an object") {
            app["status"][name] = value.clone();
        }
        serde_json::from_value(app).expect("an app")
    }

    #[test]
    fn a_word_of_pm2_stands_for_what_the_conditions_say() {
        let two = json!({"replicas": 2, "availableReplicas": 2});
        let none = json!({"replicas": 2, "availableReplicas": 0});
        let stopped = json!({"desiredReplicas": 0});
        let stopping = json!({"desiredReplicas": 0, "replicas": 1});
        for (conditions, status, word) in [
            (vec!["Ready=True:AllInstancesReady"], &two, "online"),
            (vec!["Ready=True:Stopped"], &stopped, "stopped"),
            (vec!["Ready=False:Scaling"], &stopping, "stopping"),
            (vec!["Ready=False:RollingOut"], &none, "launching"),
            (vec!["Ready=False:RollingOut"], &two, "reloading"),
            (vec!["Ready=False:Scaling"], &two, "scaling"),
            (vec!["Ready=False:RolloutPaused"], &two, "paused"),
            (vec!["Ready=False:BeforeRollout"], &none, "waiting"),
            (vec!["Ready=False:RolledBackByHand"], &two, "online"),
            (vec!["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], &two, "degraded"),
            (vec!["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], &none, "errored"),
            (vec!["Ready=False:InvalidSpec", "Valid=False:InvalidSpec"], &two, "invalid"),
            (vec![], &two, "new"),
        ] {
            assert_eq!(state(&app(&conditions, status)).word, word, "{conditions:?} {status}");
        }
    }

    #[test]
    fn why_it_is_not_well_is_told_and_nothing_of_one_that_is() {
        let well = app(&["Ready=True:AllInstancesReady"], &json!({"availableReplicas": 2}));
        assert_eq!(state(&well).why, None);
        let stuck = app(&["Ready=False:RolloutStuck", "Degraded=True:RolloutStuck"], &json!({}));
        assert_eq!(state(&stuck).why.as_deref(), Some("because RolloutStuck"));
        let mut behind = well.clone();
        behind.metadata.generation = Some(2);
        assert!(state(&behind).why.expect("a reason").contains("last change"));
        let paused = [("nodeapp.dev/paused".to_owned(), "true".to_owned())];
        behind.metadata.annotations = Some(paused.into());
        assert!(state(&behind).why.expect("a reason").contains("changes of the spec wait"));
    }
}
