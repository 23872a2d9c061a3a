//! The one instance that a verb is about.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use nodeapp_operator::controller::names::INSTANCE_LABEL;
use nodeapp_operator::crd::NodeApp;

use crate::cluster::Cluster;
use crate::instances::APP;
use crate::select::Selector;
use crate::state::full_name;

/// An app, and which of its instances.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct One {
    /// Name of the app.
    #[arg(value_name = "APP")]
    pub(crate) app: Selector,
    /// Its instance: the pod's name, the end of it, or its number; the oldest that is ready if none.
    #[arg(long, short, value_name = "POD")]
    pub(crate) instance: Option<String>,
}

impl Cluster {
    /// The app and the instance that are meant.
    ///
    /// # Errors
    /// When several apps are meant, or no instance of it runs; what the cluster refuses.
    pub(crate) async fn one(&self, one: &One) -> Result<(NodeApp, Pod), String> {
        let mut apps = self.apps(std::slice::from_ref(&one.app)).await?;
        if apps.len() > 1 {
            return Err(several(&one.app, &apps, self.namespace.is_none()));
        }
        let app = apps.pop().ok_or_else(|| format!("there is no app {}", one.app))?;
        let pods = self.instances(&app).await?;
        let pod = chosen(pods, &app.name_any(), one.instance.as_deref())?;
        Ok((app, pod))
    }
}

/// Says which apps are meant, and how to mean one.
fn several(selector: &Selector, apps: &[NodeApp], namespaces: bool) -> String {
    let names: Vec<String> = apps.iter().take(5).map(|app| full_name(app, namespaces)).collect();
    let how = if namespaces { "name one, and its namespace by -n" } else { "name one" };
    format!("{selector} names {} apps, such as {}; {how}", apps.len(), names.join(", "))
}

/// One of the pods, which are in the order of their age.
fn chosen(pods: Vec<Pod>, app: &str, wanted: Option<&str>) -> Result<Pod, String> {
    let mut running: Vec<Pod> = pods.into_iter().filter(runs).collect();
    if running.is_empty() {
        return Err(format!("no instance of {app} runs; `describe {app}` says why"));
    }
    let Some(wanted) = wanted else {
        let ready = running.iter().position(is_ready).unwrap_or(0);
        return Ok(running.swap_remove(ready));
    };
    let names: Vec<String> = running.iter().map(ResourceExt::name_any).collect();
    let found: Vec<usize> = (0..running.len()).filter(|at| is_called(&running[*at], wanted)).collect();
    match *found {
        [at] => Ok(running.swap_remove(at)),
        [] => Err(format!("{app} has no running instance {wanted}; there are {}", names.join(", "))),
        _ => Err(format!("{wanted} may be several instances of {app}; there are {}", names.join(", "))),
    }
}

fn is_called(pod: &Pod, wanted: &str) -> bool {
    let name = pod.name_any();
    name == wanted
        || name.rsplit('-').next() == Some(wanted)
        || pod.labels().get(INSTANCE_LABEL).is_some_and(|number| number == wanted)
}

/// Whether the app's container runs.
fn runs(pod: &Pod) -> bool {
    let all = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let own = all.and_then(|all| all.iter().find(|container| container.name == APP));
    own.and_then(|container| container.state.as_ref()).is_some_and(|state| state.running.is_some())
}

/// Whether it may get traffic and is to stay.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, runs: bool, ready: bool, number: &str) -> Pod {
        let state = if runs { json!({"running": {}}) } else { json!({"waiting": {}}) };
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {INSTANCE_LABEL: number}},
            "status": {
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "containerStatuses": [
                    {"name": "app", "state": state, "image": "", "imageID": "", "ready": ready, "restartCount": 0},
                ],
            },
        }))
        .expect("a pod")
    }

    fn chose(wanted: Option<&str>) -> Result<String, String> {
        let pods = vec![
            pod("web-7d-aaaaa", false, false, "0"),
            pod("web-7d-bbbbb", true, false, "1"),
            pod("web-7d-ccccc", true, true, "2"),
        ];
        chosen(pods, "web", wanted).map(|pod| pod.name_any())
    }

    #[test]
    fn apps_of_one_name_are_told_apart_by_their_namespaces() {
        let app = |namespace: &str| {
            let metadata = json!({"name": "web", "namespace": namespace});
            serde_json::from_value(json!({"metadata": metadata, "spec": {"image": "web:1"}})).expect("an app")
        };
        let told = several(&"web".parse().expect("a selector"), &[app("blue"), app("green")], true);
        assert_eq!(told, "web names 2 apps, such as blue/web, green/web; name one, and its namespace by -n");
    }

    #[test]
    fn the_oldest_ready_instance_is_meant_unless_one_is_named() {
        assert_eq!(chose(None).as_deref(), Ok("web-7d-ccccc"));
        for name in ["web-7d-bbbbb", "bbbbb", "1"] {
            assert_eq!(chose(Some(name)).as_deref(), Ok("web-7d-bbbbb"), "{name}");
        }
        let stopped = chose(Some("aaaaa")).expect_err("it does not run");
        assert!(stopped.ends_with("there are web-7d-bbbbb, web-7d-ccccc"), "{stopped}");
        assert!(chosen(vec![], "web", None).is_err_and(|error| error.contains("describe web")));
    }
}
