//! Where an app stands, read from its Deployment.

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

use crate::crd::Reason;

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Everything wanted is there.
    Settled,
    /// New pods come, or replace old ones.
    Rolling,
    /// Instances come or go.
    Scaling,
    /// Old pods are to be replaced, but not yet.
    Paused,
    /// New pods do not get ready.
    Stuck,
    /// Pods cannot be created.
    Refused,
    /// Instances are not available any more, or have not become it in time.
    Lost,
}

impl Rollout {
    /// The reason that stands in conditions.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Settled => Reason::AllInstancesReady,
            Self::Rolling => Reason::RollingOut,
            Self::Scaling => Reason::Scaling,
            Self::Paused => Reason::RolloutPaused,
            Self::Stuck => Reason::RolloutStuck,
            Self::Refused => Reason::PodsRefused,
            Self::Lost => Reason::InstancesUnavailable,
        }
    }
}

/// Numbers of instances and what they mean.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    /// There is a Deployment.
    pub exists: bool,
    /// Instances wanted.
    pub wanted: i32,
    /// Instances that exist, old and new.
    pub existing: i32,
    /// Instances that are ready.
    pub ready: i32,
    /// Instances of the current template.
    pub updated: i32,
    /// Instances that are available.
    pub available: i32,
    /// What is going on.
    pub rollout: Rollout,
    /// Whether instances that were there are not available.
    pub missing: bool,
    /// Whether new pods have made no progress for too long, for whatever reason.
    pub overdue: bool,
    /// The same in a sentence.
    pub message: String,
}

impl Situation {
    /// Reads a Deployment. `due`: all instances were there for this spec before, or
    /// should be by now.
    pub(super) fn of(deployment: Option<&Deployment>, due: bool) -> Self {
        let spec = deployment.and_then(|deployment| deployment.spec.as_ref());
        let status = deployment.and_then(|deployment| deployment.status.as_ref());
        let number = |number: Option<i32>| number.unwrap_or(0);
        let mut situation = Self {
            exists: deployment.is_some(),
            wanted: spec.map_or(0, |spec| spec.replicas.unwrap_or(1)),
            existing: number(status.and_then(|status| status.replicas)),
            ready: number(status.and_then(|status| status.ready_replicas)),
            updated: number(status.and_then(|status| status.updated_replicas)),
            available: number(status.and_then(|status| status.available_replicas)),
            rollout: Rollout::Rolling,
            missing: false,
            overdue: false,
            message: String::new(),
        };
        situation.rollout = situation.judge(deployment, due);
        situation.missing = match situation.rollout {
            Rollout::Lost => true,
            // A pause keeps new pods back, and the old ones from nothing.
            Rollout::Paused => {
                due && situation.existing == situation.wanted && situation.available < situation.wanted
            }
            _ => false,
        };
        situation.overdue = matches!(situation.rollout, Rollout::Stuck | Rollout::Refused)
            && deployment.is_some_and(|deployment| holds(deployment, "Progressing", "False"));
        situation.message = situation.describe(deployment);
        situation
    }

    fn judge(&self, deployment: Option<&Deployment>, due: bool) -> Rollout {
        let Some(deployment) = deployment else { return Rollout::Rolling };
        let status = deployment.status.as_ref();
        let seen = status.and_then(|status| status.observed_generation).unwrap_or(0);
        if seen < deployment.metadata.generation.unwrap_or(0) {
            return Rollout::Rolling;
        }
        if self.existing == self.wanted && self.updated == self.wanted && self.available == self.wanted {
            return Rollout::Settled;
        }
        let paused = deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true));
        // One that was paused from its birth has no pods at all.
        if paused && (self.updated < self.existing || self.existing == 0) {
            return Rollout::Paused;
        }
        if holds(deployment, "ReplicaFailure", "True") {
            return Rollout::Refused;
        }
        if holds(deployment, "Progressing", "False") {
            return Rollout::Stuck;
        }
        // Of a paused one the condition tells nothing but the pause.
        let rolled = paused
            || condition(deployment, "Progressing")
                .is_some_and(|condition| condition.reason.as_deref() == Some("NewReplicaSetAvailable"));
        match (rolled && self.existing == self.updated, due) {
            (false, _) => Rollout::Rolling,
            (true, true) if self.existing == self.wanted => Rollout::Lost,
            (true, _) => Rollout::Scaling,
        }
    }

    fn describe(&self, deployment: Option<&Deployment>) -> String {
        let Self { wanted, existing, updated, available, .. } = self;
        let counts =
            format!("{wanted} wanted, {available} available, {updated} up to date, {existing} exist");
        let why = |type_: &str| {
            let condition = deployment.and_then(|deployment| condition(deployment, type_));
            condition.and_then(|condition| condition.message.clone()).unwrap_or_default()
        };
        match self.rollout {
            Rollout::Settled if *wanted == 0 => "stopped: no instance is wanted".to_owned(),
            Rollout::Settled => format!("{available} of {wanted} instances are available"),
            Rollout::Rolling if !self.exists => "there is no Deployment".to_owned(),
            Rollout::Rolling => format!("rolling out: {counts}"),
            Rollout::Scaling => format!("scaling: {counts}"),
            Rollout::Paused if self.missing => format!(
                "instances are not available: {counts}. See the pods' logs and events. The rollout waits until \
                 rollout.paused is false"
            ),
            Rollout::Paused => {
                format!("the rollout waits until rollout.paused is false: {counts}")
            }
            Rollout::Stuck => format!(
                "new pods do not get ready: {counts}. Old pods keep running; see the pods' logs and events, then \
                 correct the spec"
            ),
            Rollout::Refused => format!("pods cannot be created: {counts}. {}", why("ReplicaFailure")),
            Rollout::Lost => format!("instances are not available: {counts}. See the pods' logs and events"),
        }
    }

    /// Whether something is wrong that the end of a process may explain.
    pub(super) const fn has_failed(&self) -> bool {
        self.missing || matches!(self.rollout, Rollout::Stuck)
    }

    /// Whether instances are to come, or have not.
    pub(super) const fn lacks_instances(&self) -> bool {
        self.has_failed() || matches!(self.rollout, Rollout::Rolling | Rollout::Scaling)
    }

    /// Whether the app serves, and why.
    pub(super) const fn availability(&self) -> (bool, Reason) {
        match (self.available, self.wanted) {
            (1.., _) => (true, Reason::InstancesAvailable),
            (_, 0) if matches!(self.rollout, Rollout::Settled) => (true, Reason::Stopped),
            _ => (false, Reason::NoInstanceAvailable),
        }
    }

    /// Why the app is ready, or not.
    pub(super) const fn ready_reason(&self) -> Reason {
        match (self.rollout, self.wanted) {
            (Rollout::Settled, 0) => Reason::Stopped,
            (rollout, _) => rollout.reason(),
        }
    }
}

/// How long new instances may take, in the API server's default if not said.
pub(super) fn deadline(deployment: Option<&Deployment>) -> SignedDuration {
    let seconds = deployment.and_then(|deployment| deployment.spec.as_ref()?.progress_deadline_seconds);
    SignedDuration::from_secs(seconds.unwrap_or(600).into())
}

fn holds(deployment: &Deployment, type_: &str, status: &str) -> bool {
    condition(deployment, type_).is_some_and(|condition| condition.status == status)
}

fn condition<'a>(deployment: &'a Deployment, type_: &str) -> Option<&'a DeploymentCondition> {
    deployment.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}
