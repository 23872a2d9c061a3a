//! The conditions of an app: how what runs stands, and over it what keeps the spec
//! from being carried out.

use jiff::Timestamp;

use super::rollout::{Rollout, Situation};
use super::{Findings, autoscaler, course, redis, rivals, seconds};
use crate::controller::desired::{Applied, Children};
use crate::controller::fights::Contested;
use crate::controller::text::cut;
use crate::crd::{Condition, ConditionType, NodeAppStatus, Reason};

/// Longest message, in bytes: others have written parts of it, and what the schema
/// refuses could never be written.
const LONGEST_MESSAGE: usize = 16_000;

/// A condition before it gets its time.
#[derive(Clone)]
pub(super) struct Verdict {
    pub type_: ConditionType,
    pub holds: bool,
    pub reason: Reason,
    pub message: String,
}

impl Verdict {
    pub(super) fn new(type_: ConditionType, holds: bool, reason: Reason, message: &str) -> Self {
        Self { type_, holds, reason, message: message.to_owned() }
    }
}

/// The condition of a status.
pub(super) fn find(status: &NodeAppStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_.name())
}

/// The condition that a verdict becomes. Its time moves only when it flips.
pub(super) fn condition(
    verdict: Verdict,
    previous: &NodeAppStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let Verdict { type_, holds, reason, message } = verdict;
    let status = if holds { "True" } else { "False" };
    let same = find(previous, type_).filter(|condition| condition.status == status);
    let since = same.map(|condition| condition.last_transition_time.clone());
    Condition {
        type_: type_.name().to_owned(),
        status: status.to_owned(),
        observed_generation: generation,
        last_transition_time: since.unwrap_or_else(|| seconds(now)),
        reason: reason.name().to_owned(),
        message: cut(&message, LONGEST_MESSAGE),
    }
}

/// Says by kstatus' condition where waiting is of no use: what the reason of `Ready` says to whoever
/// knows it. Absent otherwise, as kstatus wants it.
pub(super) fn tell_stalled(status: &mut NodeAppStatus, previous: &NodeAppStatus, now: Timestamp) {
    status.conditions.retain(|condition| condition.type_ != ConditionType::Stalled.name());
    let Some(ready) = find(status, ConditionType::Ready).filter(|ready| ready.status == "False") else {
        return;
    };
    if !Reason::STALLED.iter().any(|reason| reason.name() == ready.reason) {
        return;
    }
    let since = find(previous, ConditionType::Stalled).map(|known| known.last_transition_time.clone());
    let stalled = Condition {
        type_: ConditionType::Stalled.name().to_owned(),
        status: "True".to_owned(),
        last_transition_time: since.unwrap_or_else(|| seconds(now)),
        ..ready.clone()
    };
    status.conditions.push(stalled);
}

/// How what runs stands, whatever the spec asks for now.
pub(super) struct Standing {
    /// There is something that runs it.
    pub exists: bool,
    pub ready: Verdict,
    pub available: Verdict,
    pub progressing: Verdict,
    pub degraded: Verdict,
}

impl Standing {
    /// That of an app that serves.
    pub(super) fn of(situation: &Situation) -> Self {
        let (rollout, message) = (situation.rollout, situation.message.as_str());
        let (available, available_reason) = situation.availability();
        let (progresses, progress_reason) = match rollout {
            Rollout::Rolling | Rollout::Scaling => (true, rollout.reason()),
            Rollout::Stuck | Rollout::Paused => (false, rollout.reason()),
            Rollout::Settled | Rollout::Refused | Rollout::Lost => (false, Reason::Settled),
        };
        let settled = rollout == Rollout::Settled;
        Self {
            exists: situation.exists,
            ready: Verdict::new(ConditionType::Ready, settled, situation.ready_reason(), message),
            available: Verdict::new(ConditionType::Available, available, available_reason, message),
            progressing: Verdict::new(ConditionType::Progressing, progresses, progress_reason, message),
            degraded: degradation(situation),
        }
    }

    /// Whether its instances come or go for a reason of their own.
    fn moves(&self, hindrance: &Hindrance) -> bool {
        let scales = self.progressing.reason == Reason::Scaling && !hindrance.goes_on;
        // What came before a spec that cannot be carried out is brought to its end.
        self.exists && self.progressing.holds && (hindrance.invalidates || scales)
    }
}

fn degradation(situation: &Situation) -> Verdict {
    let (holds, reason) = match situation.rollout {
        Rollout::Stuck | Rollout::Refused => (true, situation.rollout.reason()),
        _ if situation.missing => (true, Reason::InstancesUnavailable),
        _ => (false, Reason::Healthy),
    };
    let message = match holds {
        true => situation.message.clone(),
        false if situation.available < situation.wanted => {
            format!("nothing has failed so far; {}", situation.message)
        }
        false => "nothing is wrong".to_owned(),
    };
    Verdict { type_: ConditionType::Degraded, holds, reason, message }
}

/// All conditions, in the order in which they are written. `warning`: what speaks
/// against a spec that can be carried out.
pub(super) fn verdicts(
    findings: Findings<'_>,
    standing: Standing,
    warning: Option<&(Reason, String)>,
    previous: &NodeAppStatus,
    now: Timestamp,
) -> [Verdict; 5] {
    let accepted = |text: &str| match warning {
        None => Verdict::new(ConditionType::Valid, true, Reason::Accepted, text),
        Some((reason, warning)) => {
            Verdict::new(ConditionType::Valid, true, *reason, &format!("{text}. {warning}"))
        }
    };
    let or_unknown =
        |degraded: Verdict| unknown_revision(findings).filter(|_| !degraded.holds).unwrap_or(degraded);
    let Some(hindrance) = hindrance(findings, previous) else {
        let Standing { ready, available, progressing, degraded, .. } = standing;
        let degraded = match findings {
            Findings::Applied(children) => {
                let degraded = rivals::degradation_beside(children, degraded);
                contested(children, autoscaler::degradation_beside(children, degraded, now))
            }
            _ => degraded,
        };
        return [ready, available, progressing, or_unknown(degraded), accepted("the spec is carried out")];
    };
    let says = |type_, holds| Verdict::new(type_, holds, hindrance.reason, &hindrance.message);
    let moves = standing.moves(&hindrance);
    let Standing { available, progressing, degraded, .. } = standing;
    let available = match available.reason {
        // No instance is wanted yet, and that is not to be called stopped.
        Reason::Stopped if hindrance.reason.is_before_rollout() => {
            Verdict { holds: false, reason: Reason::NoInstanceAvailable, ..available }
        }
        _ => available,
    };
    [
        says(ConditionType::Ready, false),
        available,
        if moves { progressing } else { says(ConditionType::Progressing, hindrance.goes_on) },
        or_unknown(if hindrance.degrades { says(ConditionType::Degraded, true) } else { degraded }),
        if hindrance.invalidates {
            says(ConditionType::Valid, false)
        } else {
            accepted("the spec can be carried out")
        },
    ]
}

/// A revision is asked for that there is not.
fn unknown_revision(findings: Findings<'_>) -> Option<Verdict> {
    let Findings::Applied(children) = findings else { return None };
    let message = course::unknown(children)?;
    Some(Verdict { type_: ConditionType::Degraded, holds: true, reason: Reason::UnknownRevision, message })
}

/// What keeps the spec from being carried out.
pub(super) struct Hindrance {
    pub reason: Reason,
    pub message: String,
    /// Whether the user's spec is to blame.
    pub invalidates: bool,
    /// Whether it may concern what runs.
    pub degrades: bool,
    /// Whether it goes away by itself.
    pub goes_on: bool,
}

/// Pods wait for their numbers, and the operator cannot give them.
fn unnumbered(children: &Children<Applied>) -> Option<Hindrance> {
    let (class, error) = children.unnumbered.as_ref()?;
    let reason = if class.needs_a_person() { Reason::ApplyRefused } else { Reason::ApplyFailing };
    let message = error.clone();
    Some(Hindrance { reason, message, invalidates: false, degrades: true, goes_on: false })
}

/// The volume of the Redis may not become what is asked for; all the rest is as it should be.
fn volume_refused(children: &Children<Applied>) -> Option<Hindrance> {
    let message = children.volume_refused.clone()?;
    let reason = Reason::ApplyRefused;
    Some(Hindrance { reason, message, invalidates: true, degrades: false, goes_on: false })
}

/// What others put into children again and again; `own` comes first.
fn contested(children: &Children<Applied>, own: Verdict) -> Verdict {
    match &children.contested {
        Some(Contested { message, .. }) if !own.holds => {
            Verdict::new(ConditionType::Degraded, true, Reason::ForeignChanges, message)
        }
        _ => own,
    }
}

fn hindrance(findings: Findings<'_>, previous: &NodeAppStatus) -> Option<Hindrance> {
    match findings {
        Findings::Applied(children) => unnumbered(children)
            .or_else(|| redis::missing(children))
            .or_else(|| course::hindrance(children, previous.failed_reason.as_deref()))
            .or_else(|| volume_refused(children))
            .or_else(|| {
                let message = children.filling.as_ref()?.trouble.clone()?;
                let reason = Reason::CapacityUnknown;
                Some(Hindrance { reason, message, invalidates: false, degrades: true, goes_on: false })
            }),
        Findings::Paused(_) => None,
        Findings::Invalid(problems, _) => Some(Hindrance {
            reason: Reason::InvalidSpec,
            message: format!("{problems}. What runs is left as it is"),
            invalidates: true,
            degrades: false,
            goes_on: false,
        }),
        Findings::Taken(taken, _) => {
            let all: Vec<_> = taken.iter().map(ToString::to_string).collect();
            Some(Hindrance {
                reason: Reason::NameTaken,
                message: all.join(". "),
                invalidates: true,
                degrades: true,
                goes_on: false,
            })
        }
        Findings::Failing { message, .. } => Some(Hindrance {
            reason: Reason::ApplyFailing,
            message: format!("{message}. The operator tries again, every half minute or so"),
            invalidates: false,
            degrades: true,
            goes_on: false,
        }),
        Findings::TemplateRefused { message, .. } => Some(Hindrance {
            reason: Reason::TemplateRefused,
            message: format!(
                "{message}. What runs is left as it is; correct spec.pod, spec.volumeMounts, spec.securityContext \
                 or spec.podTemplate"
            ),
            invalidates: true,
            degrades: false,
            goes_on: false,
        }),
        Findings::Refused { message, spec_is_to_blame, .. } => Some(Hindrance {
            reason: Reason::ApplyRefused,
            message: message.to_owned(),
            invalidates: spec_is_to_blame,
            degrades: true,
            goes_on: false,
        }),
    }
}
