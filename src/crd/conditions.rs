//! Names of conditions and of their reasons; programs rely on them.

/// The aspects of an app's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Everything asked for is there.
    Ready,
    /// At least one instance serves, or none is wanted.
    Available,
    /// A change is under way.
    Progressing,
    /// Something is wrong that does not heal by waiting alone.
    Degraded,
    /// The spec can be carried out.
    Valid,
    /// It stays as it is until somebody changes something. There only while that is so, for tools
    /// that know no other condition of this API (kstatus, which Flux waits by).
    Stalled,
}

impl ConditionType {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Available, Self::Progressing, Self::Degraded, Self::Valid, Self::Stalled];

    /// The name in `status.conditions[].type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Available => "Available",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Valid => "Valid",
            Self::Stalled => "Stalled",
        }
    }
}

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// All instances run the current spec and are available.
    AllInstancesReady,
    /// A job waits for its next time.
    Scheduled,
    /// The last run of a job has failed.
    RunFailed,
    /// No instance is wanted.
    Stopped,
    /// At least one instance is available.
    InstancesAvailable,
    /// No instance is available.
    NoInstanceAvailable,
    /// Fewer instances are available than wanted, although nothing is being changed.
    InstancesUnavailable,
    /// New pods replace old ones.
    RollingOut,
    /// Instances are added or removed.
    Scaling,
    /// Nothing is being changed.
    Settled,
    /// The annotation that pauses the operator is set.
    Paused,
    /// The rollout waits because the spec says so.
    RolloutPaused,
    /// The rollout made no progress for too long.
    RolloutStuck,
    /// The rollout failed and was taken back.
    RolledBack,
    /// An annotation asks for an earlier revision.
    RolledBackByHand,
    /// An annotation asks for a revision that there is not.
    UnknownRevision,
    /// The job before the rollout runs, or waits for another one to end.
    BeforeRollout,
    /// The job before the rollout has failed.
    BeforeRolloutFailed,
    /// Pods cannot be created.
    PodsRefused,
    /// How much room the nodes have cannot be known.
    CapacityUnknown,
    /// An object was refused by the API server.
    ApplyRefused,
    /// The API server has failed again and again to take an object.
    ApplyFailing,
    /// An autoscaler of someone else sets the number of pods.
    ForeignAutoscaler,
    /// Someone puts into a child again and again what the operator takes out of it.
    ForeignChanges,
    /// The app's own autoscaler cannot do its work.
    AutoscalerInactive,
    /// The app's shared Redis does not answer.
    RedisNotReady,
    /// The cluster does not have the Gateway API.
    GatewayApiMissing,
    /// A Gateway has not accepted the app's route.
    RouteNotAccepted,
    /// Nothing is wrong.
    Healthy,
    /// The spec can be carried out.
    Accepted,
    /// The same, but a variable looks like a credential in plain text.
    PlainCredentials,
    /// The spec cannot be carried out.
    InvalidSpec,
    /// An object of the same name belongs to someone else.
    NameTaken,
    /// The API server would not take the new pod template.
    TemplateRefused,
    /// The spec can be carried out, and lets the pods do more than by default.
    LoosenedSecurity,
}

impl Reason {
    /// Whether instances are kept back by what comes before a rollout.
    pub const fn is_before_rollout(self) -> bool {
        matches!(self, Self::BeforeRollout | Self::BeforeRolloutFailed | Self::RolloutPaused)
    }

    /// Those for which an app is not ready until a person does something.
    pub const STALLED: [Self; 7] = [
        Self::InvalidSpec,
        Self::NameTaken,
        Self::TemplateRefused,
        Self::ApplyRefused,
        Self::RolloutStuck,
        Self::RolledBack,
        Self::BeforeRolloutFailed,
    ];

    /// The word in `status.conditions[].reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllInstancesReady => "AllInstancesReady",
            Self::Scheduled => "Scheduled",
            Self::RunFailed => "RunFailed",
            Self::Stopped => "Stopped",
            Self::InstancesAvailable => "InstancesAvailable",
            Self::NoInstanceAvailable => "NoInstanceAvailable",
            Self::InstancesUnavailable => "InstancesUnavailable",
            Self::RollingOut => "RollingOut",
            Self::Scaling => "Scaling",
            Self::Settled => "Settled",
            Self::Paused => "Paused",
            Self::RolloutPaused => "RolloutPaused",
            Self::RolloutStuck => "RolloutStuck",
            Self::RolledBack => "RolledBack",
            Self::RolledBackByHand => "RolledBackByHand",
            Self::UnknownRevision => "UnknownRevision",
            Self::BeforeRollout => "BeforeRollout",
            Self::BeforeRolloutFailed => "BeforeRolloutFailed",
            Self::PodsRefused => "PodsRefused",
            Self::CapacityUnknown => "CapacityUnknown",
            Self::ApplyRefused => "ApplyRefused",
            Self::ApplyFailing => "ApplyFailing",
            Self::ForeignAutoscaler => "ForeignAutoscaler",
            Self::ForeignChanges => "ForeignChanges",
            Self::AutoscalerInactive => "AutoscalerInactive",
            Self::RedisNotReady => "RedisNotReady",
            Self::GatewayApiMissing => "GatewayApiMissing",
            Self::RouteNotAccepted => "RouteNotAccepted",
            Self::Healthy => "Healthy",
            Self::Accepted => "Accepted",
            Self::PlainCredentials => "PlainCredentials",
            Self::InvalidSpec => "InvalidSpec",
            Self::NameTaken => "NameTaken",
            Self::TemplateRefused => "TemplateRefused",
            Self::LoosenedSecurity => "LoosenedSecurity",
        }
    }
}
