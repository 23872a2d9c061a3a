//! A number of instances that follows the load.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notation::{Percent, PercentOrSize};

/// A number of instances that follows the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.cpu) || has(self.memory)",
    "autoscaling needs something to go by: set cpu, memory or both",
))]
#[x_kube(validation = (
    "(has(self.minInstances) ? self.minInstances : 1) <= self.maxInstances",
    "autoscaling.minInstances must not be above autoscaling.maxInstances",
))]
pub struct Autoscaling {
    /// Instances that are always there. Default 1 (PM2: none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_instances: Option<i32>,
    /// Instances that there are at most.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_instances: i32,
    /// CPU time that the instances shall use on average, in percent of resources.requests.cpu, such as
    /// `70%`. Only the app's container counts, sidecars do not. Default: CPU is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Percent>,
    /// Memory that the instances shall use on average: in percent of resources.requests.memory, such
    /// as `80%`, or a size with the binary unit K, M or G, such as `300M`. It must lie below
    /// maxMemoryRestart. Only the app's container counts. Default: memory is not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<PercentOrSize>,
    /// How fast instances come and go, as in a `HorizontalPodAutoscaler`. Default: that of Kubernetes:
    /// up at once, down after five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<ScalingBehavior>,
}

/// How fast instances come and go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingBehavior {
    /// How fast instances come. Default: at most twice as many, or four more, every 15 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// How fast instances go. Default: all that are too many, once they have been for 300 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast the number changes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// Seconds over which the most careful of the past recommendations is taken. Default 0 for
    /// scaleUp, 300 for scaleDown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3_600))]
    pub stabilization_window_seconds: Option<i32>,
    /// Which of the policies counts: the one that allows most, the one that allows least, or none,
    /// so that nothing changes in this direction. Default Max.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
    /// What may change within a time. Default: that of the direction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub policies: Vec<ScalingPolicy>,
}

/// Which policy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own words; docs on variants would not reach the schema.
pub enum SelectPolicy {
    #[default]
    Max,
    Min,
    Disabled,
}

impl SelectPolicy {
    /// Kubernetes' word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Max => "Max",
            Self::Min => "Min",
            Self::Disabled => "Disabled",
        }
    }
}

/// What may change within a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// Whether value counts instances, or percents of the instances there are.
    #[serde(rename = "type")]
    pub type_: ScalingPolicyType,
    /// How many may come or go, at least 1.
    #[schemars(range(min = 1, max = 100_000))]
    pub value: i32,
    /// Seconds within which they may, 1 to 1800.
    #[schemars(range(min = 1, max = 1_800))]
    pub period_seconds: i32,
}

/// What the value of a policy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)] // Kubernetes' own words; docs on variants would not reach the schema.
pub enum ScalingPolicyType {
    #[default]
    Pods,
    Percent,
}

impl ScalingPolicyType {
    /// Kubernetes' word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pods => "Pods",
            Self::Percent => "Percent",
        }
    }
}
