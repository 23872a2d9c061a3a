//! What is laid over the pod template. It is for what has no field of its own: what has one is said
//! there, and what the app is run by stays the operator's.

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::pod::check_metadata;
use super::typed::typed;
use super::{Problems, redis};
use crate::controller::names;
use crate::crd::NodeAppSpec;

const FIELD: &str = "spec.podTemplate";
const KEYS: [&str; 2] = ["metadata", "spec"];

/// Fields of the pod that cannot be laid over, and what to do instead.
const POD: [(&str, &str); 25] = [
    ("activeDeadlineSeconds", ENDS),
    ("affinity", "say it in spec.pod.affinity"),
    ("automountServiceAccountToken", "say it in spec.pod.automountServiceAccountToken"),
    ("dnsConfig", "say it in spec.pod.dnsConfig"),
    ("dnsPolicy", "say it in spec.pod.dnsPolicy"),
    ("ephemeralContainers", "they are for running pods: `kubectl debug` adds them"),
    ("hostAliases", "say it in spec.pod.hostAliases"),
    ("imagePullSecrets", "say it in spec.pod.imagePullSecrets"),
    ("initContainers", "add them to spec.pod.initContainers or spec.pod.sidecars"),
    ("nodeSelector", "say it in spec.pod.nodeSelector"),
    ("overhead", "Kubernetes sets it, by spec.pod.runtimeClassName"),
    ("priority", "Kubernetes sets it, by spec.pod.priorityClassName"),
    ("priorityClassName", "say it in spec.pod.priorityClassName"),
    ("restartPolicy", "the runner restarts the app; see spec.autorestart"),
    ("runtimeClassName", "say it in spec.pod.runtimeClassName"),
    ("schedulingGates", "spec.instanceIndex uses them, and nobody would open others"),
    ("securityContext", "say it in spec.pod.securityContext"),
    ("serviceAccount", "say it in spec.pod.serviceAccountName"),
    ("serviceAccountName", "say it in spec.pod.serviceAccountName"),
    ("shareProcessNamespace", "the runner has to be the first process of its container"),
    (
        "terminationGracePeriodSeconds",
        "it is the sum of spec.drainDelay, spec.drainTimeout and spec.killTimeout; set those",
    ),
    ("tolerations", "say it in spec.pod.tolerations"),
    ("topologySpreadConstraints", "say it in spec.pod.topologySpreadConstraints"),
    ("volumes", "add them to spec.pod.volumes"),
    ("nodeName", "it goes past the scheduler; say it in spec.pod.nodeSelector or spec.pod.affinity"),
];

const ENDS: &str = "an app has no end; a job's is its own";

/// The same for the app's container.
const APP: [(&str, &str); 16] = [
    ("args", "say it in spec.args"),
    ("command", "say it in spec.script or spec.command"),
    ("env", "add them to spec.env"),
    ("envFrom", "add them to spec.envFrom"),
    ("image", "say it in spec.image"),
    ("lifecycle", "the drain before a stop is there; see spec.drainDelay"),
    ("livenessProbe", "say it in spec.probes.liveness, which the runner checks"),
    ("readinessProbe", "say it in spec.probes.readiness, which the runner checks"),
    ("resources", "say it in spec.resources"),
    ("restartPolicy", "the runner restarts the app; see spec.autorestart"),
    ("securityContext", "say it in spec.securityContext"),
    ("startupProbe", "say it in spec.probes.startup, which the runner checks"),
    ("terminationMessagePath", "the runner leaves its last words there"),
    ("terminationMessagePolicy", "the runner leaves its last words there"),
    ("volumeMounts", "add them to spec.volumeMounts"),
    ("workingDir", "say it in spec.cwd"),
];

/// What is laid over, if anything is.
pub(super) fn overlay(spec: &NodeAppSpec, problems: &mut Problems) -> Option<core::PodTemplateSpec> {
    let given = spec.pod_template.as_ref()?;
    check_keys(FIELD, given, &KEYS, problems);
    check_keys(&format!("{FIELD}.metadata"), &given["metadata"], &["labels", "annotations"], problems);
    refuse(&format!("{FIELD}.spec"), &given["spec"], &POD, problems);
    for (index, container) in given["spec"]["containers"].as_array().into_iter().flatten().enumerate() {
        let field = format!("{FIELD}.spec.containers[{index}]");
        if container["name"] == names::APP_CONTAINER {
            refuse(&field, container, &APP, problems);
        } else {
            problems.add(
                &field,
                "only the container app can be laid over; add others to spec.pod.sidecars or spec.pod.initContainers",
            );
        }
    }
    let mut read: core::PodTemplateSpec = typed(FIELD, &completed(given), problems)?;
    check_ports(&read, spec, problems);
    check_network(&read, spec, problems);
    if let Some(metadata) = &read.metadata {
        let (labels, annotations) = (metadata.labels.clone(), metadata.annotations.clone());
        check_metadata(
            &format!("{FIELD}.metadata"),
            &labels.unwrap_or_default(),
            &annotations.unwrap_or_default(),
            problems,
        );
    }
    for port in
        read.spec.iter_mut().flat_map(|pod| &mut pod.containers).flat_map(|it| it.ports.iter_mut().flatten())
    {
        // The API server would add it, and then not find it in what we say.
        port.protocol.get_or_insert_with(|| "TCP".to_owned());
    }
    Some(read)
}

/// What is left when what cannot be laid over has been told. The type wants containers; who lays nothing over the app's leaves them out.
fn completed(given: &Value) -> Value {
    let mut given = given.clone();
    if let Some(fields) = given.as_object_mut() {
        fields.retain(|key, _| KEYS.contains(&key.as_str()));
    }
    if let Some(spec) = given.get_mut("spec").and_then(Value::as_object_mut) {
        spec.entry("containers").or_insert_with(|| Value::Array(Vec::new()));
    }
    given
}

fn check_keys(field: &str, given: &Value, known: &[&str], problems: &mut Problems) {
    for key in given.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !known.contains(&key.as_str()) {
            problems.add(
                &format!("{field}.{key}"),
                &format!("cannot be laid over; there are {}", known.join(" and ")),
            );
        }
    }
}

fn refuse(field: &str, given: &Value, fields: &[(&str, &str)], problems: &mut Problems) {
    for (key, way) in fields {
        if given.get(key).is_some_and(|value| !value.is_null()) {
            problems.add(&format!("{field}.{key}"), &format!("cannot be laid over: {way}"));
        }
    }
}

/// Who is on the node's network has the node's localhost, and all of the node have the app's Redis.
fn check_network(read: &core::PodTemplateSpec, spec: &NodeAppSpec, problems: &mut Problems) {
    let host = read.spec.as_ref().is_some_and(|pod| pod.host_network == Some(true));
    if host && redis::is_on_localhost(spec) {
        problems.add(
            &format!("{FIELD}.spec.hostNetwork"),
            "localhost is the node's then, and whoever is on that node would read and write the app's Redis \
             (spec.redis); leave it out, or set spec.redis.mode: External and access: Env",
        );
    }
}

/// Ports that the app's container has by itself.
fn check_ports(read: &core::PodTemplateSpec, spec: &NodeAppSpec, problems: &mut Problems) {
    let containers = read.spec.iter().flat_map(|pod| &pod.containers);
    let runner = i32::from(nodeapp_contract::RUNNER_PORT);
    for port in containers.flat_map(|container| container.ports.iter().flatten()) {
        let (number, name) = (port.container_port, port.name.as_deref());
        let taken = number == runner
            || Some(number) == spec.port
            || matches!(name, Some(names::APP_PORT | names::RUNNER_PORT));
        if taken {
            problems.add(
                &format!("{FIELD}.spec.containers"),
                &format!(
                    "the port {number} {} is the app's own or the runner's (http, runner); take another number and name",
                    name.unwrap_or_default()
                ),
            );
        }
    }
}
