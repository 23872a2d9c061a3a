//! What the status tells of the pods' place and rights: why they wait for a node, and what they may do
//! beyond Pod Security `restricted` and the operator's own defaults.

use k8s_openapi::api::core::v1 as core;

use super::Findings;
use super::rollout::{Rollout, Situation};
use crate::controller::names;
use crate::crd::{NodeApp, NodeAppSpec};

/// Says why pods wait, where pods are waited for.
pub(super) fn tell_of_waiting(findings: Findings<'_>, situation: &mut Situation) {
    let Findings::Applied(children) = findings else { return };
    let Some(waiting) = &children.waiting.why else { return };
    if !matches!(situation.rollout, Rollout::Settled | Rollout::Refused) {
        situation.message = format!("{}. {waiting}", situation.message);
    }
}

/// What has been loosened, as a sentence; none where nothing is, which is so for every spec that says
/// nothing of its pods.
pub(super) fn loosened(app: &NodeApp, findings: Findings<'_>) -> Option<String> {
    let Findings::Applied(children) = findings else { return None };
    let NodeAppSpec { pod, pod_template, security_context, .. } = &app.spec;
    if pod.is_none() && pod_template.is_none() && security_context.is_none() {
        return None;
    }
    let all = loosenings(children.template()?.spec.as_ref()?);
    let text = all.join(", ");
    (!all.is_empty()).then(|| format!("The pods may do more than by default: {text}"))
}

fn loosenings(pod: &core::PodSpec) -> Vec<String> {
    let mut all = Vec::new();
    let host = [("hostNetwork", pod.host_network), ("hostPID", pod.host_pid), ("hostIPC", pod.host_ipc)];
    all.extend(
        host.into_iter().filter(|(_, on)| *on == Some(true)).map(|(field, _)| format!("{field} is true")),
    );
    for volume in pod.volumes.iter().flatten().filter(|volume| volume.host_path.is_some()) {
        all.push(format!("the volume {} is a folder of the node", volume.name));
    }
    if pod.automount_service_account_token == Some(true) {
        let account = pod.service_account_name.as_deref().unwrap_or("default");
        all.push(format!("they have the token of the ServiceAccount {account}"));
    }
    let shared = pod.security_context.clone().unwrap_or_default();
    for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
        let own = container.security_context.clone().unwrap_or_default();
        let said = of_container(container, &own, &shared);
        all.extend(said.into_iter().map(|what| format!("{what} in {}", container.name)));
    }
    all
}

fn of_container(
    container: &core::Container,
    own: &core::SecurityContext,
    shared: &core::PodSecurityContext,
) -> Vec<&'static str> {
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let drops_all = capabilities.drop.iter().flatten().any(|name| name == "ALL");
    let adds = capabilities.add.iter().flatten().any(|name| name != "NET_BIND_SERVICE");
    let profile = own.seccomp_profile.as_ref().or(shared.seccomp_profile.as_ref());
    let confined = profile.is_some_and(|profile| profile.type_ != "Unconfined");
    let writable = container.name == names::APP_CONTAINER && own.read_only_root_filesystem != Some(true);
    let ports = container.ports.iter().flatten().any(|port| port.host_port.is_some_and(|port| port > 0));
    let found = [
        ("privileged", own.privileged == Some(true)),
        ("privilege escalation", own.allow_privilege_escalation != Some(false)),
        ("more capabilities", adds || !drops_all),
        ("user root", own.run_as_user.or(shared.run_as_user) == Some(0)),
        ("runAsNonRoot is not true", own.run_as_non_root.or(shared.run_as_non_root) != Some(true)),
        ("no seccomp profile", !confined),
        ("a port of the node", ports),
        ("a writable root file system", writable),
    ];
    found.into_iter().filter(|(_, found)| *found).map(|(what, _)| what).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::desired::{Settings, desired};
    use crate::controller::observe::Observed;
    use crate::controller::validate::validate;

    fn told(change: &Value) -> String {
        let mut spec = json!({"image": "a:1", "script": "a.js"});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "cart", "namespace": "shop", "uid": "u"}, "spec": spec,
        });
        let valid = validate(&serde_json::from_value(app).unwrap()).unwrap();
        let children = desired(&valid, &Observed::default(), &Settings::default());
        loosenings(children.template().unwrap().spec.as_ref().unwrap()).join(", ")
    }

    #[test]
    fn by_default_nothing_is_loosened_whatever_runs_beside_the_app() {
        let container = json!({"name": "proxy", "image": "proxy:1"});
        assert_eq!(told(&json!({"pod": {"sidecars": [container]}})), "");
        let before = json!({"name": "load", "image": "load:1"});
        assert_eq!(told(&json!({"pod": {"initContainers": [before]}})), "");
    }

    #[test]
    fn whatever_is_loosened_is_said() {
        for (change, text) in [
            (
                json!({"securityContext": {"readOnlyRootFilesystem": false}}),
                "a writable root file system in app",
            ),
            (
                json!({"pod": {"securityContext": {"runAsUser": 0, "runAsNonRoot": false}}}),
                "user root in app, runAsNonRoot is not true in app, user root in install-runner, runAsNonRoot is not \
                 true in install-runner",
            ),
            (
                json!({"pod": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}}),
                "the volume node is a folder of the node",
            ),
            (
                json!({"pod": {"serviceAccountName": "admin", "automountServiceAccountToken": true}}),
                "they have the token of the ServiceAccount admin",
            ),
            (json!({"podTemplate": {"spec": {"hostNetwork": true}}}), "hostNetwork is true"),
            (
                json!({"pod": {"sidecars": [
                    {"name": "proxy", "image": "a", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
                ]}}),
                "more capabilities in proxy",
            ),
        ] {
            assert_eq!(told(&change), text);
        }
    }
}
