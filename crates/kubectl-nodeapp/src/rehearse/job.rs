//! The Job that sends the load: a plain function of the app and of what is asked for.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::{Resource, ResourceExt};
use nodeapp_operator::crd::NodeApp;
use serde_json::{Value, json};

/// The program of the load.
const LOAD: &str = include_str!("load.js");
/// Label of the Job and its pod: the app.
pub(super) const LABEL: &str = "nodeapp.dev/rehearsal";
/// Its only container.
pub(super) const CONTAINER: &str = "load";
/// How long Kubernetes keeps a Job that has ended, in seconds, if nobody has deleted it.
const KEPT: i64 = 60;

/// How much load, and where to.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Path of the requests.
    pub(super) path: String,
    /// Requests a second.
    pub(super) rate: u32,
    /// Connections that are kept.
    pub(super) connections: u32,
    /// Path whose answers tell whether state stays right.
    pub(super) check: Option<String>,
    /// Image with Node.js; if none, that of the app.
    pub(super) image: Option<String>,
    /// Seconds after which Kubernetes ends the load, whatever becomes of this program.
    pub(super) deadline: u64,
}

/// The Job. It passes Pod Security `restricted`, has no token, and goes with the app.
pub(super) fn job(app: &NodeApp, template: Option<&PodTemplateSpec>, name: &str, plan: &Plan) -> Value {
    let (app_name, namespace) = (app.name_any(), app.namespace().unwrap_or_default());
    let port = app.spec.port.unwrap_or_default();
    let url = |path: &str| format!("http://{app_name}:{port}/{}", path.trim_start_matches('/'));
    let load = json!({
        "target": url(&plan.path),
        "rate": plan.rate,
        "connections": plan.connections,
        "timeout": 10_000,
        "check": plan.check.as_deref().map(url),
    });
    let pod = template.and_then(|template| template.spec.as_ref());
    let running =
        pod.and_then(|pod| pod.containers.iter().find(|container| container.name == "app")?.image.clone());
    let image = plan.image.clone().or(running).unwrap_or_else(|| app.spec.image.clone());
    let labels = json!({LABEL: app_name, "app.kubernetes.io/managed-by": "kubectl-nodeapp"});
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": app.owner_ref(&()).map(|owner| vec![owner]).unwrap_or_default(),
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": plan.deadline,
            "ttlSecondsAfterFinished": KEPT,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 2,
                    "imagePullSecrets": pod.and_then(|pod| pod.image_pull_secrets.clone()).unwrap_or_default(),
                    "nodeSelector": pod.and_then(|pod| pod.node_selector.clone()).unwrap_or_default(),
                    "tolerations": pod.and_then(|pod| pod.tolerations.clone()).unwrap_or_default(),
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": CONTAINER,
                        "image": image,
                        "command": ["node", "-e", LOAD, load.to_string()],
                        "resources": {
                            "requests": {"cpu": "100m", "memory": "96Mi"},
                            "limits": {"cpu": "1", "memory": "256Mi"},
                        },
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> NodeApp {
        let app = json!({
            "apiVersion": "nodeapp.dev/v1alpha1", "kind": "NodeApp",
            "metadata": {"name": "shop", "namespace": "web", "uid": "u1"},
            "spec": {"image": "shop:1", "script": "a.js", "port": 3000},
        });
        serde_json::from_value(app).expect("a NodeApp")
    }

    fn plan() -> Plan {
        Plan { path: "/".into(), rate: 50, connections: 10, check: None, image: None, deadline: 600 }
    }

    fn load_of(job: &Value) -> Value {
        let text =
            job["spec"]["template"]["spec"]["containers"][0]["command"][3].as_str().unwrap_or_default();
        serde_json::from_str(text).expect("a plan")
    }

    #[test]
    fn the_load_is_bounded_owned_by_the_app_and_restricted() {
        let job = job(&app(), None, "shop-rehearsal-1", &plan());
        let typed: k8s_openapi::api::batch::v1::Job = serde_json::from_value(job.clone()).expect("a Job");
        assert_eq!(typed.metadata.owner_references.expect("an owner")[0].uid, "u1");
        assert_eq!(
            (&job["spec"]["activeDeadlineSeconds"], &job["spec"]["backoffLimit"]),
            (&json!(600), &json!(0))
        );
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["containers"][0]["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert!(pod["containers"][0]["resources"]["limits"]["memory"].is_string());
        // Nothing that would make its pod an instance of the app, or its Job one of the operator's.
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert!(
            labels["nodeapp.dev/app"].is_null()
                && labels["app.kubernetes.io/managed-by"] == "kubectl-nodeapp"
        );
    }

    #[test]
    fn it_goes_to_the_service_and_to_the_paths_that_are_asked_for() {
        let plan = Plan { path: "health?x=1".into(), check: Some("/count".into()), ..plan() };
        let load = load_of(&job(&app(), None, "n", &plan));
        assert_eq!(load["target"], "http://shop:3000/health?x=1");
        assert_eq!(load["check"], "http://shop:3000/count");
        assert_eq!(load_of(&job(&app(), None, "n", &self::plan()))["check"], Value::Null);
    }

    #[test]
    fn it_takes_the_image_that_runs_with_its_pull_secrets_and_its_place() {
        let template = json!({"spec": {
            "imagePullSecrets": [{"name": "registry"}], "nodeSelector": {"disk": "fast"},
            "containers": [{"name": "log", "image": "log:1"}, {"name": "app", "image": "shop:0"}],
        }});
        let template: PodTemplateSpec = serde_json::from_value(template).expect("a template");
        let built = job(&app(), Some(&template), "n", &plan());
        let pod = &built["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["image"], "shop:0");
        assert_eq!(
            (&pod["imagePullSecrets"][0]["name"], &pod["nodeSelector"]["disk"]),
            (&json!("registry"), &json!("fast"))
        );
        let other = Plan { image: Some("node:22".into()), ..plan() };
        let built = job(&app(), Some(&template), "n", &other);
        assert_eq!(built["spec"]["template"]["spec"]["containers"][0]["image"], "node:22");
    }
}
