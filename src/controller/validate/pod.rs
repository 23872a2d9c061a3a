//! What the pods have around the app.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use nodeapp_contract::paths;
use serde_json::Value;

use super::Problems;
use super::containers;
use super::instance::part;
use super::typed::{same, typed};
use crate::controller::capacity::Room;
use crate::controller::names;
use crate::crd::NodeAppSpec;
use crate::crd::notation::quantity_nanos;
use crate::crd::pod::Pod;

/// What the pods have around the app, as Kubernetes takes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodPlan {
    /// Labels beside those of the operator.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside those of the operator.
    pub annotations: BTreeMap<String, String>,
    /// Fields of the pod that are put into it as they are.
    pub spec: core::PodSpec,
    /// How the instances are spread, if that is said.
    pub spread: Option<Vec<core::TopologySpreadConstraint>>,
    /// Laid over the pod's security context.
    pub security: Option<core::PodSecurityContext>,
    /// Laid over the app's container's.
    pub container_security: Option<core::SecurityContext>,
    /// Mounts of the app's container.
    pub mounts: Vec<core::VolumeMount>,
    /// Containers that run beside the app.
    pub sidecars: Vec<core::Container>,
    /// Containers that run before it.
    pub before: Vec<core::Container>,
    /// Laid over everything else.
    pub overlay: Option<core::PodTemplateSpec>,
}

impl PodPlan {
    /// Whether anything in it comes from the user, unchecked by our schema.
    pub fn is_users(&self) -> bool {
        *self != Self::default()
    }

    /// What the containers beside the app request.
    pub(super) fn needs(&self) -> Room {
        let among_others = self.before.iter().filter(|container| containers::is_sidecar(container));
        let of = |container: &core::Container, name: &str, parts: i128| {
            let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            let nanos = requests.and_then(|requests| quantity_nanos(&requests.get(name)?.0));
            part(nanos.unwrap_or(0), parts).unwrap_or(0)
        };
        self.sidecars.iter().chain(among_others).fold(Room::default(), |sum, container| {
            sum.plus(Room { cpu: of(container, "cpu", 1000), memory: of(container, "memory", 1), pods: 0 })
        })
    }
}

/// Names of volumes that are the operator's.
const OUR_VOLUMES: [&str; 2] = ["tmp", "logs"];

/// What the pods of an app have.
pub(super) fn plan(name: &str, spec: &NodeAppSpec, problems: &mut Problems) -> PodPlan {
    let pod = spec.pod.clone().unwrap_or_default();
    check_metadata("spec.pod", &pod.labels, &pod.annotations, problems);
    let volumes: Vec<core::Volume> = each("spec.pod.volumes", &pod.volumes, problems);
    check_volumes(&volumes, problems);
    let mounts: Vec<core::VolumeMount> = each("spec.volumeMounts", &spec.volume_mounts, problems);
    let names: BTreeSet<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
    check_mounts(spec, &mounts, &names, problems);
    let sidecars = each("spec.pod.sidecars", &pod.sidecars, problems);
    let before = each("spec.pod.initContainers", &pod.init_containers, problems);
    containers::check(&sidecars, &before, &names, spec, problems);
    check_user(&pod, problems);
    if pod.dns_policy == Some(crate::crd::pod::DnsPolicy::None)
        && pod.dns_config.as_ref().is_none_or(|config| config.nameservers.is_empty())
    {
        problems.add(
            "spec.pod.dnsPolicy",
            "None needs spec.pod.dnsConfig.nameservers; add one, or take another policy",
        );
    }
    PodPlan {
        spread: pod.topology_spread_constraints.as_ref().map(|given| spread(name, given, problems)),
        security: optional("spec.pod.securityContext", pod.security_context.as_ref(), problems),
        container_security: optional("spec.securityContext", spec.security_context.as_ref(), problems),
        mounts,
        sidecars: sidecars.into_iter().map(containers::sidecar).collect(),
        before: before.into_iter().map(containers::complete).collect(),
        spec: as_it_is(&pod, volumes, problems),
        overlay: super::overlay::overlay(spec, problems),
        labels: pod.labels,
        annotations: pod.annotations,
    }
}

/// The kubelet would start nothing.
fn check_user(pod: &Pod, problems: &mut Problems) {
    let field = |name| pod.security_context.as_ref().map_or(&Value::Null, |context| &context[name]);
    if field("runAsUser") == 0 && field("runAsNonRoot") != false {
        problems.add(
            "spec.pod.securityContext",
            "runAsUser 0 is root, and runAsNonRoot is true unless it is said otherwise; set runAsNonRoot: false too, \
             or take another user",
        );
    }
}

/// Fields that need nothing of ours.
fn as_it_is(pod: &Pod, volumes: Vec<core::Volume>, problems: &mut Problems) -> core::PodSpec {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    core::PodSpec {
        node_selector: Some(pod.node_selector.clone()).filter(|selector| !selector.is_empty()),
        affinity: optional("spec.pod.affinity", pod.affinity.as_ref(), problems),
        tolerations: (!pod.tolerations.is_empty()).then(|| same(&pod.tolerations)),
        priority_class_name: some(&pod.priority_class_name),
        runtime_class_name: some(&pod.runtime_class_name),
        service_account_name: some(&pod.service_account_name),
        automount_service_account_token: pod.automount_service_account_token,
        image_pull_secrets: (!pod.image_pull_secrets.is_empty()).then(|| same(&pod.image_pull_secrets)),
        dns_policy: pod.dns_policy.as_ref().map(same),
        dns_config: pod.dns_config.as_ref().map(same),
        host_aliases: (!pod.host_aliases.is_empty()).then(|| same(&pod.host_aliases)),
        volumes: (!volumes.is_empty()).then_some(volumes),
        ..core::PodSpec::default()
    }
}

fn each<T: serde::de::DeserializeOwned + serde::Serialize>(
    field: &str,
    given: &[Value],
    problems: &mut Problems,
) -> Vec<T> {
    let read = |(index, value)| typed(&format!("{field}[{index}]"), value, problems);
    given.iter().enumerate().filter_map(read).collect()
}

fn optional<T: serde::de::DeserializeOwned + serde::Serialize>(
    field: &str,
    given: Option<&Value>,
    problems: &mut Problems,
) -> Option<T> {
    typed(field, given?, problems)
}

/// Keys that are the operator's, and those by which others tell pods apart.
pub(super) fn check_metadata(
    field: &str,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    problems: &mut Problems,
) {
    let ours = names::labels("");
    for key in labels.keys() {
        if ours.contains_key(key) || key == names::TEMPLATE_HASH_LABEL || is_ours(key) {
            problems.add(
                &format!("{field}.labels"),
                &format!("{key} is set by the operator or by Kubernetes; take another key"),
            );
        }
    }
    for key in annotations.keys().filter(|key| is_ours(key)) {
        problems.add(
            &format!("{field}.annotations"),
            &format!("{key} belongs to the operator; take another key"),
        );
    }
}

fn is_ours(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| prefix == "nodeapp.dev" || prefix.ends_with(".nodeapp.dev"))
}

/// Without a selector, a constraint would count no pod at all.
fn spread(name: &str, given: &[Value], problems: &mut Problems) -> Vec<core::TopologySpreadConstraint> {
    let mut all: Vec<core::TopologySpreadConstraint> =
        each("spec.pod.topologySpreadConstraints", given, problems);
    let mut seen = BTreeSet::new();
    for (index, constraint) in all.iter_mut().enumerate() {
        if !seen.insert((constraint.topology_key.clone(), constraint.when_unsatisfiable.clone())) {
            problems.add(
                &format!("spec.pod.topologySpreadConstraints[{index}]"),
                "has the same topologyKey and whenUnsatisfiable as an earlier one; leave one of them out",
            );
        }
        constraint.label_selector.get_or_insert_with(|| LabelSelector {
            match_labels: Some(names::selector(name)),
            ..LabelSelector::default()
        });
    }
    all
}

fn check_volumes(volumes: &[core::Volume], problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let (field, name) = (format!("spec.pod.volumes[{index}].name"), volume.name.as_str());
        if !seen.insert(name) {
            problems.add(&field, &format!("{name} is there twice; rename one of them"));
        } else if is_our_volume(name) {
            problems.add(&field, &format!("{name} is a volume of the operator; take another name"));
        }
    }
}

fn is_our_volume(name: &str) -> bool {
    let ours = ["nodeapp-", "redis", "writable-"];
    OUR_VOLUMES.contains(&name) || ours.into_iter().any(|prefix| name.starts_with(prefix))
}

/// Mounts of the app's container, which has others already.
fn check_mounts(
    spec: &NodeAppSpec,
    mounts: &[core::VolumeMount],
    volumes: &BTreeSet<&str>,
    problems: &mut Problems,
) {
    let mut seen = BTreeSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let (field, path) = (format!("spec.volumeMounts[{index}]"), mount.mount_path.trim_end_matches('/'));
        check_volume(&field, mount, volumes, false, problems);
        let within = |dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
        let path_field = format!("{field}.mountPath");
        if !path.starts_with('/') {
            problems.add(&path_field, "must be an absolute path below /, such as /app/uploads");
        } else if within("/nodeapp") {
            problems.add(
                &path_field,
                &format!(
                    "{path} is the runner's; mount elsewhere (for log files there is {})",
                    paths::LOG_DIR
                ),
            );
        } else if path == "/tmp" {
            problems.add(&path_field, "/tmp is a volume of its own already; mount below it, or elsewhere");
        } else if spec.writable_paths.iter().any(|writable| writable == path) {
            problems.add(
                &path_field,
                &format!("{path} is in spec.writablePaths too; take it out there, or mount elsewhere"),
            );
        } else if !seen.insert(path) {
            problems.add(&path_field, &format!("{path} is there twice; mount one of them elsewhere"));
        }
    }
}

/// Whether a mount has its volume; of ours, sidecars may have those with the app's files.
pub(super) fn check_volume(
    field: &str,
    mount: &core::VolumeMount,
    volumes: &BTreeSet<&str>,
    ours_too: bool,
    problems: &mut Problems,
) {
    let name = mount.name.as_str();
    if volumes.contains(name) || (ours_too && OUR_VOLUMES.contains(&name)) {
        return;
    }
    let known: Vec<_> = volumes.iter().copied().collect();
    let known = if known.is_empty() { "has none".to_owned() } else { format!("has {}", known.join(", ")) };
    problems.add(
        &format!("{field}.name"),
        &format!("there is no volume {name}: spec.pod.volumes {known}; add it there"),
    );
}
