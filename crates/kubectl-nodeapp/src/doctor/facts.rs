//! What is known of an app and its cluster when it is checked. Plain data: the checks read nothing else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use nodeapp_contract::RunnerStatus;
use nodeapp_operator::controller::names;
use nodeapp_operator::crd::NodeApp;
use nodeapp_operator::crd::redis::RedisMode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Something that was asked for, or why it could not be seen.
pub(crate) type Seen<T> = Result<T, String>;

/// On a NodeApp: how its last rehearsal came out, as JSON.
pub(crate) const REHEARSED_ANNOTATION: &str = "nodeapp.dev/rehearsed";
/// On a NodeApp: for which image its source has been audited, as JSON.
pub(crate) const AUDITED_ANNOTATION: &str = "nodeapp.dev/audited";

/// Everything that the checks look at.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) app: NodeApp,
    pub(crate) now: Timestamp,
    /// What the commands that are printed need so that they reach the same cluster, such as ` -n web`.
    pub(crate) flags: String,
    /// Pod template of its Deployment; none while there is no Deployment.
    pub(crate) template: Seen<Option<PodTemplateSpec>>,
    pub(crate) pods: Seen<Vec<PodFacts>>,
    /// Disruption budgets that select its pods.
    pub(crate) budgets: Seen<Vec<Budget>>,
    /// Nodes that take pods.
    pub(crate) nodes: Seen<usize>,
    pub(crate) monitors: Seen<Monitors>,
    pub(crate) operator: Seen<Option<OperatorFacts>>,
    /// Fields that this program knows and the cluster's definition of the API lacks.
    pub(crate) lacking: Seen<Vec<String>>,
    pub(crate) rights: Seen<Rights>,
    /// What the audit of the source found: just now, or as it was recorded.
    pub(crate) audit: Option<Audited>,
}

/// An instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodFacts {
    pub(crate) name: String,
    pub(crate) node: Option<String>,
    pub(crate) ready: bool,
    /// What its runner says, if it answers.
    pub(crate) runner: Option<RunnerStatus>,
    /// The longest request that it has answered.
    pub(crate) longest: Option<Longest>,
}

/// How long the longest request took, as far as a histogram tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Longest {
    /// Seconds that it took at least.
    pub(crate) above: f64,
    /// Seconds that it took at most; none where the histogram ends.
    pub(crate) below: Option<f64>,
}

/// A `PodDisruptionBudget`.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) name: String,
    /// Whether the operator made it for this app.
    pub(crate) own: bool,
    /// Evictions that it would allow now.
    pub(crate) allowed: i32,
}

/// Who scrapes the pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Monitors {
    /// The cluster knows `PodMonitor`s.
    pub(crate) known: bool,
    /// Those that select the pods.
    pub(crate) matching: Vec<String>,
}

/// The operator's own Deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperatorFacts {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) wanted: i32,
    pub(crate) ready: i32,
    /// Seconds since its Lease was renewed, and for how many it holds; none if it cannot be seen.
    pub(crate) lease: Option<(i64, i64)>,
}

/// What the user may do with the verbs of this program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    pub(crate) user: String,
    /// What they may not, such as `create pods/exec`, with the verbs of this program that need it.
    pub(crate) denied: Vec<(String, Vec<&'static str>)>,
}

/// What the audit of the source found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Audited {
    /// The image whose source it was.
    pub(crate) image: String,
    pub(crate) time: String,
    pub(crate) errors: usize,
    pub(crate) warnings: usize,
    /// The app handles SIGINT or SIGTERM, as far as the source tells.
    pub(crate) handles_signals: bool,
    /// The first of the findings, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<String>,
}

/// How a rehearsal came out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rehearsed {
    /// The revision that ran.
    pub(crate) revision: String,
    pub(crate) time: String,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Milliseconds.
    pub(crate) p99: f64,
    /// Milliseconds.
    pub(crate) longest: f64,
    /// Whether state stayed right, where that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<bool>,
}

impl Facts {
    pub(crate) fn name(&self) -> String {
        self.app.name_any()
    }

    /// A job runs at its times and serves nobody.
    pub(crate) fn is_job(&self) -> bool {
        self.app.spec.autorestart == Some(false) && self.app.spec.cron_restart.is_some()
    }

    pub(crate) fn is_paused(&self) -> bool {
        names::is_paused(&self.app.metadata)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.app.spec.stopped == Some(true)
    }

    /// The least number of instances that there shall be.
    pub(crate) fn instances(&self) -> i32 {
        let spec = &self.app.spec;
        match (&spec.autoscaling, &spec.fill_cluster) {
            (Some(autoscaling), _) => autoscaling.min_instances.unwrap_or(1),
            (None, Some(_)) => self.app.status.as_ref().map_or(0, |status| status.desired_replicas),
            (None, None) => spec.instances,
        }
    }

    pub(crate) fn has_shared_redis(&self) -> bool {
        self.app.spec.redis.as_ref().is_some_and(|redis| redis.mode != RedisMode::Sidecar)
    }

    pub(crate) fn pods(&self) -> &[PodFacts] {
        self.pods.as_deref().unwrap_or_default()
    }

    /// What the runners say, with the names of their pods.
    pub(crate) fn runners(&self) -> impl Iterator<Item = (&str, &RunnerStatus)> {
        self.pods().iter().filter_map(|pod| Some((pod.name.as_str(), pod.runner.as_ref()?)))
    }

    /// The most memory that an instance uses now, in bytes.
    pub(crate) fn most_memory(&self) -> Option<u64> {
        self.runners().filter_map(|(_, runner)| runner.rss).max()
    }

    pub(crate) fn rehearsed(&self) -> Option<Rehearsed> {
        self.of_annotation(REHEARSED_ANNOTATION)
    }

    /// What the audit found, as far as it is about the image that runs.
    pub(crate) fn audited(&self) -> Option<Audited> {
        self.audit.clone().or_else(|| {
            self.of_annotation(AUDITED_ANNOTATION)
                .filter(|audited: &Audited| audited.image == self.app.spec.image)
        })
    }

    fn of_annotation<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(names::annotation(&self.app.metadata, name)?).ok()
    }

    /// The revision that runs.
    pub(crate) fn revision(&self) -> &str {
        let revision = self.app.status.as_ref().and_then(|status| status.revision.as_deref());
        revision.unwrap_or_default()
    }

    /// Annotations of the pods.
    pub(crate) fn pod_annotations(&self) -> BTreeMap<String, String> {
        let template = self.template.as_ref().ok().and_then(Option::as_ref);
        let metadata = template.and_then(|template| template.metadata.as_ref());
        let of_template = metadata.and_then(|metadata| metadata.annotations.clone());
        let of_spec = self.app.spec.pod.as_ref().map(|pod| pod.annotations.clone());
        of_template.or(of_spec).unwrap_or_default()
    }

    /// `kubectl patch` of these fields of the spec.
    pub(crate) fn patch(&self, spec: &Value) -> String {
        let patch = json!({"spec": spec}).to_string().replace('\'', "'\\''");
        format!("kubectl patch nodeapp {}{} --type merge -p '{patch}'", self.name(), self.flags)
    }

    /// `kubectl VERB nodeapp NAME REST`.
    pub(crate) fn kubectl(&self, verb: &str, rest: &str) -> String {
        format!("kubectl {verb} nodeapp {}{} {rest}", self.name(), self.flags).trim_end().to_owned()
    }

    /// A verb of this program about the app.
    pub(crate) fn ours(&self, verb: &str, rest: &str) -> String {
        format!("kubectl nodeapp {verb} {}{} {rest}", self.name(), self.flags).trim_end().to_owned()
    }
}
